//! Rollouts on a whole cluster: controllers, nodes and clients together.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use release_sim::apps::Span;
use release_sim::faults::read_faults;
use release_sim::traffic::{Client, Counts};
use release_sim::{Apps, By, Clock, NodeConfig, SimService, Simulation, SimulationConfig, resource};
use serde_json::{Value, json};
use tower::ServiceExt as _;

const APPS: &str = "
default: {start: 1s..3s, stop: {takes: 1s}}
apps:
  - {image: '*:broken', start: 5s, exit: {after: 1s, code: 1}}
  - {image: '*:absent', pull: {fails: not-found}}
  - {image: '*:wrong', http: [{path: /healthz, status: 200}, {status: 500}]}
";

fn cluster(seed: u64) -> Simulation {
    cluster_with(seed, "{}")
}

fn cluster_with(seed: u64, faults: &str) -> Simulation {
    let faults = read_faults(faults).expect("they can be read");
    let apps = Apps::read(APPS).expect("they can be read");
    let nodes = NodeConfig { count: 3, ..NodeConfig::default() };
    let mut simulation =
        Simulation::whole(SimulationConfig { seed, apps, nodes, faults, ..SimulationConfig::default() });
    simulation.advance(Duration::from_secs(1));
    let deployment = json!({
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 4,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{
                    "name": "app", "image": "reg.example/web:v1", "ports": [{"containerPort": 8080}],
                    "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 2},
                    "lifecycle": {"preStop": {"sleep": {"seconds": 3}}},
                }]},
            },
        },
    });
    let service = json!({
        "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
    });
    let now = simulation.now();
    let by = By::manager("test");
    let server = simulation.server_mut();
    server.create(now, &resource::DEPLOYMENTS, "default", deployment, &by).expect("it is made");
    server.create(now, &resource::SERVICES, "default", service, &by).expect("it is made");
    simulation.advance(Duration::from_secs(30));
    simulation
}

fn change(simulation: &mut Simulation, change: impl FnOnce(&mut Value)) {
    let now = simulation.now();
    let server = simulation.server_mut();
    let by = By::manager("test");
    server.edit(now, &resource::DEPLOYMENTS, "default", "web", &by, change).expect("it is there");
}

fn set_image(simulation: &mut Simulation, tag: &str) {
    let image = format!("reg.example/web:{tag}");
    change(simulation, |web| web["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image));
}

/// Updated, ready and available replicas.
fn counts(simulation: &Simulation) -> (u64, u64, u64) {
    let web = simulation.server().store().get(&resource::DEPLOYMENTS, "default", "web").expect("it is there");
    let count = |field: &str| web["status"][field].as_u64().unwrap_or(0);
    (count("updatedReplicas"), count("readyReplicas"), count("availableReplicas"))
}

fn client(simulation: &mut Simulation) -> usize {
    simulation.begin_traffic(Client {
        namespace: "default".to_owned(),
        service: "web".to_owned(),
        port: None,
        path: "/tracks".to_owned(),
        per_second: 20.0,
        lag: Span::millis(300),
        timeout: Span::millis(5000),
    })
}

#[test]
fn a_deployment_becomes_available() {
    let simulation = cluster(1);
    assert_eq!(counts(&simulation), (4, 4, 4));
}

#[test]
fn a_rollout_with_hooks_loses_nothing() {
    let mut simulation = cluster(2);
    let number = client(&mut simulation);
    simulation.advance(Duration::from_secs(10));
    set_image(&mut simulation, "v2");
    simulation.advance(Duration::from_secs(60));
    assert_eq!(counts(&simulation), (4, 4, 4));
    let total = simulation.traffic().total(number);
    assert_eq!(total, Counts { answered: 1400, failed: 0, lost: 0 });
    assert_eq!(simulation.traffic().counts(number).count(), 2, "two versions answered");
}

#[test]
fn a_rollout_without_hooks_loses_some() {
    let mut simulation = cluster(2);
    change(&mut simulation, |web| {
        let container = &mut web["spec"]["template"]["spec"]["containers"][0];
        container.as_object_mut().map(|container| container.remove("lifecycle"));
    });
    simulation.advance(Duration::from_secs(60));
    let number = client(&mut simulation);
    set_image(&mut simulation, "v2");
    simulation.advance(Duration::from_secs(60));
    assert_eq!(counts(&simulation), (4, 4, 4));
    let total = simulation.traffic().total(number);
    assert!(total.lost > 0, "{total:?}");
}

#[test]
fn bad_images_stop_a_rollout() {
    for tag in ["broken", "absent"] {
        let mut simulation = cluster(3);
        let number = client(&mut simulation);
        set_image(&mut simulation, tag);
        simulation.advance(Duration::from_secs(120));
        let (updated, _, available) = counts(&simulation);
        assert!(available >= 3 && updated < 4, "{tag}: {updated} {available}");
        let total = simulation.traffic().total(number);
        assert_eq!(total.failed, 0, "{tag}: {total:?}");
        set_image(&mut simulation, "v1");
        simulation.advance(Duration::from_secs(60));
        assert_eq!(counts(&simulation), (4, 4, 4), "{tag}");
    }
}

#[test]
fn wrong_answers_are_seen_by_clients_only() {
    let mut simulation = cluster(4);
    set_image(&mut simulation, "wrong");
    simulation.advance(Duration::from_secs(60));
    assert_eq!(counts(&simulation), (4, 4, 4));
    let number = client(&mut simulation);
    simulation.advance(Duration::from_secs(10));
    assert_eq!(simulation.traffic().total(number), Counts { answered: 0, failed: 200, lost: 0 });
}

#[test]
fn a_lost_node_is_replaced() {
    let mut simulation = cluster(5);
    let now = simulation.now();
    let (nodes, server) = simulation.nodes_mut();
    nodes.lose(server, now, "node1");
    simulation.advance(Duration::from_secs(50));
    let (.., available) = counts(&simulation);
    assert!(available < 4, "{available}");
    simulation.advance(Duration::from_secs(400));
    assert_eq!(counts(&simulation).2, 4);
}

#[test]
fn pods_are_kept_from_nodes_for_a_while() {
    let mut simulation = cluster_with(8, "faults: [{fault: never-scheduled, until: 2m}]");
    assert_eq!(counts(&simulation).2, 0);
    assert!(
        simulation.trace().lines().iter().any(|line| line.contains("fault F20 never-scheduled hits pod"))
    );
    simulation.advance(Duration::from_secs(120));
    assert_eq!(counts(&simulation), (4, 4, 4));
}

#[test]
fn paused_controllers_catch_up() {
    let mut simulation = cluster_with(9, "faults: [{fault: {controllers-paused: {lasts: 1m}}, from: 40s}]");
    simulation.advance(Duration::from_secs(15));
    set_image(&mut simulation, "v2");
    simulation.advance(Duration::from_secs(20));
    assert_eq!(counts(&simulation), (4, 4, 4), "nobody has looked at it");
    let old = simulation.server().store().list(&resource::REPLICA_SETS, None).count();
    assert_eq!(old, 1);
    simulation.advance(Duration::from_secs(60));
    assert_eq!(counts(&simulation), (4, 4, 4));
    assert_eq!(simulation.server().store().list(&resource::REPLICA_SETS, None).count(), 2);
}

#[test]
fn the_same_seed_gives_the_same_rollout() {
    let trace = |seed| {
        let mut simulation = cluster(seed);
        set_image(&mut simulation, "v2");
        simulation.advance(Duration::from_secs(60));
        simulation.trace().lines().to_vec()
    };
    let (first, second) = (trace(6), trace(6));
    assert_eq!(first, second);
    assert!(first.len() > 100, "{}", first.len());
    assert_ne!(first, trace(7));
}

/// Asks over the face, as a client library does.
async fn ask(service: &SimService<Simulation>, method: Method, path: &str, body: &Value) -> (u16, String) {
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    let request = request.body(Full::new(body)).expect("a request");
    let response = service.clone().oneshot(request).await.expect("it always answers");
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.expect("a whole body").to_bytes();
    (status, String::from_utf8_lossy(&bytes).into_owned())
}

#[tokio::test(start_paused = true)]
async fn a_client_library_sees_pods_run() {
    let apps = Apps::read("default: {log: [{line: on the air}], http: [{path: /tracks, body: '[]'}]}");
    let apps = apps.expect("they can be read");
    let simulation = Simulation::whole(SimulationConfig { apps, ..SimulationConfig::default() });
    let clock = Clock::starting_at(simulation.now());
    let service = SimService::new(simulation, clock);
    tokio::spawn(service.clone().drive());
    let pod = json!({
        "metadata": {"name": "radio"},
        "spec": {"containers": [{"name": "app", "image": "reg.example/radio:v1", "ports": [{"containerPort": 8080}]}]},
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let pods = "/api/v1/namespaces/default/pods";
    let (made, words) = ask(&service, Method::POST, pods, &pod).await;
    assert_eq!(made, 201, "{words}");
    tokio::time::sleep(Duration::from_secs(10)).await;
    let (_, found) = ask(&service, Method::GET, &format!("{pods}/radio"), &Value::Null).await;
    let found: Value = serde_json::from_str(&found).expect("JSON");
    assert_eq!(found["status"]["phase"], "Running");
    let log = ask(&service, Method::GET, &format!("{pods}/radio/log"), &Value::Null).await;
    assert_eq!(log, (200, "on the air\n".to_owned()));
    let answer = ask(&service, Method::GET, &format!("{pods}/radio:8080/proxy/tracks"), &Value::Null).await;
    assert_eq!(answer, (200, "[]".to_owned()));
}
