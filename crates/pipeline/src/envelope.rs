//! What is put around every event, and the wire format of `-o json`.
//!
//! JSON Lines: one [`Envelope`] a line, UTF-8, no line breaks inside. A reader must ignore keys and event types it does not
//! know. Fields are never removed or given another meaning within a version `v`.
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
