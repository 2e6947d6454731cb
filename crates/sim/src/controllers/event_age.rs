//! Events live for an hour.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

use super::cursor::Cursor;
use crate::actor::Actor;
use crate::controllers::turns::Watcher;
use crate::object::Place;
use crate::resource::{EVENTS, Resources};
use crate::server::ApiServer;
use crate::store::What;

/// As long as a real API server keeps them.
const LIFETIME: Duration = Duration::from_secs(3600);

/// Takes old events away.
#[derive(Debug, Clone, Default)]
pub struct EventAge {
    cursor: Cursor,
    /// When events go that were written last, oldest first; the revision tells whether they were written again, or are others.
    written: VecDeque<(Timestamp, u64, Place)>,
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
                written.push_back((goes, news.object.revision(), news.object.place));
            }
        });
        while let Some((goes, ..)) = written.front() {
            if *goes > now {
                // A little later than due, so that many go at once.
                return Some(*goes + Duration::from_secs(60));
            }
            let Some((_, revision, place)) = written.pop_front() else { break };
            let event = server.store().in_place(&EVENTS, place).cloned();
            if let Some(event) = event.filter(|e| e.revision() == revision) {
                server.store_mut().remove(now, (*event).clone());
            }
        }
        None
    }
}

impl Watcher for EventAge {
    fn watched(&self) -> Resources {
        const { Resources::of(&[&EVENTS]) }
    }

    fn cursor(&mut self) -> &mut Cursor {
        &mut self.cursor
    }
}
