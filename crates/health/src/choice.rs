//! Which of several findings is the cause, and what is said about it.

use std::cmp::Reverse;

use release_core::{Cause, CauseKind, Certainty, Evidence, MonoTime};

use crate::events::Events;
use crate::finding::Finding;

/// How much evidence one cause carries: about what fits on a screen.
const MAX_EVIDENCE: usize = 12;

/// How many objects the evidence is taken from; the others show the same.
const MAX_WITNESSES: usize = 3;

/// Gravest first: what names the root before what is only its consequence.
const SEVERITY: [CauseKind; 19] = [
    CauseKind::Interference,
    CauseKind::ImageNameInvalid,
    CauseKind::ImageNotFound,
    CauseKind::ImageUnauthorized,
    CauseKind::MissingConfig,
    CauseKind::CannotStart,
    CauseKind::OomKilled,
    CauseKind::StartupProbe,
    CauseKind::CrashLoop,
    CauseKind::Quota,
    CauseKind::Admission,
    CauseKind::Volume,
    CauseKind::Unschedulable,
    CauseKind::ImagePull,
    CauseKind::JobFailed,
    CauseKind::Flapping,
    CauseKind::NeverReady,
    CauseKind::ProgressDeadline,
    CauseKind::Deadline,
];

/// The kind's place among the gravest; lower is graver.
pub(crate) fn severity(kind: CauseKind) -> usize {
    SEVERITY.iter().position(|k| *k == kind).unwrap_or(SEVERITY.len())
}

/// A finding, and since when it has been there.
#[derive(Debug, Clone)]
pub(crate) struct Aged {
    pub(crate) finding: Finding,
    pub(crate) first_seen: MonoTime,
}

impl Aged {
    /// When it counts as a failure, if it stays.
    pub(crate) fn due(&self) -> Option<MonoTime> {
        match self.finding.certainty {
            Certainty::Terminal => Some(self.first_seen),
            Certainty::Likely => Some(self.first_seen + self.finding.grace),
            Certainty::Early | Certainty::Transient => None,
        }
    }

    pub(crate) fn is_decisive(&self, now: MonoTime) -> bool {
        self.due().is_some_and(|due| due <= now)
    }

    /// Whether it is worth mentioning yet.
    pub(crate) fn is_audible(&self, now: MonoTime) -> bool {
        self.first_seen + self.finding.quiet <= now || self.is_decisive(now)
    }

    /// When something about it changes by itself next.
    pub(crate) fn next_change(&self, now: MonoTime) -> Option<MonoTime> {
        let audible = self.first_seen + self.finding.quiet;
        [Some(audible), self.due()].into_iter().flatten().filter(|t| *t > now).min()
    }

    fn certainty(&self, now: MonoTime) -> Certainty {
        if !self.is_audible(now) {
            Certainty::Early
        } else if self.finding.ripens && self.is_decisive(now) {
            Certainty::Terminal
        } else {
            self.finding.certainty
        }
    }

    fn rank(&self, now: MonoTime) -> (Reverse<Certainty>, bool, usize, MonoTime, &str, &str) {
        (
            Reverse(self.certainty(now)),
            !self.is_decisive(now),
            severity(self.finding.kind),
            self.first_seen,
            &self.finding.object.name,
            &self.finding.container,
        )
    }
}

/// The cause: the most certain finding, of those the gravest, of those the first. `desired` is how many pods
/// are wanted.
pub(crate) fn choose(
    findings: &mut [Aged],
    now: MonoTime,
    desired: u32,
    events: &Events<'_>,
) -> Option<Cause> {
    findings.sort_by(|a, b| a.rank(now).cmp(&b.rank(now)));
    let first = findings.first()?;
    let chosen = &first.finding;
    let of_kind = |kind| findings.iter().filter(move |f| f.finding.kind == kind).collect::<Vec<_>>();
    let mut same = of_kind(chosen.kind);
    let mut summary = summary(chosen, &same, desired);
    // That a deadline passed explains nothing: say what else is known.
    if chosen.kind == CauseKind::ProgressDeadline
        && let Some(other) = findings.iter().find(|f| f.finding.kind != chosen.kind)
    {
        let others = of_kind(other.finding.kind);
        summary = format!("{summary}; {}", self::summary(&other.finding, &others, desired));
        same.extend(others);
    }
    Some(Cause {
        kind: chosen.kind,
        certainty: first.certainty(now),
        object: chosen.object.clone(),
        summary,
        evidence: evidence(&same, events),
    })
}

fn summary(chosen: &Finding, same: &[&Aged], desired: u32) -> String {
    if chosen.object.kind != "Pod" && chosen.absent == 0 {
        return chosen.words.clone();
    }
    let affected = if chosen.absent > 0 {
        chosen.absent
    } else {
        let mut pods: Vec<&str> = same.iter().map(|f| f.finding.uid.as_str()).collect();
        pods.sort_unstable();
        pods.dedup();
        u32::try_from(pods.len()).unwrap_or(u32::MAX)
    };
    let of = desired.max(affected);
    let pods = if of == 1 { "pod" } else { "pods" };
    format!("{affected} of {of} new {pods} {}", chosen.words)
}

fn evidence(same: &[&Aged], events: &Events<'_>) -> Vec<Evidence> {
    let mut all: Vec<Evidence> = Vec::new();
    for witness in same.iter().take(MAX_WITNESSES) {
        let finding = &witness.finding;
        all.extend(finding.facts.iter().cloned());
        let told = events.of(&finding.uid).iter().filter(|e| e.is_telling());
        all.extend(told.map(|e| e.evidence(&finding.object)));
    }
    // What has no time is a present state: it comes last.
    all.sort_by(|a, b| {
        let key = |e: &Evidence| (e.at.is_none(), e.at.clone(), e.source.clone(), e.object.clone());
        key(a).cmp(&key(b)).then_with(|| a.message.cmp(&b.message))
    });
    all.dedup();
    let surplus = all.len().saturating_sub(MAX_EVIDENCE);
    all.split_off(surplus)
}
