//! A simulated Kubernetes control plane that runs inside a test, in virtual time: envtest without binaries.
//!
//! The middle is pure. [`ApiServer`] is a value: every request takes the time as a parameter, nothing waits, nothing
//! is random, and what it holds can be looked at directly. Around it stand two thin faces: a `tower::Service` that any
//! HTTP client library can be given instead of a connection, and a listener on this machine.
//!
//! | noun | what it is |
//! |---|---|
//! | [`Object`] | one version of one stored object |
//! | [`Store`] | all objects, one revision counter, the history of the last minutes |
//! | [`ApiServer`] | the rules around the store: admission, defaults, validation, ownership of fields, deletion |
//! | [`Status`] | why something was refused, in Kubernetes' own words |
//! | [`Kind`], [`Resource`] | what is served, and under which name |
//! | [`respond`], [`Request`], [`Reply`] | HTTP as a function: one request in, one answer or the start of a [`Watch`] out |
//! | [`Model`] | an [`ApiServer`] with whatever lives behind it: controllers, nodes |
//! | [`SimService`], [`Clock`] | the face: a `tower::Service`, and what time it is |
//! | [`serve`], [`SimServer`] | the other face: a listener on this machine, in real time, for kubectl and any other tool |
//! | [`ApiProfile`] | which version of Kubernetes is played |
//! | [`Actor`] | whoever works in the cluster: controllers, the scheduler, nodes |
//! | [`Nodes`], [`Apps`] | kubelets, and what the programs in container images do, as scripts |
//! | [`Traffic`] | clients that send requests and count what they lose |
//! | [`Faults`] | what goes wrong, when and to whom, drawn from a seed |
//! | [`Simulation`] | all of it in virtual time, with a trace |
//! | [`registry`] | an OCI registry, in real time, on a socket of this machine |
//!
//! Controllers run in the same process and call [`ApiServer`] directly; they read through [`ApiServer::store`].

mod actor;
mod api;
pub mod apps;
pub mod controllers;
mod defaults;
mod face;
pub mod faults;
mod kind;
mod loopback;
mod node;
mod object;
mod patch;
mod profile;
mod quantity;
pub mod registry;
pub mod resource;
mod schema;
mod section;
mod selector;
mod server;
mod simulation;
mod ssa;
mod status;
mod store;
pub mod time;
pub mod trace;
pub mod traffic;
mod validate;

pub use actor::Actor;
pub use api::{Answer, LogQuery, MAX_BODY, Model, Proxied, ProxyTarget, Reply, Request, Watch, respond};
pub use apps::Apps;
pub use face::{BodyError, Clock, SimBody, SimServer, SimService, serve};
pub use faults::{Chaos, Faults};
pub use kind::{Kind, Kinds, ScalePaths, Served};
pub use loopback::ServeError;
pub use node::{HttpAnswer, NoAnswer, NodeConfig, Nodes};
pub use object::Object;
pub use profile::ApiProfile;
pub use quantity::Quantity;
pub use resource::Resource;
pub use schema::Shape;
pub use section::Section;
pub use selector::{FieldSelector, LabelSelector};
pub use server::{ApiServer, By, DeleteOptions, Patch, Preconditions, Propagation, Seed};
pub use simulation::{Simulation, SimulationConfig, Snapshot, SnapshotError};
pub use status::{Cause, Details, Status};
pub use store::{Change, Compacted, Retention, Store, What};
pub use trace::Trace;
pub use traffic::Traffic;
