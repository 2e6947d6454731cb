//! The events a kubelet writes about a pod: repeated ones are counted, and not too many of one type are written.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::object::Object;
use crate::resource::EVENTS;
use crate::server::{About, ApiServer, By, EventFacts, Said, Style, event_name};
use crate::time::{self, Second};

/// So many events of one type about one pod are written at once.
const BURST: u32 = 25;
/// And one more in this time.
const REFILL: Duration = Duration::from_secs(5 * 60);

/// Whether something is as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Normal,
    Warning,
}

/// The words of an event.
pub(super) enum Words<'a> {
    /// Put together for this one.
    Text(String),
    /// Of those with this reason about this container the ones with this number, which are the same every time; they are put
    /// together for the first one.
    Known(u32, &'a dyn Fn() -> String),
}

/// What an event says.
pub(super) struct Say<'a> {
    pub(super) tone: Tone,
    pub(super) reason: &'static str,
    pub(super) words: Words<'a>,
    /// As in `spec.containers{app}`, empty for the pod.
    pub(super) field: &'a Arc<str>,
}

#[derive(Debug, Clone)]
struct Entry {
    reason: &'static str,
    /// Its number, if its words are known by one.
    known: Option<u32>,
    message: Arc<str>,
    field: Arc<str>,
    /// What was written last; None: nothing yet, or it is gone.
    written: Option<Arc<Object>>,
    count: u32,
}

impl Entry {
    fn new(say: &Say<'_>) -> Self {
        let (known, message) = match &say.words {
            Words::Text(text) => (None, Arc::from(text.as_str())),
            Words::Known(number, words) => (Some(*number), Arc::from(words())),
        };
        Self { reason: say.reason, known, message, field: Arc::clone(say.field), written: None, count: 1 }
    }

    fn says(&self, say: &Say<'_>) -> bool {
        self.reason == say.reason
            && match &say.words {
                Words::Text(text) => self.known.is_none() && *self.message == **text,
                Words::Known(number, _) => self.known == Some(*number),
            }
            && (Arc::ptr_eq(&self.field, say.field) || self.field == *say.field)
    }
}

/// A source of tokens that fills up with time.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Timestamp,
}

impl Bucket {
    fn refill(&mut self, now: Timestamp) {
        let past = now.duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + past / REFILL.as_secs_f64()).min(f64::from(BURST));
        self.at = now;
    }
}

/// What was written about one pod.
#[derive(Debug, Clone)]
pub(super) struct Recorder {
    entries: Vec<Entry>,
    buckets: [Bucket; 2],
    written: u32,
}

impl Recorder {
    pub(super) fn new(now: Timestamp) -> Self {
        let bucket = Bucket { tokens: f64::from(BURST), at: now };
        Self { entries: Vec::new(), buckets: [bucket; 2], written: 0 }
    }

    /// Whether a warning would be written.
    pub(super) fn has_room(&self, now: Timestamp) -> bool {
        let mut bucket = self.buckets[Tone::Warning as usize];
        bucket.refill(now);
        bucket.tokens >= 1.0
    }

    /// Writes an event, or counts up the one that says the same.
    pub(super) fn record(
        &mut self,
        server: &mut ApiServer,
        now: Timestamp,
        pod: &Object,
        node: &Arc<str>,
        say: &Say<'_>,
    ) {
        let known = self.entries.iter().position(|entry| entry.says(say));
        let at = known.unwrap_or(self.entries.len());
        match known {
            Some(at) => self.entries[at].count += 1,
            None => self.entries.push(Entry::new(say)),
        }
        let bucket = &mut self.buckets[say.tone as usize];
        bucket.refill(now);
        if bucket.tokens < 1.0 {
            return;
        }
        bucket.tokens -= 1.0;
        if self.entries[at].written.is_none() {
            self.create(server, now, pod, node, say, at);
        } else {
            self.count_up(server, now, at);
        }
    }

    fn create(
        &mut self,
        server: &mut ApiServer,
        now: Timestamp,
        pod: &Object,
        node: &Arc<str>,
        say: &Say<'_>,
        at: usize,
    ) {
        self.written += 1;
        let nanos = u64::try_from(now.as_nanosecond()).unwrap_or(0);
        let name = event_name(pod.name(), nanos.wrapping_add(u64::from(self.written)));
        let entry = &mut self.entries[at];
        let said = Said {
            about: About::of(pod, Arc::clone(&entry.field)),
            created: Second::of(now),
            tone: if say.tone == Tone::Normal { "Normal" } else { "Warning" },
            reason: say.reason,
            style: Style::Counted { component: "kubelet", host: Arc::clone(node), reporter: "kubelet" },
        };
        let facts = EventFacts::new(said, Arc::clone(&entry.message), i64::from(entry.count));
        // A namespace that is going away takes no more events, as in a real cluster.
        entry.written = server.post(now, name, facts).ok();
    }

    fn count_up(&mut self, server: &mut ApiServer, now: Timestamp, at: usize) {
        let entry = &mut self.entries[at];
        let Some(known) = entry.written.take() else { return };
        let count = i64::from(entry.count);
        let facts =
            server.store().current(&known).and_then(|event| Some((event, event.whole::<EventFacts>()?)));
        let again = facts.and_then(|(event, facts)| {
            Some(event.with_facts(facts.again(now, Some(count), Arc::clone(&facts.message))?))
        });
        if let Some(again) = again {
            entry.written = Some(server.store_mut().put(now, again));
            return;
        }
        let change = |event: &mut Value| {
            event["count"] = json!(count);
            event["lastTimestamp"] = json!(time::seconds(now));
        };
        let (namespace, name) = (known.namespace(), known.name());
        entry.written = server.edit(now, &EVENTS, namespace, name, &By::nobody(), change).ok();
        if entry.written.is_none() {
            // Somebody deleted it, or it expired: the next one is a new one.
            entry.count = 0;
        }
    }
}
