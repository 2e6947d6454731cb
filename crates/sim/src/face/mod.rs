//! The faces: give [`SimService`] to a client library in place of a connection, or [`serve`] the cluster on a socket.

mod body;
mod changes;
mod clock;
mod listener;
mod service;

pub use body::SimBody;
pub use clock::Clock;
#[cfg(feature = "tls")]
pub use listener::serve_tls;
pub use listener::{SimServer, serve};
pub use service::{BodyError, SimService};
