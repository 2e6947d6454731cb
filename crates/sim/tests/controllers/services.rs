//! What is behind a Service, and what traffic sees of it.

use std::time::Duration;

use release_sim::resource::{
    DEPLOYMENTS, ENDPOINT_SLICES, ENDPOINTS, POD_DISRUPTION_BUDGETS, PODS, SERVICES,
};
use release_sim::{By, DeleteOptions};
use serde_json::{Value, json};

use crate::cluster::{Cluster, NS, deployment};

fn service() -> Value {
    json!({"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"},
        "ports": [{"name": "http", "port": 80, "targetPort": "http"}]}})
}

fn slice(cluster: &Cluster) -> Value {
    let slices = cluster.list(&ENDPOINT_SLICES);
    let slice = slices.iter().find(|s| s.label("kubernetes.io/service-name") == Some("web")).unwrap();
    slice.to_value()
}

fn states(cluster: &Cluster) -> Vec<(bool, bool, bool)> {
    let slice = slice(cluster);
    let list = slice["endpoints"].as_array().cloned().unwrap_or_default();
    let flag = |e: &Value, name: &str| e["conditions"][name].as_bool().unwrap();
    let mut states: Vec<_> =
        list.iter().map(|e| (flag(e, "ready"), flag(e, "serving"), flag(e, "terminating"))).collect();
    states.sort_unstable();
    states
}

#[test]
fn slices_follow_pods() {
    let mut cluster = Cluster::new();
    cluster.create(&SERVICES, service());
    cluster.pass(1);
    assert_eq!(slice(&cluster)["endpoints"], json!(null));
    cluster.create(&DEPLOYMENTS, deployment(2, "v1"));
    cluster.pass(10);
    assert_eq!(states(&cluster), [(true, true, false); 2]);
    let slice = slice(&cluster);
    assert_eq!(slice["ports"], json!([{"name": "http", "port": 8080, "protocol": "TCP"}]));
    assert_eq!(slice["addressType"], "IPv4");
    let addresses = cluster.get(&ENDPOINTS, "web")["subsets"][0]["addresses"].as_array().unwrap().len();
    assert_eq!(addresses, 2);
    let pod = cluster.list(&PODS)[0].name().to_owned();
    cluster.delete(&PODS, &pod, &DeleteOptions::default());
    cluster.pass(0);
    assert_eq!(states(&cluster), [(false, true, true), (true, true, false)]);
    cluster.pass(10);
    assert_eq!(states(&cluster), [(true, true, false); 2]);
    cluster.delete(&SERVICES, "web", &DeleteOptions::default());
    cluster.pass(1);
    assert!(cluster.list(&ENDPOINT_SLICES).iter().all(|s| s.controller().is_none()));
}

#[test]
fn pods_that_are_not_ready_are_listed_but_get_nothing() {
    let mut cluster = Cluster::new();
    cluster.create(&SERVICES, service());
    cluster.create(&DEPLOYMENTS, deployment(2, "bad"));
    cluster.pass(10);
    assert_eq!(states(&cluster), [(false, false, false); 2]);
    assert!(cluster.controllers.proxy.traffic(NS, "web").is_empty());
    assert_eq!(cluster.controllers.proxy.endpoints(NS, "web").count(), 2);
    cluster.edit(&SERVICES, "web", |s| s["spec"]["publishNotReadyAddresses"] = json!(true));
    cluster.pass(1);
    assert_eq!(cluster.controllers.proxy.traffic(NS, "web").len(), 2);
}

#[test]
fn proxies_are_late() {
    let mut cluster = Cluster::new();
    cluster.controllers.proxy.delay = Duration::from_secs(3);
    cluster.create(&SERVICES, service());
    cluster.create(&DEPLOYMENTS, deployment(1, "v1"));
    cluster.pass(4);
    assert_eq!(states(&cluster).len(), 1);
    assert!(cluster.controllers.proxy.traffic(NS, "web").is_empty());
    cluster.pass(2);
    let traffic = cluster.controllers.proxy.traffic(NS, "web");
    assert_eq!(traffic.len(), 1);
    assert_eq!(traffic[0].pod, cluster.list(&PODS)[0].name());
    assert_eq!(traffic[0].ports["http"], 8080);
    cluster.edit(&DEPLOYMENTS, "web", |d| d["spec"]["replicas"] = json!(0));
    cluster.pass(2);
    assert!(cluster.list(&PODS).is_empty());
    let still = cluster.controllers.proxy.traffic(NS, "web").len();
    assert_eq!(still, 1, "requests still go to a pod that is gone");
    cluster.pass(3);
    assert!(cluster.controllers.proxy.traffic(NS, "web").is_empty());
}

#[test]
fn many_pods_need_several_slices() {
    let mut cluster = Cluster::new();
    cluster.node("big", &json!({"cpu": "100", "memory": "800Gi", "pods": "1000"}));
    cluster.create(&SERVICES, service());
    cluster.create(&DEPLOYMENTS, deployment(250, "v1"));
    cluster.pass(10);
    let counts = |cluster: &Cluster| {
        let slices = cluster.list(&ENDPOINT_SLICES);
        let of_web = slices.iter().filter(|s| s.label("kubernetes.io/service-name") == Some("web"));
        let mut counts: Vec<_> = of_web.map(|s| s["endpoints"].as_array().map_or(0, Vec::len)).collect();
        counts.sort_unstable();
        counts
    };
    assert_eq!(counts(&cluster), [50, 100, 100]);
    cluster.edit(&DEPLOYMENTS, "web", |d| d["spec"]["replicas"] = json!(20));
    cluster.pass(10);
    assert_eq!(counts(&cluster), [20]);
}

#[test]
fn a_budget_counts_what_may_go() {
    let mut cluster = Cluster::new();
    cluster.create(
        &POD_DISRUPTION_BUDGETS,
        json!({"metadata": {"name": "web"}, "spec": {
        "minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}}}),
    );
    cluster.create(&DEPLOYMENTS, deployment(3, "v1"));
    cluster.pass(10);
    let status = cluster.get(&POD_DISRUPTION_BUDGETS, "web")["status"].clone();
    let numbers = ["expectedPods", "currentHealthy", "desiredHealthy", "disruptionsAllowed"];
    assert_eq!(numbers.map(|n| status[n].as_i64().unwrap()), [3, 3, 2, 1]);
    assert_eq!(status["conditions"][0]["reason"], "SufficientPods");
    let evict = |cluster: &mut Cluster| {
        let pod = cluster.list(&PODS).iter().find(|p| !p.is_terminating()).unwrap().name().to_owned();
        cluster
            .server
            .evict(cluster.now, NS, &pod, &DeleteOptions::default(), &By::manager("test"))
            .map_err(|why| why.code)
    };
    assert!(evict(&mut cluster).is_ok());
    assert_eq!(evict(&mut cluster).unwrap_err(), 429);
    cluster.pass(0);
    assert_eq!(cluster.get(&POD_DISRUPTION_BUDGETS, "web")["status"]["disruptionsAllowed"], 0);
    cluster.pass(10);
    assert_eq!(cluster.get(&POD_DISRUPTION_BUDGETS, "web")["status"]["disruptionsAllowed"], 1);
}
