//! One bad look at one object: what a rule saw, before anybody knows how long it has been there.

use std::time::Duration;

use release_core::{CauseKind, Certainty, Evidence, ObjectRef};
use serde_json::Value;

use crate::Graces;
use crate::json::{Condition, object_ref, one_line, uid};
use crate::refusal::Patience;

/// How much of a message is kept as evidence, in characters. Runtimes repeat themselves; the cause is in
/// the first few hundred.
pub(crate) const MAX_MESSAGE: usize = 500;

/// How much of a message goes into a summary, in characters: a line on a wide terminal.
pub(crate) const MAX_WORDS: usize = 160;

/// What a rule saw.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    pub(crate) kind: CauseKind,
    pub(crate) certainty: Certainty,
    /// How long a `Likely` one may last.
    pub(crate) grace: Duration,
    /// How long it lasts before it is worth mentioning at all.
    pub(crate) quiet: Duration,
    /// Whether outlasting its grace makes it certain: the cluster tried again and failed again.
    pub(crate) ripens: bool,
    pub(crate) uid: String,
    pub(crate) object: ObjectRef,
    /// The container, if it is about one.
    pub(crate) container: String,
    /// Tells successive runs of a container apart, where each run has a grace of its own.
    pub(crate) run: u64,
    /// How many pods it is about when it is about pods that do not exist; 0 when it is about a pod.
    pub(crate) absent: u32,
    /// What they cannot do, to follow `2 of 3 new pods`: `cannot pull …`.
    pub(crate) words: String,
    /// States and conditions that show it. Events are added when it is chosen.
    pub(crate) facts: Vec<Evidence>,
}

impl Finding {
    /// A finding about a pod that waiting cannot mend; soften it with the methods below.
    pub(crate) fn on_pod(pod: &Value, kind: CauseKind, words: String) -> Self {
        Self::on(pod, object_ref(pod, "v1", "Pod"), kind, words)
    }

    /// A finding about any object.
    pub(crate) fn on(value: &Value, object: ObjectRef, kind: CauseKind, words: String) -> Self {
        Self {
            kind,
            certainty: Certainty::Terminal,
            grace: Duration::ZERO,
            quiet: Duration::ZERO,
            ripens: false,
            uid: uid(value).to_owned(),
            object,
            container: String::new(),
            run: 0,
            absent: 0,
            words,
            facts: Vec::new(),
        }
    }

    /// It may pass, within `grace`.
    pub(crate) fn likely(mut self, grace: Duration) -> Self {
        self.certainty = Certainty::Likely;
        self.grace = grace;
        self
    }

    /// It may pass within `grace`; if it does not, waiting longer cannot help.
    pub(crate) fn likely_then_terminal(self, grace: Duration) -> Self {
        Self { ripens: true, ..self.likely(grace) }
    }

    /// It usually passes, and something else will show if it does not.
    pub(crate) fn transient(mut self) -> Self {
        self.certainty = Certainty::Transient;
        self
    }

    /// As long as a refusal may last.
    pub(crate) fn patience(self, patience: Patience, graces: &Graces) -> Self {
        match patience {
            Patience::None => self,
            Patience::Settling => self.likely_then_terminal(graces.service_account),
            Patience::Room => self.likely(graces.quota),
            Patience::Outage => self.likely(graces.admission),
        }
    }

    /// Nothing is wrong yet; somebody else decides when it is.
    pub(crate) fn early(mut self) -> Self {
        self.certainty = Certainty::Early;
        self
    }

    pub(crate) fn in_container(mut self, container: &str) -> Self {
        container.clone_into(&mut self.container);
        self
    }

    pub(crate) fn fact(mut self, source: String, reason: &str, message: &str, at: Option<&str>) -> Self {
        self.facts.push(Evidence {
            source,
            object: self.object.clone(),
            reason: (!reason.is_empty()).then(|| reason.to_owned()),
            message: one_line(message, MAX_MESSAGE),
            at: at.map(str::to_owned),
        });
        self
    }

    pub(crate) fn condition(self, condition: &Condition<'_>) -> Self {
        let source = format!("condition {}={}", condition.kind, condition.status);
        self.fact(source, condition.reason, condition.message, condition.at)
    }
}
