//! Events live for an hour.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

use super::cursor::Cursor;
use super::key::Key;
use crate::actor::Actor;
use crate::resource::EVENTS;
use crate::server::ApiServer;
use crate::store::What;

/// As long as a real API server keeps them.
const LIFETIME: Duration = Duration::from_secs(3600);

/// Takes old events away.
#[derive(Debug, Clone, Default)]
pub struct EventAge {
    cursor: Cursor,
    /// When events go that were written last, oldest first; the revision tells whether they were written again.
    written: VecDeque<(Timestamp, u64, Key)>,
}

impl Actor for EventAge {
    fn act(&mut self, server: &mut ApiServer, now: Timestamp) -> Option<Timestamp> {
        let Self { cursor, written } = self;
        if cursor.is_lost(server.store()) {
            written.clear();
        }
        let goes = now + LIFETIME;
        cursor.look(server.store(), &[&EVENTS], |news| {
            if news.what != What::Deleted {
                written.push_back((goes, news.object.revision(), Key::of(news.object)));
            }
        });
        while let Some((goes, ..)) = written.front() {
            if *goes > now {
                // A little later than due, so that many go at once.
                return Some(*goes + Duration::from_secs(60));
            }
            let Some((_, revision, key)) = written.pop_front() else { break };
            let event = server.store().get(&EVENTS, &key.namespace, &key.name).cloned();
            if let Some(event) = event.filter(|e| e.revision() == revision) {
                server.store_mut().remove(now, (*event).clone());
            }
        }
        None
    }
}
