//! What acts on the cluster by itself.

use jiff::Timestamp;

use crate::server::ApiServer;

/// Something that watches the store and writes through the server: a controller, the scheduler, a node.
pub trait Actor {
    /// Does what is due at `now`, and says when it wants to be called again at the latest.
    fn act(&mut self, server: &mut ApiServer, now: Timestamp) -> Option<Timestamp>;
}
