//! Whether a pod that was ready stays so. A loss that nobody watched is found in the time of the pod's last
//! transition.

use std::time::Duration;

use release_core::{CauseKind, MonoTime};
use serde_json::Value;

use crate::Graces;
use crate::finding::Finding;
use crate::json::condition;
use crate::pod::is_ready;

/// How many losses of readiness in one rollout are too many, whatever the time between them.
const LOSSES: u32 = 3;

/// What is remembered of one pod.
#[derive(Debug, Clone, Default)]
pub(crate) struct Steadiness {
    /// The last transition to ready that was seen, while it has not been seen lost.
    transition: Option<String>,
    ready_since: Option<MonoTime>,
    losses: u32,
    unsteady_since: Option<MonoTime>,
}

impl Steadiness {
    /// Takes in how the pod is now.
    pub(crate) fn observe(&mut self, now: MonoTime, pod: &Value, settle: Duration) {
        let transition = condition(pod, "Ready").and_then(|c| c.changed_at).unwrap_or_default();
        let ready = is_ready(pod);
        if self.transition.as_deref().is_some_and(|before| !ready || before != transition) {
            self.losses = self.losses.saturating_add(1);
            self.unsteady_since.get_or_insert(now);
            self.ready_since = None;
        }
        if !ready {
            self.transition = None;
            return;
        }
        self.transition = Some(transition.to_owned());
        let since = *self.ready_since.get_or_insert(now);
        if now.since(since) >= settle {
            self.unsteady_since = None;
        }
    }

    /// When the pod will have settled, if it stays ready and has not yet.
    pub(crate) fn settles_at(&self, settle: Duration) -> Option<MonoTime> {
        self.unsteady_since.and(self.ready_since).map(|since| since + settle)
    }

    /// That it is unsteady, and since when.
    pub(crate) fn finding(&self, pod: &Value, graces: &Graces) -> Option<(Finding, MonoTime)> {
        let since = self.unsteady_since?;
        let times = if self.losses == 1 { "once".to_owned() } else { format!("{} times", self.losses) };
        let words = format!("cannot stay ready: readiness was lost {times}");
        let mut finding = Finding::on_pod(pod, CauseKind::Flapping, words).likely(graces.flapping);
        if self.losses >= LOSSES {
            finding.grace = Duration::ZERO;
        } else if self.losses == 1 && self.ready_since.is_some() {
            // It came back: it only has to stay.
            finding = finding.transient();
        }
        if let Some(ready) = condition(pod, "Ready") {
            finding = finding.condition(&ready);
        }
        Some((finding, since))
    }
}
