//! The release machine: what to do next, decided without doing anything.
//!
//! Two levels. A [`Release`] owns one [`Rollout`] per service, starts them in the order of their needs, and
//! turns all of them back when one fails. Both are total functions of their state, the time and one input:
//!
//! ```text
//! step(state, now, input) -> (state, effects)
//! wake_at(state)          -> Option<MonoTime>     the one deadline; a wake-up is Input::Woke
//! ```
//!
//! No clock, no I/O, no randomness. The words: an [`Input`] happened to us, an [`Effect`] is what we ask for.
//! Effects name objects; their bodies stay with whoever performs them.

mod effect;
mod input;
mod plan;

pub use effect::{Effect, EffectId, EffectKind, Version};
pub use input::{Answer, Input, Outcome};
pub use plan::{Check, ReleasePlan, RollingPlan, ServicePlan, Strategy};
