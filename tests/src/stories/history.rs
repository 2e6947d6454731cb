//! What one object went through: each field's values one after the other, a pod's faces one after the other.

use serde_json::Value;

use super::names::Names;
use super::until::{is_going, items, number};

/// How much of the values of a field is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keep {
    /// Each value.
    Each,
    /// The first, the last, and those where it turns: how many steps a counter takes to get there is chance.
    Turns,
    /// The first and the last. A real controller writes how many pods there were before it made or deleted some, and comes back; how many
    /// were made is told by the order of milestones.
    Ends,
}

/// The fields of Deployments and ReplicaSets that are followed.
const FIELDS: &[(&str, Keep)] = &[
    ("/metadata/annotations/deployment.kubernetes.io~1revision", Keep::Each),
    ("/metadata/annotations/deployment.kubernetes.io~1revision-history", Keep::Each),
    ("/metadata/annotations/deployment.kubernetes.io~1desired-replicas", Keep::Each),
    ("/metadata/annotations/deployment.kubernetes.io~1max-replicas", Keep::Each),
    ("/metadata/finalizers", Keep::Each),
    ("/metadata/generation", Keep::Each),
    ("/metadata/ownerReferences/0/kind", Keep::Each),
    ("/spec/minReadySeconds", Keep::Each),
    ("/spec/paused", Keep::Each),
    ("/spec/replicas", Keep::Each),
    ("/status/availableReplicas", Keep::Turns),
    ("/status/fullyLabeledReplicas", Keep::Ends),
    ("/status/observedGeneration", Keep::Turns),
    ("/status/readyReplicas", Keep::Turns),
    ("/status/replicas", Keep::Ends),
    ("/status/unavailableReplicas", Keep::Turns),
    ("/status/updatedReplicas", Keep::Ends),
];

/// A rollout has begun.
const CREATED: &str = "True NewReplicaSetCreated";
/// Something of it has got on.
const UPDATED: &str = "True ReplicaSetUpdated";

/// Why a container waits that crashed more than once.
const CRASHING: &str = "CrashLoopBackOff";
/// How a face of a pod begins that was deleted.
const ASKED: &str = "asked to go";

/// What a workload went through: a line for each field that changed. `versions` begins with the state before the step, if there was
/// one, and is None where it is gone.
pub(super) fn of_workload(versions: &[Option<&Value>], is_new: bool) -> Vec<String> {
    let mut lines = Vec::new();
    // What the status of a Deployment says while it goes depends on whether its controller still comes round.
    let counts = versions.iter().position(|v| v.is_some_and(|v| is_going(v) && v["kind"] == "Deployment"));
    let living = &versions[..counts.map_or(versions.len(), |at| at + 1)];
    let there = || living.iter().copied().flatten();
    for (pointer, keep) in FIELDS {
        let source = if pointer.starts_with("/status") { living } else { versions };
        let values = source.iter().copied().flatten();
        let values = values.map(|object| object.pointer(pointer).cloned().unwrap_or_default());
        let name = pointer.rsplit('/').next().unwrap_or_default().replace("~1", "/");
        let texts: Vec<String> = match keep {
            Keep::Each => values
                .map(|value| if value.is_null() { "none".to_owned() } else { value.to_string() })
                .collect(),
            Keep::Ends => ends(values.map(|value| number(&value))).iter().map(i64::to_string).collect(),
            Keep::Turns => turns(values.map(|value| number(&value))).iter().map(i64::to_string).collect(),
        };
        add(&mut lines, &name, texts, is_new);
    }
    for kind in ["Available", "Progressing", "ReplicaFailure"] {
        let said = |object: &Value| {
            let condition = items(&object["status"]["conditions"]).find(|c| c["type"] == kind);
            condition.map_or("none".to_owned(), |c| format!("{} {}", word(&c["status"]), word(&c["reason"])))
        };
        let mut texts: Vec<String> = there().map(said).collect();
        texts.dedup();
        // Whether the controller saw the new ReplicaSet before its first pod is chance.
        let is_chance = |at: &usize| texts[*at] == UPDATED && *at > 0 && texts[*at - 1] == CREATED;
        let texts = (0..texts.len()).filter(|at| !is_chance(at)).map(|at| texts[at].clone()).collect();
        add(&mut lines, kind, texts, is_new);
    }
    let going = |object: &Value| if is_going(object) { ASKED } else { "there" }.to_owned();
    let life = versions.iter().map(|object| object.map_or("gone".to_owned(), going)).collect();
    add(&mut lines, "life", life, is_new);
    lines
}

fn add(lines: &mut Vec<String>, name: &str, mut values: Vec<String>, is_new: bool) {
    values.dedup();
    let is_nothing =
        values.len() == 1 && (!is_new || values[0] == "none" || values[0] == "0" || values[0] == "there");
    if !values.is_empty() && !is_nothing {
        lines.push(format!("{name}: {}", values.join(" → ")));
    }
}

/// The first value, the last, and those where the direction changes.
fn turns(values: impl Iterator<Item = i64>) -> Vec<i64> {
    let mut values: Vec<i64> = values.collect();
    values.dedup();
    let last = values.len().saturating_sub(1);
    let turning =
        |at: usize| at == 0 || at == last || (values[at] > values[at - 1]) != (values[at + 1] > values[at]);
    (0..values.len()).filter(|at| turning(*at)).map(|at| values[at]).collect()
}

/// The first value and the last.
fn ends(values: impl Iterator<Item = i64>) -> Vec<i64> {
    let values: Vec<i64> = values.collect();
    values.first().into_iter().chain(values.last()).copied().collect()
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}

/// What a pod went through, its different faces one after the other.
pub(super) fn of_pod(versions: &[Option<&Value>]) -> Vec<String> {
    let mut faces: Vec<String> =
        versions.iter().map(|version| version.map_or_else(|| "gone".to_owned(), face)).collect();
    faces.dedup();
    // A crash is followed by the same crash: once it is told is enough.
    if let Some(at) = faces.iter().position(|face| face.contains(CRASHING)) {
        let end = faces[at + 1..].iter().position(|face| face.starts_with(ASKED) || face == "gone");
        faces.drain(at + 1..end.map_or(faces.len(), |end| at + 1 + end));
    }
    faces
}

/// What matters of a pod at one moment.
fn face(pod: &Value) -> String {
    if is_going(pod) {
        // What its status says meanwhile is the runtime's business: one forgets a container before it tells how it ended.
        return format!("{ASKED} within {} s", pod["metadata"]["deletionGracePeriodSeconds"]);
    }
    let status = &pod["status"];
    let mut words = vec![word(&status["phase"]).to_owned()];
    if pod["metadata"]["ownerReferences"].is_null() {
        words.push("nobody's".to_owned());
    }
    let mut conditions: Vec<String> = items(&status["conditions"])
        .map(|c| match c["reason"].as_str() {
            Some(reason) => format!("{}={} {reason}", word(&c["type"]), word(&c["status"])),
            None => format!("{}={}", word(&c["type"]), word(&c["status"])),
        })
        .collect();
    conditions.sort();
    words.extend(conditions);
    words.extend(items(&status["containerStatuses"]).map(container));
    words.join(", ")
}

fn container(status: &Value) -> String {
    let mut words = vec![format!("{}: {}", word(&status["name"]), state(&status["state"]))];
    for flag in ["ready", "started"] {
        if status[flag] == true {
            words.push(flag.to_owned());
        }
    }
    if number(&status["restartCount"]) > 0 {
        // How often it crashed before somebody looked is a matter of time.
        let is_crashing = status["state"]["waiting"]["reason"] == CRASHING;
        let count =
            if is_crashing { "again and again".to_owned() } else { status["restartCount"].to_string() };
        words.push(format!("restarted {count}"));
    }
    if status["lastState"].as_object().is_some_and(|last| !last.is_empty()) {
        words.push(format!("after {}", state(&status["lastState"])));
    }
    words.join(" ")
}

fn state(state: &Value) -> String {
    let Some((kind, detail)) = state.as_object().and_then(|state| state.iter().next()) else {
        return "nothing".to_owned();
    };
    let reason = detail["reason"].as_str().map(|reason| format!(" {reason}")).unwrap_or_default();
    let code = if detail["exitCode"].is_null() { String::new() } else { format!(" {}", detail["exitCode"]) };
    format!("{kind}{reason}{code}")
}

/// How many addresses endpoints had: in turns those that are ready; of the others only the last, as pods get addresses in any order.
pub(super) fn of_endpoints(versions: &[Option<&Value>]) -> Vec<String> {
    let mut lines = Vec::new();
    for (part, keep) in [("addresses", Keep::Turns), ("notReadyAddresses", Keep::Ends)] {
        let count = |version: Option<&Value>| -> i64 {
            let subsets = version.map(|endpoints| items(&endpoints["subsets"])).into_iter().flatten();
            let count: usize = subsets.map(|subset| items(&subset[part]).count()).sum();
            i64::try_from(count).unwrap_or(i64::MAX)
        };
        let counts = versions.iter().copied().map(count);
        let counts = if keep == Keep::Turns { turns(counts) } else { ends(counts) };
        add(&mut lines, part, counts.iter().map(i64::to_string).collect(), false);
    }
    lines
}

/// What stands in a workload at the end of a step: its whole status and its annotations, without times.
pub(super) fn end_of_workload(object: &Value, names: &Names) -> Value {
    let mut status = object["status"].clone();
    if let Some(list) = status["conditions"].as_array_mut() {
        list.sort_by_key(|condition| word(&condition["type"]).to_owned());
        for condition in list.iter_mut().filter_map(Value::as_object_mut) {
            condition.retain(|key, _| !key.starts_with("last"));
        }
    }
    if let Some(fields) = status.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    let mut end = serde_json::json!({"status": status, "annotations": object["metadata"]["annotations"]});
    rename(&mut end, names);
    end
}

fn rename(value: &mut Value, names: &Names) {
    match value {
        Value::Object(map) => map.values_mut().for_each(|value| rename(value, names)),
        Value::Array(list) => list.iter_mut().for_each(|value| rename(value, names)),
        Value::String(text) => *text = names.text(text),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_keeps_its_turns() {
        for (values, want) in [
            (vec![0, 1, 2, 3], vec![0, 3]),
            (vec![2, 3, 3, 2, 3], vec![2, 3, 2, 3]),
            (vec![1], vec![1]),
            (vec![4, 3, 1, 0], vec![4, 0]),
        ] {
            assert_eq!(turns(values.into_iter()), want);
        }
    }
}
