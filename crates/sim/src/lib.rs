//! The outside world, simulated: it speaks the real protocols, in process, and misbehaves when told to.
//!
//! * [`registry`] is an OCI registry.

pub mod registry;
