//! Where admission webhooks would be asked. There are none but those that faults bring.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{ApiServer, map_mut};
use crate::faults::{Fault, Faults, Note, Reviewed, Verdict};
use crate::resource::{PODS, Resource};
use crate::status::{Cause, Status};

/// The name the webhooks have in messages.
const NAME: &str = "policy.release-sim.example";

/// What a webhook that changes objects leaves behind.
const ANNOTATION: &str = "release-sim/changed-by-webhook";

/// The variable it puts into the containers of new pods.
const VARIABLE: &str = "CHANGED_BY_WEBHOOK";

impl ApiServer {
    /// Faults of webhooks and of this server's clock happen from now on.
    pub(crate) fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
    }

    /// Other ones from now on.
    pub(crate) fn begin_faults(&mut self, now: Timestamp, plan: &[Fault]) {
        self.faults.begin(now, plan);
    }

    /// What faults did since the last time somebody asked.
    pub(crate) fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    /// What time this server believes it is.
    pub(super) fn clock(&self, now: Timestamp) -> Timestamp {
        self.faults.skewed(now)
    }

    /// Asks the webhooks about a write, and lets them change it.
    ///
    /// # Errors
    ///
    /// 500 when one cannot be reached, 403 when one says no.
    pub(super) fn ask_webhooks(
        &mut self,
        now: Timestamp,
        verb: &'static str,
        resource: &Resource,
        body: &mut Value,
    ) -> Result<(), Status> {
        if self.faults.is_empty() {
            return Ok(());
        }
        let verdicts = {
            let text = |field: &str| body["metadata"][field].as_str().unwrap_or_default();
            let write = Reviewed { verb, resource, namespace: text("namespace"), name: text("name") };
            self.faults.review(&write, now, &mut self.notes)
        };
        for verdict in verdicts {
            match verdict {
                Verdict::Down => return Err(unreachable()),
                Verdict::Denies => return Err(denied()),
                Verdict::Changes => change(verb, resource, body),
            }
        }
        Ok(())
    }
}

fn unreachable() -> Status {
    let why = format!(
        "failed calling webhook \"{NAME}\": failed to call webhook: Post \"https://127.0.0.1:6/validate?timeout=2s\": dial tcp 127.0.0.1:6: connect: connection refused"
    );
    let message = format!("Internal error occurred: {why}");
    Status::new(500, "InternalError", message).cause(Cause::new("", "", why))
}

fn denied() -> Status {
    let message = format!("admission webhook \"{NAME}\" denied the request: not by this name, not today");
    Status::new(403, "Forbidden", message)
}

fn change(verb: &str, resource: &Resource, body: &mut Value) {
    let metadata = map_mut(body, "metadata");
    let annotations = metadata.entry("annotations").or_insert(Value::Null);
    if annotations.is_null() {
        *annotations = json!({});
    }
    annotations[ANNOTATION] = json!("yes");
    if verb != "create" || *resource != PODS {
        return;
    }
    for container in body["spec"]["containers"].as_array_mut().into_iter().flatten() {
        let variable = json!({"name": VARIABLE, "value": "yes"});
        match container["env"].as_array_mut() {
            Some(list) => list.push(variable),
            None => container["env"] = json!([variable]),
        }
    }
}
