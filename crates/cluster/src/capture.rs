//! Saving what explains a failure before a rollback destroys it: events, and the last lines of unwell containers, or of all when
//! none is.

use std::time::Duration;

use release_health::Snapshot;
use serde_json::Value;

use crate::Cluster;
use crate::api::Call;
use crate::event::{Capture, LogTail};

/// Pods whose logs are saved. They fail alike; three tell the story.
const PODS: usize = 3;
/// Lines per container.
const LINES: usize = 40;
/// Bytes per container, whatever the lines.
const BYTES: usize = 16 << 10;
/// Events per workload, the newest.
const EVENTS: usize = 40;
/// A log that is not here by now does not hold up a rollback.
const PATIENCE: Duration = Duration::from_secs(3);

/// One container worth asking for its last lines.
struct Container {
    pod: String,
    name: String,
    previous: bool,
}

impl Cluster {
    /// Saves what can be saved of a workload's `pods`, and the events about it.
    pub(crate) async fn capture(&self, snapshot: &Snapshot<'_>, pods: &[&Value]) -> Capture {
        let mut containers: Vec<Container> =
            pods.iter().filter(|pod| !is_ready(pod)).take(PODS).flat_map(|pod| unwell(pod)).collect();
        if containers.is_empty() {
            // All say that they are well, and yet this version has failed: what they answer is wrong.
            containers.extend(pods.iter().take(PODS).flat_map(|pod| running(pod)));
        }
        let tails = containers.iter().map(|container| self.tail(container));
        let logs = futures::future::join_all(tails).await.into_iter().flatten().collect();
        Capture { events: events_about(snapshot, pods), logs }
    }

    async fn tail(&self, container: &Container) -> Option<LogTail> {
        let path = format!(
            "/api/v1/namespaces/{}/pods/{}/log?container={}&tailLines={LINES}&limitBytes={BYTES}&previous={}",
            self.namespace, container.pod, container.name, container.previous
        );
        let call = Call::get(format!("the log of pod/{}", container.pod), path).patience(PATIENCE);
        let answered = tokio::time::timeout(PATIENCE, self.api.raw(&call)).await.ok()?.ok()?;
        let lines: Vec<String> = String::from_utf8_lossy(&answered.body).lines().map(str::to_owned).collect();
        (!lines.is_empty()).then(|| LogTail {
            pod: container.pod.clone(),
            container: container.name.clone(),
            previous: container.previous,
            lines,
        })
    }
}

fn is_ready(pod: &Value) -> bool {
    pod["status"]["conditions"]
        .as_array()
        .is_some_and(|all| all.iter().any(|c| c["type"] == "Ready" && c["status"] == "True"))
}

/// Containers of a pod that are not ready and have run at least once.
fn unwell(pod: &Value) -> Vec<Container> {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let statuses = |key: &str| pod["status"][key].as_array().cloned().unwrap_or_default();
    let mut all = statuses("initContainerStatuses");
    all.extend(statuses("containerStatuses"));
    all.iter()
        .filter(|status| status["ready"] != true && status["state"]["terminated"]["exitCode"] != 0)
        .filter_map(|status| {
            let waiting = !status["state"]["waiting"].is_null();
            let ran_before = !status["lastState"]["terminated"].is_null();
            if waiting && !ran_before {
                return None;
            }
            // While it waits for its next start, the run that failed is the previous one.
            Some(Container {
                pod: name.to_owned(),
                name: status["name"].as_str()?.to_owned(),
                previous: waiting && ran_before,
            })
        })
        .collect()
}

/// Containers of a pod that run.
fn running(pod: &Value) -> Vec<Container> {
    let pod_name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let statuses = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
    let running = statuses.filter(|status| !status["state"]["running"].is_null());
    let names = running.filter_map(|status| status["name"].as_str());
    names.map(|name| Container { pod: pod_name.to_owned(), name: name.to_owned(), previous: false }).collect()
}

fn events_about(snapshot: &Snapshot<'_>, pods: &[&Value]) -> Vec<String> {
    let mut about: Vec<&str> = pods.iter().filter_map(|pod| pod["metadata"]["uid"].as_str()).collect();
    if let Some(workload) = snapshot.workload {
        let uid = workload["metadata"]["uid"].as_str().unwrap_or_default();
        about.push(uid);
        let owned = snapshot.replica_sets.iter().filter(|set| {
            set["metadata"]["ownerReferences"]
                .as_array()
                .is_some_and(|owners| owners.iter().any(|o| o["uid"] == uid))
        });
        about.extend(owned.filter_map(|set| set["metadata"]["uid"].as_str()));
    }
    let mut found: Vec<(&str, String)> = snapshot
        .events
        .iter()
        .filter(|event| event["involvedObject"]["uid"].as_str().is_some_and(|uid| about.contains(&uid)))
        .map(|event| (when(event), line(event)))
        .collect();
    found.sort();
    let skip = found.len().saturating_sub(EVENTS);
    found.into_iter().skip(skip).map(|(_, line)| line).collect()
}

fn when(event: &Value) -> &str {
    ["lastTimestamp", "eventTime", "firstTimestamp"]
        .iter()
        .find_map(|key| event[*key].as_str())
        .unwrap_or_default()
}

fn line(event: &Value) -> String {
    let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
    let about = &event["involvedObject"];
    let count = event["count"]
        .as_u64()
        .filter(|count| *count > 1)
        .map(|count| format!(" (x{count})"))
        .unwrap_or_default();
    format!(
        "{} {} {}/{}: {}{count}",
        text("type"),
        text("reason"),
        about["kind"].as_str().unwrap_or_default().to_lowercase(),
        about["name"].as_str().unwrap_or_default(),
        text("message").trim()
    )
}
