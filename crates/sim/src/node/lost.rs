//! Nodes that stop answering, and come back: what happens to them and to their pods.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Nodes;
use super::machine::Silence;
use super::pod::Pod;
use crate::object::Object;
use crate::resource::PODS;
use crate::server::{ApiServer, By, DeleteOptions};
use crate::time;

impl Nodes {
    /// From now on a node neither answers nor writes.
    pub fn lose(&mut self, server: &mut ApiServer, now: Timestamp, node: &str) {
        if let Some(machine) = self.machines.get_mut(node)
            && machine.silence == Silence::None
        {
            machine.silence = Silence::Since(now);
            self.any_is_silent = true;
            self.machines_due = None;
            self.rested = None;
            self.touch_pods_of(server, now, node, |_, _| ());
        }
    }

    /// A lost node answers again: it ends the pods that were deleted meanwhile and goes on with the others.
    pub fn bring_back(&mut self, server: &mut ApiServer, now: Timestamp, node: &str) {
        let Some(machine) = self.machines.get_mut(node).filter(|m| m.silence != Silence::None) else {
            return;
        };
        machine.is_back(server, now);
        self.any_is_silent = self.machines.values().any(|machine| machine.silence != Silence::None);
        self.machines_due = None;
        self.rested = None;
        self.touch_pods_of(server, now, node, |pod, around| {
            if pod.object.is_terminating() {
                pod.stop(around);
            } else {
                pod.step(around);
                pod.publish(around);
            }
        });
    }

    /// The names of all nodes.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.machines.keys().map(|name| &**name)
    }

    fn touch_pods_of(
        &mut self,
        server: &mut ApiServer,
        now: Timestamp,
        node: &str,
        act: impl Fn(&mut Pod, &mut super::pod::Around<'_>),
    ) {
        let keys: Vec<_> =
            self.pods.iter().filter(|(_, pod)| &*pod.node == node).map(|(key, _)| key).collect();
        for key in keys {
            self.with_pod(server, now, key, &act);
        }
    }

    /// What the control plane does about silent nodes.
    pub(super) fn mind_silence(&mut self, server: &mut ApiServer, now: Timestamp) {
        for (node, lost) in self.faults.nodes(now, self.machines.keys(), &mut self.notes) {
            if lost { self.lose(server, now, &node) } else { self.bring_back(server, now, &node) }
        }
        let due = self.machines.values().filter(|m| m.due().is_some_and(|due| due <= now));
        let due: Vec<_> = due.map(|m| (Arc::clone(&m.name), m.silence)).collect();
        for (node, silence) in due {
            let pods = self.pods.iter().filter(|(_, pod)| pod.node == node && !pod.has_ended());
            let pods: Vec<_> = pods.map(|(_, pod)| Arc::clone(&pod.object)).collect();
            let Some(machine) = self.machines.get_mut(&node) else { continue };
            if let Silence::Since(since) = silence {
                machine.silence = Silence::Noticed(since);
                machine.is_unreachable(server, now);
                for pod in &pods {
                    mark_unready(server, now, pod);
                }
            } else {
                machine.silence = Silence::Evicted;
                for pod in pods.iter().filter(|pod| !pod.is_terminating()) {
                    let (options, by) = (DeleteOptions::default(), By::nobody());
                    drop(server.delete(now, &PODS, pod.namespace(), pod.name(), &options, &by));
                }
            }
        }
    }
}

/// A pod of a silent node counts as not ready; what its containers do is not known.
fn mark_unready(server: &mut ApiServer, now: Timestamp, pod: &Object) {
    let mut status = pod["status"].clone();
    for condition in status["conditions"].as_array_mut().into_iter().flatten() {
        if condition["type"] == "Ready" && condition["status"] == "True" {
            condition["status"] = json!("False");
            condition["lastTransitionTime"] = Value::String(time::seconds(now));
        }
    }
    drop(server.update_status(now, &PODS, pod.namespace(), pod.name(), status, &By::nobody()));
}
