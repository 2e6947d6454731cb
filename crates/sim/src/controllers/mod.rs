//! The controllers of a control plane, each a value that acts when it is called.
//!
//! A controller reads what changed since its last look, puts the keys these changes touch into a queue, and looks at
//! each key once: what is there, what should be, one step. It writes through [`ApiServer`] and says when it wants to
//! be called again. Nobody waits and nobody asks for the time. The decisions that are numbers only have modules of
//! their own, with tables as tests.

mod conditions;
mod cursor;
mod deployment;
mod events;
mod key;
mod pods;
mod quantity;
mod queue;
mod read;
mod replica_set;
mod scheduler;
mod write;

pub use deployment::Deployments;
pub use replica_set::ReplicaSets;
pub use scheduler::Scheduler;

use jiff::Timestamp;

use crate::actor::Actor;
use crate::server::ApiServer;

/// So often everybody acts at one moment at most; more is two controllers undoing one another's work.
const MAX_ROUNDS: usize = 10_000;

/// All of them, in the order they act.
#[derive(Debug, Clone, Default)]
pub struct Controllers {
    /// Deployments.
    pub deployments: Deployments,
    /// ReplicaSets.
    pub replica_sets: ReplicaSets,
    /// The scheduler.
    pub scheduler: Scheduler,
}

impl Controllers {
    fn each(&mut self) -> [&mut dyn Actor; 3] {
        [&mut self.deployments, &mut self.replica_sets, &mut self.scheduler]
    }
}

impl Actor for Controllers {
    /// Everybody acts, again and again, until nobody writes any more.
    fn act(&mut self, server: &mut ApiServer, now: Timestamp) -> Option<Timestamp> {
        for _ in 0..MAX_ROUNDS {
            let before = server.store().revision();
            let mut next: Option<Timestamp> = None;
            for actor in self.each() {
                next = next.into_iter().chain(actor.act(server, now)).min();
            }
            if server.store().revision() == before {
                return next;
            }
        }
        Some(now)
    }
}

/// All of them as separate actors, in the order they act.
pub fn all() -> Vec<Box<dyn Actor>> {
    let Controllers { deployments, replica_sets, scheduler } = Controllers::default();
    vec![Box::new(deployments), Box::new(replica_sets), Box::new(scheduler)]
}
