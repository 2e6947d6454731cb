//! What happened, one line per stored change: the same seed gives the same lines, byte for byte.

use std::fmt::Write;

use jiff::Timestamp;

use crate::faults::Note;
use crate::object::Object;
use crate::resource::{EVENTS, LEASES, PODS};
use crate::server::EventFacts;
use crate::store::{Change, Store, What};

/// How much of what happened is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Keep {
    /// Every line.
    #[default]
    Lines,
    /// Only a number that is different when any line is.
    Hash,
    /// Nothing, at no cost.
    Nothing,
}

/// What happened since the start.
#[derive(Debug, Clone)]
pub struct Trace {
    start: Timestamp,
    keep: Keep,
    lines: Vec<String>,
    notes: Vec<Note>,
    hash: u64,
    seen: u64,
}

impl Trace {
    /// Nothing has happened yet.
    pub(crate) fn new(start: Timestamp, keep: Keep) -> Self {
        Self { start, keep, lines: Vec::new(), notes: Vec::new(), hash: 0xcbf2_9ce4_8422_2325, seen: 1 }
    }

    /// The lines, if they are kept.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// What faults did, whatever else is kept.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// A number all lines together lead to.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Writes down what was stored since the last time. Leases are left out.
    pub(crate) fn follow(&mut self, store: &Store) {
        let seen = std::mem::replace(&mut self.seen, store.revision());
        if self.keep == Keep::Nothing || seen == self.seen {
            return;
        }
        match store.all_changes(seen) {
            Ok(changes) => {
                for change in changes.filter(|change| *change.object.resource() != LEASES) {
                    let line = self.line(change);
                    self.put(line);
                }
            }
            Err(compacted) => self.put(compacted.to_string()),
        }
    }

    /// Writes down what a fault did.
    pub(crate) fn note(&mut self, note: &Note) {
        self.notes.push(note.clone());
        if self.keep != Keep::Nothing {
            let line = format!("{} fault {} hits {}", self.age(note.at), note.fault, note.target);
            self.put(line);
        }
    }

    fn put(&mut self, line: String) {
        for byte in line.bytes().chain([b'\n']) {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        if self.keep == Keep::Lines {
            self.lines.push(line);
        }
    }

    fn age(&self, at: Timestamp) -> String {
        format!("{:>10.3}", at.duration_since(self.start).as_secs_f64())
    }

    fn line(&self, change: &Change) -> String {
        let object = &change.object;
        let what = match change.what {
            What::Added => "added",
            What::Modified => "modified",
            What::Deleted => "deleted",
        };
        let kind = object.kind().kind.to_lowercase();
        let mut line = format!("{} {what} {kind} ", self.age(change.at));
        if !object.namespace().is_empty() {
            line.push_str(object.namespace());
            line.push('/');
        }
        line.push_str(object.name());
        describe(object, &mut line);
        line
    }
}

/// What matters of an object, in a few words.
fn describe(object: &Object, line: &mut String) {
    // A text takes every write.
    if *object.resource() == PODS {
        let _ = write!(line, " {} {}", object.phase(), if object.is_ready() { "ready" } else { "unready" });
        for reason in object.waiting_reasons() {
            let _ = write!(line, " {reason}");
        }
    } else if *object.resource() == EVENTS {
        let text = |field: &str| object[field].as_str().unwrap_or_default();
        let _ = if let Some(event) = object.whole::<EventFacts>() {
            write!(line, " {} x{}: {}", event.reason(), event.count(), event.message)
        } else {
            let count = object["count"].as_u64().unwrap_or(1);
            write!(line, " {} x{count}: {}", text("reason"), text("message"))
        };
    } else {
        let status = &object["status"];
        for field in ["replicas", "readyReplicas", "availableReplicas", "active", "succeeded", "failed"] {
            if let Some(count) = status[field].as_u64() {
                let _ = write!(line, " {field}={count}");
            }
        }
    }
    if object.is_terminating() {
        line.push_str(" terminating");
    }
}
