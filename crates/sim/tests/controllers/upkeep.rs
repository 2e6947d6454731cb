//! Deletion, namespaces, quotas, nodes, events: what a cluster does on the side.

use std::collections::BTreeSet;

use release_sim::resource::{
    CONFIG_MAPS, DEPLOYMENTS, EVENTS, NAMESPACES, NODES, PODS, REPLICA_SETS, RESOURCE_QUOTAS,
    SERVICE_ACCOUNTS,
};
use release_sim::{By, DeleteOptions, Propagation, Resource};
use serde_json::json;

use crate::cluster::{Cluster, NS, deployment, template};

#[test]
fn a_deleted_deployment_takes_everything_along() {
    let mut cluster = Cluster::new();
    cluster.create(&DEPLOYMENTS, deployment(3, "v1"));
    cluster.pass(10);
    cluster.delete(&DEPLOYMENTS, "web", &DeleteOptions::default());
    cluster.pass(10);
    assert_eq!((cluster.list(&REPLICA_SETS).len(), cluster.list(&PODS).len()), (0, 0));
}

#[test]
fn foreground_deletion_ends_with_the_owner() {
    let mut cluster = Cluster::new();
    cluster.create(&DEPLOYMENTS, deployment(3, "v1"));
    cluster.pass(10);
    let foreground = DeleteOptions { propagation: Some(Propagation::Foreground), ..DeleteOptions::default() };
    cluster.check = |server| {
        let count = |resource: &Resource| server.store().count(resource, Some(NS));
        assert!(count(&DEPLOYMENTS) >= count(&REPLICA_SETS));
        assert!(count(&REPLICA_SETS) > 0 || count(&PODS) == 0);
    };
    cluster.delete(&DEPLOYMENTS, "web", &foreground);
    assert!(cluster.get(&DEPLOYMENTS, "web").is_terminating());
    cluster.pass(10);
    assert_eq!(cluster.list(&DEPLOYMENTS).len() + cluster.list(&PODS).len(), 0);
}

#[test]
fn an_owner_that_never_was_is_no_reason_to_stay() {
    let mut cluster = Cluster::new();
    let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "never"});
    cluster.create(&CONFIG_MAPS, json!({"metadata": {"name": "lost", "ownerReferences": [owner]}}));
    let parent = cluster.create(&CONFIG_MAPS, json!({"metadata": {"name": "parent"}}));
    let alive = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "parent", "uid": parent.uid()});
    cluster.create(&CONFIG_MAPS, json!({"metadata": {"name": "half", "ownerReferences": [owner, alive]}}));
    cluster.pass(1);
    let names: Vec<_> = cluster.list(&CONFIG_MAPS).iter().map(|o| o.name().to_owned()).collect();
    assert_eq!(names, ["half", "kube-root-ca.crt", "parent"]);
    assert_eq!(cluster.get(&CONFIG_MAPS, "half")["metadata"]["ownerReferences"], json!([alive]));
}

#[test]
fn a_namespace_goes_when_it_is_empty() {
    let mut cluster = Cluster::new();
    let by = By::manager("test");
    let body = json!({"metadata": {"name": "shop"}});
    cluster.server.create(cluster.now, &NAMESPACES, "", body, &by).unwrap();
    cluster.pass(1);
    assert!(cluster.server.get(&SERVICE_ACCOUNTS, "shop", "default").is_ok());
    assert!(cluster.server.get(&CONFIG_MAPS, "shop", "kube-root-ca.crt").is_ok());
    cluster.server.create(cluster.now, &DEPLOYMENTS, "shop", deployment(2, "v1"), &by).unwrap();
    cluster.pass(10);
    assert_eq!(cluster.server.store().count(&PODS, Some("shop")), 2);
    cluster.server.delete(cluster.now, &NAMESPACES, "", "shop", &DeleteOptions::default(), &by).unwrap();
    cluster.pass(0);
    let shop = cluster.server.get(&NAMESPACES, "", "shop").unwrap();
    assert_eq!(shop["status"]["phase"], "Terminating");
    let remaining = shop["status"]["conditions"].as_array().unwrap().iter();
    let remaining = remaining.filter(|c| c["type"] == "NamespaceContentRemaining").map(|c| &c["message"]);
    assert_eq!(
        remaining.collect::<Vec<_>>(),
        ["Some resources are remaining: pods has 2 resource instances"]
    );
    cluster.pass(10);
    assert!(cluster.server.get(&NAMESPACES, "", "shop").is_err());
    for resource in cluster.server.store().resources() {
        assert_eq!(cluster.server.store().count(resource, Some("shop")), 0, "{resource}");
    }
}

#[test]
fn a_quota_stops_the_second_pod() {
    let mut cluster = Cluster::new();
    cluster.create(&RESOURCE_QUOTAS, json!({"metadata": {"name": "q"}, "spec": {"hard": {"pods": "1"}}}));
    cluster.create(&DEPLOYMENTS, deployment(3, "v1"));
    cluster.pass(90);
    assert_eq!(cluster.list(&PODS).len(), 1);
    assert_eq!(cluster.get(&RESOURCE_QUOTAS, "q")["status"]["used"]["pods"], "1");
    let failure = cluster.condition(&DEPLOYMENTS, "web", "ReplicaFailure").unwrap();
    assert_eq!(failure, ("True".to_owned(), "FailedCreate".to_owned()));
    let counts: Vec<_> = cluster
        .list(&EVENTS)
        .iter()
        .filter(|e| e["reason"] == "FailedCreate")
        .map(|e| (e["count"].as_i64().unwrap(), e["message"].as_str().unwrap().starts_with("(combined")))
        .collect();
    assert_eq!(counts.iter().filter(|(count, combined)| *count == 1 && !combined).count(), 9);
    assert!(counts.iter().any(|(count, combined)| *count > 2 && *combined), "{counts:?}");
    cluster.edit(&RESOURCE_QUOTAS, "q", |q| q["spec"]["hard"]["pods"] = json!("5"));
    cluster.pass(120);
    assert_eq!(cluster.list(&PODS).len(), 3);
    assert!(cluster.condition(&DEPLOYMENTS, "web", "ReplicaFailure").is_none());
}

#[test]
fn pods_go_where_there_is_room() {
    let mut cluster = Cluster::new();
    cluster.node("node2", &json!({"cpu": "1", "memory": "8Gi", "pods": "110"}));
    let mut body = deployment(6, "v1");
    body["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"] = json!("1");
    cluster.create(&DEPLOYMENTS, body);
    cluster.pass(5);
    let pods = cluster.list(&PODS);
    let placed = |node: &str| pods.iter().filter(|p| p["spec"]["nodeName"] == node).count();
    assert_eq!((placed("node1"), placed("node2")), (4, 1));
    let stuck = pods.iter().find(|p| p["spec"]["nodeName"].is_null()).unwrap();
    let condition = &stuck["status"]["conditions"][0];
    assert_eq!(condition["reason"], "Unschedulable");
    let message = "0/2 nodes are available: 2 Insufficient cpu. no new claims to deallocate, preemption: 0/2 nodes \
                   are available: 2 No preemption victims found for incoming pod.";
    assert_eq!(condition["message"], message);
    assert_eq!(cluster.told("FailedScheduling"), [message]);
    cluster.node("node3", &json!({"cpu": "1", "memory": "8Gi", "pods": "110"}));
    cluster.pass(5);
    assert!(cluster.list(&PODS).iter().all(|p| p["spec"]["nodeName"].is_string()));
}

#[test]
fn taints_and_selectors_choose_the_node() {
    let mut cluster = Cluster::new();
    let by = By::manager("test");
    cluster.node("gpu", &json!({"cpu": "1", "memory": "8Gi", "pods": "110"}));
    cluster
        .server
        .edit(cluster.now, &NODES, "", "gpu", &by, |node| {
            node["spec"]["taints"] = json!([{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]);
            node["metadata"]["labels"] = json!({"gpu": "yes"});
        })
        .unwrap();
    let mut pod = |name: &str, extra: serde_json::Value| {
        let mut body = template("x", "v1");
        body["metadata"]["name"] = json!(name);
        for (key, value) in extra.as_object().unwrap() {
            body["spec"][key] = value.clone();
        }
        cluster.create(&PODS, body);
    };
    let selector = json!({"gpu": "yes"});
    let tolerations = json!([{"key": "gpu", "operator": "Exists"}]);
    pod("plain", json!({}));
    pod("wants", json!({"nodeSelector": selector}));
    pod("may", json!({"nodeSelector": selector, "tolerations": tolerations}));
    cluster.pass(5);
    let node = |name: &str| cluster.get(&PODS, name)["spec"]["nodeName"].clone();
    assert_eq!((node("plain"), node("wants"), node("may")), (json!("node1"), json!(null), json!("gpu")));
    assert_eq!(
        cluster.get(&PODS, "wants")["status"]["conditions"][0]["message"],
        "0/2 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 1 node(s) had untolerated \
         taint(s). no new claims to deallocate, preemption: 0/2 nodes are available: 2 Preemption is not helpful for \
         scheduling."
    );
}

#[test]
fn a_missing_claim_is_named() {
    let mut cluster = Cluster::new();
    let mut body = template("x", "v1");
    body["metadata"]["name"] = json!("x");
    body["spec"]["volumes"] = json!([{"name": "data", "persistentVolumeClaim": {"claimName": "absent"}}]);
    cluster.create(&PODS, body);
    cluster.pass(1);
    let message = "0/1 nodes are available: persistentvolumeclaim \"absent\" not found. not found";
    assert_eq!(cluster.get(&PODS, "x")["status"]["conditions"][0]["message"], message);
}

#[test]
fn events_are_gone_after_an_hour() {
    let mut cluster = Cluster::new();
    cluster.create(&DEPLOYMENTS, deployment(2, "v1"));
    cluster.pass(10);
    assert!(!cluster.list(&EVENTS).is_empty());
    cluster.pass(3700);
    assert!(cluster.list(&EVENTS).is_empty());
}

#[test]
fn the_same_story_twice_is_the_same_to_the_byte() {
    let tell = || {
        let mut cluster = Cluster::new();
        cluster.create(&DEPLOYMENTS, deployment(5, "v1"));
        cluster.pass(10);
        cluster.edit(&DEPLOYMENTS, "web", |d| {
            d["spec"]["template"]["spec"]["containers"][0]["image"] = json!("v2");
        });
        cluster.pass(60);
        let store = cluster.server.store();
        let all: Vec<String> = store
            .all_changes(store.compacted())
            .unwrap()
            .map(|c| serde_json::to_string(&*c.object).unwrap())
            .collect();
        all
    };
    let (once, twice) = (tell(), tell());
    assert!(once.len() > 100);
    assert_eq!(once, twice);
    assert_eq!(once.iter().collect::<BTreeSet<_>>().len(), once.len());
}

#[test]
fn a_pod_whose_labels_change_is_let_go_and_taken_back() {
    let mut cluster = Cluster::new();
    cluster.create(&DEPLOYMENTS, deployment(2, "v1"));
    cluster.pass(10);
    let pod = cluster.list(&PODS)[0].clone();
    let labels = pod["metadata"]["labels"].clone();
    cluster.edit(&PODS, pod.name(), |p| p["metadata"]["labels"] = json!({"app": "debug"}));
    cluster.pass(10);
    assert!(cluster.get(&PODS, pod.name()).controller().is_none());
    assert_eq!(cluster.list(&PODS).len(), 3);
    cluster.edit(&PODS, pod.name(), |p| p["metadata"]["labels"] = labels);
    cluster.pass(10);
    assert_eq!(cluster.list(&PODS).len(), 2, "one too many after it was taken back");
}
