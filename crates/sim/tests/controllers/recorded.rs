//! What controllers write, compared with recordings of a real cluster of version 1.36: the same manifests, the same
//! misfortunes; names without hashes, moments without values.

use std::collections::BTreeSet;
use std::path::Path;

use release_sim::resource::{DEPLOYMENTS, EVENTS, JOBS, PODS, REPLICA_SETS, RESOURCE_QUOTAS, STATEFUL_SETS};
use release_sim::{By, Object};
use serde_json::{Map, Value, json};

use crate::cluster::{Cluster, NS};

fn recording(scenario: &str) -> Vec<Value> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/controllers/recorded");
    let text = std::fs::read_to_string(here.join(format!("{scenario}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// What somebody applied, as the recording remembers it.
fn applied(recording: &[Value], kind: &str) -> Value {
    let object = recording.iter().find(|o| o["kind"] == kind).unwrap();
    let text = &object["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"];
    let mut body: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
    body["metadata"].as_object_mut().unwrap().remove("namespace");
    body
}

/// Names, hashes and moments replaced by what they are.
fn plain(value: &Value, scenario: &str) -> Value {
    match value {
        Value::Object(map) => {
            let map: Map<String, Value> = map
                .iter()
                .filter(|(key, _)| *key != "kubectl.kubernetes.io/last-applied-configuration")
                .map(|(key, value)| (key.clone(), plain(value, scenario)))
                .collect();
            Value::Object(map)
        }
        Value::Array(list) => list.iter().map(|v| plain(v, scenario)).collect(),
        Value::String(text) => json!(plain_text(text, scenario)),
        other => other.clone(),
    }
}

fn plain_text(text: &str, scenario: &str) -> String {
    if text.parse::<jiff::Timestamp>().is_ok() {
        return "(moment)".to_owned();
    }
    let text =
        text.replace(&format!("c-{scenario}/"), "(namespace)/").replace(&format!("{NS}/"), "(namespace)/");
    let quoted = |word: &str| {
        let core = word.trim_matches(|c| matches!(c, '"' | '.' | ','));
        let name = core.rsplit('/').next().unwrap_or_default();
        let parts: Vec<&str> = name.split('-').collect();
        let lengths: Vec<usize> = parts.iter().skip(1).map(|part| part.len()).collect();
        match (parts[0], lengths.as_slice()) {
            ("web" | "db" | "migrate", [5]) => word.replace(name, &format!("{}-(suffix)", parts[0])),
            ("web" | "db", [7..=12]) => word.replace(name, &format!("{}-(hash)", parts[0])),
            ("web", [7..=12, 5]) => word.replace(name, "web-(hash)-(suffix)"),
            _ => word.to_owned(),
        }
    };
    text.split(' ').map(quoted).collect::<Vec<_>>().join(" ")
}

/// What is compared of a workload.
fn face(object: &Value, scenario: &str) -> Value {
    let metadata = &object["metadata"];
    plain(
        &json!({
            "kind": object["kind"],
            "status": object["status"],
            "annotations": metadata["annotations"],
            "generation": metadata["generation"],
            "labels": metadata["labels"].as_object().map(|l| l.keys().cloned().collect::<Vec<_>>()),
            "owner": metadata["ownerReferences"].as_array().map(|o| o[0]["kind"].clone()),
        }),
        scenario,
    )
}

/// What is compared of an event: its words, and which fields it has.
fn event(event: &Value, scenario: &str) -> String {
    let mut fields: Vec<&str> = event.as_object().unwrap().keys().map(String::as_str).collect();
    // How often something was tried again depends on how long a real scheduler takes.
    fields.retain(|field| *field != "series");
    fields.sort_unstable();
    let instance = event["reportingInstance"].as_str().unwrap_or_default();
    let words = json!({
        "about": event["involvedObject"]["kind"],
        "about fields": event["involvedObject"].as_object().map(|o| o.keys().cloned().collect::<BTreeSet<_>>()),
        "type": event["type"], "reason": event["reason"], "message": event["message"],
        "source": event["source"], "reporter": event["reportingComponent"], "action": event["action"],
        "instance": instance.trim_end_matches("-vm").trim_end_matches("-sim"),
        "fields": fields,
    });
    plain(&words, scenario).to_string()
}

fn sorted(mut list: Vec<Value>) -> Vec<Value> {
    let revision = |o: &Value| {
        let annotations = &o["annotations"]["deployment.kubernetes.io/revision"];
        (o["kind"].to_string(), annotations.to_string())
    };
    list.sort_by_key(revision);
    list
}

/// Compares a cluster with a recording of the same.
fn check(scenario: &str, cluster: &Cluster) {
    let recorded = recording(scenario);
    let kinds = ["Deployment", "ReplicaSet", "ResourceQuota", "Job", "StatefulSet"];
    let want: Vec<Value> = recorded
        .iter()
        .filter(|o| kinds.iter().any(|k| o["kind"] == *k))
        .map(|o| face(o, scenario))
        .collect();
    let simulated: Vec<Value> = [&DEPLOYMENTS, &REPLICA_SETS, &RESOURCE_QUOTAS, &JOBS, &STATEFUL_SETS]
        .iter()
        .flat_map(|resource| cluster.list(resource))
        .map(|o| face(&o.to_value(), scenario))
        .collect();
    let pretty = |list: Vec<Value>| serde_json::to_string_pretty(&sorted(list)).unwrap();
    let mut got = simulated;
    let mut want = want;
    for object in got.iter_mut().chain(&mut want) {
        let is_empty = object["annotations"].as_object().is_some_and(Map::is_empty);
        if is_empty {
            object["annotations"] = Value::Null;
        }
    }
    assert_eq!(pretty(got), pretty(want), "{scenario}: objects");
    let events = recorded.iter().filter(|o| o["kind"] == "Event").map(|e| event(e, scenario));
    let want: BTreeSet<String> = events.collect();
    let by_us = |e: &Object| e["source"]["component"] != "kubelet";
    let got = cluster.list(&EVENTS).into_iter().filter(|e| by_us(e)).map(|e| event(&e.to_value(), scenario));
    let got: BTreeSet<String> = got.collect();
    let lines = |set: BTreeSet<String>| set.into_iter().collect::<Vec<_>>().join("\n");
    assert_eq!(lines(got), lines(want), "{scenario}: events");
}

/// Applies what the recording says was applied.
fn start(scenario: &str) -> (Cluster, Value) {
    let recorded = recording(scenario);
    let mut cluster = Cluster::new();
    if recorded.iter().any(|o| o["kind"] == "ResourceQuota") {
        cluster.create(&RESOURCE_QUOTAS, applied(&recorded, "ResourceQuota"));
        cluster.pass(1);
    }
    let kinds = ["Deployment", "Job", "StatefulSet"];
    let kind = kinds.into_iter().find(|k| recorded.iter().any(|o| o["kind"] == *k)).unwrap();
    (cluster, applied(&recorded, kind))
}

#[test]
fn workloads_that_are_made_once() {
    for scenario in
        ["healthy", "quota-exceeded", "scaled-to-zero", "unschedulable-cpu", "unschedulable-selector"]
    {
        let (mut cluster, body) = start(scenario);
        cluster.create(&DEPLOYMENTS, body);
        cluster.pass(95);
        check(scenario, &cluster);
    }
}

#[test]
fn a_deadline_that_passes() {
    let (mut cluster, body) = start("progress-deadline");
    cluster.kubelet.fate = |_| "bad";
    cluster.create(&DEPLOYMENTS, body);
    cluster.pass(95);
    check("progress-deadline", &cluster);
}

#[test]
fn updates_good_and_bad() {
    for scenario in ["update-ok", "update-bad-image"] {
        let (mut cluster, second) = start(scenario);
        cluster.kubelet.fate = |pod| {
            if pod["spec"]["containers"][0]["image"] == "127.0.0.1:5000/lab:v2" { "bad" } else { "runs" }
        };
        let mut first = second.clone();
        let container = &mut first["spec"]["template"]["spec"]["containers"][0];
        container["image"] = json!("127.0.0.1:5000/lab:v1");
        container.as_object_mut().unwrap().remove("env");
        cluster.create(&DEPLOYMENTS, first);
        cluster.pass(15);
        let by = By::manager("test");
        let spec = second["spec"].clone();
        let change = |d: &mut Value| {
            d["spec"]["template"] = spec["template"].clone();
        };
        cluster.server.edit(cluster.now, &DEPLOYMENTS, NS, "web", &by, change).unwrap();
        cluster.pass(80);
        check(scenario, &cluster);
    }
}

#[test]
fn jobs_good_and_bad() {
    for (scenario, fate) in [("job-ok", (|_| "ends") as fn(&Object) -> &str), ("job-fails", |_| "fails")] {
        let (mut cluster, body) = start(scenario);
        cluster.kubelet.fate = fate;
        cluster.create(&JOBS, body);
        cluster.pass(95);
        check(scenario, &cluster);
    }
}

#[test]
fn stateful_sets_good_and_bad() {
    for scenario in ["statefulset-ok", "statefulset-crash"] {
        let (mut cluster, body) = start(scenario);
        cluster.create(&STATEFUL_SETS, body);
        cluster.pass(30);
        if scenario == "statefulset-crash" {
            // Its containers end a while after they were ready.
            for pod in cluster.list(&PODS) {
                let mut status = pod["status"].clone();
                for condition in status["conditions"].as_array_mut().unwrap() {
                    if condition["type"] == "Ready" {
                        condition["status"] = json!("False");
                    }
                }
                let by = By::nobody();
                cluster.server.update_status(cluster.now, &PODS, NS, pod.name(), status, &by).unwrap();
            }
        }
        cluster.pass(65);
        check(scenario, &cluster);
    }
}
