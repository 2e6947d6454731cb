//! Watches: a revision, a selection, and what happened since.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::list::Selection;
use super::path::Place;
use super::query::Query;
use super::render::{Form, Item};
use super::replica::Replica;
use super::table;
use crate::object::Object;
use crate::server::ApiServer;
use crate::status::Status;
use crate::store::{Change, Store, What};

/// How long a watch lasts if nobody says: half an hour, as a real server's least.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1800);

/// A watch that somebody reads. It holds no events: it looks up what comes next.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is something the reader asked for or is owed")]
pub struct Watch {
    place: Place,
    selection: Selection,
    form: Form,
    /// Everything up to here was told.
    revision: u64,
    initial: VecDeque<Arc<Object>>,
    /// The initial events come when the cache shows this revision.
    begins_at: Option<u64>,
    /// The bookmark that ends the initial events is still to come, and not before then.
    owes_end: bool,
    ends_initial_at: Timestamp,
    replica: Replica,
    bookmarks: bool,
    timeout: Duration,
    sent_columns: bool,
    is_over: bool,
}

impl Watch {
    pub(super) fn start(
        server: &ApiServer,
        now: Timestamp,
        (place, query, form): (Place, &Query, Form),
        replica: Replica,
    ) -> Result<Self, Status> {
        let store = server.store();
        let selection = Selection::read(&place, query)?;
        let asked = query.text("resourceVersion");
        let bookmarks = query.flag("allowWatchBookmarks") && !replica.no_bookmarks;
        let sends_initial = match query.get("sendInitialEvents") {
            Some(value) if server.profile().watch_list => Some(value == "true" || value == "1"),
            _ => None,
        };
        let is_from_start = asked.is_empty() || asked == "0";
        let mut watch = Self {
            place,
            selection,
            form,
            revision: store.revision(),
            initial: VecDeque::new(),
            begins_at: None,
            owes_end: sends_initial == Some(true) && bookmarks,
            ends_initial_at: now + replica.late_end,
            replica,
            bookmarks,
            timeout: query.number("timeoutSeconds").map_or(DEFAULT_TIMEOUT, Duration::from_secs),
            sent_columns: false,
            is_over: false,
        };
        if sends_initial.unwrap_or(is_from_start) {
            let least = if is_from_start { None } else { Some(parse_revision(asked)?) };
            if let Some(revision) = least.filter(|revision| *revision > store.revision()) {
                return Err(Status::too_large_revision(revision, store.revision()));
            }
            match replica.read(store, now, asked) {
                Ok(read) if read.after.is_zero() => watch.begin(server, now),
                Ok(read) => watch.begins_at = Some(read.revision),
                Err((status, _)) => return Err(status),
            }
            // Who asks for no revision wants what is newest now, and waits for it.
            if asked.is_empty() && !replica.always_from_cache {
                watch.begins_at = Some(store.revision()).filter(|newest| watch.revision < *newest);
            }
        } else if !is_from_start {
            watch.revision = parse_revision(asked)?;
            watch.step_back(store);
        }
        Ok(watch)
    }

    /// Takes what the cache shows as the initial events.
    fn begin(&mut self, server: &ApiServer, now: Timestamp) {
        let store = server.store();
        self.begins_at = None;
        self.revision = self.replica.newest(store, now);
        // What the cache shows is younger than what history forgets.
        let objects = store.at(&self.place.resource, self.place.scope(), self.revision).unwrap_or_default();
        self.initial = objects.into_iter().filter(|o| self.selection.matches(o)).collect();
    }

    /// Begins some events earlier than asked for, as far as history goes.
    fn step_back(&mut self, store: &Store) {
        if self.replica.repeats == 0 {
            return;
        }
        let Ok(changes) = store.changes(&self.place.resource, store.compacted()) else { return };
        let revisions: Vec<u64> =
            changes.map(Change::revision).take_while(|revision| *revision <= self.revision).collect();
        let first = revisions.len().saturating_sub(self.replica.repeats);
        if let Some(first) = revisions.get(first) {
            self.revision = first - 1;
        }
    }

    /// When something that is stored already will be told, if nothing else happens.
    pub fn due(&self, server: &ApiServer) -> Option<Timestamp> {
        let store = server.store();
        if let Some(revision) = self.begins_at {
            return self.replica.behind?.shows_revision(store, revision);
        }
        let end = self.owes_end.then_some(self.ends_initial_at);
        let next = self.replica.behind.and_then(|behind| {
            let change = store.changes(&self.place.resource, self.revision).ok()?.next()?;
            Some(behind.shows(change.at))
        });
        end.into_iter().chain(next).min()
    }

    /// How long it lasts.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Whether the reader wants bookmarks.
    pub fn wants_bookmarks(&self) -> bool {
        self.bookmarks
    }

    /// Whether nothing more will come: history does not reach back to where it stood.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// The next events as lines of JSON, empty when there is nothing new.
    pub fn poll(&mut self, server: &ApiServer, now: Timestamp) -> Vec<u8> {
        let mut out = Vec::new();
        if self.is_over {
            return out;
        }
        let shown = self.replica.newest(server.store(), now);
        if let Some(least) = self.begins_at {
            if shown < least {
                return out;
            }
            self.begin(server, now);
        }
        while let Some(object) = self.initial.pop_front() {
            self.event(now, "ADDED", &object, &mut out);
        }
        if self.owes_end && now >= self.ends_initial_at {
            self.owes_end = false;
            let ends = json!({"k8s.io/initial-events-end": "true"});
            self.write_bookmark(&ends, &mut out);
        }
        let store = server.store();
        let changes: Vec<Change> = match store.changes(&self.place.resource, self.revision) {
            Ok(changes) => changes.take_while(|change| change.revision() <= shown).cloned().collect(),
            Err(compacted) => {
                self.is_over = true;
                let status = Status::expired(compacted.asked, compacted.oldest);
                line(&json!({"type": "ERROR", "object": status.to_value()}), &mut out);
                return out;
            }
        };
        for change in changes {
            self.change(now, &change, &mut out);
        }
        self.revision = self.revision.max(shown);
        out
    }

    /// A bookmark of everything that was told, if the reader wants bookmarks.
    pub fn bookmark(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if self.bookmarks && !self.is_over {
            self.write_bookmark(&Value::Null, &mut out);
        }
        out
    }

    /// Whether anything may be new.
    pub fn is_behind(&self, server: &ApiServer) -> bool {
        !self.is_over
            && (self.owes_end || !self.initial.is_empty() || self.revision < server.store().revision())
    }

    /// A change as it looks through the selection.
    fn change(&mut self, now: Timestamp, change: &Change, out: &mut Vec<u8>) {
        let object = &change.object;
        if self.place.scope().is_some_and(|namespace| namespace != object.namespace()) {
            return;
        }
        let was = change.before.as_ref().is_some_and(|before| self.selection.matches(before));
        let is = change.what != What::Deleted && self.selection.matches(object);
        match (was, is) {
            (false, false) => {}
            (false, true) => self.event(now, "ADDED", object, out),
            (true, true) => self.event(now, "MODIFIED", object, out),
            (true, false) if change.what == What::Deleted => self.event(now, "DELETED", object, out),
            (true, false) => {
                // It left the selection: its last state there, at the revision at which it left.
                if let Some(before) = &change.before {
                    let mut last = (**before).clone();
                    last.revision = object.revision();
                    self.event(now, "DELETED", &last, out);
                }
            }
        }
    }

    fn event(&mut self, now: Timestamp, kind: &str, object: &Object, out: &mut Vec<u8>) {
        if self.form == Form::Table {
            let metadata = json!({"resourceVersion": object.revision().to_string()});
            let columns = !std::mem::replace(&mut self.sent_columns, true);
            let table = table::table(&self.place, now, &[object], &metadata, true, columns);
            line(&json!({"type": kind, "object": table}), out);
            return;
        }
        let item = Item { object, place: &self.place, typed: true, form: self.form };
        out.extend_from_slice(b"{\"type\":\"");
        out.extend_from_slice(kind.as_bytes());
        out.extend_from_slice(b"\",\"object\":");
        if serde_json::to_writer(&mut *out, &item).is_ok() {
            out.extend_from_slice(b"}\n");
        }
    }

    fn write_bookmark(&self, annotations: &Value, out: &mut Vec<u8>) {
        let mut object = json!({
            "kind": self.place.kind.kind,
            "apiVersion": self.place.api_version(),
            "metadata": {"resourceVersion": self.revision.to_string()},
        });
        if self.form == Form::Metadata {
            object["kind"] = json!("PartialObjectMetadata");
            object["apiVersion"] = json!("meta.k8s.io/v1");
        }
        if annotations.is_object() {
            object["metadata"]["annotations"] = annotations.clone();
        }
        line(&json!({"type": "BOOKMARK", "object": object}), out);
    }
}

fn parse_revision(text: &str) -> Result<u64, Status> {
    text.parse().map_err(|_| Status::bad_revision(text))
}

fn line(value: &Value, out: &mut Vec<u8>) {
    out.extend_from_slice(value.to_string().as_bytes());
    out.push(b'\n');
}
