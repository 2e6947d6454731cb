//! Box *Applying*: the new version's objects are written in order.

use serde::{Deserialize, Serialize};

use super::walk::{Walk, Walked};
use super::{Progressing, Rolling, RollingBack};
use crate::Version;
use crate::saga::{Happened, Step};

/// Objects are written, one after the other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Applying {
    pub(crate) walk: Walk,
}

impl Applying {
    pub(super) fn enter(step: &mut Step<'_>) -> Rolling {
        match Walk::begin(step, Version::New) {
            Some(walk) => Rolling::Applying(Self { walk }),
            None => Progressing::enter(step),
        }
    }

    pub(super) fn step(self, step: &mut Step<'_>, happened: Happened<'_>) -> Rolling {
        match happened {
            Happened::Replied(id, outcome) if id == self.walk.asked => match self.walk.replied(step, outcome)
            {
                Walked::On(walk) => Rolling::Applying(Self { walk }),
                Walked::Through => Progressing::enter(step),
                Walked::Failed(_, cause) => RollingBack::roll_back(step, cause),
            },
            // A write under way must land before anything is restored, or it could land afterwards.
            Happened::Undone(cause) => RollingBack::undo(step, cause.clone(), Some(self.walk.asked)),
            Happened::Replied(..)
            | Happened::Started
            | Happened::Assessed(..)
            | Happened::Turned
            | Happened::Woke => Rolling::Applying(self),
        }
    }
}
