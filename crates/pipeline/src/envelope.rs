//! What is put around every event, and the wire format of `-o json`.
//!
//! JSON Lines: one [`Envelope`] a line, UTF-8, no line breaks inside. Fields are never removed or given another meaning
//! within a version `v`; keys and event types are added.
//!
//! A reader ignores keys and event types it does not know. [`read`] does: an event of an unknown type keeps its place in
//! the run as [`Event::Unknown`]. It refuses a line of a newer `v`, and a line of a known type that it cannot read.
//!
//! ```json
//! {"v":1,"run":"01jd…","seq":0,"at":"2026-11-24T08:00:00Z","elapsed":0.0,"type":"started","command":"deploy",…}
//! ```
//!
//! | key | meaning |
//! |---|---|
//! | `v` | version of this format |
//! | `run` | names this run of the tool; equal on all its lines |
//! | `seq` | counts the lines from 0; a gap means that droppable events were dropped |
//! | `at` | time of day, RFC 3339, from the clock of the machine the tool runs on |
//! | `elapsed` | seconds since the run began, from a clock that never jumps |
//! | `type` | which event; its fields stand beside it, see [`Event`] |

use std::time::Duration;

use jiff::Timestamp;
use release_core::MonoTime;
use serde::{Deserialize, Serialize};

use crate::Event;

/// The version of the wire format.
pub const ENVELOPE_VERSION: u32 = 1;

/// One event with its place in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// Version of the format, [`ENVELOPE_VERSION`].
    pub v: u32,
    /// The run.
    pub run: String,
    /// Position in the run.
    pub seq: u64,
    /// Time of day.
    pub at: Timestamp,
    /// Seconds since the run began.
    pub elapsed: f64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// Why a text is not the events of a run.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A line is no event.
    #[error("line {line} is not an event of a run")]
    Line {
        /// Line number, from 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A line was written in a newer format.
    #[error("line {line} has format version {found}; this program reads up to {ENVELOPE_VERSION}")]
    Newer {
        /// Line number, from 1.
        line: usize,
        /// Its version.
        found: u32,
    },
}

/// Reads JSON Lines; empty lines are passed over.
///
/// # Errors
/// At the first line that is no envelope, or one of a newer version.
pub fn read(text: &str) -> Result<Vec<Envelope>, ReadError> {
    /// What tells the version before anything else is looked at.
    #[derive(Deserialize)]
    struct Version {
        v: u32,
    }
    let mut envelopes = Vec::new();
    for (index, text) in text.lines().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
        let line = index + 1;
        let fail = |source| ReadError::Line { line, source };
        let Version { v } = serde_json::from_str(text).map_err(fail)?;
        if v > ENVELOPE_VERSION {
            return Err(ReadError::Newer { line, found: v });
        }
        envelopes.push(serde_json::from_str(text).map_err(fail)?);
    }
    Ok(envelopes)
}

/// Puts events into envelopes: the one place where they get their number and time.
#[derive(Debug, Clone)]
pub struct Recorder {
    run: String,
    next: u64,
    began: MonoTime,
}

impl Recorder {
    /// A recorder for the run `run` that began at `began`.
    pub fn new(run: impl Into<String>, began: MonoTime) -> Self {
        Self { run: run.into(), next: 0, began }
    }

    /// The envelope of the next event.
    pub fn stamp(&mut self, now: MonoTime, at: Timestamp, event: Event) -> Envelope {
        let seq = self.next;
        self.next += 1;
        let elapsed = round(now.since(self.began));
        Envelope { v: ENVELOPE_VERSION, run: self.run.clone(), seq, at, elapsed, event }
    }
}

/// Milliseconds are as fine as anybody reads them, and keep the lines short.
fn round(elapsed: Duration) -> f64 {
    (elapsed.as_secs_f64() * 1e3).round() / 1e3
}
