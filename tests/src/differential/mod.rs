//! The differential test: the same scripts of API operations against the simulation and against a real API server.
//!
//! ```text
//!   seed ──▶ Script ──┬──▶ Simulated ──▶ answers ──┐
//!                     │                            ├──▶ normalised, compared ──▶ Disagreement ──▶ reduced ──▶ Trace
//!                     └──▶ Real ───────▶ answers ──┘
//! ```
//!
//! What two servers cannot agree on (uids, times, addresses, resource versions beyond their order) is given names in the
//! order of its appearance; everything else has to be the same: codes, reasons, words, causes, objects, generations,
//! owners of fields, events.

mod bodies;
mod changes;
mod compare;
mod configs;
mod known;
mod memory;
mod normal;
mod operation;
mod real;
mod reduce;
mod script;
mod simulated;
mod sorts;
mod trace;

pub use compare::{Agreement, Disagreement, compare, differences};
pub use known::{KNOWN, Known};
pub use operation::{Body, Operation};
pub use real::Real;
pub use reduce::reduce;
pub use script::{LENGTH, script};
pub use simulated::Simulated;
pub use trace::Trace;
