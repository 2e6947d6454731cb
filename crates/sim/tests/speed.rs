//! How many pod transitions (stored changes of phase or readiness) a second of processor time makes, and that many
//! quiet pods stay small. Numbers are printed; only gross slowness fails, because machines differ.
//!
//! `cargo test --release -p release-sim --test speed -- --nocapture` prints numbers that mean something.

use std::time::{Duration, Instant};

use release_sim::trace::Keep;
use release_sim::{Apps, By, Change, DeleteOptions, NodeConfig, Simulation, SimulationConfig, resource};
use serde_json::{Value, json};

fn simulation(script: &str, events: bool) -> Simulation {
    let apps = Apps::read(script).expect("it can be read");
    let nodes = NodeConfig { count: 100, images_present: true, events, ..NodeConfig::default() };
    Simulation::new(SimulationConfig { apps, nodes, keep: Keep::Nothing, ..SimulationConfig::default() })
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

fn start(simulation: &mut Simulation, pods: usize) {
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
    start(&mut simulation, 1000);
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
    assert!(count > 50_000, "{count}");
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
        start(&mut simulation, 1000);
        simulation.advance(Duration::from_secs(10));
        let now = simulation.now();
        for n in 0..1000 {
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
    start(&mut simulation, 5000);
    simulation.advance(Duration::from_secs(60));
    let seen = simulation.server().store().revision();
    let begun = Instant::now();
    simulation.advance(Duration::from_secs(24 * 3600));
    assert!(simulation.server().store().revision() - seen < 10);
    println!("a quiet day of 5000 pods: {:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(1));
}
