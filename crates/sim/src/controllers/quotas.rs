//! ResourceQuotas: what is used, after something has gone.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::cursor::Cursor;
use super::pods;
use crate::actor::Actor;
use crate::controllers::turns::Watcher;
use crate::resource::{EVENTS, PODS, RESOURCE_QUOTAS, Resources};
use crate::server::ApiServer;
use crate::store::What;

/// The controller of ResourceQuotas.
#[derive(Debug, Clone, Default)]
pub struct Quotas {
    cursor: Cursor,
    /// There were no quotas at the last look.
    is_unused: bool,
}

impl Actor for Quotas {
    fn act(&mut self, server: &mut ApiServer, now: Timestamp) -> Option<Timestamp> {
        let mut touched: BTreeSet<Arc<str>> = BTreeSet::new();
        let store = server.store();
        let any = store.count(&RESOURCE_QUOTAS, None) > 0;
        self.is_unused = !any;
        if !any {
            // What happened before there were quotas does not matter: a new one counts everything.
            self.cursor.skip(store);
            return None;
        }
        self.cursor.look_at_all(store, |news| {
            let resource = news.object.resource();
            let frees = if *resource == RESOURCE_QUOTAS {
                news.what != What::Deleted && !news.is_only_status()
            } else {
                let is_gone = news.what == What::Deleted && *resource != EVENTS;
                is_gone || (*resource == PODS && pods::is_finished(news.object))
            };
            if frees {
                touched.insert(Arc::clone(&news.object.namespace));
            }
        });
        for namespace in touched {
            server.refresh_quotas(now, &namespace);
        }
        None
    }
}

impl Watcher for Quotas {
    fn watched(&self) -> Resources {
        if self.is_unused { const { Resources::of(&[&RESOURCE_QUOTAS]) } } else { Resources::ALL }
    }

    fn cursor(&mut self) -> &mut Cursor {
        &mut self.cursor
    }
}
