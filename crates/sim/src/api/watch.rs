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
use super::table;
use crate::object::Object;
use crate::server::ApiServer;
use crate::status::Status;
use crate::store::{Change, What};

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
    /// The bookmark that ends the initial events is still to come.
    owes_end: bool,
    bookmarks: bool,
    timeout: Duration,
    sent_columns: bool,
    is_over: bool,
}

impl Watch {
    pub(super) fn start(server: &ApiServer, place: Place, query: &Query, form: Form) -> Result<Self, Status> {
        let store = server.store();
        let selection = Selection::read(&place, query)?;
        let asked = query.text("resourceVersion");
        let bookmarks = query.flag("allowWatchBookmarks");
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
            owes_end: sends_initial == Some(true) && bookmarks,
            bookmarks,
            timeout: query.number("timeoutSeconds").map_or(DEFAULT_TIMEOUT, Duration::from_secs),
            sent_columns: false,
            is_over: false,
        };
        if sends_initial.unwrap_or(is_from_start) {
            if !is_from_start {
                let revision = parse_revision(asked)?;
                if revision > store.revision() {
                    return Err(Status::too_large_revision(revision, store.revision()));
                }
            }
            let objects = store.list(&watch.place.resource, watch.place.scope());
            watch.initial = objects.filter(|o| watch.selection.matches(o)).cloned().collect();
        } else if !is_from_start {
            watch.revision = parse_revision(asked)?;
        }
        Ok(watch)
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
        while let Some(object) = self.initial.pop_front() {
            self.event(now, "ADDED", &object, &mut out);
        }
        if self.owes_end {
            self.owes_end = false;
            let ends = json!({"k8s.io/initial-events-end": "true"});
            self.write_bookmark(&ends, &mut out);
        }
        let store = server.store();
        let changes: Vec<Change> = match store.changes(&self.place.resource, self.revision) {
            Ok(changes) => changes.cloned().collect(),
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
        self.revision = self.revision.max(store.revision());
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
