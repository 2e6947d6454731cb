//! StatefulSets: pods with names that last, made and replaced in order.

mod pass;

use jiff::Timestamp;

use super::cursor::{Cursor, never_had};
use super::events::Recorder;
use super::key::Key;
use super::queue::{Outcome, Queue};
use crate::actor::Actor;
use crate::controllers::turns::Watcher;
use crate::resource::{PODS, Resources, STATEFUL_SETS};
use crate::server::ApiServer;
use pass::Pass;

/// The controller of StatefulSets.
#[derive(Debug, Clone)]
pub struct StatefulSets {
    cursor: Cursor,
    queue: Queue<Key>,
    events: Recorder,
}

impl Default for StatefulSets {
    fn default() -> Self {
        Self {
            cursor: Cursor::default(),
            queue: Queue::default(),
            events: Recorder::new("statefulset-controller"),
        }
    }
}

impl Actor for StatefulSets {
    fn act(&mut self, server: &mut ApiServer, now: Timestamp) -> Option<Timestamp> {
        if never_had(server.store(), &STATEFUL_SETS) {
            return None;
        }
        let Self { cursor, queue, events } = self;
        cursor.look(server.store(), &[&STATEFUL_SETS, &PODS], |news| {
            if *news.object.resource() == STATEFUL_SETS {
                if !news.is_only_status() {
                    queue.add(Key::of(news.object));
                }
            } else if let Some(owner) = Key::of_controller(news.object, "StatefulSet") {
                queue.add(owner);
            }
        });
        while let Some(key) = queue.pop(now) {
            let set = server.store().get(&STATEFUL_SETS, &key.namespace, &key.name).cloned();
            let outcome = match set.filter(|set| !set.is_terminating()) {
                Some(set) => Pass::run(server, events, now, set),
                None => Outcome::Done,
            };
            queue.settle(key, now, outcome);
        }
        queue.next_at()
    }
}

impl Watcher for StatefulSets {
    fn watched(&self) -> Resources {
        const { Resources::of(&[&STATEFUL_SETS, &PODS]) }
    }

    fn cursor(&mut self) -> &mut Cursor {
        &mut self.cursor
    }
}
