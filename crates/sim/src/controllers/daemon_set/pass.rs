//! One look at one DaemonSet.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::controllers::events::{Recorder, Tone};
use crate::controllers::pods::{self, Availability};
use crate::controllers::queue::Outcome;
use crate::controllers::read::{count, items, share, size, text};
use crate::controllers::revisions::{self, OF_POD};
use crate::controllers::scheduler::Room;
use crate::controllers::write::{self, Refused, unless_zero};
use crate::object::Object;
use crate::resource::NODES;
use crate::server::ApiServer;

/// What the pods of a DaemonSet put up with, whatever their template says.
const TOLERATED: &[(&str, &str)] = &[
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];

pub(super) struct Pass<'a> {
    server: &'a mut ApiServer,
    events: &'a mut Recorder,
    now: Timestamp,
    set: Arc<Object>,
    hash: String,
    again: Option<Timestamp>,
}

impl<'a> Pass<'a> {
    pub(super) fn run(
        server: &'a mut ApiServer,
        events: &'a mut Recorder,
        now: Timestamp,
        set: Arc<Object>,
    ) -> Outcome {
        let all = revisions::record(server, now, &set);
        let Some(hash) = all.last().map(|r| revisions::hash(r).to_owned()) else { return Outcome::Failed };
        let mut pass = Self { server, events, now, set, hash, again: None };
        let suiting = pass.suiting();
        let result = pass.manage(&suiting).and_then(|()| pass.replace(&suiting));
        pass.write_status(&suiting);
        let uid = pass.set.uid();
        let used: Vec<String> = pods::controlled_by(pass.server.store(), uid)
            .filter_map(|pod| pod.label(OF_POD).map(str::to_owned))
            .chain([pass.hash.clone()])
            .collect();
        revisions::truncate(pass.server, now, &pass.set, &all, |r| {
            used.iter().any(|u| u == revisions::hash(r))
        });
        if result.is_err() { Outcome::Failed } else { Outcome::at(pass.again) }
    }

    /// The nodes that should have a pod.
    fn suiting(&self) -> Vec<String> {
        let spec = &self.set["spec"]["template"]["spec"];
        let mut spec = json!({
            "nodeSelector": spec["nodeSelector"],
            "affinity": spec["affinity"],
            "tolerations": spec["tolerations"],
        });
        tolerate(&mut spec);
        let nodes = self.server.store().list(&NODES, None);
        nodes.filter(|node| Room::new(node).suits(&spec)).map(|node| node.name().to_owned()).collect()
    }

    /// The pods by node, oldest first.
    fn pods(&self) -> BTreeMap<String, Vec<Arc<Object>>> {
        let mut by_node: BTreeMap<String, Vec<Arc<Object>>> = BTreeMap::new();
        for pod in pods::controlled_by(self.server.store(), self.set.uid()) {
            by_node.entry(node_of(pod).to_owned()).or_default().push(Arc::clone(pod));
        }
        for pods in by_node.values_mut() {
            let age = |pod: &Object| text(&pod["metadata"]["creationTimestamp"]).to_owned();
            pods.sort_by_key(|pod| (age(pod), pod.name().to_owned()));
        }
        by_node
    }

    fn is_available(&mut self, pod: &Object) -> bool {
        match pods::availability(pod, count(&self.set["spec"]["minReadySeconds"]), self.now) {
            Availability::Yes => true,
            Availability::No => false,
            Availability::At(at) => {
                self.again = Some(self.again.map_or(at, |a| a.min(at)));
                false
            }
        }
    }

    /// A pod where there is none, none where there should not be one.
    fn manage(&mut self, suiting: &[String]) -> Result<(), Refused> {
        let mut there = self.pods();
        for node in suiting {
            let mut alive = 0;
            for pod in there.remove(node).unwrap_or_default() {
                if pod.is_terminating() {
                    // Its place is taken until it is gone.
                    alive += 1;
                } else if pods::phase(&pod) == "Failed" {
                    let message = format!(
                        "Found failed daemon pod {}/{} on node {node}, will try to kill it",
                        pod.namespace(),
                        pod.name()
                    );
                    self.tell(Tone::Warning, "FailedDaemonPod", &message);
                    self.delete(&pod)?;
                } else if alive > 0 {
                    self.delete(&pod)?;
                } else {
                    alive += 1;
                }
            }
            if alive == 0 {
                self.create(node)?;
            }
        }
        for pod in there.into_values().flatten().filter(|pod| !pod.is_terminating()) {
            self.delete(&pod)?;
        }
        Ok(())
    }

    /// Deletes pods of older templates, as many as may be unavailable.
    fn replace(&mut self, suiting: &[String]) -> Result<(), Refused> {
        let strategy = &self.set["spec"]["updateStrategy"];
        if strategy["type"] == "OnDelete" {
            return Ok(());
        }
        let most = match &strategy["rollingUpdate"]["maxUnavailable"] {
            Value::Null => 1,
            amount => share(amount, i64::try_from(suiting.len()).unwrap_or(i64::MAX), true).max(1),
        };
        let there = self.pods();
        let (mut unavailable, mut broken, mut candidates) = (0, Vec::new(), Vec::new());
        for node in suiting {
            let pods = there.get(node).map(Vec::as_slice).unwrap_or_default();
            let is_new = |pod: &Object| pod.label(OF_POD) == Some(&self.hash);
            let new = pods.iter().find(|pod| is_new(pod) && !pod.is_terminating());
            let old = pods.iter().find(|pod| !is_new(pod));
            match (new, old) {
                (Some(new), _) => unavailable += i64::from(!self.is_available(new)),
                (None, None) => unavailable += 1,
                (None, Some(old)) if old.is_terminating() => unavailable += 1,
                (None, Some(old)) if !self.is_available(old) => {
                    unavailable += 1;
                    broken.push(Arc::clone(old));
                }
                (None, Some(old)) => candidates.push(Arc::clone(old)),
            }
        }
        candidates.truncate(size(most - unavailable));
        for pod in broken.into_iter().chain(candidates) {
            self.delete(&pod)?;
        }
        Ok(())
    }

    fn create(&mut self, node: &str) -> Result<(), Refused> {
        let set = Arc::clone(&self.set);
        let mut pod = write::pod_from_template(&set, &set["spec"]["template"]);
        pod["metadata"]["labels"][OF_POD] = json!(self.hash);
        pod["metadata"]["labels"]["pod-template-generation"] = json!(set.generation().max(1).to_string());
        tolerate(&mut pod["spec"]);
        let here = json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]});
        pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] =
            json!({"nodeSelectorTerms": [here]});
        write::create_pod_and_tell(self.server, self.now, self.events, &set, pod)
    }

    fn delete(&mut self, pod: &Object) -> Result<(), Refused> {
        let set = Arc::clone(&self.set);
        write::delete_pod_and_tell(self.server, self.now, self.events, &set, pod)
    }

    fn tell(&mut self, tone: Tone, reason: &'static str, message: &str) {
        let set = Arc::clone(&self.set);
        self.events.record(self.server, self.now, &set, tone, reason, message);
    }

    fn write_status(&mut self, suiting: &[String]) {
        let there = self.pods();
        let (mut scheduled, mut ready, mut available, mut updated, mut astray) = (0, 0, 0, 0, 0);
        for (node, pods) in &there {
            let alive = || pods.iter().filter(|pod| !pod.is_terminating());
            if !suiting.contains(node) {
                astray += i64::from(alive().next().is_some());
                continue;
            }
            let Some(pod) = alive().next() else { continue };
            scheduled += 1;
            updated += i64::from(pod.label(OF_POD) == Some(&self.hash));
            ready += i64::from(pods::is_ready(pod));
            available += i64::from(self.is_available(pod));
        }
        let desired = i64::try_from(suiting.len()).unwrap_or(i64::MAX);
        let status = json!({
            "currentNumberScheduled": scheduled,
            "desiredNumberScheduled": desired,
            "numberMisscheduled": astray,
            "numberReady": ready,
            "numberAvailable": unless_zero(available),
            "numberUnavailable": unless_zero(desired - available),
            "updatedNumberScheduled": unless_zero(updated),
            "observedGeneration": self.set.generation(),
        });
        write::status(self.server, self.now, &self.set, status);
    }
}

fn tolerate(spec: &mut Value) {
    let mut list: Vec<Value> = items(&spec["tolerations"]).cloned().collect();
    for (key, effect) in TOLERATED {
        let toleration = json!({"key": key, "operator": "Exists", "effect": effect});
        if !list.contains(&toleration) {
            list.push(toleration);
        }
    }
    spec["tolerations"] = Value::Array(list);
}

/// The node a pod is on or made for.
fn node_of(pod: &Object) -> &str {
    let spec = &pod["spec"];
    if let Some(node) = spec["nodeName"].as_str().filter(|node| !node.is_empty()) {
        return node;
    }
    let required = &spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    text(&required["nodeSelectorTerms"][0]["matchFields"][0]["values"][0])
}
