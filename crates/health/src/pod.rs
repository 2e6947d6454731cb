//! What one pod says: its containers' states first, then what keeps it from getting that far.

use std::time::Duration;

use jiff::Timestamp;
use release_core::{CauseKind, Certainty};
use serde_json::Value;

use crate::Graces;
use crate::choice::severity;
use crate::container::Container;
use crate::events::{Events, probe_failure, spec_of};
use crate::finding::{Finding, MAX_WORDS};
use crate::json::{Condition, condition, is_terminating, list, one_line, text, uid};

/// What every rule may look at.
#[derive(Clone, Copy)]
pub(crate) struct Look<'a> {
    pub(crate) graces: &'a Graces,
    pub(crate) events: &'a Events<'a>,
    pub(crate) since: Option<Timestamp>,
    /// Whether the pods are meant to end, as a Job's are.
    pub(crate) runs_to_completion: bool,
}

/// Whether the pod counts: it is neither on its way out nor over.
pub(crate) fn is_active(pod: &Value) -> bool {
    !is_terminating(pod) && !matches!(text(&pod["status"]["phase"]), "Failed" | "Succeeded")
}

/// Whether the pod's Ready condition is true.
pub(crate) fn is_ready(pod: &Value) -> bool {
    condition(pod, "Ready").is_some_and(|c| c.is_true())
}

/// The worst that can be said about the pod, and, while that is too early to be said aloud, what passed. Pods that are
/// ready, over or on their way out are not judged.
pub(crate) fn judge(look: &Look<'_>, pod: &Value) -> Vec<Finding> {
    if !is_active(pod) || is_ready(pod) {
        return Vec::new();
    }
    // Equally bad ones: the first container as declared.
    let container = containers(pod)
        .filter_map(|c| c.judge(look))
        .min_by_key(|f| (std::cmp::Reverse(f.certainty), severity(f.kind)));
    let (passing, lasting) = match container {
        Some(finding) if finding.certainty == Certainty::Transient => (Some(finding), None),
        lasting => (None, lasting),
    };
    let worst =
        unscheduled(look, pod).or(lasting).or_else(|| stuck(look, pod)).or_else(|| unready(look, pod));
    worst.into_iter().chain(passing).collect()
}

/// The pod's containers, init containers first, in the order of its spec.
pub(crate) fn containers(pod: &Value) -> impl Iterator<Item = Container<'_>> {
    [("initContainers", "initContainerStatuses", true), ("containers", "containerStatuses", false)]
        .into_iter()
        .flat_map(move |(specs, statuses, is_init)| {
            list(&pod["status"][statuses]).map(move |status| Container {
                pod,
                spec: spec_of(&pod["spec"][specs], text(&status["name"])).unwrap_or(&Value::Null),
                status,
                is_init,
            })
        })
}

fn unscheduled(look: &Look<'_>, pod: &Value) -> Option<Finding> {
    let scheduled = condition(pod, "PodScheduled").filter(Condition::is_false)?;
    let message = scheduled.message.to_lowercase();
    let why = one_line(without_preemption(scheduled.message), MAX_WORDS);
    let finding = if message.contains("persistentvolumeclaim") || message.contains("volume node affinity") {
        Finding::on_pod(pod, CauseKind::Volume, format!("cannot get a volume: {why}"))
            .likely(look.graces.volume)
    } else {
        let grows = |e: &crate::events::Event<'_>| matches!(e.reason, "TriggeredScaleUp" | "Nominated");
        let grace = match look.events.newest(uid(pod), grows) {
            Some(_) => look.graces.scale_up,
            None => look.graces.unschedulable,
        };
        Finding::on_pod(pod, CauseKind::Unschedulable, format!("cannot be scheduled: {why}")).likely(grace)
    };
    Some(finding.condition(&scheduled))
}

/// The scheduler's message without its remarks on preemption, which follow the reason.
fn without_preemption(message: &str) -> &str {
    let end = [". no new claims", " no new claims", ". preemption:", " preemption:"]
        .iter()
        .filter_map(|w| message.find(w))
        .min();
    end.map_or(message, |end| &message[..end]).trim_end_matches('.')
}

/// It is scheduled and its containers are not even created: the last event tells what is in the way.
fn stuck(look: &Look<'_>, pod: &Value) -> Option<Finding> {
    const IN_THE_WAY: [&str; 5] = [
        "FailedMount",
        "FailedAttachVolume",
        "FailedMapVolume",
        "FailedCreatePodSandBox",
        "FailedCreatePodContainer",
    ];
    const PROGRESS: [&str; 5] = ["Pulling", "Pulled", "Created", "Started", "SuccessfulAttachVolume"];
    let creating = |c: Container<'_>| {
        matches!(text(&c.status["state"]["waiting"]["reason"]), "ContainerCreating" | "PodInitializing")
    };
    if !containers(pod).any(creating) {
        return None;
    }
    let last =
        look.events.newest(uid(pod), |e| IN_THE_WAY.contains(&e.reason) || PROGRESS.contains(&e.reason))?;
    if !IN_THE_WAY.contains(&last.reason) {
        return None;
    }
    let why = one_line(last.message, MAX_WORDS);
    let lower = last.message.to_lowercase();
    let config = (lower.contains("configmap") || lower.contains("secret"))
        && (lower.contains("not found") || lower.contains("non-existent"));
    Some(if config {
        Finding::on_pod(pod, CauseKind::MissingConfig, format!("cannot get configuration: {why}"))
            .likely_then_terminal(look.graces.missing_config)
    } else if last.reason.starts_with("FailedCreatePod") {
        Finding::on_pod(pod, CauseKind::CannotStart, format!("cannot be set up on the node: {why}"))
            .likely(look.graces.cannot_start)
    } else {
        Finding::on_pod(pod, CauseKind::Volume, format!("cannot get a volume: {why}"))
            .likely(look.graces.volume)
    })
}

/// All containers run and the pod is not ready. About those that have a startup probe to pass the kubelet decides; what that
/// probe says is only remembered.
fn unready(look: &Look<'_>, pod: &Value) -> Option<Finding> {
    let running = |c: &Container<'_>| c.status["state"]["running"].is_object();
    let starting = |c: &Container<'_>| c.status["started"] != true && c.spec["startupProbe"].is_object();
    let mut regular = containers(pod).filter(|c| !c.is_init).peekable();
    regular.peek()?;
    let mut waiting_for = None;
    let mut budget = Duration::ZERO;
    let mut run = 0;
    for container in regular {
        if !running(&container) {
            return None;
        }
        if starting(&container) {
            return Some(not_started(look, pod, container));
        }
        run += container.restarts();
        if !container.is_ready() {
            budget = budget.max(probe_budget(&container.spec["readinessProbe"]));
            waiting_for.get_or_insert(container.name());
        }
    }
    let grace = look.graces.never_ready.max(budget * 2);
    let name = waiting_for.unwrap_or_default();
    let said = probe_failure(look.events, uid(pod), name, "Readiness probe");
    let ready = condition(pod, "Ready");
    let why = match (said, ready) {
        (Some(event), _) => event.message,
        (None, Some(ready)) => ready.message,
        (None, None) => "",
    };
    let mut words = format!("running but not ready ({} s given)", grace.as_secs());
    if !why.is_empty() {
        words = format!("{words}: {}", one_line(why, MAX_WORDS));
    }
    let mut finding = Finding::on_pod(pod, CauseKind::NeverReady, words).likely(grace).in_container(name);
    finding.run = run;
    finding.quiet = budget.max(FIRST_LOOK);
    Some(match ready {
        Some(ready) => finding.condition(&ready),
        None => finding,
    })
}

/// It runs, and its startup probe has not succeeded yet.
fn not_started(look: &Look<'_>, pod: &Value, container: Container<'_>) -> Finding {
    let given = probe_budget(&container.spec["startupProbe"]).as_secs();
    let said = probe_failure(look.events, uid(pod), container.name(), "Startup probe");
    let why = said.map(|event| format!(": {}", one_line(event.message, MAX_WORDS))).unwrap_or_default();
    let words = format!("starting ({given} s given){why}");
    Finding::on_pod(pod, CauseKind::NeverReady, words).early().in_container(container.name())
}

/// A running container is not called unready before this: its first probe comes at the end of a period, which is 10 s unless
/// the pod says otherwise.
const FIRST_LOOK: Duration = Duration::from_secs(10);

/// More than any probe worth waiting for takes, in seconds: ten days.
const MOST: u64 = 864_000;

/// How long a probe takes at most to find that something is not well: the delay, and every attempt it is
/// allowed with its time-out. Defaults as Kubernetes fills them in.
pub(crate) fn probe_budget(probe: &Value) -> Duration {
    if !probe.is_object() {
        return Duration::ZERO;
    }
    let field = |name: &str, default: u64| probe[name].as_u64().unwrap_or(default).min(MOST);
    let attempts = field("periodSeconds", 10).saturating_mul(field("failureThreshold", 3));
    let seconds = field("initialDelaySeconds", 0) + attempts + field("timeoutSeconds", 1);
    Duration::from_secs(seconds.min(MOST))
}
