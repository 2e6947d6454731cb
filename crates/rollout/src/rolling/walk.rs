//! Writing objects one after the other, and finding out what became of a write whose answer was lost.

use std::time::Duration;

use release_core::{Cause, CauseKind, MonoTime, ObjectRef};
use serde::{Deserialize, Serialize};

use super::own_cause;
use crate::saga::Step;
use crate::{Answer, EffectId, EffectKind, Outcome, Version};

/// How often one object is tried before the API server counts as unreachable. Each try has its own patience in the shell, and
/// there are rests between them, together some minutes.
pub(super) const ATTEMPTS: u32 = 5;

/// The rest before something is written a second time; each later one is five times as long: 2, 10 and 50 s. A server that
/// answers every write with an error does so at once, and is given a minute as well.
const REST: Duration = Duration::from_secs(2);

/// An answer that has not come by now does not come any more: the shell gives its requests a good minute, and this is longer. A
/// machine that relied on being answered would be stuck with a shell that has lost an effect.
pub(super) const ANSWER: Duration = Duration::from_secs(180);

/// A walk along a list of objects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Walk<T = MonoTime> {
    /// Whose bodies are written.
    pub(crate) version: Version,
    /// Position of the object that is being written.
    pub(crate) at: usize,
    /// What is being done with it.
    pub(crate) doing: Doing,
    /// The effect whose reply is waited for.
    pub(crate) asked: EffectId,
    /// When the reply counts as lost; while it rests, when it is applied again.
    pub(crate) until: T,
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
    /// It was not applied, and will be soon.
    Rest,
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
    /// Begins with the object at `at`; `None` when there is none. Every call of one walk gets the same objects.
    pub(super) fn at(
        step: &mut Step<'_>,
        version: Version,
        objects: &[ObjectRef],
        at: usize,
    ) -> Option<Self> {
        let object = objects.get(at)?.clone();
        let asked = step.ask(EffectKind::Apply { object, version });
        Some(Self { version, at, doing: Doing::Apply, asked, until: step.now + ANSWER, attempt: 1 })
    }

    /// Takes a reply to what was asked.
    pub(super) fn replied(self, step: &mut Step<'_>, objects: &[ObjectRef], outcome: &Outcome) -> Walked {
        match outcome {
            Outcome::Ok(Answer::Applied) => match Self::at(step, self.version, objects, self.at + 1) {
                Some(next) => Walked::On(next),
                None => Walked::Through,
            },
            Outcome::Ok(Answer::NotApplied) if self.doing == Doing::ReadBack && self.attempt < ATTEMPTS => {
                let pause = REST * 5_u32.pow(self.attempt.saturating_sub(2));
                Walked::On(Self { doing: Doing::Rest, until: step.now + pause, ..self })
            }
            Outcome::Ok(Answer::NotApplied) if self.doing == Doing::ReadBack => {
                self.again(step, objects, Doing::Apply, "it was not applied")
            }
            Outcome::Unknown { why } => self.again(step, objects, Doing::ReadBack, why),
            Outcome::Refused(cause) => Walked::Failed(self, cause.clone()),
            // An answer to another question: the shell is wrong, and asking again is the safe thing to do.
            Outcome::Ok(Answer::NotApplied | Answer::Deleted | Answer::Checked(_) | Answer::Captured) => {
                self.again(step, objects, Doing::ReadBack, "the answer was about something else")
            }
        }
    }

    /// Takes that its time is over: a rest, or an answer that was lost.
    pub(super) fn overdue(self, step: &mut Step<'_>, objects: &[ObjectRef]) -> Walked {
        match self.doing {
            Doing::Rest => self.again(step, objects, Doing::Apply, "it was not applied"),
            Doing::Apply | Doing::ReadBack => {
                self.again(step, objects, Doing::ReadBack, "there was no answer")
            }
        }
    }

    /// The effect that is under way, and when it counts as lost.
    pub(super) fn under_way(&self) -> Option<(EffectId, MonoTime)> {
        self.awaited().map(|asked| (asked, self.until))
    }

    /// How many of the objects may have been written. The one at hand was not if its only write was refused.
    pub(super) fn written(&self) -> usize {
        match (self.doing, self.attempt) {
            (Doing::Apply, 1) => self.at,
            (Doing::Apply | Doing::ReadBack | Doing::Rest, _) => self.at + 1,
        }
    }

    fn again(self, step: &mut Step<'_>, objects: &[ObjectRef], doing: Doing, why: &str) -> Walked {
        let Some(object) = objects.get(self.at).cloned() else { return Walked::Through };
        if self.attempt >= ATTEMPTS {
            let summary = format!("what became of {object} stayed unknown after {ATTEMPTS} attempts: {why}");
            let cause = own_cause(CauseKind::Unreachable, object, summary, Vec::new());
            return Walked::Failed(self, cause);
        }
        let version = self.version;
        let asked = step.ask(match doing {
            Doing::Apply | Doing::Rest => EffectKind::Apply { object, version },
            Doing::ReadBack => EffectKind::ReadBack { object, version },
        });
        // Only looking costs an attempt: every write is followed by at most one look.
        let attempt = self.attempt + u32::from(doing == Doing::ReadBack);
        Walked::On(Self { doing, asked, until: step.now + ANSWER, attempt, ..self })
    }
}

impl<T> Walk<T> {
    /// The effect whose reply is waited for.
    pub(super) fn awaited(&self) -> Option<EffectId> {
        (self.doing != Doing::Rest).then_some(self.asked)
    }

    pub(super) fn map<U>(self, time: &dyn Fn(T) -> U, id: &dyn Fn(EffectId) -> EffectId) -> Walk<U> {
        let Self { version, at, doing, asked, until, attempt } = self;
        Walk { version, at, doing, asked: id(asked), until: time(until), attempt }
    }
}

impl Walk<Duration> {
    /// Another process may have written the object at hand before it died: that was a first attempt.
    pub(super) fn taken_over(self) -> Self {
        let until = if self.doing == Doing::Rest { self.until } else { ANSWER };
        Self { attempt: self.attempt.max(2), until, ..self }
    }
}
