//! Five thousand Deployments with one pod each, in a process of their own, so that its peak is theirs.

use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use release_sim::trace::Keep;
use release_sim::{Apps, By, NodeConfig, Simulation, SimulationConfig, resource};
use serde_json::json;

use crate::cost;

/// The word that makes this program play the crowd and print its peak.
pub(crate) const WORD: &str = "crowd";

const DEPLOYMENTS: usize = 5000;

/// The peak in MiB of a process that plays it.
pub(crate) fn peak_mib() -> anyhow::Result<f64> {
    let told = Command::new(std::env::current_exe()?).arg(WORD).output()?;
    anyhow::ensure!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let bytes: u32 = String::from_utf8(told.stdout)?.trim().parse().context("the peak in KiB")?;
    Ok(f64::from(bytes) / 1024.0)
}

/// Makes them all available, and prints the peak of this process in KiB.
pub(crate) fn play() {
    let apps = Apps::read("default: {start: 1s..3s}").unwrap_or_default();
    let nodes = NodeConfig { count: 100, cpu: 64, images_present: true, ..NodeConfig::default() };
    let config = SimulationConfig { apps, nodes, keep: Keep::Nothing, ..SimulationConfig::default() };
    let mut simulation = Simulation::whole(config);
    simulation.advance(Duration::from_secs(1));
    let now = simulation.now();
    for n in 0..DEPLOYMENTS {
        let name = format!("web-{n}");
        let labels = json!({"app": name});
        let body = json!({"metadata": {"name": name}, "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{
                "name": "app",
                "image": "registry.example/web:1",
                "ports": [{"containerPort": 8080}],
                "readinessProbe": {"httpGet": {"path": "/", "port": 8080}},
            }]}},
        }});
        let by = By::manager("bench");
        let made = simulation.server_mut().create(now, &resource::DEPLOYMENTS, "default", body, &by);
        assert!(made.is_ok(), "{made:?}");
    }
    simulation.advance(Duration::from_secs(120));
    let store = simulation.server().store();
    let all = store.list(&resource::DEPLOYMENTS, None);
    let available = all.filter(|deployment| deployment["status"]["availableReplicas"] == 1).count();
    assert_eq!(available, DEPLOYMENTS, "all of them are available");
    println!("{}", cost::peak_memory() / 1024);
}
