//! What is written about a pod that got its node, or did not.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::controllers::read::items;
use crate::object::Object;
use crate::section::Section;
use crate::time::Second;

/// The status of the pod that was placed last. Pods that shared their status before share it after, too, if they were placed in the same
/// second.
#[derive(Debug, Clone, Default)]
pub(super) struct Bound {
    last: Option<Last>,
}

#[derive(Debug, Clone)]
struct Last {
    before: Section,
    generation: i64,
    at: Second,
    after: Section,
}

impl Bound {
    /// The pod on its node; one write, as the binding subresource does it.
    pub(super) fn bind(&mut self, pod: &Object, node: &str, now: Timestamp) -> Object {
        let placed = pod.with_fields("spec", [("nodeName", json!(node))]);
        placed.and_section("status", self.status(pod, Second::of(now)))
    }

    fn status(&mut self, pod: &Object, at: Second) -> Section {
        let (before, generation) = (pod.section("status"), pod.generation());
        let known = self.last.as_ref().filter(|last| {
            (last.generation, last.at) == (generation, at) && before.is_some_and(|now| now.is(&last.before))
        });
        if let Some(known) = known {
            return known.after.clone();
        }
        let condition = json!({
            "type": "PodScheduled",
            "status": "True",
            "lastProbeTime": null,
            "lastTransitionTime": at.text(),
            "observedGeneration": generation,
        });
        let after = with_condition(pod, condition);
        self.last = before.cloned().map(|before| Last { before, generation, at, after: after.clone() });
        after
    }
}

/// The status of a pod with one condition set.
pub(super) fn with_condition(pod: &Object, condition: Value) -> Section {
    let mut list: Vec<Value> = items(pod.field("status", "conditions"))
        .filter(|c| c["type"] != condition["type"])
        .cloned()
        .collect();
    list.push(condition);
    let phase = pod.field("status", "phase");
    let phase = if phase.is_null() { json!("Pending") } else { phase.clone() };
    let fields = [("conditions", Value::Array(list)), ("phase", phase)];
    match pod.section("status") {
        Some(status) => status.with(fields),
        None => Section::new(json!({})).with(fields),
    }
}
