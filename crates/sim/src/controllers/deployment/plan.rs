//! What the spec of a Deployment says, but for its template: read once of each spec.

use serde_json::json;

use super::maths::{self, Room};
use crate::controllers::read::{count, int};
use crate::section::{Reading, Section};

/// What Kubernetes writes where no deadline is meant.
const NO_DEADLINE: i64 = i32::MAX as i64;

/// How many pods there shall be, and how they are replaced.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) desired: i64,
    pub(super) room: Room,
    /// Old pods end before new ones begin.
    pub(super) is_recreated: bool,
    pub(super) is_paused: bool,
    /// None: progress has all the time in the world.
    pub(super) deadline_seconds: Option<i64>,
    /// `minReadySeconds`, zero when absent.
    pub(super) min_ready: i64,
    pub(super) history_limit: Option<i64>,
}

impl Reading for Plan {
    fn of(spec: &Section) -> Self {
        let desired = int(spec.field("replicas"), 1);
        let strategy = spec.field("strategy");
        let is_recreated = strategy["type"] == "Recreate";
        let room = if is_recreated {
            Room { surge: 0, unavailable: 0 }
        } else {
            let (rolling, quarter) = (&strategy["rollingUpdate"], json!("25%"));
            let or_quarter = |field: &str| Some(&rolling[field]).filter(|v| !v.is_null()).unwrap_or(&quarter);
            let room = maths::fenceposts(or_quarter("maxSurge"), or_quarter("maxUnavailable"), desired);
            Room { surge: room.surge, unavailable: room.unavailable.min(desired) }
        };
        Self {
            desired,
            room,
            is_recreated,
            is_paused: spec.field("paused") == true,
            deadline_seconds: spec.field("progressDeadlineSeconds").as_i64().filter(|s| *s != NO_DEADLINE),
            min_ready: count(spec.field("minReadySeconds")),
            history_limit: spec.field("revisionHistoryLimit").as_i64(),
        }
    }
}

/// That of no spec at all.
impl Default for Plan {
    fn default() -> Self {
        Self::of(&Section::new(json!({})))
    }
}
