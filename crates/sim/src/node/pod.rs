//! One pod on a node: what its kubelet does from seeing it until it is gone.

mod adopt;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::addresses::Addresses;
use super::conditions::Conditions;
use super::config::NodeConfig;
use super::container::{Container, State};
use super::desk::{Desk, grace};
use super::event::{Recorder, Say, Tone, Words};
use super::spec::PodSpec;
use super::status::Settled;
use super::volumes;
use crate::apps::{Dice, Fate};
use crate::faults::PodFate;
use crate::object::Object;
use crate::resource::PODS;
use crate::server::{ApiServer, By, DeleteOptions, Preconditions};
use crate::time::{Second, earlier};

/// How soon a network of a finished pod is taken down.
const SANDBOX_ENDS: Duration = Duration::from_secs(1);

/// Where a pod is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Its volumes or its network are not there yet.
    Preparing,
    /// Its containers do what they do.
    Working,
    /// All of them have ended for good.
    Finished,
    /// Somebody deleted it, its containers are ending.
    Stopping,
    /// Nothing of it is left here; it is gone from the API, or finalizers keep it.
    Gone,
}

/// One pod on a node.
#[derive(Debug)]
pub(super) struct Pod {
    /// The newest version seen.
    pub(super) object: Arc<Object>,
    pub(super) node: Arc<str>,
    pub(super) host_ip: Arc<str>,
    pub(super) ip: Option<Arc<str>>,
    pub(super) containers: Vec<Container>,
    /// When it was taken in.
    pub(super) started: Second,
    /// The due time that stands in the queue.
    pub(super) queued: Option<Timestamp>,

    pub(super) fate: PodFate,
    /// What its containers want together, as in its status.
    pub(super) resources: Option<Arc<Value>>,
    pub(super) allocated: Option<Arc<Value>>,
    /// What its last status had of what does not change.
    pub(super) settled: Option<Arc<Settled>>,
    stage: Stage,
    next: Option<Timestamp>,
    conditions: Conditions,
    events: Recorder,
    mounts: u32,
}

/// What a step needs besides the pod.
pub(super) struct Around<'a> {
    pub(super) server: &'a mut ApiServer,
    pub(super) now: Timestamp,
    pub(super) config: &'a NodeConfig,
    pub(super) images: &'a mut BTreeSet<(Box<str>, Box<str>)>,
    pub(super) addresses: &'a mut Addresses,
    /// The revisions of what kubelets wrote, which they need not look at.
    pub(super) written: &'a mut Vec<u64>,
}

impl Pod {
    pub(super) fn new(
        object: Arc<Object>,
        (node, host_ip): (Arc<str>, Arc<str>),
        spec: PodSpec,
        seed: u64,
        fate: PodFate,
        now: Timestamp,
    ) -> Self {
        let dice = Dice::new(seed, object.uid(), "pod");
        let run = Fate { crash: fate.crash, flaps: fate.flaps, hangs: fate.hangs, ..Fate::default() };
        let PodSpec { containers, resources, allocated } = spec;
        let containers = containers.into_iter().map(|c| {
            let fate = if c.init { Fate::default() } else { run };
            Container::new(c, dice, fate)
        });
        Self {
            node,
            host_ip,
            ip: None,
            containers: containers.collect(),
            started: Second::of(now),
            queued: None,
            fate,
            resources,
            allocated,
            settled: None,
            stage: Stage::Preparing,
            next: Some(now),
            conditions: Conditions::default(),
            events: Recorder::new(now),
            mounts: 0,
            object,
        }
    }

    /// When it wants to be stepped next.
    pub(super) fn wake(&self) -> Option<Timestamp> {
        self.containers.iter().fold(self.next, |first, container| earlier(first, container.next))
    }

    pub(super) fn is_gone(&self) -> bool {
        self.stage == Stage::Gone
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self.stage, Stage::Finished | Stage::Gone)
    }

    /// Takes over a newer version. Whether something has to be done about it at once.
    pub(super) fn see(&mut self, object: &Arc<Object>) -> bool {
        let deleted = object.is_terminating() && !self.object.is_terminating();
        self.object = Arc::clone(object);
        if deleted && self.stage != Stage::Gone {
            self.next = None;
        }
        deleted
    }

    /// The kubelet sees it for the first time: it takes it in.
    pub(super) fn admit(&mut self, around: &mut Around<'_>) {
        if self.object.is_terminating() {
            return self.stop(around);
        }
        self.publish(around);
        let dice = Dice::new(0, self.object.uid(), "sandbox");
        self.next = Some(around.now + around.config.sandbox.draw(dice, 0));
    }

    /// Does what is due.
    pub(super) fn step(&mut self, around: &mut Around<'_>) {
        let mut news = false;
        if self.next.is_some_and(|next| next <= around.now) {
            self.next = None;
            news |= self.step_pod(around);
        }
        for at in 0..self.containers.len() {
            // An end and what follows from it may fall on the same moment.
            for _ in 0..4 {
                if self.containers[at].next.is_none_or(|next| next > around.now) {
                    break;
                }
                news |= self.with_desk(around, Container::sync, at);
            }
        }
        if self.stage == Stage::Working {
            news |= self.advance(around);
        }
        if news {
            self.publish(around);
        }
        if self.stage == Stage::Stopping && !self.containers.iter().any(Container::is_running) {
            self.end(around);
        }
    }

    fn with_desk<T>(
        &mut self,
        around: &mut Around<'_>,
        act: impl FnOnce(&mut Container, &mut Desk<'_>) -> T,
        at: usize,
    ) -> T {
        let mut desk = Desk {
            server: around.server,
            now: around.now,
            pod: &self.object,
            node: &self.node,
            ip: self.ip.as_deref().unwrap_or_default(),
            events: &mut self.events,
            images: around.images,
            config: around.config,
            pull_fault: self.fate.pull(around.now),
            stopping: self.stage == Stage::Stopping,
        };
        act(&mut self.containers[at], &mut desk)
    }

    /// A moment of the pod itself: its network, or the end of it.
    fn step_pod(&mut self, around: &mut Around<'_>) -> bool {
        match self.stage {
            Stage::Preparing => self.prepare(around),
            Stage::Finished => {
                self.conditions.sandbox = false;
                true
            }
            Stage::Working | Stage::Stopping | Stage::Gone => false,
        }
    }

    fn prepare(&mut self, around: &mut Around<'_>) -> bool {
        if let Some(why) = volumes::missing(&self.object, around.server) {
            let pause = volumes::pause(self.mounts);
            self.mounts += 1;
            self.next = Some(around.now + pause);
            let words = Words::Text(why);
            let say = Say { tone: Tone::Warning, reason: "FailedMount", words, field: &Arc::from("") };
            if around.config.events {
                self.events.record(around.server, around.now, &self.object, &self.node, &say);
            }
            return false;
        }
        self.ip = Some(around.addresses.take(&self.object.uid));
        self.conditions.sandbox = true;
        self.stage = Stage::Working;
        self.advance(around);
        true
    }

    /// Lets the containers whose turn it is begin, and sees whether all is over.
    fn advance(&mut self, around: &mut Around<'_>) -> bool {
        let waits = self.containers.iter().position(|c| c.spec.init && !c.lets_others_start());
        let ready_until = waits.map_or(self.containers.len(), |at| at + 1);
        let mut begun = false;
        for container in &mut self.containers[..ready_until] {
            if container.state == State::Idle {
                container.state = State::Trying;
                container.next = Some(around.now);
                begun = true;
            }
        }
        let mut news = false;
        if begun {
            for at in 0..ready_until {
                if self.containers[at].next.is_some_and(|next| next <= around.now) {
                    news |= self.with_desk(around, Container::sync, at);
                }
            }
        }
        if self.is_over() {
            self.stage = Stage::Finished;
            for at in 0..self.containers.len() {
                self.with_desk(around, |sidecar, desk| sidecar.is_no_longer_needed(desk), at);
            }
            self.next = Some(around.now + SANDBOX_ENDS);
            news = true;
        }
        news
    }

    /// Whether no container will ever run again.
    fn is_over(&self) -> bool {
        let mut init = self.containers.iter().filter(|c| c.spec.init && !c.spec.sidecar);
        if init.any(|c| c.is_done() && !c.succeeded()) {
            return true;
        }
        let mut all = self.containers.iter().filter(|c| !c.spec.init).peekable();
        all.peek().is_some() && all.all(Container::is_done)
    }

    /// Somebody deleted the pod: its containers are told to end.
    pub(super) fn stop(&mut self, around: &mut Around<'_>) {
        let finished = self.stage == Stage::Finished;
        self.stage = Stage::Stopping;
        let (grace, slow) = (grace(&self.object), self.fate.slow_stop);
        for at in 0..self.containers.len() {
            let container = &mut self.containers[at];
            container.next = None;
            let since = match container.state {
                State::Running { since } => since,
                State::Stopping { since, .. } => {
                    container.killed = false;
                    since
                }
                State::Created | State::Pulling | State::Trying => {
                    container.state = State::Trying;
                    continue;
                }
                State::Idle | State::Over => continue,
            };
            self.with_desk(
                around,
                |container, desk| {
                    let words = Words::Text(format!("Stopping container {}", container.spec.name));
                    desk.say(&Say {
                        tone: Tone::Normal,
                        reason: "Killing",
                        words,
                        field: &container.spec.field,
                    });
                    container.end_by(desk, since, grace, slow);
                },
                at,
            );
        }
        if finished || !self.containers.iter().any(Container::is_running) {
            self.end(around);
        }
    }

    /// Nothing of the pod is left on the node.
    fn end(&mut self, around: &mut Around<'_>) {
        self.conditions.sandbox = false;
        self.publish(around);
        self.stage = Stage::Gone;
        self.next = None;
        if let Some(ip) = self.ip.take() {
            around.addresses.give_back(&ip);
        }
        let options = DeleteOptions {
            preconditions: Preconditions {
                uid: Some(self.object.uid().to_owned()),
                ..Preconditions::default()
            },
            ..DeleteOptions::now()
        };
        let (namespace, name) = (self.object.namespace(), self.object.name());
        // Whoever removed it before has done what is wanted here.
        drop(around.server.delete(around.now, &PODS, namespace, name, &options, &By::nobody()));
    }

    /// Writes what there is to say into the pod's status.
    pub(super) fn publish(&mut self, around: &mut Around<'_>) {
        self.conditions.update(self.phase(), &self.containers, around.now);
        let full = around.server.profile().full_pod_status;
        let status = self.status(self.conditions, full);
        if let Some(object) = around.server.update_status_facts(around.now, &self.object, status) {
            if object.revision() != self.object.revision() {
                around.written.push(object.revision());
            }
            self.object = object;
        }
    }

    /// The phase the containers add up to.
    pub(super) fn phase(&self) -> &'static str {
        let init = || self.containers.iter().filter(|c| c.spec.init && !c.spec.sidecar);
        let finished = matches!(self.stage, Stage::Finished | Stage::Stopping | Stage::Gone);
        if init().any(|c| c.is_done() && !c.succeeded() && finished) {
            return "Failed";
        }
        let others = || self.containers.iter().filter(|c| !c.spec.init);
        let running = others().any(Container::is_running);
        let never_ran = |c: &Container| c.ended.is_none() && !c.is_running();
        if init().any(|c| !c.is_done()) || others().any(never_ran) {
            return "Pending";
        }
        if running || !finished {
            return "Running";
        }
        if others().all(Container::succeeded) { "Succeeded" } else { "Failed" }
    }
}
