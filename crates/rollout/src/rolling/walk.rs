//! Writing objects one after the other, and finding out what became of a write whose answer was lost.

use release_core::{Cause, CauseKind, ObjectRef};
use serde::{Deserialize, Serialize};

use super::own_cause;
use crate::saga::Step;
use crate::{Answer, EffectId, EffectKind, Outcome, Version};

/// How often one object is tried before the API server counts as unreachable. Each try has its own patience in the shell,
/// together some minutes.
pub(super) const ATTEMPTS: u32 = 5;

/// A walk along a list of objects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Walk {
    /// Whose bodies are written.
    pub(crate) version: Version,
    /// Position of the object that is being written.
    pub(crate) at: usize,
    /// What is being done with it.
    pub(crate) doing: Doing,
    /// The effect whose reply is waited for.
    pub(crate) asked: EffectId,
    /// How often this object has been tried.
    pub(crate) attempt: u32,
}

/// What is being done with the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Doing {
    /// It is applied.
    Apply,
    /// It is read back, because nobody knows whether it was applied.
    ReadBack,
}

/// Where a walk stands after a reply.
pub(crate) enum Walked {
    /// It goes on.
    On(Walk),
    /// Every object is written.
    Through,
    /// An object cannot be written.
    Failed(Walk, Cause),
}

impl Walk {
    /// Begins at the first object; `None` when there is none.
    pub(crate) fn begin(step: &mut Step<'_>, version: Version) -> Option<Self> {
        Self::at(step, version, 0)
    }

    /// Begins at the object at `at`.
    pub(crate) fn at(step: &mut Step<'_>, version: Version, at: usize) -> Option<Self> {
        let object = objects(step, version).get(at)?.clone();
        let asked = step.ask(EffectKind::Apply { object, version });
        Some(Self { version, at, doing: Doing::Apply, asked, attempt: 1 })
    }

    /// Takes a reply to what was asked.
    pub(crate) fn replied(self, step: &mut Step<'_>, outcome: &Outcome) -> Walked {
        match outcome {
            Outcome::Ok(Answer::Applied) => match Self::at(step, self.version, self.at + 1) {
                Some(next) => Walked::On(next),
                None => Walked::Through,
            },
            Outcome::Ok(Answer::NotApplied) if self.doing == Doing::ReadBack => {
                self.again(step, Doing::Apply, "it was not applied")
            }
            Outcome::Unknown { why } => self.again(step, Doing::ReadBack, why),
            Outcome::Refused(cause) => Walked::Failed(self, cause.clone()),
            // An answer to another question: the shell is wrong, and asking again is the safe thing to do.
            Outcome::Ok(Answer::NotApplied | Answer::Deleted | Answer::Checked(_) | Answer::Captured) => {
                self.again(step, Doing::ReadBack, "the answer was about something else")
            }
        }
    }

    fn again(self, step: &mut Step<'_>, doing: Doing, why: &str) -> Walked {
        let Some(object) = objects(step, self.version).get(self.at).cloned() else { return Walked::Through };
        if self.attempt >= ATTEMPTS {
            let summary = format!("what became of {object} stayed unknown after {ATTEMPTS} attempts: {why}");
            let cause = own_cause(CauseKind::Unreachable, object, summary, Vec::new());
            return Walked::Failed(self, cause);
        }
        let version = self.version;
        let asked = step.ask(match doing {
            Doing::Apply => EffectKind::Apply { object, version },
            Doing::ReadBack => EffectKind::ReadBack { object, version },
        });
        // Only looking costs an attempt: every write is followed by at most one look.
        let attempt = self.attempt + u32::from(doing == Doing::ReadBack);
        Walked::On(Self { doing, asked, attempt, ..self })
    }

    pub(crate) fn map(self, id: &dyn Fn(EffectId) -> EffectId) -> Self {
        Self { asked: id(self.asked), ..self }
    }
}

fn objects<'a>(step: &'a Step<'_>, version: Version) -> &'a [ObjectRef] {
    match version {
        Version::New => &step.plan.apply,
        Version::Previous => &step.plan.restore,
    }
}
