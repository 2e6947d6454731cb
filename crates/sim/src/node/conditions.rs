//! The five conditions of a pod, each with the time it last changed.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::container::Container;
use crate::time;

/// One condition as it was written last.
#[derive(Debug, Clone, Default)]
struct Condition {
    status: bool,
    reason: &'static str,
    message: String,
    /// When, as it is written.
    changed: Option<String>,
}

impl Condition {
    fn set(&mut self, now: Timestamp, status: bool, reason: &'static str, message: String) {
        if self.changed.is_none() || self.status != status {
            self.changed = Some(time::seconds(now));
        }
        (self.status, self.reason, self.message) = (status, reason, message);
    }

    fn to_value(&self, kind: &str, generation: i64) -> Value {
        let mut map = Map::new();
        map.insert("type".to_owned(), json!(kind));
        map.insert("status".to_owned(), json!(if self.status { "True" } else { "False" }));
        map.insert("observedGeneration".to_owned(), json!(generation));
        map.insert("lastProbeTime".to_owned(), Value::Null);
        map.insert("lastTransitionTime".to_owned(), self.changed.clone().map_or(Value::Null, Value::String));
        for (key, text) in [("reason", self.reason), ("message", self.message.as_str())] {
            if !text.is_empty() {
                map.insert(key.to_owned(), json!(text));
            }
        }
        Value::Object(map)
    }
}

/// The conditions a kubelet keeps.
#[derive(Debug, Clone, Default)]
pub(super) struct Conditions {
    /// Whether the pod has a network.
    pub(super) sandbox: bool,
    has_sandbox: Condition,
    initialized: Condition,
    ready: Condition,
    containers_ready: Condition,
}

impl Conditions {
    /// Takes over what a status says: the times matter, reasons and messages are worked out again.
    pub(super) fn adopt(&mut self, seen: &Value) {
        for condition in seen.as_array().into_iter().flatten() {
            let mine = match condition["type"].as_str() {
                Some("PodReadyToStartContainers") => &mut self.has_sandbox,
                Some("Initialized") => &mut self.initialized,
                Some("Ready") => &mut self.ready,
                Some("ContainersReady") => &mut self.containers_ready,
                _ => continue,
            };
            mine.status = condition["status"] == "True";
            mine.changed = condition["lastTransitionTime"].as_str().map(str::to_owned);
        }
        self.sandbox = true;
    }

    /// Works them out again.
    pub(super) fn update(&mut self, phase: &'static str, containers: &[Container], now: Timestamp) {
        self.has_sandbox.set(now, self.sandbox, "", String::new());
        let names = |wanted: &dyn Fn(&Container) -> bool| -> Vec<&str> {
            containers.iter().filter(|c| wanted(c)).map(|c| c.spec.name.as_str()).collect()
        };
        let completed = phase == "Succeeded";
        let uninitialized = names(&|c| c.spec.init && !c.lets_others_start());
        if completed {
            self.initialized.set(now, true, "PodCompleted", String::new());
        } else if uninitialized.is_empty() {
            self.initialized.set(now, true, "", String::new());
        } else {
            let message = format!("containers with incomplete status: [{}]", uninitialized.join(" "));
            self.initialized.set(now, false, "ContainersNotInitialized", message);
        }
        let unready = names(&|c| (!c.spec.init || c.spec.sidecar) && !c.ready);
        let (ready, reason, message) = match phase {
            "Succeeded" => (false, "PodCompleted", String::new()),
            "Failed" => (false, "PodFailed", String::new()),
            _ if unready.is_empty() => (true, "", String::new()),
            _ => {
                let message = format!("containers with unready status: [{}]", unready.join(" "));
                (false, "ContainersNotReady", message)
            }
        };
        self.ready.set(now, ready, reason, message.clone());
        self.containers_ready.set(now, ready, reason, message);
    }

    pub(super) fn to_value(&self, scheduled: Option<&Value>, started: &str, generation: i64) -> Value {
        let fallback = Condition { status: true, changed: Some(started.to_owned()), ..Condition::default() };
        let mut last = fallback.to_value("PodScheduled", generation);
        if let Some(at) = scheduled.filter(|c| c["status"] == "True").map(|c| &c["lastTransitionTime"]) {
            last["lastTransitionTime"] = at.clone();
        }
        Value::Array(vec![
            self.has_sandbox.to_value("PodReadyToStartContainers", generation),
            self.initialized.to_value("Initialized", generation),
            self.ready.to_value("Ready", generation),
            self.containers_ready.to_value("ContainersReady", generation),
            last,
        ])
    }
}
