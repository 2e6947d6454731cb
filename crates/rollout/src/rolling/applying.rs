//! Box *Applying*: the new version's objects are written in order.

use release_core::MonoTime;
use serde::{Deserialize, Serialize};

use super::rolling_back::Landing;
use super::walk::{Walk, Walked};
use super::{Progressing, Rolling, RollingBack};
use crate::Version;
use crate::saga::{Happened, Step};

/// Objects are written, one after the other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Applying<T = MonoTime> {
    pub(crate) walk: Walk<T>,
}

impl Applying {
    pub(super) fn enter(step: &mut Step<'_>) -> Rolling {
        let objects = &step.plan.apply;
        match Walk::at(step, Version::New, objects, 0) {
            Some(walk) => Rolling::Applying(Self { walk }),
            None => Progressing::enter(step),
        }
    }

    pub(super) fn step(self, step: &mut Step<'_>, happened: Happened<'_>) -> Rolling {
        let objects = &step.plan.apply;
        match happened {
            Happened::Replied(id, outcome) if id == self.walk.asked => {
                Self::walked(self.walk.replied(step, objects, outcome), step)
            }
            Happened::Woke if step.now >= self.walk.until => {
                Self::walked(self.walk.overdue(step, objects), step)
            }
            // A write under way must land before anything is restored, or it could land afterwards.
            Happened::Undone(cause) => {
                let landing = self.walk.under_way().map(|(write, until)| Landing { write, until });
                RollingBack::undo(step, cause.clone(), self.walk.at + 1, landing)
            }
            Happened::Replied(..)
            | Happened::Started
            | Happened::Assessed(..)
            | Happened::Turned
            | Happened::Woke => Rolling::Applying(self),
        }
    }

    fn walked(walked: Walked, step: &mut Step<'_>) -> Rolling {
        match walked {
            Walked::On(walk) => Rolling::Applying(Self { walk }),
            Walked::Through => Progressing::enter(step),
            Walked::Failed(walk, cause) => RollingBack::roll_back(step, cause, walk.written()),
        }
    }
}
