//! The simulated registry, from outside.
//!
//! * `pull`, `push`, `discovery`, `management` are the distribution specification's four workflows, a sentence a case.
//! * `access`, `vendors`, `faults` and `limits` are what the specification leaves open, or would rather not see.
//! * `served`, `tools` and `docker` go over the loopback listener, with clients that were written by others.

mod access;
mod bench;
mod conformance;
mod discovery;
mod docker;
mod faults;
mod limits;
mod management;
mod pull;
mod push;
mod served;
mod tools;
mod vendors;
