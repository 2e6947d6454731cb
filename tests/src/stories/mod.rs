//! Rollout stories: the same story told to the simulation and to a real Kubernetes, with the same client, and what became of it
//! compared.
//!
//! ```text
//!            ┌─▶ SimService, virtual time ──▶ events of watches ──┐
//!   Story ───┤      one kube::Client code                         ├──▶ reduce ──▶ Trace, equal or not
//!            └─▶ Kubernetes 1.20, real time ─▶ events of watches ─┘
//! ```
//!
//! Everything the API server lets a watcher see is recorded, in the order of its revisions. A [`reduce`]d trace keeps what the
//! semantics of controllers determine and drops the rest: names become `rs-1`, times and addresses go, pods of one ReplicaSet are
//! equals, a counter keeps its turns, and steps of different objects keep their order only where one causes the other.
//! What it does not do: compare durations, or how often something was tried again.

mod drive;
mod history;
mod image;
mod log;
mod milestones;
mod names;
mod real;
mod reduce;
mod simulated;
mod story;
mod tales;
mod until;

pub use drive::tell;
pub use image::build_images;
pub use log::{Chapter, Log, Seen};
pub use real::client;
pub use reduce::{differences, reduce};
pub use simulated::tell_simulation;
pub use story::{Act, Step, Story};
pub use tales::all;
pub use until::Until;
