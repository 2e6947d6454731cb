//! What a release is going to do, as a value. Bodies of objects are not here; names are.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use release_core::{ObjectRef, ServiceName};
use serde::{Deserialize, Serialize};

/// Everything the machine needs to know about one release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleasePlan {
    /// What happens to each service. Services whose objects do not change are not in here.
    pub services: BTreeMap<ServiceName, ServicePlan>,
    /// How many services may be on their way at the same time; at least 1 is assumed.
    pub concurrency: usize,
    /// Objects of earlier releases that nothing needs any more, with the service they belonged to. They are
    /// deleted only when every service is verified, and failing to delete one does not fail the release.
    pub prune: Vec<(ServiceName, ObjectRef)>,
}

/// What happens to one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServicePlan {
    /// Services that must be verified before this one starts. Names that are not in the plan count as verified.
    pub needs: BTreeSet<ServiceName>,
    /// How it is replaced.
    pub strategy: Strategy,
}

/// How a service is replaced, with what that way needs to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// The workload's own controller replaces pods step by step.
    Rolling(RollingPlan),
}

/// A rolling replacement.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RollingPlan {
    /// Objects of the new version, in the order in which they are applied.
    pub apply: Vec<ObjectRef>,
    /// Those of them that are waited for.
    pub workloads: Vec<ObjectRef>,
    /// Objects of the previous version, in the order in which a rollback applies them. Empty when there was none.
    pub restore: Vec<ObjectRef>,
    /// The previous version's workloads, waited for by a rollback.
    pub restore_workloads: Vec<ObjectRef>,
    /// Objects a rollback deletes, in that order, because they did not exist before this release.
    pub remove: Vec<ObjectRef>,
    /// How long the workloads may take to become ready, from the last apply on; and to be ready again when they stop being
    /// so during the soak, at most this long after its end.
    pub deadline: Duration,
    /// How long the restored workloads may take to become ready again.
    pub rollback_deadline: Duration,
    /// How long the new version is watched after it became ready. Zero: the checks run once.
    pub soak: Duration,
    /// Checks of the new version that run during the soak.
    pub checks: Vec<Check>,
}

/// A check that runs during the soak.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// Its name, unique in the service; the shell knows what it stands for.
    pub name: String,
    /// Time from an answer to the next attempt; at least a second.
    pub every: Duration,
    /// How many bad answers in a row are tolerated; the next one fails the service.
    pub tolerate: u32,
    /// How long to wait for a good answer when none is to be had ("not enough evidence"), from the begin of the
    /// soak, and after a good one from the latest bad one on. A check whose latest usable answer is not good never
    /// promotes.
    pub patience: Duration,
}

/// Why a plan cannot be carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Services need one another in a circle, so none of them could ever start.
    #[error("services need one another in a circle: {}", names(.services))]
    Cycle {
        /// Services of which at least one is part of the circle.
        services: Vec<ServiceName>,
    },
    /// A workload is waited for that is never applied.
    #[error("service `{service}` waits for {workload}, which it does not apply")]
    StrangeWorkload {
        /// The service.
        service: ServiceName,
        /// The workload.
        workload: ObjectRef,
    },
    /// Two checks of a service have the same name.
    #[error("service `{service}` has two checks named `{check}`")]
    CheckTwice {
        /// The service.
        service: ServiceName,
        /// The name.
        check: String,
    },
}

fn names(services: &[ServiceName]) -> String {
    services.iter().map(ServiceName::as_str).collect::<Vec<_>>().join(", ")
}

impl ReleasePlan {
    /// Whether the plan can be carried out at all.
    ///
    /// # Errors
    /// See [`PlanError`].
    pub fn check(&self) -> Result<(), PlanError> {
        for (name, service) in &self.services {
            let Strategy::Rolling(rolling) = &service.strategy;
            rolling.check(name)?;
        }
        let mut left: BTreeSet<&ServiceName> = self.services.keys().collect();
        loop {
            let open: Vec<_> = left
                .iter()
                .copied()
                .filter(|name| !self.services[*name].needs.iter().any(|need| left.contains(need)))
                .collect();
            if left.is_empty() {
                return Ok(());
            }
            if open.is_empty() {
                return Err(PlanError::Cycle { services: left.into_iter().cloned().collect() });
            }
            left.retain(|name| !open.contains(name));
        }
    }
}

impl RollingPlan {
    fn check(&self, service: &ServiceName) -> Result<(), PlanError> {
        let strange = |workloads: &[ObjectRef], applied: &[ObjectRef]| {
            workloads.iter().find(|workload| !applied.contains(workload)).cloned()
        };
        let strange =
            strange(&self.workloads, &self.apply).or_else(|| strange(&self.restore_workloads, &self.restore));
        if let Some(workload) = strange {
            return Err(PlanError::StrangeWorkload { service: service.clone(), workload });
        }
        let mut seen = BTreeSet::new();
        match self.checks.iter().find(|check| !seen.insert(&check.name)) {
            Some(check) => Err(PlanError::CheckTwice { service: service.clone(), check: check.name.clone() }),
            None => Ok(()),
        }
    }
}
