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
pub use store::{Store, StoreError};
pub use survey::{Seen, SurveyError};

#[cfg(test)]
mod tests;
