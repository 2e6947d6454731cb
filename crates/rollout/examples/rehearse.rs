//! Plays a release of two services against a made-up world: `cargo run -p release-rollout --example rehearse`.
//!
//! The machine decides; this loop only answers. `web` needs `store`; its pods crash, and both services are turned back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use release_core::{
    Assessment, Cause, CauseKind, Certainty, MonoTime, ObjectRef, Readiness, ServiceName, Status,
};
use release_rollout::{
    Answer, Effect, EffectKind, Input, Outcome, Release, ReleasePlan, RollingPlan, ServicePlan, Strategy,
    Version,
};

fn service(name: &str, needs: &[&str]) -> (ServiceName, ServicePlan) {
    let workload = ObjectRef::new("apps/v1", "Deployment", "radio", name);
    let rolling = RollingPlan {
        apply: vec![workload.clone()],
        workloads: vec![workload.clone()],
        restore: vec![workload.clone()],
        restore_workloads: vec![workload],
        deadline: Duration::from_secs(300),
        rollback_deadline: Duration::from_secs(300),
        ..RollingPlan::default()
    };
    let needs: BTreeSet<ServiceName> = needs.iter().map(|need| parse(need)).collect();
    (parse(name), ServicePlan { needs, strategy: Strategy::Rolling(rolling) })
}

fn parse(name: &str) -> ServiceName {
    name.parse().expect("a valid name")
}

/// What the world makes of a workload: the new `web` crashes, everything else becomes ready.
fn assess(object: &ObjectRef, version: Version) -> Assessment {
    let crashes = object.name == "web" && version == Version::New;
    let cause = crashes.then(|| Cause {
        kind: CauseKind::CrashLoop,
        certainty: Certainty::Terminal,
        object: object.clone(),
        summary: "2 of 2 new pods crash".to_owned(),
        evidence: Vec::new(),
    });
    let status = if crashes { Status::Failed } else { Status::Ready };
    Assessment { status, cause, readiness: Readiness::default(), revisit_at: None }
}

fn main() {
    let services = BTreeMap::from([service("web", &["store"]), service("store", &[])]);
    let plan = ReleasePlan { services, concurrency: 4, prune: Vec::new() };
    let mut now = MonoTime::ZERO;
    let mut release = Release::new(plan, 1).expect("a sound plan");
    let mut inputs = vec![Input::Begin];
    while let Some(input) = inputs.pop() {
        now = now + Duration::from_secs(1);
        let (next, effects) = release.step(now, input);
        release = next;
        for Effect { id, service, kind } in effects {
            println!("{now:?}  {service}: {kind:?}");
            let answer = match &kind {
                EffectKind::Capture { .. } => Answer::Captured,
                EffectKind::Delete { .. } => Answer::Deleted,
                _ => Answer::Applied,
            };
            if let EffectKind::Apply { object, version } = kind {
                let assessment = assess(&object, version);
                inputs.push(Input::Assessed { service, object, version, assessment });
            }
            inputs.push(Input::Replied { id, outcome: Outcome::Ok(answer) });
        }
    }
    println!("{:?}", release.outcome());
}
