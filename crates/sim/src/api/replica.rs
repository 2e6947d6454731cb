//! The API server that answers, where there are several: how far its cache is behind, and what else it does differently.
//!
//! What is written goes to the one store of all servers, and so does a read that asks for the newest state.

use std::time::Duration;

use jiff::Timestamp;

use crate::status::Status;
use crate::store::Store;

/// How long a server waits for its cache to come as far as a read asks for.
pub(crate) const WAITS_FOR_CACHE: Duration = Duration::from_secs(3);

/// A cache that shows what was stored a while ago. It never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behind {
    /// It was up to date until then.
    pub since: Timestamp,
    /// It shows changes so much later.
    pub by: Duration,
    /// It is up to date again from then on.
    pub until: Option<Timestamp>,
}

/// The API server that answers a request. The default one does everything as it should be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Replica {
    /// How far its cache is behind.
    pub behind: Option<Behind>,
    /// Whether it answers from its cache even where the newest state is asked for.
    pub always_from_cache: bool,
    /// Whether its watches have no bookmarks.
    pub no_bookmarks: bool,
    /// How much later than usual the bookmark after initial events comes.
    pub late_end: Duration,
    /// How many events before its start a watch tells again.
    pub repeats: usize,
    /// Whether it cannot reach the webhook that converts custom kinds.
    pub no_conversion: bool,
}

/// A read from a cache: of which revision, and after what time.
pub(super) struct Cached {
    pub(super) revision: u64,
    pub(super) after: Duration,
}

impl Behind {
    /// The newest revision it shows.
    pub(super) fn revision(&self, store: &Store, now: Timestamp) -> u64 {
        if self.until.is_some_and(|until| now >= until) {
            return store.revision();
        }
        store.revision_at(self.since.max(now - self.by))
    }

    /// When it shows a change of then.
    pub(super) fn shows(&self, change: Timestamp) -> Timestamp {
        if change <= self.since {
            return change;
        }
        let late = change + self.by;
        self.until.map_or(late, |until| late.min(until.max(change)))
    }

    /// When it shows a revision.
    pub(super) fn shows_revision(&self, store: &Store, revision: u64) -> Option<Timestamp> {
        let change = store.all_changes(revision.saturating_sub(1)).ok()?.next()?;
        Some(self.shows(change.at))
    }
}

impl Replica {
    /// The newest revision its cache shows.
    pub(super) fn newest(&self, store: &Store, now: Timestamp) -> u64 {
        self.behind.map_or(store.revision(), |behind| behind.revision(store, now))
    }

    /// Which revision a read sees that asks for `asked` or anything newer: none is the newest there is, `0` whatever the
    /// cache has.
    ///
    /// # Errors
    ///
    /// 504 if the cache will not have come so far when it has been waited for.
    pub(super) fn read(
        &self,
        store: &Store,
        now: Timestamp,
        asked: &str,
    ) -> Result<Cached, (Status, Duration)> {
        let at = |revision| Ok(Cached { revision, after: Duration::ZERO });
        if asked.is_empty() && !self.always_from_cache {
            return at(store.revision());
        }
        let shown = self.newest(store, now);
        let Some(least) = asked.parse::<u64>().ok().filter(|least| *least > shown) else { return at(shown) };
        let comes = self.behind.and_then(|behind| behind.shows_revision(store, least));
        let wait = comes.map(|comes| Duration::try_from(comes.duration_since(now)).unwrap_or_default());
        match wait.filter(|wait| *wait <= WAITS_FOR_CACHE) {
            Some(after) => Ok(Cached { revision: least, after }),
            None => Err((Status::too_large_revision(least, shown), WAITS_FOR_CACHE)),
        }
    }
}
