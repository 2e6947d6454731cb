//! DaemonSets: one pod on every node that suits.

mod pass;

use std::sync::Arc;

use jiff::Timestamp;

use super::cursor::{Cursor, never_had};
use super::events::Recorder;
use super::key::Key;
use super::queue::{Outcome, Queue};
use crate::actor::Actor;
use crate::controllers::turns::Watcher;
use crate::object::Object;
use crate::resource::{DAEMON_SETS, NODES, PODS, Resources};
use crate::server::ApiServer;
use pass::Pass;

/// The controller of DaemonSets.
#[derive(Debug, Clone)]
pub struct DaemonSets {
    cursor: Cursor,
    queue: Queue<Key>,
    events: Recorder,
}

impl Default for DaemonSets {
    fn default() -> Self {
        Self {
            cursor: Cursor::default(),
            queue: Queue::default(),
            events: Recorder::new("daemonset-controller"),
        }
    }
}

impl Actor for DaemonSets {
    fn act(&mut self, server: &mut ApiServer, now: Timestamp) -> Option<Timestamp> {
        if never_had(server.store(), &DAEMON_SETS) {
            return None;
        }
        let Self { cursor, queue, events } = self;
        let store = server.store();
        cursor.look(store, &[&NODES, &DAEMON_SETS, &PODS], |news| {
            if *news.object.resource() == NODES {
                if news.changed("metadata") || news.changed("spec") {
                    store.list(&DAEMON_SETS, None).for_each(|set| queue.add(Key::of(set)));
                }
            } else if *news.object.resource() == DAEMON_SETS {
                if !news.is_only_status() {
                    queue.add(Key::of(news.object));
                }
            } else if let Some(owner) = Key::of_controller(news.object, "DaemonSet") {
                queue.add(owner);
            }
        });
        while let Some(key) = queue.pop(now) {
            let set: Option<Arc<Object>> =
                server.store().get(&DAEMON_SETS, &key.namespace, &key.name).cloned();
            let outcome = match set.filter(|set| !set.is_terminating()) {
                Some(set) => Pass::run(server, events, now, set),
                None => Outcome::Done,
            };
            queue.settle(key, now, outcome);
        }
        queue.next_at()
    }
}

impl Watcher for DaemonSets {
    fn watched(&self) -> Resources {
        const { Resources::of(&[&NODES, &DAEMON_SETS, &PODS]) }
    }

    fn cursor(&mut self) -> &mut Cursor {
        &mut self.cursor
    }
}
