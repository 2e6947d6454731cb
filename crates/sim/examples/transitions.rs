//! How many pod transitions a second of CPU time: makes pods, runs each through its phases, deletes it.

use std::time::Instant;

use jiff::Timestamp;
use release_sim::{ApiServer, By, DeleteOptions, Seed, resource};
use serde_json::{Value, json};

fn pod(name: &str) -> Value {
    json!({"metadata": {"name": name, "labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "web:1",
        "ports": [{"containerPort": 80}], "readinessProbe": {"httpGet": {"port": 80}},
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}}]}})
}

fn status(phase: &str, ready: bool, restarts: u64) -> Value {
    let word = if ready { "True" } else { "False" };
    json!({"phase": phase, "podIP": "10.0.0.1", "qosClass": "Burstable",
        "conditions": [{"type": "Ready", "status": word}, {"type": "ContainersReady", "status": word}],
        "containerStatuses": [{"name": "web", "ready": ready, "restartCount": restarts, "image": "web:1",
            "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}]})
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn main() {
    const PODS: u64 = 5_000;
    const FLIPS: u64 = 40;
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap_or_default();
    let mut server = ApiServer::new(now, &Seed::default());
    let by = By::nobody();
    let pods = &resource::PODS;
    let made = Instant::now();
    for n in 0..PODS {
        let name = format!("web-{n}");
        server.create(now, pods, "default", pod(&name), &by).ok();
        server.bind(now, "default", &name, "node-1").ok();
    }
    println!("{:.1} µs a pod made and placed", made.elapsed().as_secs_f64() * 1e6 / PODS as f64);
    let flipped = Instant::now();
    for flip in 0..FLIPS {
        for n in 0..PODS {
            let status = status("Running", flip % 2 == 0, flip);
            server.update_status(now, pods, "default", &format!("web-{n}"), status, &by).ok();
        }
    }
    let rate = (PODS * FLIPS) as f64 / flipped.elapsed().as_secs_f64();
    println!("{rate:.0} transitions a second");
    let ended = Instant::now();
    for n in 0..PODS {
        server.delete(now, pods, "default", &format!("web-{n}"), &DeleteOptions::now(), &by).ok();
    }
    println!("{:.1} µs a pod deleted", ended.elapsed().as_secs_f64() * 1e6 / PODS as f64);
    println!("revision {}, history from {}", server.store().revision(), server.store().compacted());
}
