//! Small plans to test with.

use std::collections::BTreeMap;
use std::time::Duration;

use release_core::{ObjectRef, ServiceName};

use crate::{Check, ReleasePlan, RollingPlan, ServicePlan, Strategy};

pub(super) const DEADLINE: Duration = Duration::from_secs(120);
pub(super) const SOAK: Duration = Duration::from_secs(30);

pub(super) fn config(service: &str) -> ObjectRef {
    ObjectRef::new("v1", "ConfigMap", "radio", service)
}

pub(super) fn deployment(service: &str) -> ObjectRef {
    ObjectRef::new("apps/v1", "Deployment", "radio", service)
}

pub(super) fn port(service: &str) -> ObjectRef {
    ObjectRef::new("v1", "Service", "radio", service)
}

/// A service that ran before, whose new version adds an object of kind Service.
pub(super) fn service(name: &str, needs: &[&str]) -> (ServiceName, ServicePlan) {
    let rolling = RollingPlan {
        apply: vec![config(name), deployment(name), port(name)],
        workloads: vec![deployment(name)],
        restore: vec![config(name), deployment(name)],
        restore_workloads: vec![deployment(name)],
        remove: vec![port(name)],
        deadline: DEADLINE,
        rollback_deadline: Duration::from_secs(90),
        soak: SOAK,
        checks: vec![check("health")],
    };
    let needs = needs.iter().map(|need| need.parse().unwrap()).collect();
    let service = ServicePlan { needs, strategy: Strategy::Rolling(rolling) };
    (name.parse().unwrap(), service)
}

pub(super) fn check(name: &str) -> Check {
    Check {
        name: name.to_owned(),
        every: Duration::from_secs(10),
        tolerate: 1,
        patience: Duration::from_secs(60),
    }
}

/// Services by name and needs, four at a time, nothing to prune.
pub(super) fn plan(services: &[(&str, &[&str])]) -> ReleasePlan {
    let services: BTreeMap<_, _> = services.iter().map(|(name, needs)| service(name, needs)).collect();
    ReleasePlan { services, concurrency: 4, prune: Vec::new() }
}

/// One service, `web`, with its plan changed.
pub(super) fn web(change: impl FnOnce(&mut RollingPlan)) -> ReleasePlan {
    plan(&[("web", &[])]).with("web", change)
}

/// As if nothing had run before.
pub(super) fn first(rolling: &mut RollingPlan) {
    rolling.restore.clear();
    rolling.restore_workloads.clear();
    rolling.remove = rolling.apply.iter().rev().cloned().collect();
}

/// Nothing is watched after the workloads are ready.
pub(super) fn hasty(rolling: &mut RollingPlan) {
    rolling.soak = Duration::ZERO;
    rolling.checks.clear();
}

impl ReleasePlan {
    pub(super) fn with(mut self, name: &str, change: impl FnOnce(&mut RollingPlan)) -> Self {
        let name: ServiceName = name.parse().unwrap();
        let Strategy::Rolling(rolling) = &mut self.services.get_mut(&name).unwrap().strategy;
        change(rolling);
        self
    }

    pub(super) fn rolling(&self, name: &ServiceName) -> &RollingPlan {
        let Strategy::Rolling(rolling) = &self.services[name].strategy;
        rolling
    }
}
