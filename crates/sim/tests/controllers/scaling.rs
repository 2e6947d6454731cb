//! Autoscaling: the load decides how many.

use release_sim::controllers::Usage;
use release_sim::resource::{DEPLOYMENTS, HORIZONTAL_POD_AUTOSCALERS};
use serde_json::json;

use crate::cluster::{Cluster, NS, deployment};

fn scaled(cpu: i64) -> Cluster {
    let mut cluster = Cluster::new();
    let mut body = deployment(2, "v1");
    body["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"] = json!("100m");
    cluster.create(&DEPLOYMENTS, body);
    cluster.pass(400);
    load(&mut cluster, cpu);
    cluster.create(
        &HORIZONTAL_POD_AUTOSCALERS,
        json!({"metadata": {"name": "web"}, "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "minReplicas": 2, "maxReplicas": 10,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu",
                "target": {"type": "Utilization", "averageUtilization": 50}}}],
        }}),
    );
    cluster
}

fn load(cluster: &mut Cluster, cpu_millis: i64) {
    let usage = Usage { cpu_millis, memory_bytes: 1 << 20 };
    cluster.controllers.autoscalers.metrics.workloads.insert((NS.to_owned(), "web".to_owned()), usage);
}

fn replicas(cluster: &Cluster) -> i64 {
    cluster.get(&DEPLOYMENTS, "web")["spec"]["replicas"].as_i64().unwrap()
}

#[test]
fn load_brings_replicas_and_calm_takes_them_after_five_minutes() {
    let mut cluster = scaled(100);
    cluster.pass(1);
    assert_eq!(replicas(&cluster), 4, "twice the target, twice the pods");
    let told = cluster.told("SuccessfulRescale");
    assert_eq!(told, ["New size: 4; reason: cpu resource utilization (percentage of request) above target"]);
    load(&mut cluster, 50);
    cluster.pass(400);
    assert_eq!(replicas(&cluster), 4);
    load(&mut cluster, 10);
    cluster.pass(200);
    assert_eq!(replicas(&cluster), 4, "older recommendations hold back");
    cluster.pass(150);
    assert_eq!(replicas(&cluster), 2);
    let status = cluster.get(&HORIZONTAL_POD_AUTOSCALERS, "web")["status"].clone();
    assert_eq!(status["currentMetrics"][0]["resource"]["current"]["averageUtilization"], 10);
    assert_eq!(status["desiredReplicas"], 2);
    let web = cluster.get(&DEPLOYMENTS, "web");
    let owners = web.managed_fields().as_array().unwrap();
    let replicas = owners.iter().find(|o| !o["fieldsV1"]["f:spec"]["f:replicas"].is_null()).unwrap();
    assert_eq!(replicas["manager"], "kube-controller-manager");
}

#[test]
fn there_is_a_limit() {
    let mut cluster = scaled(1000);
    cluster.pass(400);
    assert_eq!(replicas(&cluster), 10);
    let limited = cluster.condition(&HORIZONTAL_POD_AUTOSCALERS, "web", "ScalingLimited").unwrap();
    assert_eq!(limited, ("True".to_owned(), "TooManyReplicas".to_owned()));
}

#[test]
fn without_measurements_nothing_changes() {
    let mut cluster = scaled(100);
    cluster.controllers.autoscalers.metrics.workloads.clear();
    cluster.pass(60);
    assert_eq!(replicas(&cluster), 2);
    let active = cluster.condition(&HORIZONTAL_POD_AUTOSCALERS, "web", "ScalingActive").unwrap();
    assert_eq!(active, ("False".to_owned(), "FailedGetResourceMetric".to_owned()));
}
