//! What a release asks of the API server, counted by somebody else.

use std::time::Instant;

use release_tests::{Lab, Witness, measured};

/// Requests a deploy may make for each of its objects.
const PER_OBJECT: usize = 6;

/// Requests a deploy may make besides: identity, lists, the record of this release and of the one before, and the rights: one
/// question where the server answers it, 45 where each right has to be asked for.
const CONSTANT: usize = 70;

/// Seconds between two renewals of the lock: a third of its time to live.
const RENEWAL: f64 = 5.0;

/// One Deployment, one Service, one ServiceAccount, one ConfigMap.
const OBJECTS: usize = 4;

fn project(lab: &Lab, extra: &str) {
    lab.project(&format!("replicas: 1\nconfig: {{data: {{a: b}}}}\n{extra}"));
}

#[test]
#[ignore = "needs the real stack: tests/run"]
fn a_deploy_asks_little_and_waiting_costs_nothing() {
    let mut lab = Lab::new("requests");
    let witness = Witness::start(&lab);
    lab.kubeconfig.clone_from(&witness.kubeconfig);
    project(&lab, "");
    lab.deploy_well();
    let first = witness.take();

    project(&lab, "env: {RUN: quick}");
    let began = Instant::now();
    lab.deploy_well();
    let (quick_seconds, quick) = (began.elapsed().as_secs_f64(), witness.take());

    project(
        &lab,
        "env: {RUN: slow}\ncommand: [/bin/busybox, sh, -c, \"sleep 25; exec /bin/busybox httpd -f -p 8080 -h /www\"]",
    );
    let began = Instant::now();
    lab.deploy_well();
    let (slow_seconds, slow) = (began.elapsed().as_secs_f64(), witness.take());

    lab.deploy_well();
    let unchanged = witness.take();

    measured(&format!("requests, first release of {OBJECTS} objects: {first}"));
    measured(&format!("requests, quick release ({quick_seconds:.0} s): {quick}"));
    measured(&format!("requests, slow release ({slow_seconds:.0} s): {slow}"));
    measured(&format!(
        "requests, unchanged: {unchanged}; writes to workloads: {}",
        unchanged.workload_writes
    ));

    for (what, requests) in [("first", first), ("quick", quick), ("slow", slow), ("unchanged", unchanged)] {
        assert!(requests.ordinary <= PER_OBJECT * OBJECTS + CONSTANT, "{what}: {requests}");
    }
    assert!(slow_seconds > quick_seconds + 15.0, "the slow one was not slow");
    // Waiting 25 s longer costs renewals of the lock, at most one watch of each kind reopened, and nothing else.
    assert_eq!(slow.ordinary, quick.ordinary, "waiting asks for nothing");
    let renewals = ((slow_seconds - quick_seconds) / RENEWAL).ceil();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few seconds")]
    let renewals = renewals as usize;
    assert!(slow.lock <= quick.lock + renewals + 1, "{slow} against {quick}");
    assert!(slow.watches <= quick.watches + 4, "{slow} against {quick}");
    assert_eq!(unchanged.workload_writes, 0, "an unchanged project is not written");
}
