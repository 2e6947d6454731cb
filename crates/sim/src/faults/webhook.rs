//! Admission webhooks that fail, deny or change: what they say to one write.
//!
//! They are asked as such webhooks usually are: about new objects and changes of those that people write, not about
//! statuses and not about what the cluster writes all the time.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Fault, FaultKind, Faults, Note, note};
use crate::apps::glob;
use crate::resource::Resource;

/// What nobody asks a webhook about.
const NOT_ASKED: &[&str] =
    &["events", "leases", "nodes", "namespaces", "endpoints", "endpointslices", "serviceaccounts"];

/// A write, as webhooks see it.
pub(crate) struct Reviewed<'a> {
    /// `create` or `update`.
    pub(crate) verb: &'static str,
    pub(crate) resource: &'a Resource,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
}

/// What a webhook says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing: it cannot be reached.
    Down,
    /// No.
    Denies,
    /// Yes, with changes.
    Changes,
}

impl Reviewed<'_> {
    fn fits(&self, fault: &Fault) -> bool {
        let fits = |pattern: &Option<String>, text: &str| pattern.as_deref().is_none_or(|p| glob(p, text));
        let is_pod_update = self.verb == "update" && self.resource.plural == "pods";
        !NOT_ASKED.contains(&&*self.resource.plural)
            && !is_pod_update
            && fits(&fault.target.verb, self.verb)
            && fits(&fault.target.namespace, self.namespace)
            && fits(&fault.target.name, self.name)
            && fits(&fault.target.resource, &self.resource.plural)
    }
}

impl Faults {
    /// What webhooks say to a write that comes now.
    pub(crate) fn review(
        &mut self,
        write: &Reviewed<'_>,
        now: Timestamp,
        notes: &mut Vec<Note>,
    ) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        if !self.plan.iter().any(|fault| fault.fault.is_of_webhook()) {
            return verdicts;
        }
        let subject = format!("{} {} {}/{}", write.verb, write.resource, write.namespace, write.name);
        let count = self.asked.entry(subject.as_str().into()).or_default();
        *count += 1;
        let count = *count;
        let plan = Arc::clone(&self.plan);
        for (at, fault) in plan.iter().enumerate() {
            let verdict = match fault.fault {
                FaultKind::WebhookDown => Verdict::Down,
                FaultKind::WebhookDenies => Verdict::Denies,
                FaultKind::WebhookChanges => Verdict::Changes,
                _ => continue,
            };
            // A webhook that changes an object changes it every time.
            let nth = if verdict == Verdict::Changes { 0 } else { count };
            let of = if verdict == Verdict::Changes { write.name } else { subject.as_str() };
            let hits = self.dice(at, of).of(&nth.to_string()).hits(0, fault.rate);
            if hits && self.is_open(fault, now) && write.fits(fault) {
                notes.push(note(now, fault, subject.clone()));
                verdicts.push(verdict);
            }
        }
        verdicts
    }
}
