//! The Kubernetes shell: the only crate that knows a Kubernetes client.
//!
//! It connects to exactly the cluster that was named, takes the lock, writes the journal, and drives a release machine of
//! `release-rollout` by server-side apply and a few watches, judging health with `release-health`.
//!
//! | noun | what it is |
//! |---|---|
//! | [`Cluster`], [`Access`], [`Identity`] | a connection, how it is found, and proof of whose it is |
//! | [`Lock`] | one release at a time: a Lease with a fence |
//! | [`Store`], [`Journal`], [`Header`] | what releases leave in the cluster |
//! | [`Change`] | what applying an object would do, asked of the server |
//! | [`drive`], [`Job`], [`Driven`] | the loop |
//! | [`Event`] | what it tells |
//!
//! TLS uses rustls' process-wide crypto provider: a binary installs one before it connects.
//!
//! ```no_run
//! # async fn look() -> Result<(), Box<dyn std::error::Error>> {
//! use release_cluster::{Access, Clock, Cluster, Store};
//!
//! let access = Access::Context("kind-dev".to_owned());
//! let cluster = Cluster::connect(&access, "radio", Clock::system()).await?;
//! println!("{:?}", cluster.identity().await?);
//!
//! let store = Store::new(&cluster, &"radio".parse()?, &"dev".parse()?);
//! for header in store.headers().await? {
//!     println!("release {} is {}", header.number, header.state);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Any Kubernetes client will do, so that everything here runs against a server in process:
//!
//! ```
//! # use std::convert::Infallible;
//! # use release_cluster::{Clock, Cluster};
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let _ = rustls::crypto::ring::default_provider().install_default();
//! let server = tower::service_fn(|_| async {
//!     Ok::<_, Infallible>(http::Response::new(r#"{"gitVersion": "v1.36.1"}"#.to_owned()))
//! });
//! let client = kube::Client::new(server, "radio");
//! let cluster = Cluster::from_client(client, "radio", "in process", Clock::system())?;
//! assert_eq!(cluster.version().await?, "v1.36.1");
//! # Ok(())
//! # }
//! ```

mod again;
mod api;
mod capture;
mod check;
mod clock;
mod connect;
mod drive;
mod event;
mod journal;
mod kind;
mod lock;
mod object;
mod perform;
mod preview;
mod record;
mod rights;
mod store;
mod survey;
mod track;
mod watch;

pub use api::ApiError;
pub use check::{HttpCheck, Target};
pub use clock::Clock;
pub use connect::{Access, Cluster, ConnectError, Identity};
pub use drive::{Bodies, DriveError, Driven, Hold, Job, drive};
pub use event::{Capture, Event, LogTail};
pub use journal::{Entry, Journal, Running};
pub use lock::{Lock, LockError, TTL};
pub use object::{Conflicts, FIELD_MANAGER};
pub use preview::{Change, is_ours};
pub use record::{Action, CheckRecord, Header, Objects, RECORD_VERSION, ServiceRecord, State};
pub use rights::{Missing, RIGHTS, Right, role};
pub use store::{Part, Store, StoreError};
pub use survey::{Seen, SurveyError};

#[cfg(test)]
mod tests;
