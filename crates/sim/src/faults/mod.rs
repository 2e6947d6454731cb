//! Faults: what goes wrong in a cluster, to whom, when, and how often, drawn from the seed and written down.
//!
//! A plan is data. Whoever does something a fault could hit asks the plan ([`Faults`]): nodes about their pods, traffic
//! about endpoints, the scheduler about pods without a node. [`Chaos`] does what nobody would do by himself. The faults
//! of the API (lost answers, conflicts, closed watches and the like) are decided here and applied by the face.

mod api;
mod asked;
mod chaos;
mod fault;
mod foreign;
mod kind;
mod replica;
mod webhook;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

pub use api::{Meddling, WatchEnd};
pub use chaos::Chaos;
pub use fault::{Fault, Target};
pub use kind::FaultKind;
pub(crate) use webhook::{Reviewed, Verdict};

use crate::apps::{Dice, PullError, ScriptError, glob};
use crate::object::Object;

/// The name of all API servers together, as far as faults hit them.
const API_SERVERS: &str = "api-servers";

/// What a fault did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// When.
    pub at: Timestamp,
    /// Which fault, as in `F21 pull-fails`.
    pub fault: String,
    /// To whom.
    pub target: String,
}

/// What faults do to one pod, decided when its kubelet sees it.
#[derive(Debug, Clone, Default)]
pub(crate) struct PodFate {
    pub(crate) pull: Option<PullError>,
    pub(crate) crash: Option<Duration>,
    pub(crate) flaps: Option<Duration>,
    pub(crate) answers: Option<BadAnswers>,
    pub(crate) slow_stop: bool,
    pub(crate) hangs: bool,
}

/// What faults do to a pod's answers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BadAnswers {
    pub(crate) dice: Dice,
    pub(crate) error_rate: f64,
    pub(crate) status: u16,
    pub(crate) slower: Duration,
}

/// A plan of faults at work.
#[derive(Debug, Clone)]
pub struct Faults {
    seed: u64,
    start: Timestamp,
    plan: Arc<[Fault]>,
    /// Silent nodes.
    silent: BTreeMap<Arc<str>, bool>,
    /// How many pods of an owner were made to fail.
    failed: BTreeMap<Arc<str>, u32>,
    /// How many requests of a kind there were.
    asked: BTreeMap<Arc<str>, u64>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct File {
    faults: Vec<Fault>,
}

/// Reads a YAML document with a list `faults`.
///
/// # Errors
///
/// With the line and column of what cannot be read.
pub fn read_faults(yaml: &str) -> Result<Vec<Fault>, ScriptError> {
    let file: File = serde_saphyr::from_str(yaml)?;
    Ok(file.faults)
}

impl Faults {
    /// A plan that starts now.
    pub fn new(seed: u64, start: Timestamp, plan: Vec<Fault>) -> Self {
        Self {
            seed,
            start,
            plan: plan.into(),
            silent: BTreeMap::new(),
            failed: BTreeMap::new(),
            asked: BTreeMap::new(),
        }
    }

    /// Another plan from now on; its windows are counted from here.
    pub fn begin(&mut self, start: Timestamp, plan: &[Fault]) {
        self.start = start;
        self.plan = plan.into();
    }

    /// Nothing goes wrong.
    pub fn none() -> Self {
        Self::new(0, Timestamp::UNIX_EPOCH, Vec::new())
    }

    /// The faults with their places in the plan.
    fn iter(&self) -> impl Iterator<Item = (usize, &Fault)> {
        self.plan.iter().enumerate()
    }

    fn dice(&self, at: usize, subject: &str) -> Dice {
        Dice::new(self.seed ^ at as u64, subject, "fault")
    }

    /// When the window of a fault begins and ends.
    fn open(&self, fault: &Fault) -> (Timestamp, Option<Timestamp>) {
        (self.start + fault.from.least, fault.until.map(|until| self.start + until.least))
    }

    fn is_open(&self, fault: &Fault, now: Timestamp) -> bool {
        now >= self.start + fault.from.least && fault.until.is_none_or(|until| now < self.start + until.least)
    }

    /// Whether a fault hits a subject at all.
    fn hits(&self, at: usize, fault: &Fault, subject: &str, namespace: &str, name: &str) -> bool {
        let fits = |pattern: &Option<String>, text: &str| pattern.as_deref().is_none_or(|p| glob(p, text));
        fits(&fault.target.namespace, namespace)
            && fits(&fault.target.name, name)
            && self.dice(at, subject).hits(0, fault.rate)
    }

    /// The window of a fault that happens to a subject once, at a moment drawn from the plan's window.
    fn window(&self, at: usize, subject: &str, lasts: Duration) -> (Timestamp, Timestamp) {
        let fault = &self.plan[at];
        let latest = fault.until.map_or(fault.from.most, |until| until.least).max(fault.from.least);
        let begins = self.start + self.dice(at, subject).between(1, fault.from.least, latest);
        (begins, begins + lasts)
    }

    /// When a fault happens to a subject to which it happens once; never, if its window is over.
    fn once(&self, at: usize, subject: &str, now: Timestamp) -> Option<Timestamp> {
        let (_, ends) = self.open(&self.plan[at]);
        let (when, _) = self.window(at, subject, Duration::ZERO);
        ends.is_none_or(|ends| now < ends).then(|| when.max(now))
    }

    /// Whether nothing can go wrong.
    pub(crate) fn is_empty(&self) -> bool {
        self.plan.is_empty()
    }

    /// What an API server's clock shows now.
    pub(crate) fn skewed(&self, now: Timestamp) -> Timestamp {
        self.iter().fold(now, |shown, (at, fault)| match fault.fault {
            FaultKind::ClockSkew { by, behind } if self.skews(at, fault, now) => {
                let by = by.draw(self.dice(at, API_SERVERS), 1);
                if behind { shown - by } else { shown + by }
            }
            _ => shown,
        })
    }

    fn skews(&self, at: usize, fault: &Fault, now: Timestamp) -> bool {
        self.is_open(fault, now) && self.hits(at, fault, API_SERVERS, "", API_SERVERS)
    }

    /// Whether a pod is kept from every node now: what the scheduler asks.
    pub(crate) fn keeps_from_nodes(&self, pod: &Object, now: Timestamp) -> Option<Note> {
        let mut faults = self.iter().filter(|(_, fault)| fault.fault == FaultKind::NeverScheduled);
        let hit = faults.find(|(at, fault)| {
            self.is_open(fault, now) && self.hits(*at, fault, pod.uid(), pod.namespace(), pod.name())
        });
        hit.map(|(_, fault)| note(now, fault, format!("pod {}/{}", pod.namespace(), pod.name())))
    }

    /// When the next window in which pods are kept from nodes ends.
    pub(crate) fn reopens(&self, now: Timestamp) -> Option<Timestamp> {
        let faults = self.plan.iter().filter(|fault| fault.fault == FaultKind::NeverScheduled);
        let ends = faults.filter_map(|fault| fault.until).map(|until| self.start + until.least);
        ends.filter(|end| *end > now).min()
    }

    /// Until when the controllers do nothing, if they do nothing now.
    pub(crate) fn controllers_pause(&self, now: Timestamp) -> Option<(Timestamp, Note)> {
        const WHO: &str = "controllers";
        self.iter().find_map(|(at, fault)| {
            let FaultKind::ControllersPaused { lasts } = fault.fault else { return None };
            let (begins, ends) = self.window(at, WHO, lasts.least);
            let hit = begins <= now && now < ends && self.hits(at, fault, WHO, "", WHO);
            hit.then(|| (ends, note(begins, fault, WHO.to_owned())))
        })
    }

    /// How much later than usual a change of endpoints arrives.
    pub fn endpoint_lag(&self, namespace: &str, service: &str, now: Timestamp) -> Duration {
        let lags = self.iter().filter_map(|(at, fault)| {
            let FaultKind::EndpointLag { by } = &fault.fault else { return None };
            let moment = u64::try_from(now.as_millisecond()).unwrap_or(0);
            let hit = self.is_open(fault, now) && self.hits(at, fault, service, namespace, service);
            hit.then(|| by.draw(self.dice(at, service), moment))
        });
        lags.max().unwrap_or_default()
    }

    /// What happens to a pod that a kubelet sees for the first time.
    pub(crate) fn pod(&mut self, pod: &Object, now: Timestamp, notes: &mut Vec<Note>) -> PodFate {
        let mut fate = PodFate::default();
        let plan = Arc::clone(&self.plan);
        for (at, fault) in plan.iter().enumerate() {
            if !self.is_open(fault, now) || !self.hits(at, fault, pod.uid(), pod.namespace(), pod.name()) {
                continue;
            }
            if self.decide(at, fault, pod, &mut fate) {
                notes.push(note(now, fault, format!("pod {}/{}", pod.namespace(), pod.name())));
            }
        }
        fate
    }

    fn decide(&mut self, at: usize, fault: &Fault, pod: &Object, fate: &mut PodFate) -> bool {
        let dice = self.dice(at, pod.uid());
        let of_job = pod.owners().any(|owner| owner["kind"] == "Job");
        match &fault.fault {
            FaultKind::PullFails { error } => fate.pull = Some(*error),
            FaultKind::Crash { after } => fate.crash = Some(after.draw(dice, 2)),
            FaultKind::Flap { turn } => fate.flaps = Some(turn.draw(dice, 2)),
            FaultKind::BadAnswers { error_rate, status, slower } => {
                let (error_rate, status, slower) = (*error_rate, *status, slower.draw(dice, 2));
                fate.answers = Some(BadAnswers { dice, error_rate, status, slower });
            }
            FaultKind::SlowStop => fate.slow_stop = true,
            FaultKind::JobHangs if of_job => fate.hangs = true,
            FaultKind::JobFails { times } if of_job => {
                let owner: Arc<str> = pod.controller().unwrap_or_default().into();
                let failed = self.failed.entry(owner).or_default();
                if *failed >= *times {
                    return false;
                }
                *failed += 1;
                fate.crash = Some(Duration::from_secs(1));
            }
            _ => return false,
        }
        true
    }

    /// The nodes that fall silent or answer again now.
    pub(crate) fn nodes<'a>(
        &mut self,
        now: Timestamp,
        names: impl Iterator<Item = &'a Arc<str>>,
        notes: &mut Vec<Note>,
    ) -> Vec<(Arc<str>, bool)> {
        let lost = |fault: &&Fault| matches!(fault.fault, FaultKind::NodeLost { .. });
        if !self.plan.iter().any(|fault| lost(&fault)) {
            return Vec::new();
        }
        let mut changes = Vec::new();
        for name in names {
            let hit = self.iter().find(|(at, fault)| {
                let FaultKind::NodeLost { lasts } = fault.fault else { return false };
                let (begins, ends) = self.window(*at, name, lasts.least);
                begins <= now && now < ends && self.hits(*at, fault, name, "", name)
            });
            let is_silent = self.silent.get(name).copied().unwrap_or(false);
            if hit.is_some() == is_silent {
                continue;
            }
            if let Some((_, fault)) = hit {
                notes.push(note(now, fault, format!("node {name}")));
            }
            changes.push((Arc::clone(name), hit.is_some()));
        }
        for (name, silent) in &changes {
            self.silent.insert(Arc::clone(name), *silent);
        }
        changes
    }

    /// The next moment after `now` when a node falls silent or answers again.
    pub(crate) fn next_of_nodes<'a>(
        &self,
        now: Timestamp,
        names: impl Iterator<Item = &'a Arc<str>>,
    ) -> Option<Timestamp> {
        let moments = names.flat_map(|name| {
            self.iter().flat_map(move |(at, fault)| {
                let FaultKind::NodeLost { lasts } = fault.fault else { return [None, None] };
                let (begins, ends) = self.window(at, name, lasts.least);
                if self.hits(at, fault, name, "", name) { [Some(begins), Some(ends)] } else { [None, None] }
            })
        });
        moments.flatten().filter(|moment| *moment > now).min()
    }
}

fn note(at: Timestamp, fault: &Fault, target: String) -> Note {
    Note { at, fault: format!("{} {}", fault.fault.number(), fault.fault.name()), target }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = "
faults:
  - {fault: {pull-fails: {error: not-found}}, rate: 0.5, from: 10s, until: 5m, target: {name: 'web-*'}}
  - fault: never-scheduled
    rate: 0.1
  - fault: {node-lost: {lasts: 2m}}
";

    #[test]
    fn plans_are_read() {
        let plan = read_faults(PLAN).expect("it can be read");
        assert_eq!(plan.len(), 3);
        assert_eq!(plan[0].fault, FaultKind::PullFails { error: PullError::NotFound });
        assert_eq!(plan[1].fault.number(), "F20");
        assert!((plan[2].rate - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn rates_and_windows_are_kept() {
        let start = Timestamp::UNIX_EPOCH;
        let faults = Faults::new(3, start, read_faults(PLAN).expect("it can be read"));
        let fault = &faults.plan[0];
        let hit = (0..1000).filter(|n| faults.hits(0, fault, &format!("uid-{n}"), "shop", "web-1")).count();
        assert!((450..550).contains(&hit), "{hit}");
        assert!(!(0..100).any(|n| faults.hits(0, fault, &format!("uid-{n}"), "shop", "api-1")));
        assert!(!faults.is_open(fault, start + Duration::from_secs(9)));
        assert!(faults.is_open(fault, start + Duration::from_secs(10)));
        assert!(!faults.is_open(fault, start + Duration::from_mins(5)));
    }
}
