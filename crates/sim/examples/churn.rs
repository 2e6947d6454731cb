//! How many pod transitions a second: Deployments are rolled out and their pods flap, with all controllers at work.
//! The numbers: Deployments, replicas of each, Services (0 or 1), rounds of flapping.
//!
//! ```console
//! $ cargo run --release -p release-sim --example churn -- 500 4 1 10
//! ```

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use release_sim::controllers::Controllers;
use release_sim::{Actor, ApiServer, By, DeleteOptions, Seed, resource, time};
use serde_json::{Value, json};

/// A kubelet for all nodes: pods start after 2 s, end after 1 s.
#[derive(Default)]
struct Kubelet {
    due: BTreeSet<(Timestamp, String)>,
    seen: u64,
    transitions: u64,
}

impl Kubelet {
    fn act(&mut self, server: &mut ApiServer, now: Timestamp) -> Option<Timestamp> {
        let pods = resource::PODS;
        for change in server.store().changes(&pods, self.seen.max(server.store().compacted())).unwrap() {
            let pod = &change.object;
            if pod.is_terminating() {
                self.due.insert((now + Duration::from_secs(1), pod.name().to_owned()));
            } else if pod["spec"]["nodeName"].is_string() && pod["status"]["startTime"].is_null() {
                self.due.insert((now + Duration::from_secs(2), pod.name().to_owned()));
            }
        }
        self.seen = server.store().revision();
        while let Some((at, name)) = self.due.pop_first() {
            if at > now {
                self.due.insert((at, name));
                return Some(at);
            }
            self.step(server, now, &name);
        }
        None
    }

    fn step(&mut self, server: &mut ApiServer, now: Timestamp, name: &str) {
        let Some(pod) = server.store().get(&resource::PODS, "default", name).cloned() else { return };
        if pod.is_terminating() {
            let gone =
                server.delete(now, &resource::PODS, "default", name, &DeleteOptions::now(), &By::nobody());
            self.transitions += u64::from(gone.is_ok());
        } else if pod["status"]["startTime"].is_null() {
            self.set(server, now, name, true);
        }
    }

    fn set(&mut self, server: &mut ApiServer, now: Timestamp, name: &str, ready: bool) {
        let at = time::seconds(now);
        let ip = format!("10.{}.{}.1", name.len(), server.store().revision() % 250);
        let status = json!({
            "phase": "Running", "startTime": at, "podIP": ip,
            "conditions": [
                {"type": "PodScheduled", "status": "True", "lastTransitionTime": at},
                {"type": "Ready", "status": if ready { "True" } else { "False" }, "lastTransitionTime": at},
            ],
            "containerStatuses": [{"name": "app", "ready": ready, "restartCount": 0}],
        });
        let written = server.update_status(now, &resource::PODS, "default", name, status, &By::nobody());
        self.transitions += u64::from(written.is_ok());
    }
}

struct Cluster {
    server: ApiServer,
    controllers: Controllers,
    kubelet: Kubelet,
    now: Timestamp,
}

impl Cluster {
    fn run(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        while self.now < end {
            let next = loop {
                let before = self.server.store().revision();
                let a = self.controllers.act(&mut self.server, self.now);
                let b = self.kubelet.act(&mut self.server, self.now);
                if self.server.store().revision() == before {
                    break a.into_iter().chain(b).min();
                }
            };
            let least = self.now + Duration::from_millis(1);
            self.now = next.unwrap_or(end).max(least).min(end);
        }
    }
}

fn deployment(name: &str, replicas: usize) -> Value {
    json!({"metadata": {"name": name}, "spec": {"replicas": replicas,
        "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{
            "name": "app", "image": "registry/app:v0", "ports": [{"containerPort": 8080}],
            "resources": {"requests": {"cpu": "1m", "memory": "1Mi"}}}]}}}})
}

/// The CPU time this process had so far, where Linux says so.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
    Duration::from_nanos(nanos).as_secs_f64()
}

fn measure(what: &str, cluster: &mut Cluster, work: impl FnOnce(&mut Cluster)) {
    let (before, revision) = (cluster.kubelet.transitions, cluster.server.store().revision());
    let start = cpu_seconds();
    work(cluster);
    let seconds = cpu_seconds() - start;
    let transitions = cluster.kubelet.transitions - before;
    let writes = cluster.server.store().revision() - revision;
    let rate = u32::try_from(transitions).map_or(f64::INFINITY, |n| f64::from(n) / seconds);
    println!(
        "{what:<10} {transitions:>8} transitions, {writes:>8} writes, {seconds:>7.3} s of CPU: {rate:>9.0} transitions/s"
    );
}

fn main() {
    let mut numbers = std::env::args().skip(1).map(|a| a.parse::<usize>().expect("a number"));
    let (deployments, replicas) = (numbers.next().unwrap_or(500), numbers.next().unwrap_or(4));
    let with_services = numbers.next().unwrap_or(1) > 0;
    let rounds = numbers.next().unwrap_or(10);
    let now = "2026-01-01T00:00:00Z".parse().expect("a moment");
    let mut server = ApiServer::new(now, &Seed::default());
    for node in 0..10 {
        let name = format!("node-{node}");
        let room = json!({"cpu": "1000", "memory": "1000Gi", "pods": "100000"});
        let by = By::nobody();
        server.create(now, &resource::NODES, "", json!({"metadata": {"name": name}}), &by).expect("a node");
        let status = json!({"allocatable": room});
        server.update_status(now, &resource::NODES, "", &name, status, &by).expect("a status");
    }
    let mut cluster =
        Cluster { server, controllers: Controllers::default(), kubelet: Kubelet::default(), now };
    let names: Vec<String> = (0..deployments).map(|n| format!("app-{n:05}")).collect();
    measure("start", &mut cluster, |cluster| {
        let by = By::manager("churn");
        for name in &names {
            let body = deployment(name, replicas);
            cluster.server.create(cluster.now, &resource::DEPLOYMENTS, "default", body, &by).expect("made");
            if with_services {
                let body = json!({"metadata": {"name": name},
                    "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]}});
                cluster.server.create(cluster.now, &resource::SERVICES, "default", body, &by).expect("made");
            }
        }
        cluster.run(30);
    });
    measure("rollout", &mut cluster, |cluster| {
        for round in 1..=3 {
            for name in &names {
                let by = By::manager("churn");
                let edit = |d: &mut Value| {
                    let image = format!("registry/app:v{round}");
                    d["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
                };
                let now = cluster.now;
                cluster.server.edit(now, &resource::DEPLOYMENTS, "default", name, &by, edit).expect("edited");
            }
            cluster.run(120);
        }
    });
    measure("flap", &mut cluster, |cluster| {
        for round in 0..rounds {
            let pods: Vec<String> =
                cluster.server.store().list(&resource::PODS, None).map(|pod| pod.name().to_owned()).collect();
            for name in pods {
                let now = cluster.now;
                cluster.kubelet.set(&mut cluster.server, now, &name, round % 2 == 1);
            }
            cluster.run(10);
        }
    });
}
