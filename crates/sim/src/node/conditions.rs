//! The five conditions of a pod, each with the time it last changed.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::container::Container;
use super::status::ContainerStatus;
use crate::time::{self, Second};

/// Why a condition is not as it should be, or no longer matters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Why {
    #[default]
    Nothing,
    PodCompleted,
    PodFailed,
    ContainersNotInitialized,
    ContainersNotReady,
}

impl Why {
    /// As in `reason`.
    fn text(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::PodCompleted => "PodCompleted",
            Self::PodFailed => "PodFailed",
            Self::ContainersNotInitialized => "ContainersNotInitialized",
            Self::ContainersNotReady => "ContainersNotReady",
        }
    }
}

/// One condition as it was written last; its message follows from the containers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Condition {
    status: bool,
    why: Why,
    changed: Option<Second>,
}

impl Condition {
    fn set(&mut self, now: Timestamp, status: bool, why: Why) {
        if self.changed.is_none() || self.status != status {
            self.changed = Some(Second::of(now));
        }
        (self.status, self.why) = (status, why);
    }

    fn to_value(self, kind: &str, message: &str, generation: i64) -> Value {
        let mut map = Map::new();
        map.insert("type".to_owned(), json!(kind));
        map.insert("status".to_owned(), json!(if self.status { "True" } else { "False" }));
        map.insert("observedGeneration".to_owned(), json!(generation));
        map.insert("lastProbeTime".to_owned(), Value::Null);
        map.insert("lastTransitionTime".to_owned(), self.changed.map_or(Value::Null, |at| json!(at.text())));
        for (key, text) in [("reason", self.why.text()), ("message", message)] {
            if !text.is_empty() {
                map.insert(key.to_owned(), json!(text));
            }
        }
        Value::Object(map)
    }
}

/// The conditions a kubelet keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
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
            mine.changed = condition["lastTransitionTime"].as_str().and_then(time::parse).map(Second::of);
        }
        self.sandbox = true;
    }

    /// Works them out again.
    pub(super) fn update(&mut self, phase: &'static str, containers: &[Container], now: Timestamp) {
        self.has_sandbox.set(now, self.sandbox, Why::Nothing);
        let is_uninitialized = containers.iter().any(|c| c.spec.init && !c.lets_others_start());
        match phase {
            "Succeeded" => self.initialized.set(now, true, Why::PodCompleted),
            _ if is_uninitialized => self.initialized.set(now, false, Why::ContainersNotInitialized),
            _ => self.initialized.set(now, true, Why::Nothing),
        }
        let is_unready = containers.iter().any(|c| (!c.spec.init || c.spec.sidecar) && !c.ready);
        let (ready, why) = match phase {
            "Succeeded" => (false, Why::PodCompleted),
            "Failed" => (false, Why::PodFailed),
            _ if is_unready => (false, Why::ContainersNotReady),
            _ => (true, Why::Nothing),
        };
        self.ready.set(now, ready, why);
        self.containers_ready.set(now, ready, why);
    }

    /// Whether the pod is ready.
    pub(super) fn is_ready(&self) -> bool {
        self.ready.status
    }

    /// Since when the pod is ready, or is not.
    pub(super) fn ready_since(&self) -> Option<Timestamp> {
        self.ready.changed.map(Second::at)
    }

    /// `scheduled` is when the scheduler decided, as it wrote it.
    pub(super) fn to_value(
        self,
        scheduled: Option<&Arc<Value>>,
        started: Second,
        generation: i64,
        containers: &[ContainerStatus],
    ) -> Value {
        let uninitialized = if self.initialized.status {
            String::new()
        } else {
            let names = names(containers, |c| c.of.init && !c.lets_others_start);
            format!("containers with incomplete status: [{names}]")
        };
        let unready = if self.ready.why == Why::ContainersNotReady {
            let names = names(containers, |c| (!c.of.init || c.of.sidecar) && !c.ready);
            format!("containers with unready status: [{names}]")
        } else {
            String::new()
        };
        let placed = Condition { status: true, why: Why::Nothing, changed: Some(started) };
        let mut last = placed.to_value("PodScheduled", "", generation);
        if let Some(at) = scheduled {
            last["lastTransitionTime"] = (**at).clone();
        }
        Value::Array(vec![
            self.has_sandbox.to_value("PodReadyToStartContainers", "", generation),
            self.initialized.to_value("Initialized", &uninitialized, generation),
            self.ready.to_value("Ready", &unready, generation),
            self.containers_ready.to_value("ContainersReady", &unready, generation),
            last,
        ])
    }
}

fn names(containers: &[ContainerStatus], wanted: impl Fn(&ContainerStatus) -> bool) -> String {
    let names: Vec<&str> = containers.iter().filter(|c| wanted(c)).map(|c| &*c.of.name).collect();
    names.join(" ")
}
