//! A simulated Kubernetes control plane that runs inside a test, in virtual time: envtest without binaries.
//!
//! The middle is pure. [`ApiServer`] is a value: every request takes the time as a parameter, nothing waits, nothing
//! is random, and what it holds can be looked at directly. Around it stands one thin face:
//! a `tower::Service` that any HTTP client library can be given instead of a connection.
//!
//! | noun | what it is |
//! |---|---|
//! | [`Object`] | one version of one stored object |
//! | [`Store`] | all objects, one revision counter, the history of the last minutes |
//! | [`ApiServer`] | the rules around the store: admission, defaults, validation, ownership of fields, deletion |
//! | [`Status`] | why something was refused, in Kubernetes' own words |
//! | [`Kind`], [`Resource`] | what is served, and under which name |
//!
//! Controllers run in the same process and call [`ApiServer`] directly; they read through [`ApiServer::store`].

mod api;
mod defaults;
mod face;
mod kind;
mod object;
mod patch;
mod profile;
mod quantity;
pub mod resource;
mod schema;
mod selector;
mod server;
mod ssa;

mod status;
mod store;
pub mod time;
mod validate;

pub use api::{Answer, LogQuery, MAX_BODY, Model, Proxied, ProxyTarget, Reply, Request, Watch, respond};
pub use face::{BodyError, Clock, SimBody, SimService};
pub use kind::{Kind, Kinds, ScalePaths, Served};
pub use object::Object;
pub use profile::ApiProfile;
pub use quantity::Quantity;
pub use resource::Resource;
pub use schema::Shape;
pub use selector::{FieldSelector, LabelSelector};
pub use server::{ApiServer, By, DeleteOptions, Patch, Preconditions, Propagation, Seed};
pub use status::{Cause, Details, Status};
pub use store::{Change, Compacted, Retention, Store, What};
