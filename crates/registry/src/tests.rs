//! Tests of the whole client, against registries on this machine.

mod attacks;
pub(crate) mod origin;
pub(crate) mod scene;
mod seeds;
mod vendors;
