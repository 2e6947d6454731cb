//! What looks wrong with workloads that are not ready, kept until a deadline needs an explanation.

use release_core::{Cause, ObjectRef};
use serde::{Deserialize, Serialize};

/// One suspicion a workload at most: the latest. A cause may be about something else than the workload itself, one of its
/// pods for instance, so both are kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Suspicions(Vec<Suspicion>);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Suspicion {
    workload: ObjectRef,
    cause: Cause,
}

impl Suspicions {
    /// Replaces what is suspected of a workload.
    pub(super) fn set(&mut self, workload: &ObjectRef, cause: Option<Cause>) {
        self.0.retain(|suspicion| suspicion.workload != *workload);
        self.0.extend(cause.map(|cause| Suspicion { workload: workload.clone(), cause }));
    }

    /// What is suspected of a workload.
    pub(super) fn about(&self, workload: &ObjectRef) -> Option<Cause> {
        self.0.iter().find(|suspicion| suspicion.workload == *workload).map(|it| it.cause.clone())
    }
}
