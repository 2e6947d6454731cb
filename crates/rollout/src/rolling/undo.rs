//! What a rollback has to undo: the parts of the plan that this release may have changed, and nothing else.
//!
//! An object whose write was refused or never asked for is as it was. Writing it again would change nothing at best; where the
//! account has no right to it, it would make a rollback fail that had nothing to do.

use std::collections::BTreeSet;

use release_core::ObjectRef;

use crate::RollingPlan;

/// The plan's lists for the way back, without what is untouched.
pub(super) struct Undo {
    /// Written in this order.
    pub(super) restore: Vec<ObjectRef>,
    /// Waited for.
    pub(super) workloads: Vec<ObjectRef>,
    /// Deleted in this order.
    pub(super) remove: Vec<ObjectRef>,
}

impl Undo {
    /// After the first `written` objects of the new version may have been written. A `round` is about those objects only; all
    /// workloads are waited for in any case.
    pub(super) fn new(plan: &RollingPlan, written: usize, round: Option<&BTreeSet<ObjectRef>>) -> Self {
        let (written, untouched) = plan.apply.split_at(written.min(plan.apply.len()));
        // What only the previous version has is written all the same: it is part of what has to run again.
        let touched = |object: &&ObjectRef| {
            written.contains(object) || !(written.is_empty() || untouched.contains(object))
        };
        let due = |object: &&ObjectRef| round.is_none_or(|round| round.contains(object));
        let of = |objects: &[ObjectRef]| objects.iter().filter(touched).filter(due).cloned().collect();
        let workloads = plan.restore_workloads.iter().filter(touched).cloned().collect();
        Self { restore: of(&plan.restore), workloads, remove: of(&plan.remove) }
    }
}
