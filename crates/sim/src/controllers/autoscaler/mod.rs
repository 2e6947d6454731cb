//! HorizontalPodAutoscalers: every 15 seconds, as many replicas as the load asks for.

mod maths;
mod metrics;
mod proposal;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

pub use metrics::{Metrics, Usage};

use super::conditions::{self, Claim};
use super::cursor::{Cursor, never_had};
use super::events::{Recorder, Tone};
use super::key::Key;
use super::queue::{Outcome, Queue};
use super::read::{count, int, text};
use super::write;
use crate::actor::Actor;
use crate::controllers::turns::Watcher;
use crate::object::Object;
use crate::resource::{HORIZONTAL_POD_AUTOSCALERS, Resource, Resources};
use crate::server::{ApiServer, By, Patch};
use crate::store::What;
use crate::time;
use maths::{Bounded, Bounds, Dated};
use proposal::Proposal;

/// How often loads are looked at.
const PERIOD: Duration = Duration::from_secs(15);

/// No rule looks further back.
const MEMORY: Duration = Duration::from_secs(3600);

/// What was recommended and done for one workload.
#[derive(Debug, Clone, Default)]
struct Past {
    recommended: Vec<Dated>,
    changed: Vec<Dated>,
}

/// The controller of HorizontalPodAutoscalers.
#[derive(Debug, Clone)]
pub struct Autoscalers {
    /// What it bases its decisions on.
    pub metrics: Metrics,
    cursor: Cursor,
    queue: Queue<Key>,
    events: Recorder,
    past: BTreeMap<Key, Past>,
}

impl Default for Autoscalers {
    fn default() -> Self {
        Self {
            metrics: Metrics::default(),
            cursor: Cursor::default(),
            queue: Queue::default(),
            events: Recorder::new("horizontal-pod-autoscaler"),
            past: BTreeMap::new(),
        }
    }
}

impl Actor for Autoscalers {
    fn act(&mut self, server: &mut ApiServer, now: Timestamp) -> Option<Timestamp> {
        if never_had(server.store(), &HORIZONTAL_POD_AUTOSCALERS) {
            return None;
        }
        let Self { cursor, queue, past, .. } = self;
        cursor.look(server.store(), &[&HORIZONTAL_POD_AUTOSCALERS], |news| {
            let key = Key::of(news.object);
            if news.what == What::Deleted {
                past.remove(&key);
            } else if !news.is_only_status() {
                queue.add(key);
            }
        });
        while let Some(key) = self.queue.pop(now) {
            let scaler = server.store().get(&HORIZONTAL_POD_AUTOSCALERS, &key.namespace, &key.name).cloned();
            let outcome = match scaler {
                Some(scaler) => {
                    let mut past = self.past.remove(&key).unwrap_or_default();
                    self.reconcile(server, now, &scaler, &mut past);
                    self.past.insert(key.clone(), past);
                    Outcome::At(now + PERIOD)
                }
                None => Outcome::Done,
            };
            self.queue.settle(key, now, outcome);
        }
        self.queue.next_at()
    }
}

impl Watcher for Autoscalers {
    fn watched(&self) -> Resources {
        const { Resources::of(&[&HORIZONTAL_POD_AUTOSCALERS]) }
    }

    fn cursor(&mut self) -> &mut Cursor {
        &mut self.cursor
    }
}

impl Autoscalers {
    fn reconcile(&mut self, server: &mut ApiServer, now: Timestamp, scaler: &Arc<Object>, past: &mut Past) {
        let mut list = conditions::of(&scaler["status"]);
        let mut say = |kind, status, reason: &str, message: String| {
            conditions::set(&mut list, now, &Claim::new(kind, status, reason, message));
        };
        let reference = &scaler["spec"]["scaleTargetRef"];
        let Some((resource, target)) = find(server, scaler) else {
            let kind = text(&reference["kind"]);
            let name = text(&reference["name"]);
            let why = format!(
                "the HPA controller was unable to get the target's current scale: {kind} \"{name}\" not found"
            );
            self.events.record(server, now, scaler, Tone::Warning, "FailedGetScale", &why);
            say("AbleToScale", "False", "FailedGetScale", why);
            write_status(server, now, scaler, &list, None, 0, count(&scaler["status"]["desiredReplicas"]));
            return;
        };
        let current = int(&target["spec"]["replicas"], 1);
        let known = "the HPA controller was able to get the target's current scale";
        say("AbleToScale", "True", "SucceededGetScale", known.to_owned());
        let max = int(&scaler["spec"]["maxReplicas"], 1);
        let min = int(&scaler["spec"]["minReplicas"], 1);
        if current == 0 && min != 0 {
            let why = "scaling is disabled since the replica count of the target is zero";
            say("ScalingActive", "False", "ScalingDisabled", why.to_owned());
            write_status(server, now, scaler, &list, None, 0, 0);
            return;
        }
        let (proposals, failures) = proposal::all(server, &self.metrics, now, scaler, &target, current);
        let best = proposals.iter().max_by_key(|p| p.replicas).cloned();
        let (wanted, why) = match best {
            _ if current > max => (max, "Current number of replicas above Spec.MaxReplicas".to_owned()),
            _ if current < min => (min, "Current number of replicas below Spec.MinReplicas".to_owned()),
            Some(best) if failures.is_empty() || best.replicas >= current => {
                let message =
                    format!("the HPA was able to successfully calculate a replica count from {}", best.from);
                say("ScalingActive", "True", "ValidMetricFound", message);
                let direction = if best.replicas > current {
                    format!("{} above target", best.from)
                } else {
                    "All metrics below target".to_owned()
                };
                (best.replicas, direction)
            }
            _ => {
                if let Some((reason, message)) = failures.into_iter().next() {
                    self.events.record(server, now, scaler, Tone::Warning, reason, &message);
                    let message = format!("the HPA was unable to compute the replica count: {message}");
                    say("ScalingActive", "False", reason, message);
                }
                write_status(server, now, scaler, &list, Some(&proposals), current, current);
                return;
            }
        };
        let bounded = bound(scaler, now, current, (min, max), wanted, past);
        explain(&mut say, current, bounded);
        let changed = bounded.replicas != current
            && self.rescale(server, now, scaler, &resource, &target, bounded.replicas, &why);
        if changed {
            past.changed.push((now, bounded.replicas - current));
            let message =
                format!("the HPA controller was able to update the target scale to {}", bounded.replicas);
            conditions::set(&mut list, now, &Claim::new("AbleToScale", "True", "SucceededRescale", message));
        }
        write_status(server, now, scaler, &list, Some(&proposals), current, bounded.replicas);
        if changed {
            stamp(server, now, scaler);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one write")]
    fn rescale(
        &mut self,
        server: &mut ApiServer,
        now: Timestamp,
        scaler: &Object,
        resource: &Resource,
        target: &Object,
        replicas: i64,
        why: &str,
    ) -> bool {
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        let by = By::manager("kube-controller-manager");
        let (namespace, name) = (target.namespace(), target.name());
        match server.patch(now, resource, namespace, name, "scale", &patch, &by) {
            Ok(_) => {
                let message = format!("New size: {replicas}; reason: {why}");
                self.events.record(server, now, scaler, Tone::Normal, "SuccessfulRescale", &message);
                true
            }
            Err(refusal) => {
                let message = format!("New size: {replicas}; reason: {why}; error: {refusal}");
                self.events.record(server, now, scaler, Tone::Warning, "FailedRescale", &message);
                false
            }
        }
    }
}

fn find(server: &ApiServer, scaler: &Object) -> Option<(Resource, Arc<Object>)> {
    let reference = &scaler["spec"]["scaleTargetRef"];
    let kind = server.kinds().find(text(&reference["apiVersion"]), text(&reference["kind"]))?;
    let target = server.store().get(&kind.resource, scaler.namespace(), text(&reference["name"]))?;
    Some((kind.resource.clone(), Arc::clone(target)))
}

fn bound(
    scaler: &Object,
    now: Timestamp,
    current: i64,
    (min, max): (i64, i64),
    wanted: i64,
    past: &mut Past,
) -> Bounded {
    past.recommended.retain(|(at, _)| *at + MEMORY > now);
    past.changed.retain(|(at, _)| *at + MEMORY > now);
    if past.recommended.is_empty() {
        // What is there when scaling begins counts as recommended.
        past.recommended.push((now, current));
    }
    let bounds = Bounds {
        now,
        current,
        min,
        max,
        behavior: &scaler["spec"]["behavior"],
        recommended: &past.recommended,
        changed: &past.changed,
    };
    let bounded = bounds.apply(wanted);
    past.recommended.push((now, wanted));
    bounded
}

fn explain(say: &mut impl FnMut(&'static str, &'static str, &str, String), current: i64, bounded: Bounded) {
    if bounded.stabilized && bounded.replicas <= current {
        let why =
            "recent recommendations were higher than current one, applying the highest recent recommendation";
        say("AbleToScale", "True", "ScaleDownStabilized", why.to_owned());
    } else {
        let why = "recommended size matches current size";
        say("AbleToScale", "True", "ReadyForNewScale", why.to_owned());
    }
    let fine = ("DesiredWithinRange", "the desired count is within the acceptable range");
    let (reason, message) = bounded.limit.unwrap_or(fine);
    let status = if bounded.limit.is_some() { "True" } else { "False" };
    say("ScalingLimited", status, reason, message.to_owned());
}

fn write_status(
    server: &mut ApiServer,
    now: Timestamp,
    scaler: &Object,
    conditions: &[Value],
    proposals: Option<&[Proposal]>,
    current: i64,
    desired: i64,
) {
    let measured: Vec<Value> = proposals.into_iter().flatten().filter_map(|p| p.status.clone()).collect();
    let status = json!({
        "observedGeneration": if scaler.generation() > 0 { json!(scaler.generation()) } else { Value::Null },
        "lastScaleTime": scaler["status"]["lastScaleTime"],
        "currentReplicas": current,
        "desiredReplicas": desired,
        "currentMetrics": if measured.is_empty() { Value::Null } else { Value::Array(measured) },
        "conditions": conditions,
    });
    write::status(server, now, scaler, status);
}

/// Writes down when the workload was scaled.
fn stamp(server: &mut ApiServer, now: Timestamp, scaler: &Object) {
    let Some(current) = server.store().get(scaler.resource(), scaler.namespace(), scaler.name()).cloned()
    else {
        return;
    };
    let mut status = current["status"].clone();
    status["lastScaleTime"] = json!(time::seconds(now));
    write::status(server, now, &current, status);
}
