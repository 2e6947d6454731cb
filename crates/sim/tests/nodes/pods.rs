//! What nodes do with pods beyond what was recorded: ends, sidecars, volumes, lost nodes, logs.

use crate::by_hand::{Cluster, app, in_container, merged};
use release_sim::{By, NodeConfig, SimulationConfig, resource};
use serde_json::{Value, json};

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
