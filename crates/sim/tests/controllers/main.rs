//! Controllers with a tiny kubelet, in virtual time.

mod cluster;
mod rollouts;
