//! Whoever works in the cluster without being asked: controllers, the scheduler, nodes.

use jiff::Timestamp;

use crate::server::ApiServer;

/// A worker that looks at what changed and acts.
pub trait Actor {
    /// Does everything that is due at `now`, and says when it wants to be called again even if nothing changes.
    fn act(&mut self, server: &mut ApiServer, now: Timestamp) -> Option<Timestamp>;
}
