//! The status of a pod as its kubelet writes it.

use serde_json::{Map, Value, json};

use super::conditions::Conditions;
use super::container::{Container, Ended, State};
use super::image;
use super::pod::Pod;
use crate::time;

impl Pod {
    /// The whole status.
    pub(super) fn status(&self, conditions: &Conditions) -> Value {
        let generation = self.object.generation();
        let old = &self.object["status"];
        let mut map = Map::new();
        let mut put = |key: &str, value: Value| drop(map.insert(key.to_owned(), value));
        put("phase", json!(self.phase()));
        put("conditions", conditions.to_value(self.scheduled(), &self.started, generation));
        let has_init = self.containers.iter().any(|c| c.spec.init);
        let waiting = if has_init { "PodInitializing" } else { "ContainerCreating" };
        for (key, init) in [("initContainerStatuses", true), ("containerStatuses", false)] {
            let list = self.containers.iter().filter(|c| c.spec.init == init);
            let list: Vec<_> = list.map(|c| c.status(waiting)).collect();
            if !list.is_empty() {
                put(key, Value::Array(list));
            }
        }
        put("hostIP", json!(&*self.host_ip));
        put("hostIPs", json!([{"ip": &*self.host_ip}]));
        put("observedGeneration", json!(generation));
        put("startTime", json!(self.started));
        let qos = old["qosClass"].as_str();
        put("qosClass", json!(qos.unwrap_or_else(|| self.qos())));
        if let Some(ip) = &self.ip {
            put("podIP", json!(&**ip));
            put("podIPs", json!([{"ip": &**ip}]));
        }
        if let Some(resources) = &self.resources {
            put("resources", resources.clone());
        }
        if let Some(allocated) = &self.allocated {
            put("allocatedResources", allocated.clone());
        }
        for key in ["nominatedNodeName", "resourceClaimStatuses"] {
            if !old[key].is_null() {
                put(key, old[key].clone());
            }
        }
        Value::Object(map)
    }

    /// Guaranteed: limits for processor and memory of every container, equal to the requests. `BestEffort`: neither.
    fn qos(&self) -> &'static str {
        let mut any = false;
        let mut all = true;
        for container in &self.containers {
            let (requests, limits) =
                (&container.spec.resources["requests"], &container.spec.resources["limits"]);
            for name in ["cpu", "memory"] {
                any |= !requests[name].is_null() || !limits[name].is_null();
                let equal = requests[name].is_null() || requests[name] == limits[name];
                all &= !limits[name].is_null() && equal;
            }
        }
        match (any, all) {
            (false, _) => "BestEffort",
            (true, true) => "Guaranteed",
            (true, false) => "Burstable",
        }
    }
}

/// What kubelets wrote before 1.28.
pub(super) fn reduce(status: &mut Value) {
    let Some(map) = status.as_object_mut() else { return };
    for key in ["hostIPs", "observedGeneration", "resources", "allocatedResources"] {
        map.remove(key);
    }
    if let Some(Value::Array(conditions)) = map.get_mut("conditions") {
        conditions.retain(|condition| condition["type"] != "PodReadyToStartContainers");
        for condition in conditions.iter_mut().filter_map(Value::as_object_mut) {
            condition.remove("observedGeneration");
        }
    }
    for list in ["initContainerStatuses", "containerStatuses"] {
        for container in map.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(container) = container.as_object_mut() {
                for key in ["resources", "allocatedResources", "volumeMounts"] {
                    container.remove(key);
                }
            }
        }
    }
}

impl Container {
    fn status(&self, waiting: &str) -> Value {
        let mut map = Map::new();
        let mut put = |key: &str, value: Value| drop(map.insert(key.to_owned(), value));
        let made = self.starts > 0;
        put("name", json!(self.spec.name));
        put("ready", json!(self.ready));
        put("started", json!(self.started));
        put("restartCount", json!(self.restarts()));
        let (state, last) = self.states(waiting);
        put("state", state);
        put("lastState", last);
        if made {
            let (image, id) = image::identity(&self.spec.image, &self.spec.script);
            put("image", json!(image));
            put("imageID", json!(id));
            put("containerID", json!(self.id()));
            if !self.spec.allocated.is_null() {
                put("allocatedResources", self.spec.allocated.clone());
            }
            if self.spec.resources.is_object() {
                put("resources", self.spec.resources.clone());
            }
        } else {
            put("image", json!(self.spec.image));
            put("imageID", json!(""));
        }
        if self.spec.mounts.as_array().is_some_and(|mounts| !mounts.is_empty()) {
            put("volumeMounts", self.spec.mounts.clone());
        }
        Value::Object(map)
    }

    /// `state` and `lastState`.
    fn states(&self, waiting: &str) -> (Value, Value) {
        let last = |ended: &Option<Ended>| ended.as_ref().map_or_else(|| json!({}), terminated);
        match (&self.state, &self.shown, &self.ended) {
            (State::Running { since } | State::Stopping { since, .. }, ..) => {
                (json!({"running": {"startedAt": time::seconds(*since)}}), last(&self.ended))
            }
            (_, Some(shown), _) => {
                let mut reason = json!({"reason": shown.reason});
                if !shown.message.is_empty() {
                    reason["message"] = json!(shown.message);
                }
                (json!({"waiting": reason}), last(&self.ended))
            }
            (_, None, Some(ended)) => (terminated(ended), last(&self.before)),
            (_, None, None) => (json!({"waiting": {"reason": waiting}}), json!({})),
        }
    }
}

fn terminated(ended: &Ended) -> Value {
    let started = ended.started.unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let mut state = json!({
        "exitCode": ended.code,
        "reason": ended.reason,
        "startedAt": time::seconds(started),
        "finishedAt": time::seconds(ended.finished),
        "containerID": ended.id,
    });
    if let Some(message) = &ended.message {
        state["message"] = json!(message);
    }
    json!({"terminated": state})
}
