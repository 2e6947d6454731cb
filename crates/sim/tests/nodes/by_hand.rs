//! A cluster without controllers, in which tests make, place and look at pods by hand.

use std::fmt::Write;
use std::time::Duration;

use release_sim::{Apps, By, DeleteOptions, LogQuery, Model, Simulation, SimulationConfig, resource};
use serde_json::{Value, json};

/// A cluster in which pods are made, placed and looked at by hand.
pub(crate) struct Cluster {
    pub(crate) simulation: Simulation,
}

impl Cluster {
    pub(crate) fn new(apps: &str) -> Self {
        Self::with(SimulationConfig { apps: read(apps), ..SimulationConfig::default() })
    }

    pub(crate) fn with(config: SimulationConfig) -> Self {
        Self { simulation: Simulation::new(config) }
    }

    pub(crate) fn pod(&mut self, name: &str, spec: Value) -> &mut Self {
        self.pod_on("node1", name, spec)
    }

    pub(crate) fn pod_on(&mut self, node: &str, name: &str, spec: Value) -> &mut Self {
        let now = self.simulation.now();
        let mut pod = json!({"metadata": {"name": name, "labels": {"app": "web"}}});
        pod["spec"] = spec;
        let server = self.simulation.server_mut();
        server.create(now, &resource::PODS, "default", pod, &By::nobody()).expect("the pod is made");
        server.bind(now, "default", name, node).expect("the pod is placed");
        self
    }

    pub(crate) fn create(&mut self, resource: &release_sim::Resource, object: Value) -> &mut Self {
        let now = self.simulation.now();
        let made = self.simulation.server_mut().create(now, resource, "default", object, &By::nobody());
        made.expect("the object is made");
        self
    }

    pub(crate) fn wait(&mut self, seconds: u64) -> &mut Self {
        self.simulation.advance(Duration::from_secs(seconds));
        self
    }

    pub(crate) fn delete(&mut self, name: &str) -> &mut Self {
        let now = self.simulation.now();
        let server = self.simulation.server_mut();
        server
            .delete(now, &resource::PODS, "default", name, &DeleteOptions::default(), &By::nobody())
            .expect("the pod is there");
        self
    }

    pub(crate) fn get(&self, name: &str) -> Option<Value> {
        self.simulation.server().store().get(&resource::PODS, "default", name).map(|pod| pod.to_value())
    }

    /// Phase, readiness, and the state of each container with its restarts.
    pub(crate) fn picture(&self, name: &str) -> String {
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
                let _ = write!(text, ", {name} {reason} x{restarts}");
            }
        }
        text
    }

    pub(crate) fn events(&self, reason: &str) -> Vec<String> {
        let store = self.simulation.server().store();
        let message = |e: &std::sync::Arc<release_sim::Object>| {
            (e["reason"] == reason).then(|| e["message"].as_str().unwrap_or_default().to_owned())
        };
        store.list(&resource::EVENTS, None).filter_map(message).collect()
    }

    pub(crate) fn log(&mut self, pod: &str, previous: bool) -> Result<String, String> {
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

pub(crate) fn read(apps: &str) -> Apps {
    Apps::read(apps).unwrap_or_else(|e| panic!("{:?}", std::error::Error::source(&e)))
}

pub(crate) fn app() -> Value {
    json!({"containers": [{"name": "app", "image": "reg.example/web:v1", "ports": [{"containerPort": 8080}]}]})
}

pub(crate) fn merged(mut spec: Value, more: &Value) -> Value {
    for (key, value) in more.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    spec
}

pub(crate) fn in_container(more: &Value) -> Value {
    let mut spec = app();
    spec["containers"][0] = merged(spec["containers"][0].clone(), more);
    spec
}
