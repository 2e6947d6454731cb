//! The tower face: give [`SimService`] to a client library in place of a connection.

mod body;
mod changes;
mod clock;
mod service;

pub use body::SimBody;
pub use clock::Clock;
pub use service::{BodyError, SimService};
