//! A container that ran before its kubelet did.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::{Container, Desk, Ended, Id, State, Watch, Which};
use crate::time;

/// Every reason a run of a simulated container ends with.
const REASONS: [&str; 4] = ["Completed", "Error", "OOMKilled", "StartError"];

impl Container {
    /// Takes over what the container's status says. Back-offs are not in it and begin anew, as in a real kubelet.
    pub(in crate::node) fn adopt(&mut self, seen: &Value, desk: &mut Desk<'_>) {
        if !seen["containerID"].is_string() {
            // It is begun when it is its turn.
            return;
        }
        let restarts = seen["restartCount"].as_u64().and_then(|count| u32::try_from(count).ok());
        self.starts = restarts.unwrap_or(0) + 1;
        self.ended = ended(&seen["lastState"]["terminated"]).map(Arc::new);
        let image = self.spec.image.clone();
        desk.keep_image(&image);
        let (state, flag) = (&seen["state"], |name: &str| seen[name] == true);
        if let Some(since) = moment(&state["running"]["startedAt"]) {
            self.fate.lacks_env = !self.spec.script.needs_env.is_empty() && desk.lacks_env(&self.spec);
            (self.started, self.ready) = (flag("started"), flag("ready"));
            self.run_from(since);
            match &self.spec.startup {
                Some(probe) if !self.started => {
                    self.watches.push(Watch::new(Which::Startup, probe, since, desk.now));
                }
                _ => self.watch_on(since, desk.now),
            }
            self.plan(since);
        } else if let Some(last) = ended(&state["terminated"]) {
            self.over(desk, last);
        } else {
            self.state = State::Over;
            self.next = Some(desk.now);
        }
    }
}

fn moment(value: &Value) -> Option<Timestamp> {
    time::parse(value.as_str()?)
}

fn ended(value: &Value) -> Option<Ended> {
    let reason = REASONS.iter().find(|reason| value["reason"] == **reason)?;
    Some(Ended {
        code: value["exitCode"].as_i64().and_then(|code| i32::try_from(code).ok())?,
        reason,
        message: value["message"].as_str().map(str::to_owned),
        started: moment(&value["startedAt"]).filter(|at| *at > Timestamp::UNIX_EPOCH),
        finished: moment(&value["finishedAt"])?,
        id: Id::Known(value["containerID"].as_str().unwrap_or_default().to_owned()),
    })
}
