//! The memory between two looks at one workload, and the conclusion from a look.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;
use release_core::{Assessment, CauseKind, MonoTime, Readiness, Status};
use serde_json::Value;

use crate::choice::{Aged, choose};
use crate::events::Events;
use crate::finding::Finding;
use crate::json::{is_older, is_terminating, name, object_ref, uid};
use crate::pod::{self, Look};
use crate::steadiness::Steadiness;
use crate::workload::{Standing, Workload};
use crate::{Graces, Snapshot, Target, creation, images, job};

/// How many pods of one workload are judged, and remembered. Beyond what one Deployment is run with; the
/// first by name are taken.
const MAX_PODS: usize = 2000;

/// What tells one bad look from another: object, container, kind, run.
type Key = (String, String, CauseKind, u64);

/// Follows one workload through one rollout.
///
/// It remembers when each bad look began and which pods lost their readiness, for no more objects than the
/// last snapshot held.
#[derive(Debug, Clone)]
pub struct Tracker {
    target: Target,
    graces: Graces,
    seen: bool,
    first_seen: BTreeMap<Key, MonoTime>,
    steadiness: BTreeMap<String, Steadiness>,
}

impl Tracker {
    /// Nothing seen yet.
    pub fn new(target: Target, graces: Graces) -> Self {
        Self { target, graces, seen: false, first_seen: BTreeMap::new(), steadiness: BTreeMap::new() }
    }

    /// Whose health is asked for.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Concludes from what is seen at `now`.
    ///
    /// `now` must not go backwards. Call it whenever anything in the snapshot changed, and at the last
    /// assessment's `revisit_at`.
    pub fn assess(&mut self, now: MonoTime, snapshot: &Snapshot<'_>) -> Assessment {
        let Some(object) = snapshot.workload.filter(|w| self.is_ours(w)) else {
            return self.gone(now, snapshot.workload);
        };
        let generation = object["metadata"]["generation"].as_i64();
        if self.target.min_generation.is_some_and(|min| generation.is_none_or(|g| g < min)) {
            return Assessment {
                status: Status::Unknown,
                cause: None,
                readiness: Readiness::default(),
                revisit_at: None,
            };
        }
        self.seen = true;
        let mut workload = Workload::read(&self.target.object.kind, object, snapshot, &self.graces);
        workload.pods.sort_by_key(|p| (name(p), uid(p)));
        workload.pods.truncate(MAX_PODS);
        self.conclude(now, object, workload, snapshot)
    }

    fn is_ours(&self, workload: &Value) -> bool {
        self.target.uid.as_deref().is_none_or(|ours| ours == uid(workload))
    }

    fn conclude(
        &mut self,
        now: MonoTime,
        object: &Value,
        workload: Workload<'_>,
        snapshot: &Snapshot<'_>,
    ) -> Assessment {
        let mut uids: HashSet<&str> = workload.pods.iter().map(|p| uid(p)).collect();
        uids.insert(uid(object));
        uids.extend(workload.short.iter().map(|s| uid(s.maker)));
        let events = Events::about(&uids, &snapshot.events, self.target.since);
        let graces = self.graces.clone();
        let since = self.target.since;
        let look =
            Look { graces: &graces, events: &events, since, runs_to_completion: workload.runs_to_completion };

        let mut found: Vec<(Finding, Option<MonoTime>)> = Vec::new();
        found.extend(self.interference(object).map(|f| (f, None)));
        found.extend(workload.short.iter().filter_map(|s| creation::refused(&look, s)).map(|f| (f, None)));
        found.extend(workload.pods.iter().flat_map(|p| pod::judge(&look, p)).map(|f| (f, None)));
        let settles_at = if workload.runs_to_completion {
            found = found.into_iter().filter_map(|(f, at)| Some((job::soften(f)?, at))).collect();
            None
        } else {
            self.observe_steadiness(now, &workload.pods, &mut found)
        };
        let is_stale =
            |f: &Finding| !f.facts.is_empty() && f.facts.iter().all(|e| is_older(e.at.as_deref(), since));
        let is_old = |f: &Finding| is_stale(f) || self.is_of_an_earlier_rollout(f, object);
        let findings: Vec<_> = workload.findings.into_iter().filter(|f| !is_old(f)).collect();
        found.extend(findings.into_iter().map(|f| (f, None)));

        let mut aged = self.age(now, found);
        let cause = choose(&mut aged, now, workload.readiness.desired, &events);
        let contradicted = workload.pods.iter().any(|p| pod::is_active(p) && !pod::is_ready(p));
        let status = if aged.iter().any(|f| f.is_decisive(now)) {
            Status::Failed
        } else {
            match workload.standing {
                Standing::Complete if workload.runs_to_completion => Status::Ready,
                Standing::Complete if aged.is_empty() && !contradicted => Status::Ready,
                Standing::Complete | Standing::Underway => Status::Progressing,
                Standing::Unknown => Status::Unknown,
            }
        };
        let revisit_at = aged.iter().filter_map(|f| f.next_change(now)).chain(settles_at).min();
        Assessment { status, cause, readiness: workload.readiness, revisit_at }
    }

    /// A progress deadline cannot have passed for our write before its whole time has: what the controller says until then is
    /// left over from the rollout before, even where it was said after our write.
    fn is_of_an_earlier_rollout(&self, finding: &Finding, object: &Value) -> bool {
        let seconds = object["spec"]["progressDeadlineSeconds"].as_i64().unwrap_or(600);
        let (Some(since), CauseKind::ProgressDeadline) = (self.target.since, finding.kind) else {
            return false;
        };
        let due = since.as_second().saturating_add(seconds);
        let said = finding.facts.iter().filter_map(|fact| fact.at.as_deref()?.parse::<Timestamp>().ok());
        said.max().is_some_and(|at| at.as_second() < due)
    }

    /// Remembers how the pods are, adds those that do not stay ready, and tells when the next has settled.
    fn observe_steadiness(
        &mut self,
        now: MonoTime,
        pods: &[&Value],
        found: &mut Vec<(Finding, Option<MonoTime>)>,
    ) -> Option<MonoTime> {
        let mut before = std::mem::take(&mut self.steadiness);
        let mut settles_at = None;
        for pod in pods.iter().filter(|p| pod::is_active(p)) {
            let mut steadiness = before.remove(uid(pod)).unwrap_or_default();
            steadiness.observe(now, pod, self.graces.settle);
            if let Some((finding, since)) = steadiness.finding(pod, &self.graces) {
                // Never ready is not said of a pod that was.
                found.retain(|(f, _)| !(f.uid == finding.uid && f.kind == CauseKind::NeverReady));
                found.push((finding, Some(since)));
            }
            settles_at = settles_at.into_iter().chain(steadiness.settles_at(self.graces.settle)).min();
            self.steadiness.insert(uid(pod).to_owned(), steadiness);
        }
        settles_at.filter(|at| *at > now)
    }

    /// Gives each finding the time it was first seen, and forgets those that are no more.
    fn age(&mut self, now: MonoTime, found: Vec<(Finding, Option<MonoTime>)>) -> Vec<Aged> {
        let before = std::mem::take(&mut self.first_seen);
        found
            .into_iter()
            .map(|(finding, since)| {
                let key = (finding.uid.clone(), finding.container.clone(), finding.kind, finding.run);
                let first_seen = since.or_else(|| before.get(&key).copied()).unwrap_or(now);
                self.first_seen.insert(key, first_seen);
                Aged { finding, first_seen }
            })
            .collect()
    }

    fn interference(&self, object: &Value) -> Option<Finding> {
        let of = object_ref(object, &self.target.object.api_version, &self.target.object.kind);
        let images = images(object);
        let (place, words) = if is_terminating(object) {
            ("metadata", format!("{of} is being deleted"))
        } else if !self.target.images.is_empty() && self.target.images != images {
            ("spec", format!("somebody else gave {of} another image: {}", images.join(", ")))
        } else {
            return None;
        };
        let at = object["metadata"]["deletionTimestamp"].as_str();
        let finding = Finding::on(object, of, CauseKind::Interference, words.clone());
        Some(finding.fact(place.to_owned(), "", &words, at).likely(self.graces.interference))
    }

    /// Our object is not there. Before it was ever seen that means nothing.
    fn gone(&mut self, now: MonoTime, other: Option<&Value>) -> Assessment {
        self.steadiness.clear();
        let found = if self.seen {
            let object = self.target.object.clone();
            let what = if other.is_some() { "was replaced" } else { "was deleted" };
            let words = format!("{object} {what} by somebody else");
            let value = other.unwrap_or(&Value::Null);
            let finding = Finding::on(value, object, CauseKind::Interference, words.clone());
            vec![(finding.fact("watch".to_owned(), "", &words, None).likely(self.graces.interference), None)]
        } else {
            Vec::new()
        };
        let mut aged = self.age(now, found);
        let cause = choose(&mut aged, now, 0, &Events::default());
        let failed = aged.iter().any(|f| f.is_decisive(now));
        Assessment {
            status: if failed { Status::Failed } else { Status::Unknown },
            cause,
            readiness: Readiness::default(),
            revisit_at: aged.iter().filter_map(|f| f.next_change(now)).min(),
        }
    }
}
