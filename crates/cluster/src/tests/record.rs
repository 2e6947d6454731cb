//! A release of one service with three objects, and what is written down about it.

use std::collections::BTreeMap;
use std::time::Duration;

use release_core::ObjectRef;
use release_rollout::{ReleasePlan, RollingPlan, ServicePlan, Strategy};
use serde_json::{Value, json};

use super::fake::Fake;
use crate::{
    Action, Bodies, Conflicts, Header, Identity, Job, Objects, RECORD_VERSION, ServiceRecord, State, Store,
};

/// The name everything of the project begins with.
pub(super) const NAME: &str = "release.radio.dev";

pub(super) fn store(fake: &Fake) -> Store {
    Store::new(&fake.cluster(), &"radio".parse().expect("a name"), &"dev".parse().expect("a name"))
}

pub(super) fn web() -> ObjectRef {
    ObjectRef::new("apps/v1", "Deployment", "radio", "web")
}

fn config() -> ObjectRef {
    ObjectRef::new("v1", "ConfigMap", "radio", "web")
}

fn budget() -> ObjectRef {
    ObjectRef::new("policy/v1", "PodDisruptionBudget", "radio", "web")
}

/// The objects of one version, in the order in which they are applied.
pub(super) fn bodies(image: &str) -> Vec<(ObjectRef, Value)> {
    let body = |object: &ObjectRef, rest: Value| {
        let mut body = json!({"apiVersion": object.api_version, "kind": object.kind, "metadata": {"name": "web",
            "namespace": "radio", "labels": {"app.kubernetes.io/part-of": "radio"}}});
        body.as_object_mut().expect("a map").extend(rest.as_object().expect("a map").clone());
        body
    };
    let template = json!({"spec": {"containers": [{"name": "web", "image": image}]}});
    vec![
        (config(), body(&config(), json!({"data": {"image": image}}))),
        (web(), body(&web(), json!({"spec": {"replicas": 2, "template": template}}))),
        (budget(), body(&budget(), json!({"spec": {"minAvailable": 1}}))),
    ]
}

/// Moves `web` to another image; what ran before is restored when that fails.
pub(super) fn plan() -> ReleasePlan {
    let names = vec![config(), web(), budget()];
    let rolling = RollingPlan {
        apply: names.clone(),
        workloads: vec![web()],
        restore: names,
        restore_workloads: vec![web()],
        deadline: Duration::from_secs(300),
        rollback_deadline: Duration::from_secs(300),
        soak: Duration::from_secs(4),
        ..RollingPlan::default()
    };
    let service = ServicePlan { needs: [].into(), strategy: Strategy::Rolling(rolling) };
    ReleasePlan {
        services: BTreeMap::from([("web".parse().expect("a name"), service)]),
        concurrency: 1,
        prune: Vec::new(),
    }
}

pub(super) fn objects(image: &str) -> Objects {
    let all = bodies(image).into_iter().map(|(_, body)| body).collect();
    Objects::from([("web".parse().expect("a name"), all)])
}

fn service() -> ServiceRecord {
    ServiceRecord {
        image: format!("registry/web@sha256:{}", "a".repeat(64)).parse().expect("an image"),
        needs: [].into(),
        checks: BTreeMap::new(),
        soak: Duration::from_secs(4),
        deadline: Duration::from_secs(300),
        objects: vec![config(), web(), budget()],
    }
}

pub(super) fn job(new: &str, previous: &str) -> Job {
    Job {
        number: 1,
        plan: plan(),
        bodies: Bodies {
            new: bodies(new).into_iter().collect(),
            previous: bodies(previous).into_iter().collect(),
        },
        services: BTreeMap::from([("web".parse().expect("a name"), service())]),
        conflicts: Conflicts::Refuse,
        labels: "app.kubernetes.io/part-of=radio".to_owned(),
    }
}

pub(super) fn header(fake: &Fake, number: u64) -> Header {
    Header {
        v: RECORD_VERSION,
        number,
        project: "radio".parse().expect("a name"),
        environment: "dev".parse().expect("a name"),
        identity: Identity::Cluster("uid-of-the-cluster".to_owned()),
        action: Action::Deploy,
        state: State::Running,
        version: None,
        actor: "ada".to_owned(),
        started_at: fake.api().clock.wall(),
        ended_at: None,
        baseline: None,
        services: BTreeMap::from([("web".parse().expect("a name"), service())]),
        content: String::new(),
        plan: plan(),
        cause: None,
        adopted: Objects::new(),
        chunks: 0,
    }
}
