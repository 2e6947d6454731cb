//! Releases that are interrupted, and two at once.

use release_tests::{Lab, Watch};

/// A release that takes its time: the pods become ready after some seconds.
const SLOW: &str = "command: [/bin/busybox, sh, -c, \"sleep 6; exec /bin/busybox httpd -f -p 8080 -h /www\"]";

#[test]
#[ignore = "needs the real stack: tests/run"]
fn ctrl_c_stops_cleanly_and_the_same_deploy_takes_it_up() {
    let lab = Lab::new("ctrlc");
    lab.deploy_well();
    lab.project(SLOW);
    let mut running = lab.start(&["deploy", "--env", "dev"]);
    running.until_it_says("rolling out");
    running.signal("INT");
    let stopped = running.wait();
    assert_eq!(stopped.code, 130, "{stopped}");
    assert!(stopped.err.contains("release 2 is half-way"), "{stopped}");
    let status = lab.release(&["status", "--env", "dev"]);
    assert!(status.out.contains("release 2 is under way, or was interrupted"), "{status}");
    // The lock was given back: no waiting.
    let done = lab.deploy_well();
    assert!(done.err.contains("release 2 was interrupted; taking it up"), "{done}");
    assert!(done.out.contains("release 2 verified"), "{done}");
    assert!(!done.err.contains("waiting for"), "{done}");
}

#[test]
#[ignore = "needs the real stack: tests/run"]
fn sigterm_is_the_same_clean_stop() {
    let lab = Lab::new("sigterm");
    lab.project(SLOW);
    let mut running = lab.start(&["deploy", "--env", "dev"]);
    running.until_it_says("rolling out");
    running.signal("TERM");
    assert_eq!(running.wait().code, 143);
    // A first release that was interrupted has nothing to return to but can be resumed.
    assert_eq!(lab.release(&["rollback", "--env", "dev"]).code, 2);
    assert!(lab.deploy_well().out.contains("release 1 verified"));
}

#[test]
#[ignore = "needs the real stack: tests/run"]
fn kill_9_then_the_same_deploy_resumes() {
    let lab = Lab::new("kill");
    lab.deploy_well();
    lab.project(SLOW);
    let mut running = lab.start(&["deploy", "--env", "dev"]);
    running.until_it_says("rolling out");
    running.signal("KILL");
    running.wait();
    let done = lab.deploy_well();
    assert!(
        done.err.contains("waiting for"),
        "the dead holder's lock is respected for its time to live: {done}"
    );
    assert!(done.err.contains("release 2 was interrupted; taking it up"), "{done}");
    assert!(done.out.contains("release 2 verified"), "{done}");
}

#[test]
#[ignore = "needs the real stack: tests/run"]
fn kill_9_then_another_deploy_supersedes_and_returns_to_the_last_verified() {
    let lab = Lab::new("supersede");
    lab.deploy_well();
    let before = lab.deployment()["spec"]["template"].clone();
    lab.project(SLOW);
    let mut running = lab.start(&["deploy", "--env", "dev"]);
    running.until_it_says("rolling out");
    running.signal("KILL");
    running.wait();
    lab.project("command: [/bin/busybox, \"false\"]");
    let failed = lab.release(&["deploy", "--env", "dev"]);
    assert_eq!(failed.code, 7, "{failed}");
    assert!(failed.err.contains("release 2 was interrupted; release 3 takes its place"), "{failed}");
    assert!(failed.out.contains("rolled back to release 1"), "{failed}");
    assert_eq!(lab.deployment()["spec"]["template"], before);
}

#[test]
#[ignore = "needs the real stack: tests/run"]
fn kill_9_then_rollback_returns_to_the_last_verified() {
    let lab = Lab::new("killback");
    lab.deploy_well();
    let before = lab.deployment()["spec"]["template"].clone();
    lab.project(SLOW);
    let mut running = lab.start(&["deploy", "--env", "dev"]);
    running.until_it_says("rolling out");
    running.signal("KILL");
    running.wait();
    let back = lab.release(&["rollback", "--env", "dev"]);
    assert_eq!(back.code, 0, "{back}");
    assert!(back.out.contains("rollback to release 1"), "{back}");
    assert_eq!(lab.deployment()["spec"]["template"], before);
}

#[test]
#[ignore = "needs the real stack: tests/run"]
fn two_deploys_at_once_are_one_after_the_other() {
    let lab = Lab::new("two");
    lab.deploy_well();
    let watch = Watch::start(&lab, "leases");
    lab.project(SLOW);
    let mut first = lab.start(&["deploy", "--env", "dev"]);
    first.until_it_says("rolling out");
    // One that will not wait is told who holds the lock.
    let hasty = lab.release(&["deploy", "--env", "dev", "--lock-timeout", "1s"]);
    assert_eq!(hasty.code, 11, "{hasty}");
    assert!(hasty.err.contains("process "), "the holder is named: {hasty}");
    let second = lab.release(&["deploy", "--env", "dev"]);
    let first = first.wait();
    assert_eq!((first.code, second.code), (0, 0), "{first}{second}");
    assert!(first.out.contains("release 2 verified"), "{first}");
    assert!(second.out.contains("nothing to do: release 2 runs"), "{second}");
    // At no moment did the holder change without the fence growing.
    let fences: Vec<_> =
        watch.seen().iter().map(|seen| seen.object["spec"]["leaseTransitions"].as_u64()).collect();
    assert!(fences.is_sorted(), "{fences:?}");
}
