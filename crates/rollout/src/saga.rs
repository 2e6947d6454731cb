//! What a rollout has at hand while it steps: its plan, the time, and a place to ask for effects.

use release_core::{MonoTime, ServiceName};

use crate::{Effect, EffectId, EffectKind, RollingPlan};

/// Numbers effects. The fence is that of the lock under which they are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ids {
    pub(crate) fence: u64,
    pub(crate) next: u64,
}

impl Ids {
    pub(crate) fn take(&mut self) -> EffectId {
        let id = EffectId { fence: self.fence, seq: self.next };
        self.next += 1;
        id
    }
}

/// One step of one service.
pub(crate) struct Step<'a> {
    pub(crate) service: &'a ServiceName,
    pub(crate) plan: &'a RollingPlan,
    pub(crate) now: MonoTime,
    pub(crate) ids: &'a mut Ids,
    pub(crate) effects: &'a mut Vec<Effect>,
}

impl Step<'_> {
    /// Asks for an effect and returns the identity its reply will carry.
    pub(crate) fn ask(&mut self, kind: EffectKind) -> EffectId {
        let id = self.ids.take();
        self.effects.push(Effect { id, service: self.service.clone(), kind });
        id
    }
}

/// What reaches one service of the release's inputs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Happened<'a> {
    /// The release wants the service to start.
    Started,
    /// A reply to one of its effects.
    Replied(EffectId, &'a crate::Outcome),
    /// One of its workloads was looked at.
    Assessed(&'a release_core::ObjectRef, crate::Version, &'a release_core::Assessment),
    /// The service has to be undone although it did not fail itself.
    Undone(&'a release_core::Cause),
    /// Everything that needs this service has been undone; its turn to be restored.
    Turned,
    /// Time has passed.
    Woke,
}
