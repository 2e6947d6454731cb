//! The release machine: what to do next, decided without doing anything.
//!
//! Two levels. A [`Release`] owns one rollout per service, starts them in the order of their needs, and
//! turns all of them back when one fails. Both are total functions of their state, the time and one input:
//!
//! ```text
//! step(state, now, input) -> (state, effects)
//! wake_at(state)          -> Option<MonoTime>     the one deadline; a wake-up is Input::Woke
//! ```
//!
//! No clock, no I/O, no randomness. The words: an [`Input`] happened to us, an [`Effect`] is what we ask for.
//! Effects name objects; their bodies stay with whoever performs them. The picture is in
//! `docs/design/release-machine.md`, and a test compares it with the arrows the code takes.
//!
//! ```
//! use release_core::{Assessment, MonoTime, ObjectRef, Readiness, Status};
//! use release_rollout::*;
//! # use std::collections::{BTreeMap, BTreeSet};
//! # use std::time::Duration;
//! let web = ObjectRef::new("apps/v1", "Deployment", "radio", "web");
//! let rolling = RollingPlan { apply: vec![web.clone()], workloads: vec![web.clone()], ..RollingPlan::default() };
//! let service = ServicePlan { needs: BTreeSet::new(), strategy: Strategy::Rolling(rolling) };
//! let plan = ReleasePlan { services: BTreeMap::from([("web".parse().unwrap(), service)]), concurrency: 4, prune: vec![] };
//!
//! let now = MonoTime::ZERO;
//! let (release, effects) = Release::new(plan, 1).unwrap().step(now, Input::Begin);
//! assert!(matches!(effects[0].kind, EffectKind::Apply { .. }));
//!
//! let (release, _) = release.step(now, Input::Replied { id: effects[0].id, outcome: Outcome::Ok(Answer::Applied) });
//! let well = Assessment { status: Status::Ready, cause: None, readiness: Readiness::default(), revisit_at: None };
//! let assessed = Input::Assessed { service: "web".parse().unwrap(), object: web, version: Version::New, assessment: well };
//! let (release, _) = release.step(now, assessed);
//! assert_eq!(release.outcome(), Some(&ReleaseOutcome::Verified));
//! ```

mod effect;
mod input;
mod plan;
mod release;
mod rolling;
mod rollout;
mod saga;
mod suspend;

pub use effect::{Effect, EffectId, EffectKind, Version};
pub use input::{Answer, Input, Outcome};
pub use plan::{Check, PlanError, ReleasePlan, RollingPlan, ServicePlan, Strategy};
pub use release::{Phase, Release, ReleaseOutcome};
pub use suspend::{ResumeError, Suspended};

#[cfg(test)]
mod tests;
