//! Controllers with a tiny kubelet, in virtual time.

mod bounds;
mod cluster;
mod recorded;
mod rollouts;
mod scaling;
mod services;
mod upkeep;
mod workloads;
