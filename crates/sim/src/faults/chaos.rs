//! Somebody in the cluster who does what hurts: drains nodes, scales Deployments, leaves finalizers behind.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{FaultKind, Faults, Note, note};
use crate::actor::Actor;
use crate::object::Object;
use crate::resource::{DEPLOYMENTS, NODES, PODS, Resource};
use crate::server::{ApiServer, By, DeleteOptions};

/// The finalizer of pods that get stuck.
const FINALIZER: &str = "release-sim/stuck";

/// How often the evictions of a drain are tried.
const EVICT_EVERY: Duration = Duration::from_secs(5);

/// One thing that is done once.
#[derive(Debug, Clone)]
enum Deed {
    Cordon,
    Evict,
    Uncordon,
    Scale(u32),
    Unstick,
}

/// Does the deeds of a plan at their moments.
#[derive(Debug)]
pub struct Chaos {
    faults: Faults,
    /// What is to be done, by time; names of the objects it is done to.
    deeds: Vec<(Timestamp, usize, String, String, Deed)>,
    seen: u64,
    notes: Vec<Note>,
}

impl Chaos {
    /// Somebody who follows a plan.
    pub fn new(faults: Faults) -> Self {
        Self { faults, deeds: Vec::new(), seen: 1, notes: Vec::new() }
    }

    /// What was done since the last time somebody asked.
    pub fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    /// Plans what is to be done to objects nobody has seen before.
    fn watch(&mut self, server: &mut ApiServer, now: Timestamp) {
        for resource in [&NODES, &DEPLOYMENTS, &PODS] {
            let added: Vec<Arc<Object>> = match server.store().changes(resource, self.seen) {
                Ok(changes) => {
                    let added = changes.filter(|change| change.before.is_none());
                    added.map(|change| Arc::clone(&change.object)).collect()
                }
                Err(_) => Vec::new(),
            };
            for object in added {
                self.plan(server, now, resource, &object);
            }
        }
        self.seen = server.store().revision();
    }

    fn plan(&mut self, server: &mut ApiServer, now: Timestamp, resource: &Resource, object: &Object) {
        let (namespace, name) = (object.namespace().to_owned(), object.name().to_owned());
        for at in 0..self.faults.plan.len() {
            let fault = self.faults.plan[at].clone();
            let subject = if *resource == NODES { object.name() } else { object.uid() };
            if !self.faults.hits(at, &fault, subject, &namespace, &name) {
                continue;
            }
            let mut put = |when: Timestamp, deed: Deed| {
                self.deeds.push((when, at, namespace.clone(), name.clone(), deed));
            };
            match fault.fault {
                FaultKind::Drain { lasts } if *resource == NODES => {
                    let (begins, ends) = self.faults.window(at, subject, lasts.least);
                    put(begins, Deed::Cordon);
                    let mut when = begins;
                    while when < ends {
                        put(when, Deed::Evict);
                        when += EVICT_EVERY;
                    }
                    put(ends, Deed::Uncordon);
                }
                FaultKind::Scale { to } if *resource == DEPLOYMENTS => {
                    let (begins, _) = self.faults.window(at, subject, Duration::ZERO);
                    put(begins.max(now), Deed::Scale(to));
                }
                FaultKind::StuckFinalizer { lasts }
                    if *resource == PODS && self.faults.is_open(&fault, now) =>
                {
                    put(now + lasts.draw(self.faults.dice(at, subject), 2), Deed::Unstick);
                    self.notes.push(note(now, &fault, format!("pod {namespace}/{name}")));
                    edit_finalizers(server, now, &namespace, &name, true);
                }
                _ => {}
            }
        }
        self.deeds.sort_by(|a, b| (a.0, a.1, &a.2, &a.3).cmp(&(b.0, b.1, &b.2, &b.3)));
    }

    fn act_on(
        &mut self,
        server: &mut ApiServer,
        now: Timestamp,
        at: usize,
        place: (&str, &str),
        deed: &Deed,
    ) {
        let (namespace, name) = place;
        let by = By::manager("chaos");
        match deed {
            Deed::Cordon => {
                let cordon = |node: &mut Value| node["spec"]["unschedulable"] = json!(true);
                drop(server.edit(now, &NODES, "", name, &by, cordon));
            }
            Deed::Evict => {
                let on_it = |pod: &&Arc<Object>| pod["spec"]["nodeName"] == name && !pod.is_terminating();
                let pods: Vec<_> = server.store().list(&PODS, None).filter(on_it).cloned().collect();
                for pod in pods {
                    let options = DeleteOptions::default();
                    // A budget may forbid it for now.
                    drop(server.evict(now, pod.namespace(), pod.name(), &options, &by));
                }
                return;
            }
            Deed::Uncordon => {
                let uncordon = |node: &mut Value| {
                    if let Some(spec) = node["spec"].as_object_mut() {
                        spec.remove("unschedulable");
                    }
                };
                drop(server.edit(now, &NODES, "", name, &by, uncordon));
                return;
            }
            Deed::Scale(to) => {
                let scale = |deployment: &mut Value| deployment["spec"]["replicas"] = json!(to);
                drop(server.edit(now, &DEPLOYMENTS, namespace, name, &by, scale));
            }
            Deed::Unstick => return edit_finalizers(server, now, namespace, name, false),
        }
        let kind = if matches!(deed, Deed::Scale(_)) { "deployment" } else { "node" };
        let target = if namespace.is_empty() {
            format!("{kind} {name}")
        } else {
            format!("{kind} {namespace}/{name}")
        };
        self.notes.push(note(now, &self.faults.plan[at], target));
    }
}

impl Actor for Chaos {
    fn act(&mut self, server: &mut ApiServer, now: Timestamp) -> Option<Timestamp> {
        if self.faults.plan.is_empty() {
            return None;
        }
        self.watch(server, now);
        let due = self.deeds.partition_point(|(when, ..)| *when <= now);
        for (_, at, namespace, name, deed) in self.deeds.drain(..due).collect::<Vec<_>>() {
            self.act_on(server, now, at, (&namespace, &name), &deed);
        }
        self.deeds.first().map(|(when, ..)| *when)
    }
}

fn edit_finalizers(server: &mut ApiServer, now: Timestamp, namespace: &str, name: &str, add: bool) {
    let edit = |pod: &mut Value| {
        let old = pod["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
        let mut new: Vec<_> = old.into_iter().filter(|f| f != FINALIZER).collect();
        if add {
            new.push(json!(FINALIZER));
        }
        pod["metadata"]["finalizers"] = Value::Array(new);
    };
    drop(server.edit(now, &PODS, namespace, name, &By::manager("chaos"), edit));
}
