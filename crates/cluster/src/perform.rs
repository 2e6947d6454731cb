//! One effect becomes requests, and their answers become an outcome.

use release_core::{CauseKind, ObjectRef, Verdict};
use release_rollout::{Answer, Effect, EffectKind, Outcome, Version};
use serde_json::Value;

use crate::Cluster;
use crate::api::ApiError;
use crate::check::{no_check, no_workload, ready_pods};
use crate::drive::{Job, no_body};
use crate::event::Event;
use crate::object::{Conflicts, Mode, refusal, same_content};
use crate::watch::Known;

/// What came of an effect.
pub(crate) struct Performed {
    pub(crate) outcome: Outcome,
    pub(crate) event: Option<Event>,
    /// The object as the server has it, after an apply that took place.
    pub(crate) applied: Option<Value>,
}

impl Performed {
    fn quiet(outcome: Outcome) -> Self {
        Self { outcome, event: None, applied: None }
    }
}

/// Performs `effect`. `workload` stands for its service, `known` is what the watches knew when it was asked for.
pub(crate) async fn perform(
    cluster: &Cluster,
    job: &Job,
    effect: &Effect,
    workload: Option<ObjectRef>,
    known: Known,
) -> Performed {
    match &effect.kind {
        EffectKind::Apply { object, version } => apply(cluster, job, effect, object, *version).await,
        EffectKind::ReadBack { object, version } => read_back(cluster, job, effect, object, *version).await,
        EffectKind::Delete { object } => match cluster.api.delete(object).await {
            Ok(_) => Performed {
                outcome: Outcome::Ok(Answer::Deleted),
                event: Some(Event::ObjectDeleted {
                    effect: effect.id,
                    service: effect.service.clone(),
                    object: object.clone(),
                }),
                applied: None,
            },
            Err(error) => failed(effect, object, &error),
        },
        EffectKind::Check { name, version: _ } => check(cluster, job, effect, name, workload, &known).await,
        EffectKind::Capture { object } => {
            let snapshot = known.snapshot(object);
            let pods = snapshot.current_pods();
            let capture = cluster.capture(&snapshot, &pods).await;
            Performed {
                outcome: Outcome::Ok(Answer::Captured),
                event: Some(Event::Captured {
                    service: effect.service.clone(),
                    object: object.clone(),
                    capture,
                }),
                applied: None,
            }
        }
    }
}

async fn apply(
    cluster: &Cluster,
    job: &Job,
    effect: &Effect,
    object: &ObjectRef,
    version: Version,
) -> Performed {
    let Some(body) = job.bodies.get(object, version) else {
        return Performed::quiet(no_body(object, version));
    };
    let error = match cluster.api.apply(object, body, Mode::Write, job.conflicts).await {
        Ok(live) => return applied(effect, object, version, live, Vec::new()),
        Err(error) => error,
    };
    // What a rollback is for is the version: it does not stop because somebody, or an autoscaler, has scaled meanwhile.
    if version == Version::Previous && conflicting(&error) == [REPLICAS] {
        let mut body = body.clone();
        if let Some(spec) = body["spec"].as_object_mut() {
            spec.remove("replicas");
        }
        return match cluster.api.apply(object, &body, Mode::Write, job.conflicts).await {
            Ok(live) => applied(effect, object, version, live, vec![REPLICAS.to_owned()]),
            Err(error) => failed(effect, object, &error),
        };
    }
    failed(effect, object, &error)
}

/// How the API server names the field in a conflict.
const REPLICAS: &str = ".spec.replicas";

/// The fields other managers own, if that is why an apply was refused.
fn conflicting(error: &ApiError) -> Vec<&str> {
    let details =
        error.status().filter(|status| status.code == 409).and_then(|status| status.details.as_ref());
    let causes = details.map(|details| details.causes.as_slice()).unwrap_or_default();
    causes
        .iter()
        .filter(|cause| cause.reason == "FieldManagerConflict")
        .map(|cause| cause.field.as_str())
        .collect()
}

fn applied(
    effect: &Effect,
    object: &ObjectRef,
    version: Version,
    live: Value,
    left: Vec<String>,
) -> Performed {
    Performed {
        outcome: Outcome::Ok(Answer::Applied),
        event: Some(Event::ObjectApplied {
            left,
            effect: effect.id,
            service: effect.service.clone(),
            object: object.clone(),
            version,
            generation: live["metadata"]["generation"].as_i64(),
        }),
        applied: Some(live),
    }
}

/// Whether an earlier apply took place: then a dry run of the same apply changes nothing.
async fn read_back(
    cluster: &Cluster,
    job: &Job,
    effect: &Effect,
    object: &ObjectRef,
    version: Version,
) -> Performed {
    let Some(body) = job.bodies.get(object, version) else {
        return Performed::quiet(no_body(object, version));
    };
    let live = match cluster.api.get(object).await {
        Ok(Some(live)) => live,
        Ok(None) => return Performed::quiet(Outcome::Ok(Answer::NotApplied)),
        Err(error) => return failed(effect, object, &error),
    };
    match cluster.api.apply(object, body, Mode::DryRun, Conflicts::Force).await {
        Ok(would_be) if same_content(&live, &would_be) => applied(effect, object, version, live, Vec::new()),
        Ok(_) => Performed::quiet(Outcome::Ok(Answer::NotApplied)),
        Err(error) => failed(effect, object, &error),
    }
}

fn failed(effect: &Effect, object: &ObjectRef, error: &ApiError) -> Performed {
    let service = effect.service.clone();
    let cause = refusal(object, error);
    // A server in trouble has not decided anything; a webhook that cannot be called is somebody's to repair.
    let in_trouble = error.is_transient() && cause.kind == CauseKind::Refused;
    match error {
        ApiError::Refused { .. } | ApiError::Malformed { .. } if !in_trouble => Performed {
            outcome: Outcome::Refused(cause.clone()),
            event: Some(Event::WriteRefused { effect: effect.id, service, cause }),
            applied: None,
        },
        // A request that never left is as good as one without an answer: the machine looks before it asks again.
        ApiError::Refused { .. }
        | ApiError::Malformed { .. }
        | ApiError::Unknown { .. }
        | ApiError::Unreachable { .. } => {
            let why = crate::api::chain(error);
            Performed {
                outcome: Outcome::Unknown { why: why.clone() },
                event: Some(Event::OutcomeUnknown { effect: effect.id, service, why }),
                applied: None,
            }
        }
    }
}

async fn check(
    cluster: &Cluster,
    job: &Job,
    effect: &Effect,
    name: &str,
    workload: Option<ObjectRef>,
    known: &Known,
) -> Performed {
    let definition = job.services.get(&effect.service).and_then(|service| service.checks.get(name));
    let verdict = match (definition, &workload) {
        (None, workload) => no_check(workload.as_ref(), name),
        (Some(_), None) => no_workload(effect.service.as_str()),
        (Some(check), Some(workload)) => {
            let snapshot = known.snapshot(workload);
            let pods = ready_pods(&snapshot.current_pods());
            cluster.check(&check.http, &pods).await
        }
    };
    let event =
        Event::Checked { service: effect.service.clone(), check: name.to_owned(), verdict: verdict.clone() };
    Performed { outcome: Outcome::Ok(Answer::Checked(verdict)), event: Some(event), applied: None }
}

/// A check that runs alone, outside a release.
pub(crate) async fn check_now(
    cluster: &Cluster,
    workload: &ObjectRef,
    check: &crate::HttpCheck,
    known: &Known,
) -> Verdict {
    let snapshot = known.snapshot(workload);
    cluster.check(check, &ready_pods(&snapshot.current_pods())).await
}
