//! A world around a release: it answers effects after a second, looks at workloads every five, and jumps from one point
//! in time to the next. After every step it throws everything at the machine that must not change anything.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use proptest::sample::Index;
use release_core::{MonoTime, ObjectRef, ServiceName, Status};

use super::script::{Look, Reply, Script, assessment, outcome};
use crate::{
    Effect, EffectKind, Input, Outcome, Phase, Release, ReleaseOutcome, ReleasePlan, Suspended, Version,
};

/// From an effect to its answer.
const LATENCY: Duration = Duration::from_secs(1);
/// Between two looks at a workload.
const LOOK: Duration = Duration::from_secs(5);
/// No test's release takes longer.
const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);
/// Steps after a crash in which stale inputs are tried in any case.
const TRIES_AFTER_A_CRASH: usize = 3;
/// No test's release asks for more.
const MOST_EFFECTS: usize = 3_000;

/// Something that happened, in the order in which it did.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Event {
    Asked(Effect),
    Answered(Effect, Reply),
    Looked(ServiceName, ObjectRef, Version, Status),
    Phase(ServiceName, Phase, Phase),
    Died,
}

#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) plan: ReleasePlan,
    script: Script,
    pub(super) release: Release,
    fence: u64,
    /// Time since the beginning, and what the machine's clock adds to it.
    pub(super) now: Duration,
    offset: Duration,
    answers: BTreeMap<(Duration, usize), (Effect, Reply)>,
    /// Which version of a workload is in the cluster.
    there: BTreeMap<ObjectRef, Version>,
    looks_at: Duration,
    steps: usize,
    /// How many more times stale inputs are tried; they take most of a test's time.
    tries: usize,
    pub(super) history: Vec<(Duration, Event)>,
}

impl World {
    pub(super) fn new(plan: ReleasePlan, script: Script) -> Self {
        let release = Release::new(plan.clone(), 7).unwrap();
        Self {
            plan,
            script,
            release,
            fence: 7,
            now: Duration::ZERO,
            offset: Duration::from_secs(1_000),
            answers: BTreeMap::new(),
            there: BTreeMap::new(),
            looks_at: LOOK,
            steps: 0,
            tries: usize::MAX,
            history: Vec::new(),
        }
    }

    /// Drives a release to its end.
    #[track_caller]
    pub(super) fn run(plan: ReleasePlan, script: Script) -> Self {
        Self::new(plan, script).drive()
    }

    /// The same without stale inputs, but for the first steps after a crash.
    #[track_caller]
    pub(super) fn run_quickly(plan: ReleasePlan, script: Script) -> Self {
        Self::new(plan, script).quick().drive()
    }

    pub(super) fn quick(self) -> Self {
        Self { tries: 0, ..self }
    }

    #[track_caller]
    pub(super) fn drive(mut self) -> Self {
        self.feed(Input::Begin);
        while self.release.outcome().is_none() {
            self.advance();
        }
        self.assert_sound();
        self
    }

    /// Drives a release until `stop` says so.
    #[track_caller]
    pub(super) fn until(plan: ReleasePlan, script: Script, stop: impl Fn(&Self) -> bool) -> Self {
        let mut world = Self::new(plan, script);
        world.feed(Input::Begin);
        while !stop(&world) {
            assert_eq!(world.release.outcome(), None, "it ended before:\n{}", world.trace().join("\n"));
            world.advance();
        }
        world
    }

    pub(super) fn machine_now(&self) -> MonoTime {
        MonoTime::ZERO + self.now + self.offset
    }

    /// Goes to the next point in time at which something happens, and lets it happen.
    #[track_caller]
    fn advance(&mut self) {
        let wake_at = self.release.wake_at().map(|at| at.since(MonoTime::ZERO + self.offset).max(self.now));
        let answer = self.answers.keys().next().map(|(at, _)| *at);
        let looks = (!self.there.is_empty()).then_some(self.looks_at);
        let next = [self.script.aborts, answer, looks, wake_at].into_iter().flatten().min();
        let Some(next) = next else { panic!("it waits for nothing:\n{}", self.trace().join("\n")) };
        assert!(next <= LONGEST, "it takes too long:\n{}", self.trace().join("\n"));
        self.now = next.max(self.now);
        if self.script.aborts.is_some_and(|at| at <= self.now) {
            self.script.aborts = None;
            self.feed(Input::Abort { why: "somebody said so".to_owned() });
        } else if answer.is_some_and(|at| at <= self.now) {
            self.answer();
        } else if looks.is_some_and(|at| at <= self.now) {
            self.looks_at = self.now + LOOK;
            self.look();
        } else {
            let before = self.release.clone();
            self.feed(Input::Woke);
            assert_ne!(self.release, before, "woken for nothing:\n{}", self.trace().join("\n"));
        }
    }

    /// Answers what is asked now, without letting time pass.
    pub(super) fn answers_at_once(&mut self) {
        self.answer();
    }

    fn answer(&mut self) {
        let Some((_, (effect, reply))) = self.answers.pop_first() else { return };
        self.answered_with(effect, reply);
    }

    #[track_caller]
    fn answered_with(&mut self, effect: Effect, reply: Reply) {
        let Some(outcome) = outcome(&effect.kind, reply) else { return };
        let id = effect.id;
        let awaited = self.release.outstanding().contains(&effect);
        let (before, fence) = (self.release.clone(), self.fence);
        if awaited {
            self.takes_effect(&effect.kind, reply);
            self.history.push((self.now, Event::Answered(effect, reply)));
        }
        self.feed(Input::Replied { id, outcome });
        let deaf = self.release == before || self.fence != fence;
        assert!(awaited || deaf, "a reply nobody waits for changed something");
    }

    fn takes_effect(&mut self, kind: &EffectKind, reply: Reply) {
        match (kind, reply) {
            (
                EffectKind::Apply { object, version } | EffectKind::ReadBack { object, version },
                Reply::Good,
            ) => {
                self.there.insert(object.clone(), *version);
            }
            (EffectKind::Delete { object }, Reply::Good) => {
                self.there.remove(object);
            }
            _ => {}
        }
    }

    /// Answers any of the open questions, in any way. One that is not answered now never is.
    pub(super) fn answers_any(&mut self, which: Index, reply: Reply) {
        if self.answers.is_empty() {
            return;
        }
        let at = *self.answers.keys().nth(which.index(self.answers.len())).unwrap();
        let (effect, _) = self.answers.remove(&at).unwrap();
        self.answered_with(effect, reply);
    }

    /// Looks at any workload in any version, whether it is there or not.
    pub(super) fn looks_at_any(&mut self, which: Index, version: Version, look: Look) {
        let mut all = Vec::new();
        for service in self.plan.services.keys() {
            let rolling = self.plan.rolling(service);
            let workloads = match version {
                Version::New => &rolling.workloads,
                Version::Previous => &rolling.restore_workloads,
            };
            all.extend(workloads.iter().map(|workload| (service.clone(), workload.clone())));
        }
        if all.is_empty() {
            return;
        }
        let (service, object) = which.get(&all).clone();
        self.looked(service, object, version, look);
    }

    fn looked(&mut self, service: ServiceName, object: ObjectRef, version: Version, look: Look) {
        let assessment = assessment(&object, look);
        let looked = Event::Looked(service.clone(), object.clone(), version, assessment.status);
        self.history.push((self.now, looked));
        self.feed(Input::Assessed { service, object, version, assessment });
    }

    /// Whether every open question will be answered.
    pub(super) fn will_answer(&self) -> bool {
        self.release
            .outstanding()
            .iter()
            .all(|asked| self.answers.values().any(|(effect, _)| effect == asked))
    }

    /// Lets time pass without telling the machine.
    pub(super) fn passes(&mut self, time: Duration) {
        self.now += time;
    }

    /// Looks at every workload that is there, in the version that is there.
    fn look(&mut self) {
        let services: Vec<ServiceName> = self.plan.services.keys().cloned().collect();
        for service in services {
            let rolling = self.plan.rolling(&service).clone();
            for (object, version) in self.there.clone() {
                let (workloads, wanted) = match version {
                    Version::New => (&rolling.workloads, [Phase::Progressing, Phase::Soaking].as_slice()),
                    Version::Previous => (&rolling.restore_workloads, [Phase::RollingBack].as_slice()),
                };
                if !workloads.contains(&object) {
                    continue;
                }
                let look = if wanted.contains(&self.release.phases()[&service]) {
                    self.script.next_look(&format!("{version} {object}"))
                } else {
                    Look::Ready
                };
                self.looked(service.clone(), object, version, look);
            }
        }
    }

    #[track_caller]
    pub(super) fn feed(&mut self, input: Input) {
        let phases = self.release.phases();
        let (release, effects) = self.release.clone().step(self.machine_now(), input);
        self.release = release;
        self.took_place(&phases, effects);
        self.try_stale_inputs();
        self.steps += 1;
        if self.script.dies == Some(self.steps) {
            self.die();
        }
    }

    fn took_place(&mut self, phases: &BTreeMap<ServiceName, Phase>, effects: Vec<Effect>) {
        let mut after: Vec<_> = self.release.phases().into_iter().collect();
        // What ended made room for what began.
        after.sort_by_key(|(_, phase)| !phase.is_over());
        for (service, phase) in after {
            if phases[&service] != phase {
                self.history.push((self.now, Event::Phase(service.clone(), phases[&service], phase)));
            }
        }
        for effect in effects {
            let reply = self.script.next_reply(&question(&effect));
            self.history.push((self.now, Event::Asked(effect.clone())));
            self.answers.insert((self.now + LATENCY, self.history.len()), (effect, reply));
        }
        let asked = self.history.iter().filter(|(_, event)| matches!(event, Event::Asked(_))).count();
        assert!(asked <= MOST_EFFECTS, "it asks for too much:\n{}", self.trace().join("\n"));
    }

    /// The process dies; another one takes over under a newer lock, with another clock.
    pub(super) fn die(&mut self) {
        let stored = serde_json::to_string(&self.release.suspend(self.machine_now())).unwrap();
        let suspended: Suspended = serde_json::from_str(&stored).unwrap();
        let phases = self.release.phases();
        self.fence += 1;
        self.offset = Duration::from_secs(5);
        let resumed = suspended.resume(self.plan.clone(), self.machine_now(), self.fence);
        let (release, effects) = resumed.unwrap();
        self.release = release;
        self.history.push((self.now, Event::Died));
        self.took_place(&phases, effects);
        self.tries = self.tries.max(TRIES_AFTER_A_CRASH);
        self.try_stale_inputs();
    }

    #[track_caller]
    fn try_stale_inputs(&mut self) {
        if self.tries > 0 {
            self.tries -= 1;
            self.assert_deaf();
        }
    }

    pub(super) fn steps(&self) -> usize {
        self.steps
    }

    pub(super) fn arrows(&self) -> BTreeSet<(Phase, Phase)> {
        let arrows = self.history.iter().filter_map(|(_, event)| match event {
            Event::Phase(_, from, to) => Some((*from, *to)),
            Event::Asked(_) | Event::Answered(..) | Event::Looked(..) | Event::Died => None,
        });
        arrows.collect()
    }

    /// What was asked for and where services went; answers and looks are left out.
    pub(super) fn trace(&self) -> Vec<String> {
        let told = self
            .history
            .iter()
            .filter(|(_, event)| matches!(event, Event::Asked(_) | Event::Phase(..) | Event::Died));
        told.map(|(_, event)| event.to_string()).collect()
    }

    /// Like [`Self::trace`], with the second in front.
    pub(super) fn timed(&self) -> Vec<String> {
        let told =
            self.history.iter().filter(|(_, event)| matches!(event, Event::Asked(_) | Event::Phase(..)));
        told.map(|(at, event)| format!("{:>3} {event}", at.as_secs())).collect()
    }

    /// How it ended, in a line.
    pub(super) fn ends(&self) -> String {
        let who =
            |service: &Option<ServiceName>| service.as_ref().map_or("nobody", |s| s.as_str()).to_owned();
        match self.release.outcome() {
            None => "not yet".to_owned(),
            Some(ReleaseOutcome::Verified) => "verified".to_owned(),
            Some(ReleaseOutcome::RolledBack { service, cause }) => {
                format!("rolled back: {} {}", who(service), cause.kind)
            }
            Some(ReleaseOutcome::NotRolledBack { service, cause, why }) => {
                format!("not rolled back: {} {}, {}", who(service), cause.kind, why.kind)
            }
        }
    }

    /// Replies to effects in the machine's words, answered already: for repeating them.
    pub(super) fn answered(&self) -> Vec<(Effect, Outcome)> {
        let answered = self.history.iter().filter_map(|(_, event)| match event {
            Event::Answered(effect, reply) => Some((effect.clone(), outcome(&effect.kind, *reply)?)),
            Event::Asked(_) | Event::Looked(..) | Event::Phase(..) | Event::Died => None,
        });
        answered.collect()
    }
}

/// An effect as scripts and traces call it.
pub(super) fn question(effect: &Effect) -> String {
    let Effect { service, kind, .. } = effect;
    match kind {
        EffectKind::Apply { object, version } => format!("apply {version} {object}"),
        EffectKind::ReadBack { object, version } => format!("read {version} {object}"),
        EffectKind::Delete { object } => format!("delete {object}"),
        EffectKind::Check { name, .. } => format!("check {service} {name}"),
        EffectKind::Capture { object } => format!("capture {object}"),
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked(effect) => f.write_str(&question(effect)),
            Self::Answered(effect, reply) => write!(f, "{}: {reply:?}", question(effect)),
            Self::Looked(_, object, version, status) => write!(f, "{version} {object} is {status:?}"),
            Self::Phase(service, _, to) => write!(f, "{service} {to:?}"),
            Self::Died => f.write_str("died"),
        }
    }
}
