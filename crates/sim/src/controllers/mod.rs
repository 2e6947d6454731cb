//! The controllers of a control plane, each a value that acts when it is called.
//!
//! A controller reads what changed since its last look, puts the keys these changes touch into a queue, and looks at
//! each key once: what is there, what should be, one step. It writes through [`ApiServer`] and says when it wants to
//! be called again. Nobody waits and nobody asks for the time. The decisions that are numbers only have modules of
//! their own, with tables as tests.

mod autoscaler;
mod budgets;
mod conditions;
mod cron;
mod cursor;
mod daemon_set;
mod deployment;
mod endpoints;
mod event_age;
mod events;
mod garbage;
mod job;
mod key;
mod namespaces;
mod pods;
mod queue;
mod quotas;
mod read;
mod replica_set;
mod revisions;
mod scheduler;
mod selected;
mod stateful_set;
mod turns;
mod volumes;
mod write;

pub use autoscaler::{Autoscalers, Metrics, Usage};
pub use budgets::DisruptionBudgets;
pub use cron::CronJobs;
pub use daemon_set::DaemonSets;
pub use deployment::Deployments;
pub use endpoints::{Endpoint, Proxy, ServiceEndpoints};
pub use event_age::EventAge;
pub use garbage::GarbageCollector;
pub use job::Jobs;
pub use namespaces::{Namespaces, ServiceAccounts};
pub use quotas::Quotas;
pub use replica_set::ReplicaSets;
pub use scheduler::Scheduler;
pub use stateful_set::StatefulSets;
pub use volumes::Volumes;

use jiff::Timestamp;

use crate::actor::Actor;
use crate::server::ApiServer;
use turns::{Turns, Watcher};

/// So often everybody acts at one moment at most; more is two controllers undoing one another's work.
const MAX_ROUNDS: usize = 10_000;

macro_rules! controllers {
    ($($field:ident: $type:ident, $about:literal;)*) => {
        /// All of them, in the order they act.
        #[derive(Debug, Clone, Default)]
        pub struct Controllers {
            $(#[doc = $about] pub $field: $type,)*
            turns: Turns<{ [$(stringify!($field),)*].len() }>,
        }

        impl Controllers {
            /// Everybody acts once who has a reason to; says when the first one has another.
            fn act_once(&mut self, server: &mut ApiServer, now: Timestamp) -> Option<Timestamp> {
                let Self { $($field,)* turns } = self;
                turns.take([$($field as &mut dyn Watcher,)*], server, now)
            }
        }

        /// All of them as separate actors, in the order they act.
        pub fn all() -> Vec<Box<dyn Actor>> {
            vec![$(Box::new($type::default()),)*]
        }
    };
}

controllers! {
    namespaces: Namespaces, "Takes namespaces apart.";
    service_accounts: ServiceAccounts, "Equips new namespaces.";
    cron_jobs: CronJobs, "CronJobs.";
    jobs: Jobs, "Jobs.";
    autoscalers: Autoscalers, "HorizontalPodAutoscalers.";
    deployments: Deployments, "Deployments.";
    stateful_sets: StatefulSets, "StatefulSets.";
    daemon_sets: DaemonSets, "DaemonSets.";
    replica_sets: ReplicaSets, "ReplicaSets.";
    scheduler: Scheduler, "The scheduler.";
    volumes: Volumes, "Makes volumes for claims.";
    endpoints: ServiceEndpoints, "The pods behind Services.";
    proxy: Proxy, "What traffic sees of them.";
    budgets: DisruptionBudgets, "PodDisruptionBudgets.";
    quotas: Quotas, "ResourceQuotas.";
    garbage: GarbageCollector, "The garbage collector.";
    event_age: EventAge, "Takes old events away.";
}

impl Actor for Controllers {
    /// Everybody acts, again and again, until nobody writes any more.
    fn act(&mut self, server: &mut ApiServer, now: Timestamp) -> Option<Timestamp> {
        for _ in 0..MAX_ROUNDS {
            let before = server.store().revision();
            let next = self.act_once(server, now);
            if server.store().revision() == before {
                return next;
            }
        }
        Some(now)
    }
}
