//! The status of a pod as its kubelet writes it: the facts, and what they are in JSON.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::conditions::Conditions;
use super::container::{Container, Ended, Reason, State, id_of};
use super::image;
use super::pod::Pod;
use super::spec::Spec;
use crate::apps::Dice;
use crate::section::Facts;
use crate::time::{self, Second};

/// What a kubelet says of a pod. Controllers ask it directly; everybody else reads JSON.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PodStatus {
    settled: Arc<Settled>,
    phase: &'static str,
    generation: i64,
    conditions: Conditions,
    containers: Vec<ContainerStatus>,
    ip: Option<Arc<str>>,
}

/// What does not change any more once a kubelet has a pod.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Settled {
    /// Whether everything is told that today's kubelets tell.
    full: bool,
    host_ip: Arc<str>,
    started: Second,
    resources: Option<Arc<Value>>,
    allocated: Option<Arc<Value>>,
    by_others: ByOthers,
}

/// What others wrote, and what stays.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ByOthers {
    /// When the scheduler decided, as it wrote it.
    scheduled: Option<Arc<Value>>,
    qos: Arc<str>,
    fields: Vec<(&'static str, Arc<Value>)>,
}

/// What a kubelet says of one container.
#[derive(Debug, Clone)]
pub(super) struct ContainerStatus {
    pub(super) of: Arc<Spec>,
    /// What its id is made from.
    dice: Dice,
    /// How often it was made.
    starts: u32,
    pub(super) ready: bool,
    started: bool,
    /// Whether the containers after this init container may start.
    pub(super) lets_others_start: bool,
    state: Shown,
    last: Option<Arc<Ended>>,
}

/// `state` of a container.
#[derive(Debug, Clone, PartialEq)]
enum Shown {
    Running(Second),
    Waiting(Arc<Reason>),
    /// It has not had its turn.
    Next,
    Ended(Arc<Ended>),
}

impl PartialEq for ContainerStatus {
    fn eq(&self, other: &Self) -> bool {
        // What a container is does not change in a pod's life, nor what its ids are made from.
        Arc::ptr_eq(&self.of, &other.of)
            && (self.starts, self.ready, self.started) == (other.starts, other.ready, other.started)
            && self.lets_others_start == other.lets_others_start
            && self.state == other.state
            && self.last == other.last
    }
}

impl PodStatus {
    pub(crate) fn phase(&self) -> &'static str {
        self.phase
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.conditions.is_ready()
    }

    /// Since when the pod is ready, or is not.
    pub(crate) fn ready_since(&self) -> Option<Timestamp> {
        self.conditions.ready_since()
    }

    pub(crate) fn ip(&self) -> Option<&Arc<str>> {
        self.ip.as_ref()
    }

    /// Why containers wait; init containers aside.
    pub(crate) fn waiting_reasons(&self) -> impl Iterator<Item = &str> {
        let next = self.reason_of_next();
        self.containers.iter().filter(|c| !c.of.init).filter_map(move |container| match &container.state {
            Shown::Waiting(shown) => Some(shown.reason),
            Shown::Next => Some(next),
            Shown::Running(_) | Shown::Ended(_) => None,
        })
    }

    /// Why a container waits that has not had its turn.
    fn reason_of_next(&self) -> &'static str {
        let has_init = self.containers.iter().any(|c| c.of.init);
        if has_init { "PodInitializing" } else { "ContainerCreating" }
    }

    /// How often containers were started again, at most.
    pub(crate) fn restarts(&self) -> i64 {
        self.containers.iter().map(|c| i64::from(c.restarts())).max().unwrap_or(0)
    }
}

impl Pod {
    /// The whole status.
    pub(super) fn status(&mut self, conditions: Conditions, full: bool) -> PodStatus {
        let settled = self.settled(full);
        self.settled = Some(Arc::clone(&settled));
        PodStatus {
            settled,
            phase: self.phase(),
            generation: self.object.generation(),
            conditions,
            containers: self.containers.iter().map(Container::status).collect(),
            ip: self.ip.clone(),
        }
    }

    fn settled(&self, full: bool) -> Arc<Settled> {
        let stored = self.object.facts::<PodStatus>("status").map(|status| &status.settled);
        let own = self.settled.as_ref();
        if let Some(same) = own.filter(|own| stored.is_some_and(|stored| Arc::ptr_eq(own, stored))) {
            return Arc::clone(same);
        }
        Arc::new(Settled {
            full,
            host_ip: Arc::clone(&self.host_ip),
            started: self.started,
            resources: self.resources.clone(),
            allocated: self.allocated.clone(),
            by_others: stored.map_or_else(|| self.said_by_others(), |stored| stored.by_others.clone()),
        })
    }

    /// What stays of a status that another one wrote.
    fn said_by_others(&self) -> ByOthers {
        let old = |field: &str| self.object.field("status", field);
        let scheduled = self.object.condition("PodScheduled");
        let scheduled = scheduled.filter(|c| c["status"] == "True").map(|c| &c["lastTransitionTime"]);
        let qos = old("qosClass").as_str().unwrap_or_else(|| self.qos());
        let fields = ["nominatedNodeName", "resourceClaimStatuses"].into_iter();
        let fields = fields.filter(|key| !old(key).is_null()).map(|key| (key, Arc::new(old(key).clone())));
        let scheduled = scheduled.cloned().map(Arc::new);
        ByOthers { scheduled, qos: Arc::from(qos), fields: fields.collect() }
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
fn reduce(status: &mut Value) {
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
    fn status(&self) -> ContainerStatus {
        let (state, last) = match (&self.state, &self.shown, &self.ended) {
            (State::Running { since } | State::Stopping { since, .. }, ..) => {
                (Shown::Running(Second::of(*since)), &self.ended)
            }
            (_, Some(shown), _) => (Shown::Waiting(Arc::clone(shown)), &self.ended),
            (_, None, Some(ended)) => (Shown::Ended(Arc::clone(ended)), &self.before),
            (_, None, None) => (Shown::Next, &None),
        };
        ContainerStatus {
            of: Arc::clone(&self.spec),
            dice: self.dice,
            starts: self.starts,
            ready: self.ready,
            started: self.started,
            lets_others_start: self.lets_others_start(),
            state,
            last: last.clone(),
        }
    }
}

impl Facts for PodStatus {
    fn mark(&self) -> &'static str {
        "hostIP"
    }

    fn to_value(&self) -> Value {
        let mut map = Map::new();
        let mut put = |key: &str, value: Value| drop(map.insert(key.to_owned(), value));
        put("phase", json!(self.phase));
        let settled = &self.settled;
        let (conditions, by_others) = (self.conditions, &settled.by_others);
        let scheduled = by_others.scheduled.as_ref();
        put("conditions", conditions.to_value(scheduled, settled.started, self.generation, &self.containers));
        let waiting = self.reason_of_next();
        for (key, init) in [("initContainerStatuses", true), ("containerStatuses", false)] {
            let list = self.containers.iter().filter(|c| c.of.init == init);
            let list: Vec<_> = list.map(|c| c.to_value(waiting)).collect();
            if !list.is_empty() {
                put(key, Value::Array(list));
            }
        }
        put("hostIP", json!(&*settled.host_ip));
        put("hostIPs", json!([{"ip": &*settled.host_ip}]));
        put("observedGeneration", json!(self.generation));
        put("startTime", json!(settled.started.text()));
        put("qosClass", json!(&*by_others.qos));
        if let Some(ip) = &self.ip {
            put("podIP", json!(&**ip));
            put("podIPs", json!([{"ip": &**ip}]));
        }
        let sums = [("resources", &settled.resources), ("allocatedResources", &settled.allocated)];
        let sums = sums.into_iter().filter_map(|(key, sum)| Some((key, sum.as_ref()?)));
        for (key, value) in sums.chain(by_others.fields.iter().map(|(key, value)| (*key, value))) {
            put(key, (**value).clone());
        }
        let mut status = Value::Object(map);
        if !settled.full {
            reduce(&mut status);
        }
        status
    }
}

impl ContainerStatus {
    fn restarts(&self) -> u32 {
        self.starts.saturating_sub(1)
    }

    fn to_value(&self, waiting: &str) -> Value {
        let mut map = Map::new();
        let mut put = |key: &str, value: Value| drop(map.insert(key.to_owned(), value));
        put("name", json!(&*self.of.name));
        put("ready", json!(self.ready));
        put("started", json!(self.started));
        put("restartCount", json!(self.restarts()));
        let state = match &self.state {
            Shown::Running(since) => json!({"running": {"startedAt": since.text()}}),
            Shown::Waiting(shown) => {
                let mut reason = json!({"reason": shown.reason});
                let message = shown.message.text();
                if !message.is_empty() {
                    reason["message"] = json!(message);
                }
                json!({"waiting": reason})
            }
            Shown::Next => json!({"waiting": {"reason": waiting}}),
            Shown::Ended(ended) => terminated(ended),
        };
        put("state", state);
        put("lastState", self.last.as_deref().map_or_else(|| json!({}), terminated));
        if self.starts > 0 {
            let (image, id) = image::identity(&self.of.image, &self.of.script);
            put("image", json!(image));
            put("imageID", json!(id));
            put("containerID", json!(id_of(self.dice, self.starts)));
            if !self.of.allocated.is_null() {
                put("allocatedResources", self.of.allocated.clone());
            }
            if self.of.resources.is_object() {
                put("resources", self.of.resources.clone());
            }
        } else {
            put("image", json!(self.of.image));
            put("imageID", json!(""));
        }
        if self.of.mounts.as_array().is_some_and(|mounts| !mounts.is_empty()) {
            put("volumeMounts", self.of.mounts.clone());
        }
        Value::Object(map)
    }
}

fn terminated(ended: &Ended) -> Value {
    let started = ended.started.unwrap_or(Timestamp::UNIX_EPOCH);
    let mut state = json!({
        "exitCode": ended.code,
        "reason": ended.reason,
        "startedAt": time::seconds(started),
        "finishedAt": time::seconds(ended.finished),
        "containerID": ended.id.text(),
    });
    if let Some(message) = &ended.message {
        state["message"] = json!(message);
    }
    json!({"terminated": state})
}
