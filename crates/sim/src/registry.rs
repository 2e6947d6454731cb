//! An OCI registry in memory that speaks the distribution protocol, and misbehaves when told to.
//!
//! ```text
//!   real time, sockets          no clock, no sockets, no unseeded randomness
//!  ┌───────────────────┐       ┌─────────────────────────────────────────────┐
//!  │ serve  (loopback) │ ────► │ Registry: blobs, uploads, manifests, tags,  │
//!  │ hyper, HTTP/1.1   │ piece │ referrers, access                           │
//!  └───────────────────┘  by   │   Profile: one vendor's quirks, as data     │
//!                        piece │   Rule:    a fault, a rate, a window        │
//!                              │   Trace:   what happened                    │
//!                              └─────────────────────────────────────────────┘
//! ```
//!
//! * [`Registry`] is the state machine: a request, its body and the time go in, an answer comes out.
//! * [`Profile`] says in which ways it is not like the [specification], as the well-known registries are not.
//! * [`Rule`] says what goes wrong, how often, when and where. The same seed and requests give the same [`Trace`].
//! * [`serve`](serve()) puts it on a loopback address, where any client finds it.
//!
//! A test of a client starts one and tells it what to do wrong:
//!
//! ```
//! use release_sim::registry::{Config, Fault, Profile, Rule, serve};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), release_sim::registry::ServeError> {
//! let rules = vec![Rule::once(Fault::TokenExpires), Rule::sometimes(Fault::Reset, 0.05)];
//! let registry = serve(Config { profile: Profile::GHCR, rules, seed: 7, ..Config::default() }).await?;
//! let image = format!("{}/team/web:v1", registry.address());
//! // … push `image`, pull it, and then:
//! registry.with(|registry| println!("{}", registry.trace()));
//! # drop(image);
//! # Ok(())
//! # }
//! ```
//!
//! Not here: TLS, storage on disk ([`Registry::contents`] gives what there is to store), garbage collection by the clock, and
//! anything a client does.
//!
//! [specification]: https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md

mod access;
mod answer;
mod auth;
mod blobs;
mod content;
mod contents;
mod dice;
mod digest;
mod dispatch;
mod exchange;
mod fault;
mod list;
mod machine;
mod manifest;
mod manifests;
mod mount;
mod profile;
mod range;
mod referrers;
mod route;
mod serve;
mod storage;
mod store;
mod token;
mod trace;
mod uploads;
mod vendors;

pub use crate::loopback::ServeError;
pub use access::{Access, Action, Grant, User};
pub use answer::{Answer, Dropped};
pub use content::Content;
pub use contents::{Contents, ContentsError, Held};
pub use digest::{Digest, DigestError};
pub use exchange::{Begun, Exchange};
pub use fault::{Fault, MountAnswer, Rule, Target};
pub use machine::{Config, Registry, RepositoryError};
pub use profile::{Chunks, Locations, Mount, Profile, PullLimit, Repositories, Scheme, Sourceless};
pub use serve::{Server, serve, serve_at};
pub use trace::{Entry, Event, Trace};
