//! From what the watches showed to what can be compared.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::history;
use super::log::{Chapter, Log, Seen};
use super::milestones::{self, Promises};
use super::names::{Names, counted};
use super::until::is_ready;

pub use crate::differential::differences;

type Objects = BTreeMap<(&'static str, String), Value>;

/// The trace of a story: what is determined of it, and nothing else.
pub fn reduce(log: &Log) -> Value {
    let names = Names::of(log);
    let promises = Promises::of(log.chapters.iter().flat_map(|chapter| &chapter.seen));
    let mut before = Objects::new();
    let mut steps = Vec::new();
    for chapter in &log.chapters {
        let order = milestones::order(&chapter.seen, &before, &names, promises);
        let objects = chapter_of(chapter, &before, &names);
        steps.push(json!({"step": chapter.step, "order": order, "objects": objects}));
        for seen in &chapter.seen {
            let key = (seen.kind, seen.name().to_owned());
            if seen.gone {
                before.remove(&key);
            } else {
                before.insert(key, seen.object.clone());
            }
        }
    }
    json!({"steps": steps, "events": events(log, &names)})
}

/// What each object went through in a step.
fn chapter_of(chapter: &Chapter, before: &Objects, names: &Names) -> Value {
    let mut versions: BTreeMap<(&'static str, String), Vec<Option<&Value>>> = BTreeMap::new();
    for seen in &chapter.seen {
        let key = (seen.kind, seen.name().to_owned());
        let old = before.get(&key);
        let list = versions.entry(key).or_insert_with(|| old.into_iter().map(Some).collect());
        list.push((!seen.gone).then_some(&seen.object));
    }
    let mut out = Map::new();
    let mut pods: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for ((kind, name), versions) in &versions {
        let alias = names.alias(kind, name);
        match *kind {
            "Deployment" | "ReplicaSet" => {
                let is_new = !before.contains_key(&(kind, name.clone()));
                let changes = history::of_workload(versions, is_new);
                let end = versions.last().copied().flatten();
                let end = end.map_or(Value::Null, |object| history::end_of_workload(object, names));
                out.insert(alias, json!({"changes": changes, "ends": end}));
            }
            "Endpoints" => {
                out.insert(alias, json!(history::of_endpoints(versions)));
            }
            "Pod" => pods.entry(alias).or_default().push(history::of_pod(versions).join("\n→ ")),
            _ => {}
        }
    }
    for (alias, histories) in pods {
        // One line each, so that a recording can be read.
        let lines = counted(histories).into_iter().map(|text| json!(text.split('\n').collect::<Vec<_>>()));
        out.insert(alias, lines.collect());
    }
    Value::Object(out)
}

/// What a slow machine, or one without a cluster DNS, adds: conflicts that are tried again, and probes of processes that are starting or
/// ending. Of pods that never become ready, failing probes do count, unless they crash before every probe can come; but not whether
/// they ran when they were asked to go.
fn is_noise(reason: &str, about: &str, log: &Log, names: &Names) -> bool {
    let was = |what: fn(&Value) -> bool| {
        let pods = log.chapters.iter().flat_map(|chapter| &chapter.seen).filter(|seen| seen.kind == "Pod");
        pods.filter(|pod| names.text(pod.name()) == about).any(|pod| what(&pod.object))
    };
    let was_ready = || was(is_ready);
    match reason {
        "MissingClusterDNS" | "FailedToUpdateEndpointSlices" | "FailedToUpdateEndpoint" => true,
        "Unhealthy" => was_ready() || was(has_crashed),
        "Killing" => !was_ready(),
        _ => false,
    }
}

fn has_crashed(pod: &Value) -> bool {
    let containers = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
    containers.into_iter().any(|c| c["restartCount"].as_u64().is_some_and(|count| count > 0))
}

/// The events of the whole story: they come when they come.
fn events(log: &Log, names: &Names) -> Vec<String> {
    let mut newest: BTreeMap<&str, &Seen> = BTreeMap::new();
    for seen in log
        .chapters
        .iter()
        .flat_map(|chapter| &chapter.seen)
        .filter(|seen| seen.kind == "Event" && !seen.gone)
    {
        newest.insert(seen.name(), seen);
    }
    let mut told = Vec::new();
    let mut once = std::collections::BTreeSet::new();
    for event in newest.values().map(|seen| &seen.object) {
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let about = &event["involvedObject"];
        let about = names.alias(&word(&about["kind"]), &word(&about["name"]));
        if is_noise(&word(&event["reason"]), &about, log, names) {
            continue;
        }
        let line = format!("{about}: {} {}", word(&event["type"]), word(&event["reason"]));
        let is_kubelet = event["source"]["component"] == "kubelet";
        if is_kubelet || event["type"] == "Warning" {
            // Runtimes have words of their own, and how often something is tried again is a matter of time.
            let message = if is_kubelet {
                String::new()
            } else {
                format!(": {}", names.text(&word(&event["message"])))
            };
            once.insert(format!("{line}{message}"));
        } else {
            let count = event["count"].as_u64().unwrap_or(1);
            let line = format!("{line}: {}", names.text(&word(&event["message"])));
            told.extend(std::iter::repeat_n(line, usize::try_from(count).unwrap_or(1)));
        }
    }
    counted(told).into_iter().chain(once).collect()
}
