//! Jobs: pods that run to their end, so many times.

mod maths;
mod pass;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::conditions;
use super::cursor::{Cursor, never_had};
use super::events::Recorder;
use super::key::Key;
use super::pods;
use super::queue::{Outcome, Queue};
use crate::actor::Actor;
use crate::controllers::turns::Watcher;
use crate::object::Object;
use crate::resource::{JOBS, PODS, Resources};
use crate::server::ApiServer;
use crate::store::What;
use pass::Pass;

/// What is remembered of a Job's pods.
#[derive(Debug, Clone, Default)]
struct Memory {
    /// The pods whose end was counted.
    counted: BTreeSet<Arc<str>>,
    /// Pods that were deleted before they ended, to be counted as failures.
    lost: i64,
    /// Failures since the last success.
    failures_in_a_row: u32,
    last_failure: Option<Timestamp>,
    /// Completed indexes of an indexed Job.
    indexes: BTreeSet<i64>,
}

/// The controller of Jobs.
#[derive(Debug, Clone)]
pub struct Jobs {
    cursor: Cursor,
    queue: Queue<Key>,
    events: Recorder,
    memory: BTreeMap<Key, Memory>,
}

impl Default for Jobs {
    fn default() -> Self {
        Self {
            cursor: Cursor::default(),
            queue: Queue::default(),
            events: Recorder::new("job-controller"),
            memory: BTreeMap::new(),
        }
    }
}

impl Actor for Jobs {
    fn act(&mut self, server: &mut ApiServer, now: Timestamp) -> Option<Timestamp> {
        if never_had(server.store(), &JOBS) {
            return None;
        }
        let Self { cursor, queue, events, memory } = self;
        cursor.look(server.store(), &[&JOBS, &PODS], |news| {
            if *news.object.resource() == JOBS {
                if news.what == What::Deleted {
                    memory.remove(&Key::of(news.object));
                } else if !news.is_only_status() || is_over(news.object) {
                    queue.add(Key::of(news.object));
                }
            } else if let Some(owner) = Key::of_controller(news.object, "Job") {
                if news.what == What::Deleted
                    && !pods::is_finished(news.object)
                    && let Some(memory) = memory.get_mut(&owner)
                {
                    memory.lost += 1;
                }
                queue.add(owner);
            }
        });
        while let Some(key) = queue.pop(now) {
            let job = server.store().get(&JOBS, &key.namespace, &key.name).cloned();
            let outcome = match job.filter(|job| !job.is_terminating()) {
                Some(job) => {
                    let memory = memory.entry(key.clone()).or_default();
                    Pass::run(server, events, now, job, memory)
                }
                None => Outcome::Done,
            };
            queue.settle(key, now, outcome);
        }
        queue.next_at()
    }
}

impl Watcher for Jobs {
    fn watched(&self) -> Resources {
        const { Resources::of(&[&JOBS, &PODS]) }
    }

    fn cursor(&mut self) -> &mut Cursor {
        &mut self.cursor
    }
}

/// Whether a Job has ended, one way or the other.
pub(super) fn is_over(job: &Object) -> bool {
    let status = &job["status"];
    conditions::is_true(status, "Complete") || conditions::is_true(status, "Failed")
}
