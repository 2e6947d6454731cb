//! The Node objects themselves: what each can hold, how it feels, the Lease that says it is alive, and what the
//! control plane makes of one that is silent.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::config::NodeConfig;
use crate::resource::{LEASES, NODES};
use crate::server::{ApiServer, By};
use crate::time;

/// A Lease is renewed at most so often, and only when something else happens anyway.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(10);
/// After so long without a heartbeat a node counts as unreachable.
pub(super) const GRACE: Duration = Duration::from_secs(40);
/// And so long after that its pods are deleted: the toleration every pod gets.
pub(super) const EVICTION: Duration = Duration::from_secs(300);

/// The taint of a node that does not answer.
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";

/// What a kubelet says of its machine: condition, status, reason, message.
const HEALTHY: &[(&str, &str, &str, &str)] = &[
    ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
];

/// How far a silent node has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Silence {
    /// It answers.
    None,
    /// It has stopped to answer; nobody has noticed.
    Since(Timestamp),
    /// The control plane has noticed.
    Noticed(Timestamp),
    /// Its pods were deleted.
    Evicted,
}

/// One node.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) name: Arc<str>,
    pub(super) ip: Arc<str>,
    pub(super) silence: Silence,
}

impl Machine {
    /// Registers the n-th node.
    pub(super) fn register(server: &mut ApiServer, now: Timestamp, config: &NodeConfig, n: u32) -> Self {
        let name: Arc<str> = format!("node{n}").into();
        let ip: Arc<str> = format!("192.0.{}.{}", 2 + n / 250, 1 + n % 250).into();
        let machine = Self { name, ip, silence: Silence::None };
        let by = By::manager("kubelet");
        // A node that is there already keeps what others wrote into it.
        drop(server.create(now, &NODES, "", machine.object(config), &by));
        drop(server.update_status(
            now,
            &NODES,
            "",
            &machine.name,
            machine.status(config, now),
            &By::nobody(),
        ));
        let lease = json!({
            "metadata": {"name": &*machine.name},
            "spec": {
                "holderIdentity": &*machine.name,
                "leaseDurationSeconds": 40,
                "renewTime": time::micros(now),
            },
        });
        drop(server.create(now, &LEASES, "kube-node-lease", lease, &By::nobody()));
        machine
    }

    fn object(&self, config: &NodeConfig) -> Value {
        let name = &*self.name;
        let mut labels = json!({
            "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
            "beta.kubernetes.io/os": "linux", "beta.kubernetes.io/arch": "amd64",
        });
        for (key, value) in &config.labels {
            labels[key] = json!(value);
        }
        json!({"metadata": {"name": name, "labels": labels}, "spec": {}})
    }

    fn status(&self, config: &NodeConfig, now: Timestamp) -> Value {
        let memory = format!("{}Ki", config.memory_mib * 1024);
        let room = json!({
            "cpu": config.cpu.to_string(), "memory": memory, "pods": config.pods.to_string(),
            "ephemeral-storage": "102400Mi",
        });
        json!({
            "capacity": room,
            "allocatable": room,
            "conditions": conditions(now),
            "addresses": [
                {"type": "InternalIP", "address": &*self.ip},
                {"type": "Hostname", "address": &*self.name},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "nodeInfo": {
                "architecture": "amd64", "operatingSystem": "linux", "osImage": "Simulated Linux",
                "kernelVersion": "6.12.0", "containerRuntimeVersion": "containerd://2.2.0",
                "kubeletVersion": "v1.36.0", "kubeProxyVersion": "", "bootID": "", "machineID": &*self.name,
                "systemUUID": "",
            },
        })
    }

    /// Says that it is alive.
    pub(super) fn renew(&self, server: &mut ApiServer, now: Timestamp) {
        if self.silence != Silence::None {
            return;
        }
        let Some(lease) = server.store().get(&LEASES, "kube-node-lease", &self.name) else { return };
        let next = lease.with_fields("spec", [("renewTime", json!(time::micros(now)))]);
        server.store_mut().put(now, next);
    }

    /// When the control plane does something about its silence.
    pub(super) fn due(&self) -> Option<Timestamp> {
        match self.silence {
            Silence::Since(since) => Some(since + GRACE),
            Silence::Noticed(since) => Some(since + GRACE + EVICTION),
            Silence::None | Silence::Evicted => None,
        }
    }

    /// The control plane has noticed that it is silent.
    pub(super) fn is_unreachable(&self, server: &mut ApiServer, now: Timestamp) {
        let at = time::seconds(now);
        let mut status = self.current_status(server);
        for condition in status["conditions"].as_array_mut().into_iter().flatten() {
            condition["status"] = json!("Unknown");
            condition["reason"] = json!("NodeStatusUnknown");
            condition["message"] = json!("Kubelet stopped posting node status.");
            condition["lastTransitionTime"] = json!(at);
        }
        drop(server.update_status(now, &NODES, "", &self.name, status, &By::nobody()));
        let taint = |node: &mut Value| {
            let taint = |effect: &str| json!({"key": UNREACHABLE, "effect": effect, "timeAdded": at});
            let mut taints = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
            taints.extend(["NoSchedule", "NoExecute"].map(taint));
            node["spec"]["taints"] = Value::Array(taints);
        };
        drop(server.edit(now, &NODES, "", &self.name, &By::manager("kube-controller-manager"), taint));
    }

    /// It answers again.
    pub(super) fn is_back(&mut self, server: &mut ApiServer, now: Timestamp) {
        let noticed = !matches!(self.silence, Silence::Since(_));
        self.silence = Silence::None;
        if !noticed {
            return;
        }
        let mut status = self.current_status(server);
        status["conditions"] = conditions(now);
        drop(server.update_status(now, &NODES, "", &self.name, status, &By::nobody()));
        let untaint = |node: &mut Value| {
            let taints = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
            let left: Vec<_> = taints.into_iter().filter(|taint| taint["key"] != UNREACHABLE).collect();
            if let (true, Some(spec)) = (left.is_empty(), node["spec"].as_object_mut()) {
                spec.remove("taints");
            } else {
                node["spec"]["taints"] = Value::Array(left);
            }
        };
        drop(server.edit(now, &NODES, "", &self.name, &By::manager("kube-controller-manager"), untaint));
    }

    fn current_status(&self, server: &ApiServer) -> Value {
        server.store().get(&NODES, "", &self.name).map_or(Value::Null, |node| node["status"].clone())
    }
}

fn conditions(now: Timestamp) -> Value {
    let at = time::seconds(now);
    let conditions = HEALTHY.iter().map(|(kind, status, reason, message)| {
        json!({
            "type": kind, "status": status, "reason": reason, "message": message,
            "lastHeartbeatTime": at, "lastTransitionTime": at,
        })
    });
    conditions.collect()
}
