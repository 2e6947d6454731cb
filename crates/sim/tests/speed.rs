//! How many pod transitions (stored changes of phase or readiness) a second of processor time makes, and that many
//! quiet pods stay small. Numbers are printed; only gross slowness fails, because machines differ.
//!
//! `cargo test --release -p release-sim --test speed -- --nocapture` prints numbers that mean something.

use std::time::{Duration, Instant};

use release_sim::trace::Keep;
use release_sim::{Apps, By, Change, DeleteOptions, NodeConfig, Simulation, SimulationConfig, resource};
use serde_json::{Value, json};

/// How many pods: few without optimisation, where numbers mean nothing anyway.
const PODS: u32 = if cfg!(debug_assertions) { 100 } else { 1000 };

fn config(script: &str, events: bool) -> SimulationConfig {
    let apps = Apps::read(script).expect("it can be read");
    let nodes = NodeConfig { count: 100, images_present: true, events, ..NodeConfig::default() };
    SimulationConfig { apps, nodes, keep: Keep::Nothing, ..SimulationConfig::default() }
}

fn simulation(script: &str, events: bool) -> Simulation {
    Simulation::new(config(script, events))
}

fn pod(name: &str) -> Value {
    json!({
        "metadata": {"name": name, "labels": {"app": "web"}},
        "spec": {"containers": [{
            "name": "app", "image": "reg.example/web:v1", "ports": [{"containerPort": 8080}],
            "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1},
        }]},
    })
}

fn start(simulation: &mut Simulation, pods: u32) {
    let now = simulation.now();
    let server = simulation.server_mut();
    for n in 0..pods {
        let name = format!("web-{n}");
        server.create(now, &resource::PODS, "default", pod(&name), &By::nobody()).expect("it is made");
        server.bind(now, "default", &name, &format!("node{}", n % 100 + 1)).expect("it is placed");
    }
}

fn phase(status: &Value) -> (Option<&str>, bool) {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let ready = conditions.into_iter().any(|c| c["type"] == "Ready" && c["status"] == "True");
    (status["phase"].as_str(), ready)
}

/// The changes of phase or readiness among the stored changes after a revision.
fn transitions(simulation: &Simulation, after: u64) -> u32 {
    let moved = |change: &&Change| {
        let before = change.before.as_ref().map(|before| phase(&before["status"]));
        before != Some(phase(&change.object["status"]))
    };
    let store = simulation.server().store();
    let count = store.changes(&resource::PODS, after).map(|changes| changes.filter(moved).count());
    u32::try_from(count.expect("history reaches so far")).expect("they are not that many")
}

fn flapping(events: bool) {
    let mut simulation = simulation("default: {ready: {up: 5s, down: 5s}}", events);
    start(&mut simulation, PODS);
    simulation.advance(Duration::from_secs(60));
    let (mut count, mut spent) = (0, Duration::ZERO);
    for _ in 0..10 {
        let seen = simulation.server().store().revision();
        let begun = Instant::now();
        simulation.advance(Duration::from_secs(30));
        spent += begun.elapsed();
        count += transitions(&simulation, seen);
    }
    let rate = f64::from(count) / spent.as_secs_f64();
    println!("flapping, events {events}: {count} transitions in {spent:?}: {rate:.0}/s");
    assert!(count > 50 * PODS, "{count}");
    assert!(rate > 1000.0, "{rate}");
}

#[test]
fn flapping_pods() {
    flapping(true);
    flapping(false);
}

#[test]
fn starting_and_ending_pods() {
    let mut simulation = simulation("default: {stop: {takes: 1s}}", true);
    let (mut count, mut spent) = (0, Duration::ZERO);
    for _ in 0..5 {
        let seen = simulation.server().store().revision();
        let begun = Instant::now();
        start(&mut simulation, PODS);
        simulation.advance(Duration::from_secs(10));
        let now = simulation.now();
        for n in 0..PODS {
            let (name, options) = (format!("web-{n}"), DeleteOptions::default());
            let server = simulation.server_mut();
            server
                .delete(now, &resource::PODS, "default", &name, &options, &By::nobody())
                .expect("it is there");
        }
        simulation.advance(Duration::from_secs(10));
        spent += begun.elapsed();
        count += transitions(&simulation, seen);
    }
    let rate = f64::from(count) / spent.as_secs_f64();
    println!("starting and ending: {count} transitions in {spent:?}: {rate:.0}/s");
    assert!(rate > 300.0, "{rate}");
}

#[test]
fn quiet_pods_cost_nothing() {
    let mut simulation = simulation("{}", true);
    start(&mut simulation, 5 * PODS);
    simulation.advance(Duration::from_secs(60));
    let seen = simulation.server().store().revision();
    let begun = Instant::now();
    simulation.advance(Duration::from_secs(24 * 3600));
    assert!(simulation.server().store().revision() - seen < 10);
    println!("a quiet day: {:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[test]
fn many_small_deployments() {
    let mut simulation = Simulation::whole(config("default: {start: 1s..3s}", true));
    simulation.advance(Duration::from_secs(1));
    let begun = Instant::now();
    let now = simulation.now();
    for n in 0..5 * PODS {
        let name = format!("web-{n}");
        let labels = json!({"app": name});
        let spec = pod(&name)["spec"].take();
        let template = json!({"metadata": {"labels": labels}, "spec": spec});
        let deployment = json!({
            "metadata": {"name": name},
            "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
        });
        let server = simulation.server_mut();
        server
            .create(now, &resource::DEPLOYMENTS, "default", deployment, &By::manager("test"))
            .expect("it is made");
    }
    simulation.advance(Duration::from_secs(60));
    println!("{} Deployments available after {:?}", 5 * PODS, begun.elapsed());
    let store = simulation.server().store();
    let available =
        |object: &&std::sync::Arc<release_sim::Object>| object["status"]["availableReplicas"] == 1;
    let count = store.list(&resource::DEPLOYMENTS, None).filter(available).count();
    assert_eq!(u32::try_from(count), Ok(5 * PODS));
}
