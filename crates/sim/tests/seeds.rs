//! The same seed gives the same trace, twice, byte for byte: clusters in which Deployments, StatefulSets and Jobs are made
//! and changed while faults drawn from the seed happen.
//!
//! A sample runs by default, a thousand seeds with `RELEASE_TEST_FULL`.

use std::time::Duration;

use release_sim::apps::Dice;
use release_sim::faults::{Fault, read_faults};
use release_sim::traffic::Client;
use release_sim::{Apps, By, NodeConfig, Simulation, SimulationConfig, resource};
use serde_json::{Value, json};

const APPS: &str = "
default: {start: 1s..3s, stop: {takes: 200ms..2s}}
apps:
  - {image: '*/flapping:*', start: 1s..4s, ready: {up: 4s..9s, down: 2s..5s}}
  - {image: '*/job:*', exit: {after: 3s..9s, code: 0}}
";

/// Of these, each seed takes a few.
const FAULTS: &str = "
faults:
  - {fault: {crash: {after: 2s..20s}}, rate: 0.4, from: 5s}
  - {fault: {flap: {turn: 3s..6s}}, rate: 0.4, from: 5s}
  - {fault: {pull-fails: {error: not-found}}, rate: 0.3, from: 20s, until: 60s}
  - {fault: {node-lost: {lasts: 50s}}, rate: 0.3, from: 10s, until: 40s}
  - {fault: never-scheduled, rate: 0.3, from: 20s, until: 50s}
  - {fault: slow-stop, rate: 0.5}
  - {fault: {controllers-paused: {lasts: 8s}}, from: 20s, until: 60s}
  - {fault: {endpoint-lag: {by: 1s..4s}}, rate: 0.5}
";

fn seeds() -> u64 {
    if std::env::var_os("RELEASE_TEST_FULL").is_some_and(|full| !full.is_empty()) { 1000 } else { 12 }
}

fn faults(seed: u64) -> Vec<Fault> {
    let all = read_faults(FAULTS).expect("they can be read");
    let dice = Dice::new(seed, "seeds", "faults");
    let hits = |at: &usize| dice.hits(u64::try_from(*at).unwrap_or(0), 0.4);
    (0..all.len()).filter(hits).map(|at| all[at].clone()).collect()
}

fn template(name: &str, app: &str) -> Value {
    json!({"metadata": {"labels": {"app": name}}, "spec": {"containers": [{
        "name": "app", "image": format!("reg.example/{app}:1"), "ports": [{"containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1},
    }]}})
}

fn workload(name: &str, app: &str, replicas: u64) -> Value {
    json!({"metadata": {"name": name}, "spec": {"replicas": replicas, "serviceName": name,
        "selector": {"matchLabels": {"app": name}}, "template": template(name, app)}})
}

/// The whole story of a seed.
fn trace(seed: u64) -> (Vec<String>, u64) {
    let apps = Apps::read(APPS).expect("they can be read");
    let nodes = NodeConfig { count: 3, ..NodeConfig::default() };
    let config = SimulationConfig { seed, apps, nodes, faults: faults(seed), ..SimulationConfig::default() };
    let mut simulation = Simulation::whole(config);
    simulation.advance(Duration::from_secs(1));
    let by = By::manager("test");
    let job = json!({"metadata": {"name": "once"}, "spec": {"completions": 3, "parallelism": 2,
        "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "app", "image": "reg.example/job:1"}]}}}});
    let service = json!({"metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}});
    let mut deployment = workload("web", "steady", 4);
    deployment["spec"].as_object_mut().expect("a map").remove("serviceName");
    let now = simulation.now();
    let server = simulation.server_mut();
    for (resource, body) in [
        (&resource::DEPLOYMENTS, deployment),
        (&resource::STATEFUL_SETS, workload("state", "flapping", 2)),
        (&resource::JOBS, job),
        (&resource::SERVICES, service),
    ] {
        server.create(now, resource, "default", body, &by).expect("it is made");
    }
    simulation.begin_traffic(Client {
        namespace: "default".to_owned(),
        service: "web".to_owned(),
        port: None,
        path: "/".to_owned(),
        per_second: 10.0,
        lag: release_sim::apps::Span::millis(300),
        timeout: release_sim::apps::Span::millis(5000),
    });
    simulation.advance(Duration::from_secs(25));
    let now = simulation.now();
    let roll = |web: &mut Value| {
        web["spec"]["template"]["spec"]["containers"][0]["image"] = json!("reg.example/steady:2");
    };
    simulation
        .server_mut()
        .edit(now, &resource::DEPLOYMENTS, "default", "web", &by, roll)
        .expect("it is there");
    simulation.advance(Duration::from_secs(60));
    let now = simulation.now();
    let scale = |web: &mut Value| web["spec"]["replicas"] = json!(2);
    simulation
        .server_mut()
        .edit(now, &resource::DEPLOYMENTS, "default", "web", &by, scale)
        .expect("it is there");
    simulation.advance(Duration::from_secs(30));
    let mut lines = simulation.trace().lines().to_vec();
    lines.push(format!("{:?}", simulation.traffic().total(0)));
    (lines, simulation.trace().hash())
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let mut faulty = 0;
    let mut hashes = std::collections::BTreeSet::new();
    for seed in 0..seeds() {
        let (first, hash) = trace(seed);
        let (second, hash_of_second) = trace(seed);
        let differs = first.iter().zip(&second).position(|(a, b)| a != b);
        assert_eq!(differs.map(|at| (&first[at], &second[at])), None, "seed {seed}");
        assert_eq!((first.len(), hash), (second.len(), hash_of_second), "seed {seed}");
        assert!(first.len() > 100, "seed {seed}: only {} lines", first.len());
        faulty += usize::from(first.iter().any(|line| line.contains(" fault ")));
        hashes.insert(hash);
    }
    let seeds = usize::try_from(seeds()).unwrap_or(0);
    assert_eq!(hashes.len(), seeds, "different seeds tell different stories");
    assert!(faulty > seeds / 3, "faults hit in {faulty} of {seeds} stories");
    println!("{seeds} seeds, {faulty} with faults that hit");
}
