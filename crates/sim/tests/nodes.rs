//! What nodes do with pods beyond what was recorded: ends, sidecars, volumes, lost nodes, logs, requests, faults.

use std::time::Duration;

use release_sim::apps::{PullError, Span};
use release_sim::faults::{Fault, FaultKind, Target, read_faults};
use release_sim::trace::Keep;
use release_sim::traffic::Client;
use release_sim::{
    Apps, By, DeleteOptions, LogQuery, Model, NodeConfig, ProxyTarget, Simulation, SimulationConfig, resource,
};
use serde_json::{Value, json};

/// A cluster in which pods are made, placed and looked at by hand.
struct Cluster {
    simulation: Simulation,
}

impl Cluster {
    fn new(apps: &str) -> Self {
        Self::with(SimulationConfig { apps: read(apps), ..SimulationConfig::default() })
    }

    fn with(config: SimulationConfig) -> Self {
        Self { simulation: Simulation::new(config) }
    }

    fn pod(&mut self, name: &str, spec: Value) -> &mut Self {
        self.pod_on("node1", name, spec)
    }

    fn pod_on(&mut self, node: &str, name: &str, spec: Value) -> &mut Self {
        let now = self.simulation.now();
        let pod = json!({"metadata": {"name": name, "labels": {"app": "web"}}, "spec": spec});
        let server = self.simulation.server_mut();
        server.create(now, &resource::PODS, "default", pod, &By::nobody()).expect("the pod is made");
        server.bind(now, "default", name, node).expect("the pod is placed");
        self
    }

    fn create(&mut self, resource: &release_sim::Resource, object: Value) -> &mut Self {
        let now = self.simulation.now();
        let made = self.simulation.server_mut().create(now, resource, "default", object, &By::nobody());
        made.expect("the object is made");
        self
    }

    fn wait(&mut self, seconds: u64) -> &mut Self {
        self.simulation.advance(Duration::from_secs(seconds));
        self
    }

    fn delete(&mut self, name: &str) -> &mut Self {
        let now = self.simulation.now();
        let server = self.simulation.server_mut();
        server
            .delete(now, &resource::PODS, "default", name, &DeleteOptions::default(), &By::nobody())
            .expect("the pod is there");
        self
    }

    fn get(&self, name: &str) -> Option<Value> {
        self.simulation.server().store().get(&resource::PODS, "default", name).map(|pod| pod.to_value())
    }

    /// Phase, readiness, and the state of each container with its restarts.
    fn picture(&self, name: &str) -> String {
        let Some(pod) = self.get(name) else { return "gone".to_owned() };
        let status = &pod["status"];
        let ready = status["conditions"].as_array().into_iter().flatten();
        let ready = ready.into_iter().any(|c| c["type"] == "Ready" && c["status"] == "True");
        let mut text = format!(
            "{} {}",
            status["phase"].as_str().unwrap_or_default(),
            if ready { "ready" } else { "unready" }
        );
        for list in ["initContainerStatuses", "containerStatuses"] {
            for container in status[list].as_array().into_iter().flatten() {
                let (kind, of) =
                    container["state"].as_object().and_then(|s| s.iter().next()).expect("a state");
                let reason = of["reason"].as_str().unwrap_or(kind);
                let (name, restarts) =
                    (container["name"].as_str().unwrap_or_default(), &container["restartCount"]);
                text.push_str(&format!(", {name} {reason} x{restarts}"));
            }
        }
        text
    }

    fn events(&self, reason: &str) -> Vec<String> {
        let store = self.simulation.server().store();
        let message = |e: &std::sync::Arc<release_sim::Object>| {
            (e["reason"] == reason).then(|| e["message"].as_str().unwrap_or_default().to_owned())
        };
        store.list(&resource::EVENTS, None).filter_map(message).collect()
    }

    fn log(&mut self, pod: &str, previous: bool) -> Result<String, String> {
        let query = LogQuery {
            namespace: "default".to_owned(),
            pod: pod.to_owned(),
            container: "app".to_owned(),
            previous,
            tail_lines: None,
            since_seconds: None,
            timestamps: false,
            limit_bytes: None,
            follow: false,
        };
        let now = self.simulation.now();
        let log = self.simulation.log(now, &query).map_err(|status| status.message.clone())?;
        Ok(String::from_utf8_lossy(&log).into_owned())
    }
}

fn read(apps: &str) -> Apps {
    Apps::read(apps).unwrap_or_else(|e| panic!("{:?}", std::error::Error::source(&e)))
}

fn app() -> Value {
    json!({"containers": [{"name": "app", "image": "reg.example/web:v1", "ports": [{"containerPort": 8080}]}]})
}

fn merged(mut spec: Value, more: &Value) -> Value {
    for (key, value) in more.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    spec
}

fn in_container(more: &Value) -> Value {
    let mut spec = app();
    spec["containers"][0] = merged(spec["containers"][0].clone(), more);
    spec
}

#[test]
fn a_pod_is_gone_when_its_process_has_ended() {
    let mut cluster = Cluster::new("default: {stop: {takes: 3s}}");
    cluster.pod("web", app()).wait(10);
    assert_eq!(cluster.picture("web"), "Running ready, app running x0");
    cluster.delete("web").wait(2);
    assert_eq!(cluster.picture("web"), "Running ready, app running x0");
    assert_eq!(cluster.events("Killing"), ["Stopping container app"]);
    cluster.wait(2);
    assert_eq!(cluster.picture("web"), "gone");
}

#[test]
fn a_process_that_ignores_sigterm_ends_with_its_grace() {
    let mut cluster = Cluster::new("default: {stop: {ignores_sigterm: true}}");
    cluster.pod("web", merged(app(), &json!({"terminationGracePeriodSeconds": 20}))).wait(10).delete("web");
    cluster.wait(19);
    assert_eq!(cluster.picture("web"), "Running ready, app running x0");
    cluster.wait(2);
    assert_eq!(cluster.picture("web"), "gone");
}

#[test]
fn a_pre_stop_hook_comes_before_the_signal() {
    let mut cluster = Cluster::new("default: {stop: {takes: 1s}}");
    let hook = json!({"lifecycle": {"preStop": {"sleep": {"seconds": 5}}}});
    cluster.pod("web", in_container(&hook)).wait(10).delete("web").wait(4);
    assert!(cluster.simulation.ask_pod(("default", "web"), 8080, "/").is_ok(), "it still answers");
    cluster.wait(1);
    assert!(cluster.simulation.ask_pod(("default", "web"), 8080, "/").is_err(), "it has been told");
    cluster.wait(2);
    assert_eq!(cluster.picture("web"), "gone");
}

#[test]
fn a_pod_that_never_started_goes_at_once() {
    let mut cluster = Cluster::new("default: {pull: {fails: not-found}}");
    cluster.pod("web", app()).wait(20);
    assert_eq!(cluster.picture("web"), "Pending unready, app ImagePullBackOff x0");
    cluster.delete("web").wait(1);
    assert_eq!(cluster.picture("web"), "gone");
}

#[test]
fn finalizers_keep_a_pod_whose_containers_have_ended() {
    let mut cluster = Cluster::new("default: {stop: {takes: 1s}}");
    cluster.pod("web", app()).wait(5);
    let now = cluster.simulation.now();
    let keep = |pod: &mut Value| pod["metadata"]["finalizers"] = json!(["example.com/keep"]);
    let server = cluster.simulation.server_mut();
    server.edit(now, &resource::PODS, "default", "web", &By::nobody(), keep).expect("it is there");
    cluster.delete("web").wait(10);
    assert_eq!(cluster.picture("web"), "Succeeded unready, app Completed x0");
    let (now, free) = (cluster.simulation.now(), |pod: &mut Value| pod["metadata"]["finalizers"] = json!([]));
    let server = cluster.simulation.server_mut();
    server.edit(now, &resource::PODS, "default", "web", &By::nobody(), free).expect("it is there");
    cluster.wait(60);
    assert_eq!(cluster.picture("web"), "gone");
}

#[test]
fn liveness_restarts_what_hangs() {
    let mut cluster = Cluster::new("default: {http: [{path: /live, status: 500, from: 30s}]}");
    let probe = json!({"livenessProbe": {"httpGet": {"path": "/live", "port": 8080}, "periodSeconds": 5}});
    cluster.pod("web", in_container(&probe)).wait(30);
    assert_eq!(cluster.picture("web"), "Running ready, app running x0");
    cluster.wait(20);
    assert_eq!(cluster.picture("web"), "Running ready, app running x1");
    assert_eq!(cluster.events("Killing"), ["Container app failed liveness probe, will be restarted"]);
    assert_eq!(
        cluster.events("Unhealthy"),
        ["Liveness probe failed: HTTP probe failed with statuscode: 500"]
    );
}

#[test]
fn readiness_needs_its_thresholds() {
    let mut cluster = Cluster::new("default: {ready: {after: 7s}}");
    let probe = json!({"readinessProbe": {"tcpSocket": {"port": 8080}, "initialDelaySeconds": 4, "periodSeconds": 3}});
    cluster.pod("tcp", in_container(&probe)).wait(12);
    assert_eq!(cluster.picture("tcp"), "Running ready, app running x0");
    let probe = json!({"readinessProbe": {"exec": {"command": ["check"]}, "successThreshold": 2, "periodSeconds": 10}});
    cluster.pod("exec", in_container(&probe)).wait(15);
    assert_eq!(cluster.picture("exec"), "Running unready, app running x0");
    cluster.wait(10);
    assert_eq!(cluster.picture("exec"), "Running ready, app running x0");
}

#[test]
fn init_containers_and_sidecars_come_first() {
    let apps = "{default: {}, apps: [{container: migrate, exit: {after: 5s, code: 0}}]}";
    let mut cluster = Cluster::new(apps);
    let init = json!([
        {"name": "proxy", "image": "reg.example/proxy:v1", "restartPolicy": "Always"},
        {"name": "migrate", "image": "reg.example/web:v1"},
    ]);
    cluster.pod("web", merged(app(), &json!({"initContainers": init}))).wait(6);
    assert_eq!(
        cluster.picture("web"),
        "Pending unready, proxy running x0, migrate running x0, app PodInitializing x0"
    );
    cluster.wait(10);
    assert_eq!(
        cluster.picture("web"),
        "Running ready, proxy running x0, migrate Completed x0, app running x0"
    );
}

#[test]
fn a_volume_is_waited_for() {
    let mut cluster = Cluster::new("{}");
    let volume = json!({"volumes": [{"name": "settings", "configMap": {"name": "settings"}}]});
    cluster.pod("web", merged(app(), &volume)).wait(20);
    assert_eq!(cluster.picture("web"), "Pending unready, app ContainerCreating x0");
    assert_eq!(
        cluster.events("FailedMount"),
        ["MountVolume.SetUp failed for volume \"settings\" : configmap \"settings\" not found"]
    );
    cluster.create(&resource::CONFIG_MAPS, json!({"metadata": {"name": "settings"}})).wait(40);
    assert_eq!(cluster.picture("web"), "Running ready, app running x0");
}

#[test]
fn pulls_that_time_out_work_later() {
    let mut cluster = Cluster::new("default: {pull: {fails: timeout, times: 2}}");
    cluster.pod("web", app()).wait(45);
    assert_eq!(cluster.picture("web"), "Pending unready, app ErrImagePull x0");
    cluster.wait(120);
    assert_eq!(cluster.picture("web"), "Running ready, app running x0");
}

#[test]
fn a_lost_node_is_noticed_and_its_pods_are_replaced() {
    let nodes = NodeConfig { count: 2, ..NodeConfig::default() };
    let mut cluster = Cluster::with(SimulationConfig { nodes, ..SimulationConfig::default() });
    cluster.pod("web", app()).pod_on("node2", "other", app()).wait(10);
    let now = cluster.simulation.now();
    let (nodes, server) = cluster.simulation.nodes_mut();
    nodes.lose(server, now, "node1");
    assert!(cluster.simulation.ask_pod(("default", "web"), 8080, "/").is_err());
    cluster.wait(39);
    assert_eq!(cluster.picture("web"), "Running ready, app running x0");
    cluster.wait(2);
    assert_eq!(cluster.picture("web"), "Running unready, app running x0");
    assert_eq!(cluster.picture("other"), "Running ready, app running x0");
    let node =
        cluster.simulation.server().store().get(&resource::NODES, "", "node1").expect("it is there").clone();
    assert_eq!(node["spec"]["taints"][1]["key"], "node.kubernetes.io/unreachable");
    assert_eq!(node["status"]["conditions"][3]["status"], "Unknown");
    cluster.wait(300);
    let pod = cluster.get("web").expect("nobody can end it");
    assert!(pod["metadata"]["deletionTimestamp"].is_string());
    let now = cluster.simulation.now();
    let (nodes, server) = cluster.simulation.nodes_mut();
    nodes.bring_back(server, now, "node1");
    cluster.wait(5);
    assert_eq!(cluster.picture("web"), "gone");
    let node =
        cluster.simulation.server().store().get(&resource::NODES, "", "node1").expect("it is there").clone();
    assert_eq!(node["spec"]["taints"], Value::Null);
    assert_eq!(node["status"]["conditions"][3]["status"], "True");
}

#[test]
fn logs_are_those_of_the_run_that_is_asked_for() {
    let apps = "default: {exit: {after: 20s, runs: 1}, log: [{line: up}, {line: boom, at_exit: true}]}";
    let mut cluster = Cluster::new(apps);
    cluster.pod("web", app());
    let waits = "container \"app\" in pod \"web\" is waiting to start: ContainerCreating";
    cluster.wait(0);
    assert_eq!(cluster.log("web", false), Err(waits.to_owned()));
    cluster.wait(10);
    assert_eq!(cluster.log("web", false).as_deref(), Ok("up\n"));
    assert!(cluster.log("web", true).is_err());
    cluster.wait(30);
    assert_eq!(cluster.log("web", true).as_deref(), Ok("up\nboom\n"));
    assert_eq!(cluster.log("web", false).as_deref(), Ok("up\n"));
}

#[test]
fn a_missing_variable_ends_the_program() {
    let mut cluster = Cluster::new("default: {needs_env: [DATABASE_URL]}");
    cluster.pod("bare", app());
    cluster.pod("set", in_container(&json!({"env": [{"name": "DATABASE_URL", "value": "x"}]}))).wait(10);
    assert_eq!(cluster.picture("set"), "Running ready, app running x0");
    assert!(
        cluster.picture("bare").contains("app Error x1")
            || cluster.picture("bare").contains("CrashLoopBackOff")
    );
    let log = cluster.log("bare", false).unwrap_or_default();
    assert_eq!(log, "required environment variable not set: DATABASE_URL\n");
}

/// A Service with a slice that names these pods, as a controller would keep it.
fn publish(cluster: &mut Cluster, pods: &[&str]) {
    let endpoints = pods.iter().map(|pod| {
        let ip = cluster.get(pod).map(|pod| pod["status"]["podIP"].clone()).unwrap_or_default();
        json!({"addresses": [ip], "conditions": {"ready": true}, "targetRef": {"kind": "Pod", "name": pod}})
    });
    let endpoints: Vec<_> = endpoints.collect();
    let slice = json!({
        "metadata": {"name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4", "endpoints": endpoints, "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
    });
    let now = cluster.simulation.now();
    let server = cluster.simulation.server_mut();
    if server.store().get(&resource::ENDPOINT_SLICES, "default", "web-1").is_some() {
        let change = |old: &mut Value| old["endpoints"] = slice["endpoints"].clone();
        server
            .edit(now, &resource::ENDPOINT_SLICES, "default", "web-1", &By::nobody(), change)
            .expect("the slice is there");
    } else {
        let service =
            json!({"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80, "targetPort": 8080}]}});
        cluster.create(&resource::SERVICES, service).create(&resource::ENDPOINT_SLICES, slice);
    }
}

fn client() -> Client {
    Client {
        namespace: "default".to_owned(),
        service: "web".to_owned(),
        port: None,
        path: "/tracks".to_owned(),
        per_second: 10.0,
        lag: Span::millis(500),
        timeout: Span::millis(5000),
    }
}

#[test]
fn clients_lose_what_nobody_answers() {
    let mut cluster = Cluster::new("default: {stop: {takes: 3s}, http: [{path: /tracks, error_rate: 0.1}]}");
    cluster.pod("a", app()).pod("b", app()).wait(10);
    publish(&mut cluster, &["a", "b"]);
    cluster.wait(1);
    let number = cluster.simulation.begin_traffic(client());
    cluster.wait(100);
    let quiet = cluster.simulation.traffic().total(number);
    assert_eq!((quiet.sent(), quiet.lost), (1000, 0));
    assert!((60..140).contains(&quiet.failed), "{quiet:?}");
    // The pod stops listening before its clients hear of it: half of five requests a second, for half a second.
    cluster.delete("a");
    publish(&mut cluster, &["b"]);
    cluster.wait(10);
    let total = cluster.simulation.traffic().total(number);
    assert_eq!(total.sent(), 1100);
    assert!((1..=5).contains(&total.lost), "{total:?}");
    cluster.delete("b").wait(10);
    let total = cluster.simulation.traffic().total(number);
    assert!(total.lost >= 100, "{total:?}");
}

#[test]
fn a_service_answers_through_the_proxy() {
    let mut cluster = Cluster::new("default: {http: [{path: /tracks, body: '[]', latency: 20ms}]}");
    cluster.pod("a", app()).wait(10);
    publish(&mut cluster, &["a"]);
    let now = cluster.simulation.now();
    let target = |name: &str, port: &str, is_service| ProxyTarget {
        is_service,
        namespace: "default".to_owned(),
        name: name.to_owned(),
        port: port.to_owned(),
        scheme: String::new(),
    };
    let request = || http::Request::get("/tracks?limit=1").body(bytes::Bytes::new()).expect("a request");
    for target in [
        target("web", "", true),
        target("web", "80", true),
        target("a", "8080", false),
        target("a", "", false),
    ] {
        let answer = cluster.simulation.proxy(now, &target, request()).expect("it answers");
        assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &b"[]"[..]), "{target:?}");
        assert_eq!(answer.after, Duration::from_millis(20));
    }
    cluster.delete("a").wait(10);
    let refusal =
        cluster.simulation.proxy(now, &target("web", "", true), request()).expect_err("nobody is there");
    assert_eq!(refusal.code, 503);
}

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
