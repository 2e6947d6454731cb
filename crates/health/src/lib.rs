//! Is this workload well, and why not?
//!
//! Kubernetes objects go in as JSON values, a [`release_core::Assessment`] comes out: a conclusion, the
//! root cause with its evidence in the cluster's own words, and the moment at which looking again may
//! change the conclusion although nothing happened. Pure: no I/O, no clock, no randomness; time is a
//! parameter.
//!
//! | noun | what it is |
//! |---|---|
//! | [`Target`] | whose health is asked for, and from which generation on |
//! | [`Snapshot`] | what is seen of it at one moment |
//! | [`Graces`] | how long each kind of bad look may last before it counts as a failure |
//! | [`Tracker`] | remembers when each bad look began; turns snapshots into assessments |

mod choice;
mod container;
mod creation;
mod daemon_set;
mod deployment;
mod events;
mod finding;
mod graces;
mod job;
mod json;
mod other;
mod pod;
mod pull;
mod refusal;
mod snapshot;
mod stateful_set;
mod steadiness;
mod tracker;
mod workload;

pub use graces::Graces;
pub use snapshot::{Snapshot, Target, images};
pub use tracker::Tracker;
