//! Somebody in the cluster who does what hurts: drains nodes, scales Deployments, leaves finalizers behind, edits and
//! deletes what others made.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::foreign::{self, Act};
use super::{API_SERVERS, Fault, FaultKind, Faults, Note, note};
use crate::actor::Actor;
use crate::object::Object;
use crate::resource::{DEPLOYMENTS, NAMESPACES, NODES, PODS, Resource};
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
    Foreign(Resource, Act),
    EndNamespace,
    /// Nothing but to say that the API servers' clock is wrong from now on.
    Skew,
}

impl Deed {
    /// What it is done to.
    fn kind(&self) -> &str {
        match self {
            Deed::Cordon | Deed::Evict | Deed::Uncordon => "node",
            Deed::Scale(_) => "deployment",
            Deed::Unstick => "pod",
            Deed::EndNamespace => "namespace",
            // In the singular, as everywhere in the trace.
            Deed::Foreign(resource, _) => resource.plural.strip_suffix('s').unwrap_or(&resource.plural),
            Deed::Skew => "",
        }
    }
}

/// What somebody else does, if that is what a fault is about.
fn act_of(fault: &FaultKind) -> Option<Act> {
    match fault {
        FaultKind::ForeignEdit => Some(Act::Edit),
        FaultKind::ForeignDelete => Some(Act::Delete),
        FaultKind::ForeignApply => Some(Act::Apply),
        _ => None,
    }
}

/// Does the deeds of a plan at their moments.
#[derive(Debug)]
pub struct Chaos {
    faults: Faults,
    /// What is to be done, by time; names of the objects it is done to.
    deeds: Vec<(Timestamp, usize, String, String, Deed)>,
    seen: u64,
    /// Whether what happens to no object is planned.
    planned: bool,
    notes: Vec<Note>,
}

impl Chaos {
    /// Somebody who follows a plan.
    pub fn new(faults: Faults) -> Self {
        Self { faults, deeds: Vec::new(), seen: 1, planned: false, notes: Vec::new() }
    }

    /// Follows another plan from now on, also with what is there already. What the plan before had still to do is not done.
    pub fn begin(&mut self, server: &mut ApiServer, now: Timestamp, plan: &[Fault]) {
        // The deeds of the plan before name faults by their places in it.
        self.deeds.clear();
        self.faults.begin(now, plan);
        self.planned = false;
        // Pods get their finalizers when they are made.
        for resource in self.resources(server).into_iter().filter(|resource| *resource != PODS) {
            let there: Vec<Arc<Object>> = server.store().list(&resource, None).cloned().collect();
            for object in there {
                self.plan(server, now, &resource, &object);
            }
        }
        self.seen = server.store().revision();
    }

    /// What was done since the last time somebody asked.
    pub fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    /// Plans what is to be done to objects nobody has seen before.
    fn watch(&mut self, server: &mut ApiServer, now: Timestamp) {
        if server.store().revision() == self.seen {
            return;
        }
        for resource in self.resources(server) {
            let added: Vec<Arc<Object>> = match server.store().changes(&resource, self.seen) {
                Ok(changes) => {
                    let added = changes.filter(|change| change.before.is_none());
                    added.map(|change| Arc::clone(&change.object)).collect()
                }
                Err(_) => Vec::new(),
            };
            for object in added {
                self.plan(server, now, &resource, &object);
            }
        }
        self.seen = server.store().revision();
    }

    /// The kinds of objects that something can be done to.
    fn resources(&self, server: &ApiServer) -> Vec<Resource> {
        let named = self.faults.plan.iter().filter(|fault| act_of(&fault.fault).is_some());
        let named = named.filter_map(|fault| fault.target.resource.as_deref());
        let kinds = server.kinds();
        let named = named.flat_map(|plural| kinds.iter().filter(move |kind| kind.resource.plural == plural));
        let mut all = [&NODES, &DEPLOYMENTS, &PODS, &NAMESPACES].map(Clone::clone).to_vec();
        for resource in named.map(|kind| kind.resource.clone()) {
            if !all.contains(&resource) {
                all.push(resource);
            }
        }
        all
    }

    /// Plans what happens to no object.
    fn plan_at_large(&mut self) {
        if std::mem::replace(&mut self.planned, true) {
            return;
        }
        for (at, fault) in self.faults.iter() {
            let is_skew = matches!(fault.fault, FaultKind::ClockSkew { .. });
            if is_skew && self.faults.hits(at, fault, API_SERVERS, "", API_SERVERS) {
                let (begins, _) = self.faults.open(fault);
                self.deeds.push((begins, at, String::new(), API_SERVERS.to_owned(), Deed::Skew));
            }
        }
        self.sort();
    }

    fn sort(&mut self) {
        self.deeds.sort_by(|a, b| (a.0, a.1, &a.2, &a.3).cmp(&(b.0, b.1, &b.2, &b.3)));
    }

    fn plan(&mut self, server: &mut ApiServer, now: Timestamp, resource: &Resource, object: &Object) {
        let (namespace, name) = (object.namespace().to_owned(), object.name().to_owned());
        for at in 0..self.faults.plan.len() {
            let fault = self.faults.plan[at].clone();
            let subject = if *resource == NODES { object.name() } else { object.uid() };
            // A namespace is in itself.
            let place = if *resource == NAMESPACES { &name } else { &namespace };
            if !self.faults.hits(at, &fault, subject, place, &name) {
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
                FaultKind::NamespaceEnds if *resource == NAMESPACES && !name.starts_with("kube-") => {
                    if let Some(when) = self.faults.once(at, subject, now) {
                        put(when, Deed::EndNamespace);
                    }
                }
                FaultKind::StuckFinalizer { lasts }
                    if *resource == PODS && self.faults.is_open(&fault, now) =>
                {
                    put(now + lasts.draw(self.faults.dice(at, subject), 2), Deed::Unstick);
                    self.notes.push(note(now, &fault, format!("pod {namespace}/{name}")));
                    edit_finalizers(server, now, &namespace, &name, true);
                }
                ref kind => {
                    let is_meant = match &fault.target.resource {
                        Some(plural) => resource.plural == *plural,
                        None => *resource == DEPLOYMENTS,
                    };
                    if let Some(act) = act_of(kind).filter(|_| is_meant)
                        && let Some(when) = self.faults.once(at, subject, now)
                    {
                        put(when, Deed::Foreign(resource.clone(), act));
                    }
                }
            }
        }
        self.sort();
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
        let done = match deed {
            Deed::Cordon => {
                let cordon = |node: &mut Value| node["spec"]["unschedulable"] = json!(true);
                server.edit(now, &NODES, "", name, &by, cordon).map(drop)
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
                server.edit(now, &DEPLOYMENTS, namespace, name, &by, scale).map(drop)
            }
            Deed::Unstick => return edit_finalizers(server, now, namespace, name, false),
            Deed::Foreign(resource, act) => {
                foreign::act(server, now, (resource, namespace, name), *act).map(drop)
            }
            Deed::EndNamespace => {
                server.delete(now, &NAMESPACES, "", name, &DeleteOptions::default(), &by).map(drop)
            }
            Deed::Skew => Ok(()),
        };
        // What is not there any more cannot be hit.
        if done.is_ok() {
            let target = [deed.kind(), " ", namespace, if namespace.is_empty() { "" } else { "/" }, name];
            self.notes.push(note(now, &self.faults.plan[at], target.concat().trim().to_owned()));
        }
    }
}

impl Actor for Chaos {
    fn act(&mut self, server: &mut ApiServer, now: Timestamp) -> Option<Timestamp> {
        if self.faults.plan.is_empty() {
            return None;
        }
        self.plan_at_large();
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
