//! One container of a pod and what it is doing: waiting for its turn, being pulled, running, being stopped, over.
//!
//! A kubelet writes into a status what its previous round led to; the reason a round finds (`cached`) is therefore
//! seen by others one round later (`shown`).

mod adopt;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::backoff::Backoff;
use super::desk::{Desk, grace};
use super::event::{Say, Tone, Words};
use super::probe::{Watch, Which};
use super::spec::{Restart, Spec};
use super::start::go_seconds;
use crate::apps::{Dice, Fate, Moments, Run};
use crate::object::Object;
use crate::time::earlier;

/// Nothing runs for a shorter time, so that a start is seen before an end.
const SHORTEST_RUN: Duration = Duration::from_millis(100);

/// Why a container waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reason {
    pub(super) reason: &'static str,
    pub(super) message: Message,
}

/// What is said of a reason to wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Message {
    Text(String),
    /// It ended so often that it waits so long; a text only for who reads it.
    BackOff {
        wait: Duration,
        container: Arc<str>,
        pod: PodName,
    },
}

/// A pod as in `web-1_default(uid)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PodName {
    name: Arc<str>,
    namespace: Arc<str>,
    uid: Arc<str>,
}

impl PodName {
    pub(super) fn of(pod: &Object) -> Self {
        let part = Arc::clone;
        Self { name: part(&pod.name), namespace: part(&pod.namespace), uid: part(&pod.uid) }
    }
}

impl fmt::Display for PodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}({})", self.name, self.namespace, self.uid)
    }
}

impl Message {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::BackOff { wait, container, pod } => {
                let wait = go_seconds(*wait);
                format!("back-off {wait} restarting failed container={container} pod={pod}")
            }
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) code: i32,
    pub(super) reason: &'static str,
    pub(super) message: Option<String>,
    /// None: the process never started.
    pub(super) started: Option<Timestamp>,
    pub(super) finished: Timestamp,
    pub(super) id: Id,
}

/// The id of a container that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Id {
    /// Drawn for the container that was made for the n-th time; a text only for who reads it.
    Nth(Dice, u32),
    /// As somebody wrote it down.
    Known(String),
}

impl Id {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Nth(dice, starts) => id_of(*dice, *starts),
            Self::Known(text) => text.clone(),
        }
    }
}

/// What a container is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It is not its turn.
    Idle,
    /// The next round tries to start it.
    Trying,
    /// Its image is being pulled.
    Pulling,
    /// It is made, its process starts next.
    Created,
    /// It runs.
    Running { since: Timestamp },
    /// It was told to end.
    Stopping { since: Timestamp, deaf_from: Timestamp, code: i32 },
    /// It is over; the next round may start it again.
    Over,
}

/// One container.
#[derive(Debug, Clone)]
pub(super) struct Container {
    pub(super) spec: Arc<Spec>,
    pub(super) dice: Dice,
    pub(super) state: State,
    /// When something happens to it without being asked.
    pub(super) next: Option<Timestamp>,
    /// How often a container was made.
    pub(super) starts: u32,
    pub(super) ended: Option<Arc<Ended>>,
    /// The run before the last one.
    pub(super) before: Option<Arc<Ended>>,
    pub(super) shown: Option<Arc<Reason>>,
    pub(super) cached: Option<Arc<Reason>>,
    pub(super) tries: u32,
    pub(super) failed_pulls: u32,
    pub(super) pull_error: Option<(Timestamp, String)>,
    pub(super) crash: Backoff,
    pub(super) pull: Backoff,
    pub(super) watches: Vec<Watch>,
    pub(super) ready: bool,
    pub(super) started: bool,
    pub(super) fate: Fate,
    /// A probe ended the last run.
    pub(super) killed: bool,
    /// Those of the run that began last.
    moments: Option<Moments>,
}

impl Container {
    pub(super) fn new(spec: Arc<Spec>, seed: Dice, fate: Fate) -> Self {
        let fate = Fate { memory_limit: spec.memory_limit, read_only_root: spec.read_only_root, ..fate };
        Self {
            dice: seed.of(&spec.name),
            spec,
            state: State::Idle,
            next: None,
            starts: 0,
            ended: None,
            before: None,
            shown: None,
            cached: None,
            tries: 0,
            failed_pulls: 0,
            pull_error: None,
            crash: Backoff::default(),
            pull: Backoff::default(),
            watches: Vec::new(),
            ready: false,
            started: false,
            fate,
            killed: false,
            moments: None,
        }
    }

    /// How often it was started again.
    pub(super) fn restarts(&self) -> u32 {
        self.starts.saturating_sub(1)
    }

    /// Whether a process of it is there.
    pub(super) fn is_running(&self) -> bool {
        matches!(self.state, State::Running { .. } | State::Stopping { .. })
    }

    /// Whether it ended and is never started again.
    pub(super) fn is_done(&self) -> bool {
        self.state == State::Over && self.next.is_none()
    }

    /// Whether the containers after this init container may start.
    pub(super) fn lets_others_start(&self) -> bool {
        if self.spec.sidecar { self.started } else { self.is_done() && self.succeeded() }
    }

    /// Whether the last run ended well.
    pub(super) fn succeeded(&self) -> bool {
        self.ended.as_ref().is_some_and(|ended| ended.code == 0)
    }

    /// The id of the container made last.
    pub(super) fn id(&self) -> Id {
        Id::Nth(self.dice, self.starts)
    }

    /// The run that is there now.
    pub(super) fn run(&self) -> Option<Run<'_>> {
        let (State::Running { since } | State::Stopping { since, .. }) = self.state else { return None };
        Some(self.run_since(since))
    }

    /// It runs, and what can be known of the run is.
    fn run_from(&mut self, since: Timestamp) {
        self.state = State::Running { since };
        self.moments = None;
        self.moments = Some(self.run_since(since).moments());
    }

    fn run_since(&self, started: Timestamp) -> Run<'_> {
        let (script, dice, fate) = (&*self.spec.script, self.dice, self.fate);
        Run::new(script, dice, self.restarts(), started, fate).with(self.moments)
    }

    /// Does what is due. Whether the status has changed.
    pub(super) fn sync(&mut self, desk: &mut Desk<'_>) -> bool {
        self.next = None;
        match self.state {
            State::Idle => false,
            State::Trying => {
                let news = self.publish();
                self.attempt(desk) || news
            }
            State::Pulling => self.pulled(desk),
            State::Created => self.start(desk),
            State::Running { since } => self.tick(desk, since),
            State::Stopping { since, code, .. } => {
                let reason = if code == 0 { "Completed" } else { "Error" };
                self.finish(desk, since, code, reason, None);
                true
            }
            State::Over => self.restart(desk),
        }
    }

    /// Shows what the previous round found.
    pub(super) fn publish(&mut self) -> bool {
        let news = self.cached.is_some() && self.cached != self.shown;
        if news {
            self.shown.clone_from(&self.cached);
        }
        news
    }

    /// A process has just started: its probes begin, its end is known.
    pub(super) fn begin(&mut self, desk: &Desk<'_>) {
        self.run_from(desk.now);
        self.shown = None;
        self.cached = None;
        self.tries = 0;
        self.started = self.spec.startup.is_none();
        self.ready = self.started && self.spec.readiness.is_none();
        self.watches.clear();
        if let Some(probe) = &self.spec.startup {
            self.watches.push(Watch::new(Which::Startup, probe, desk.now, desk.now));
        } else {
            self.watch_on(desk.now, desk.now);
        }
        self.plan(desk.now);
    }

    /// The probes that wait for the startup probe begin.
    fn watch_on(&mut self, since: Timestamp, now: Timestamp) {
        self.watches.clear();
        for (which, probe) in
            [(Which::Readiness, &self.spec.readiness), (Which::Liveness, &self.spec.liveness)]
        {
            if let Some(probe) = probe {
                self.watches.push(Watch::new(which, probe, since, now));
            }
        }
    }

    fn plan(&mut self, since: Timestamp) {
        let end = self.run_since(since).ends_at().map(|end| end.max(since + SHORTEST_RUN));
        self.next = self.watches.iter().fold(end, |first, watch| earlier(first, watch.next));
    }

    /// A moment in the life of a running container: its end, or questions of probes.
    fn tick(&mut self, desk: &mut Desk<'_>, since: Timestamp) -> bool {
        let run = self.run_since(since);
        let is_over = run.ends_at().is_some_and(|end| end.max(since + SHORTEST_RUN) <= desk.now);
        if let Some(end) = is_over.then(|| run.end()).flatten() {
            let reason = match end.code {
                _ if end.out_of_memory => "OOMKilled",
                0 => "Completed",
                _ => "Error",
            };
            self.finish(desk, since, end.code, reason, end.message);
            return true;
        }
        let mut news = false;
        for at in 0..self.watches.len() {
            if self.watches[at].next.is_some_and(|next| next <= desk.now) {
                news |= self.ask(desk, since, at);
                if !matches!(self.state, State::Running { .. }) {
                    return news;
                }
                if self.watches.get(at).is_none_or(|watch| watch.which != Which::Readiness) {
                    // The startup probe has handed over to the others.
                    break;
                }
            }
        }
        self.plan(since);
        news
    }

    fn ask(&mut self, desk: &mut Desk<'_>, since: Timestamp, at: usize) -> bool {
        let mut watch = self.watches[at].clone();
        let which = watch.which;
        let probe = match which {
            Which::Startup => &self.spec.startup,
            Which::Readiness => &self.spec.readiness,
            Which::Liveness => &self.spec.liveness,
        };
        let Some(probe) = probe else { return false };
        let eager = desk.events_have_room();
        let found = watch.ask(probe, &self.run_since(since), desk.now, eager);
        self.watches[at] = watch;
        if let Some(failure) = found.failure {
            let ip = desk.ip;
            let words = || format!("{} probe failed: {}", which.name(), probe.words(failure, ip));
            let words = Words::Known(failure.number(which), &words);
            desk.say(&Say { tone: Tone::Warning, reason: "Unhealthy", words, field: &self.spec.field });
        }
        match (which, found.decides) {
            (_, None) | (Which::Liveness, Some(true)) => false,
            (Which::Readiness, Some(ready)) => std::mem::replace(&mut self.ready, ready) != ready,
            (Which::Startup, Some(true)) => {
                self.started = true;
                self.ready = self.spec.readiness.is_none();
                self.watch_on(since, desk.now);
                true
            }
            (Which::Startup | Which::Liveness, Some(false)) => {
                let name = &self.spec.name;
                let probe = which.name().to_lowercase();
                let words = format!("Container {name} failed {probe} probe, will be restarted");
                let words = Words::Text(words);
                desk.say(&Say { tone: Tone::Normal, reason: "Killing", words, field: &self.spec.field });
                self.killed = true;
                self.end_by(desk, since, grace(desk.pod), false);
                false
            }
        }
    }

    /// Tells a process to end, within a time.
    pub(super) fn end_by(&mut self, desk: &Desk<'_>, since: Timestamp, grace: Duration, slow: bool) {
        const LEAST_AFTER_HOOK: Duration = Duration::from_secs(2);
        let stop = &self.spec.script.stop;
        let hook = self.spec.pre_stop.min(grace);
        let left = if hook.is_zero() { grace } else { grace.saturating_sub(hook).max(LEAST_AFTER_HOOK) };
        let takes = stop.takes.draw(self.dice.of("stop"), u64::from(self.starts));
        let obeys = !stop.ignores_sigterm && !slow && takes <= left;
        let (takes, code) = if obeys { (takes, stop.code) } else { (left, 137) };
        let at = desk.now + hook + takes;
        let deaf_from = if stop.ignores_sigterm { at } else { desk.now + hook };
        self.watches.clear();
        self.state = State::Stopping { since, deaf_from, code };
        self.next = Some(at);
    }

    /// A run is over.
    fn finish(
        &mut self,
        desk: &Desk<'_>,
        since: Timestamp,
        code: i32,
        reason: &'static str,
        message: Option<String>,
    ) {
        let (finished, id) = (desk.now, self.id());
        self.over(desk, Ended { code, reason, message, started: Some(since), finished, id });
        if self.killed {
            // The round that killed it starts it again.
            self.next = self.next.map(|_| desk.now);
        }
    }

    /// The pod is over: a sidecar that still runs ends.
    pub(super) fn is_no_longer_needed(&mut self, desk: &Desk<'_>) {
        if let State::Running { since } | State::Stopping { since, .. } = self.state {
            self.finish(desk, since, 0, "Completed", None);
        }
        self.next = None;
        self.watches.clear();
    }

    /// What was made last is over; the next round decides whether there is another.
    pub(super) fn over(&mut self, desk: &Desk<'_>, ended: Ended) {
        const NOTICED: Duration = Duration::from_secs(1);
        let again = match self.spec.restart {
            Restart::Always => true,
            Restart::OnFailure => ended.code != 0,
            Restart::Never => false,
        };
        self.before = self.ended.replace(Arc::new(ended));
        self.state = State::Over;
        self.watches.clear();
        self.started = false;
        self.ready = self.spec.init && !again;
        self.next = (again && !desk.stopping).then(|| desk.now + NOTICED);
    }
}

/// The id of a container that was made for the n-th time.
pub(super) fn id_of(dice: Dice, starts: u32) -> String {
    let n = u64::from(starts) * 4;
    let dice = dice.of("id");
    let part = |i: u64| dice.number(n + i);
    format!("containerd://{:016x}{:016x}{:016x}{:016x}", part(0), part(1), part(2), part(3))
}
