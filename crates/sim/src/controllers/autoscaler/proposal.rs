//! What each metric of an autoscaler proposes.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::maths::{self, Measured};
use super::metrics::{Metrics, Usage};
use crate::controllers::pods;
use crate::controllers::read::{items, moment, text};
use crate::controllers::scheduler::needs::millis;
use crate::object::Object;
use crate::resource::PODS;
use crate::selector::LabelSelector;
use crate::server::ApiServer;

/// A pod's processor load says nothing while it starts.
const START: Duration = Duration::from_secs(300);

/// A measurement covers so much time: it must lie after the pod became ready.
const WINDOW: Duration = Duration::from_secs(30);

/// One metric's opinion.
#[derive(Debug, Clone)]
pub(super) struct Proposal {
    pub(super) replicas: i64,
    /// As in "cpu resource utilization (percentage of request)".
    pub(super) from: String,
    /// For `currentMetrics`.
    pub(super) status: Option<Value>,
}

/// Why a metric has none: a reason and a message.
pub(super) type Failure = (&'static str, String);

/// The opinions of all metrics, and why some have none.
pub(super) fn all(
    server: &ApiServer,
    metrics: &Metrics,
    now: Timestamp,
    scaler: &Object,
    target: &Object,
    current: i64,
) -> (Vec<Proposal>, Vec<Failure>) {
    let selector = LabelSelector::of(&target["spec"]["selector"]);
    let pods: Vec<Arc<Object>> = server
        .store()
        .list(&PODS, Some(target.namespace()))
        .filter(|pod| selector.matches(pod.labels()) && pods::is_active(pod))
        .cloned()
        .collect();
    let load = Load { metrics, now, target, pods, current };
    let (mut proposals, mut failures) = (Vec::new(), Vec::new());
    for metric in items(&scaler["spec"]["metrics"]) {
        match load.of(metric) {
            Ok(proposal) => proposals.push(proposal),
            Err(failure) => failures.push(failure),
        }
    }
    (proposals, failures)
}

struct Load<'a> {
    metrics: &'a Metrics,
    now: Timestamp,
    target: &'a Object,
    pods: Vec<Arc<Object>>,
    current: i64,
}

impl Load<'_> {
    fn of(&self, metric: &Value) -> Result<Proposal, Failure> {
        match text(&metric["type"]) {
            "Resource" => self.of_resource("resource", &metric["resource"]),
            "ContainerResource" => self.of_resource("containerResource", &metric["containerResource"]),
            "Pods" => self.of_pods(&metric["pods"]),
            "Object" => self.of_value("object", "FailedGetObjectMetric", &metric["object"]),
            "External" => self.of_value("external", "FailedGetExternalMetric", &metric["external"]),
            other => Err(("InvalidMetricSourceType", format!("invalid metric source type \"{other}\""))),
        }
    }

    fn of_resource(&self, field: &str, source: &Value) -> Result<Proposal, Failure> {
        let name = text(&source["name"]);
        let target = &source["target"];
        let by_share = target["type"] == "Utilization";
        let mut measured = Measured::default();
        let (mut asked, mut used) = (0, 0);
        for pod in &self.pods {
            let usage = self.metrics.usage(pod.namespace(), self.target.name(), pod.name());
            let request = request(pod, name);
            let goal = if by_share {
                let Some(request) = request else {
                    let container = text(&pod.field("spec", "containers")[0]["name"]);
                    let why = format!(
                        "failed to get {name} utilization: missing request for {name} in container {container} of Pod {}",
                        pod.name()
                    );
                    return Err(("FailedGetResourceMetric", why));
                };
                request * i128::from(target["averageUtilization"].as_i64().unwrap_or(80)) / 100
            } else {
                millis(&target["averageValue"]).unwrap_or(0)
            };
            match usage {
                _ if self.is_starting(pod, name) => measured.unready += 1,
                None => measured.missing += 1,
                Some(usage) => {
                    measured.ready += 1;
                    measured.usage += amount(usage, name);
                    measured.target += goal;
                    asked += request.unwrap_or(0);
                    used += amount(usage, name);
                }
            }
        }
        if measured.ready == 0 {
            let why = format!(
                "failed to get {name} utilization: did not receive metrics for targeted pods (pods might be unready)"
            );
            return Err(("FailedGetResourceMetric", why));
        }
        let average = used / i128::from(measured.ready);
        let mut now = json!({"averageValue": written(average, name)});
        if by_share && asked > 0 {
            now["averageUtilization"] = json!(i64::try_from(used * 100 / asked).unwrap_or(i64::MAX));
        }
        let replicas = maths::replicas(self.current, measured);
        let what = if by_share { " utilization (percentage of request)" } else { "" };
        let mut status = json!({"type": if field == "resource" { "Resource" } else { "ContainerResource" }});
        status[field] = json!({"name": name, "current": now});
        Ok(Proposal { replicas, from: format!("{name} resource{what}"), status: Some(status) })
    }

    /// Whether a pod's load does not count yet.
    fn is_starting(&self, pod: &Object, name: &str) -> bool {
        if name != "cpu" {
            return false;
        }
        let Some(start) = moment(&pod["status"]["startTime"]) else { return true };
        let ready = pods::is_ready(pod);
        let Some(since) = pods::ready_since(pod) else { return true };
        if start + START > self.now {
            !ready || self.now < since + WINDOW
        } else {
            !ready && start + WINDOW > since
        }
    }

    fn of_pods(&self, source: &Value) -> Result<Proposal, Failure> {
        let name = text(&source["metric"]["name"]);
        let Some(value) = self.metrics.value(self.target.namespace(), name) else {
            let why = format!("unable to get metric {name}: no metrics returned from custom metrics API");
            return Err(("FailedGetPodsMetric", why));
        };
        let ready = i64::try_from(self.pods.iter().filter(|pod| pods::is_ready(pod)).count()).unwrap_or(0);
        let goal = millis(&source["target"]["averageValue"]).unwrap_or(0);
        let count = i128::from(ready);
        let measured = Measured {
            usage: i128::from(value) * count,
            target: goal * count,
            ready,
            unready: 0,
            missing: 0,
        };
        let status = json!({"type": "Pods", "pods": {"metric": source["metric"],
            "current": {"averageValue": written(i128::from(value), "")}}});
        let replicas = maths::replicas(self.current, measured);
        Ok(Proposal { replicas, from: format!("pods metric {name}"), status: Some(status) })
    }

    fn of_value(&self, field: &str, reason: &'static str, source: &Value) -> Result<Proposal, Failure> {
        let name = text(&source["metric"]["name"]);
        let Some(value) = self.metrics.value(self.target.namespace(), name) else {
            let why = format!("unable to get metric {name}: no metrics returned from the metrics API");
            return Err((reason, why));
        };
        let target = &source["target"];
        let ready = i64::try_from(self.pods.iter().filter(|pod| pods::is_ready(pod)).count()).unwrap_or(0);
        let (goal, now) = if target["averageValue"].is_null() {
            (millis(&target["value"]).unwrap_or(0), json!({"value": written(i128::from(value), "")}))
        } else {
            let one = millis(&target["averageValue"]).unwrap_or(0);
            let average = i128::from(value) / i128::from(self.current.max(1));
            (one * i128::from(ready), json!({"averageValue": written(average, "")}))
        };
        let measured = Measured { usage: i128::from(value), target: goal, ready, unready: 0, missing: 0 };
        let replicas = maths::replicas(self.current, measured);
        let mut status = json!({"type": if field == "object" { "Object" } else { "External" }});
        status[field] = json!({"metric": source["metric"], "current": now});
        if field == "object" {
            status[field]["describedObject"] = source["describedObject"].clone();
        }
        Ok(Proposal { replicas, from: format!("{field} metric {name}"), status: Some(status) })
    }
}

/// In thousandths.
fn amount(usage: Usage, name: &str) -> i128 {
    match name {
        "cpu" => i128::from(usage.cpu_millis),
        "memory" => i128::from(usage.memory_bytes) * 1000,
        _ => 0,
    }
}

fn request(pod: &Object, name: &str) -> Option<i128> {
    items(pod.field("spec", "containers"))
        .map(|container| millis(&container["resources"]["requests"][name]))
        .sum()
}

fn written(thousandths: i128, name: &str) -> String {
    let is_whole = thousandths % 1000 == 0;
    if name == "memory" || is_whole { (thousandths / 1000).to_string() } else { format!("{thousandths}m") }
}
