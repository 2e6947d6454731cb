//! Faults of nodes and pods, and that the same seed gives the same trace.

use crate::by_hand::{Cluster, app, in_container, merged, read};
use release_sim::SimulationConfig;
use release_sim::apps::{PullError, Span};
use release_sim::faults::{Fault, FaultKind, Target, read_faults};
use release_sim::trace::Keep;
use serde_json::json;

fn fault(fault: FaultKind) -> Fault {
    Fault { fault, rate: 1.0, from: Span::default(), until: None, target: Target::default() }
}

#[test]
fn faults_hit_pods_and_are_written_down() {
    for (kind, seconds, want) in [
        (
            FaultKind::PullFails { error: PullError::Unauthorized },
            20,
            "Pending unready, app ImagePullBackOff x0",
        ),
        (FaultKind::Crash { after: Span::millis(2000) }, 11, "Running unready, app Error x1"),
        (
            FaultKind::BadAnswers { error_rate: 1.0, status: 502, slower: Span::default() },
            8,
            "Running ready, app running x0",
        ),
    ] {
        let number = kind.number();
        let mut cluster =
            Cluster::with(SimulationConfig { faults: vec![fault(kind)], ..SimulationConfig::default() });
        cluster.pod("web", app()).wait(seconds);
        assert_eq!(cluster.picture("web"), want, "{number}");
        let trace = cluster.simulation.trace().lines();
        let hit = trace.iter().any(|line| line.contains(number) && line.ends_with("hits pod default/web"));
        assert!(hit, "{number}: {trace:#?}");
        if number == "F24" {
            let answer = cluster.simulation.ask_pod(("default", "web"), 8080, "/");
            assert_eq!(answer.map(|a| a.status), Ok(502));
        }
    }
}

#[test]
fn a_node_is_lost_for_a_while() {
    let lost = read_faults("faults: [{fault: {node-lost: {lasts: 2m}}, from: 30s}]").expect("it can be read");
    let mut cluster = Cluster::with(SimulationConfig { faults: lost, ..SimulationConfig::default() });
    cluster.pod("web", app()).wait(60);
    assert_eq!(cluster.picture("web"), "Running ready, app running x0");
    cluster.wait(15);
    assert_eq!(cluster.picture("web"), "Running unready, app running x0");
    cluster.wait(90);
    assert_eq!(cluster.picture("web"), "Running ready, app running x0");
}

#[test]
fn a_stuck_finalizer_goes_in_the_end() {
    let stuck = FaultKind::StuckFinalizer { lasts: Span::millis(60_000) };
    let mut cluster =
        Cluster::with(SimulationConfig { faults: vec![fault(stuck)], ..SimulationConfig::default() });
    cluster.pod("web", app()).wait(10).delete("web").wait(40);
    assert_eq!(cluster.picture("web"), "Succeeded unready, app Completed x0");
    cluster.wait(20);
    assert_eq!(cluster.picture("web"), "gone");
}

/// A little of everything, as a number that stands for its whole trace.
fn story(seed: u64) -> u64 {
    let apps = read(
        "
default: {start: 1s..3s, exit: {after: 10s..60s, runs: 2}, stop: {takes: 0s..5s}}
apps:
  - {image: '*/flappy:*', ready: {up: 3s..9s, down: 2s..4s}}
",
    );
    let faults = read_faults(
        "faults: [{fault: {pull-fails: {error: timeout}}, rate: 0.2}, {fault: slow-stop, rate: 0.3}]",
    );
    let faults = faults.expect("they can be read");
    let mut cluster = Cluster::with(SimulationConfig {
        seed,
        apps,
        faults,
        keep: Keep::Hash,
        ..SimulationConfig::default()
    });
    let probe = json!({"readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}});
    for n in 0..5 {
        cluster.pod(&format!("web-{n}"), in_container(&probe));
        let flappy = merged(probe.clone(), &json!({"image": "reg.example/flappy:v1"}));
        cluster.pod(&format!("flappy-{n}"), in_container(&flappy)).wait(7);
    }
    for n in 0..5 {
        cluster.delete(&format!("web-{n}")).wait(3);
    }
    cluster.wait(60);
    cluster.simulation.trace().hash()
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let first: Vec<_> = (0..50).map(story).collect();
    let second: Vec<_> = (0..50).map(story).collect();
    assert_eq!(first, second);
    let different: std::collections::BTreeSet<_> = first.iter().collect();
    assert_eq!(different.len(), 50);
}
