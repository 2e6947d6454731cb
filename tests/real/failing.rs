//! Releases that fail: each is called by its cause soon after the first evidence, and what ran before runs again.

use release_tests::{Lab, Watch, measured, var};
use serde_json::Value;

/// From the first evidence in the API, as another client sees it, to our verdict on the cause. The promise is 2 s; the bound here
/// leaves room for a machine that does everything on two cores.
const SOON: f64 = 4.0;

/// The state a failed release must leave behind: exactly the pod template and configuration of before.
fn template(lab: &Lab) -> Value {
    lab.deployment()["spec"]["template"].clone()
}

/// Releases, expects a rollback for this cause, and returns the seconds from the first evidence to the verdict.
fn fails_with(lab: &Lab, cause: &str, kind: &str, evidence: impl Fn(&Value) -> bool) -> f64 {
    let before = template(lab);
    let watch = Watch::start(lab, kind);
    let done = lab.release(&["deploy", "--env", "dev", "-o", "json"]);
    assert_eq!(done.code, 7, "{done}");
    let ended = done.event("release-ended").unwrap();
    assert_eq!(ended["cause"]["kind"], cause, "{done}");
    assert_eq!(ended["state"], "rolled-back");
    assert_eq!(template(lab), before);
    let found = done.event("cause-found").or_else(|| done.event("write-refused")).unwrap();
    let verdict = seconds(found["at"].as_str().unwrap());
    let seen = watch.first(evidence).unwrap_or_else(|| panic!("another client saw no evidence: {done}"));
    let took = verdict - seen;
    measured(&format!("{cause}: {took:.3} s from the first evidence in the API to the verdict"));
    assert!(took < SOON, "{took} s");
    took
}

/// Seconds since 1970 of an RFC 3339 time in UTC.
fn seconds(at: &str) -> f64 {
    let output = std::process::Command::new("date").args(["-d", at, "+%s.%N"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

fn waits_for(pod: &Value, reasons: &[&str]) -> bool {
    let statuses = pod["status"]["containerStatuses"].as_array().cloned().unwrap_or_default();
    statuses.iter().any(|status| reasons.iter().any(|reason| status["state"]["waiting"]["reason"] == *reason))
}

#[test]
#[ignore = "needs the real stack: tests/run"]
fn an_image_that_vanished_after_the_check() {
    let lab = Lab::new("vanished");
    lab.deploy_well();
    lab.write("web/www/version", "two\n");
    let pushed = lab.release(&["push"]);
    let image = pushed.out.split_whitespace().nth(1).unwrap().to_owned();
    let (repository, digest) = image.split_once('@').unwrap();
    let (registry, path) = repository.split_once('/').unwrap();
    // The node must not have it, and the registry loses it once the release has been planned.
    let docker = |words: &[&str]| {
        let host = var("RELEASE_TEST_DOCKER_HOST");
        std::process::Command::new("docker").args(["-H", &host]).args(words).output().unwrap()
    };
    docker(&["rmi", "-f", &image, &format!("{repository}:latest")]);
    lab.write("images.lock", &pushed.out);
    let before = template(&lab);
    let watch = Watch::start(&lab, "pods");
    let mut running = lab.start(&["deploy", "--env", "dev", "--images", "images.lock", "-o", "json"]);
    running.until_it_says("\"confirmed\"");
    let url = format!("http://{registry}/v2/{path}/manifests/{digest}");
    let deleted = std::process::Command::new("curl")
        .args(["-s", "-X", "DELETE", "-o", "/dev/null", "-w", "%{http_code}", &url])
        .output();
    assert_eq!(String::from_utf8_lossy(&deleted.unwrap().stdout), "202");
    let done = running.wait();
    assert_eq!(done.code, 7, "{done}");
    let ended = done.event("release-ended").unwrap();
    assert_eq!(ended["cause"]["kind"], "image-not-found", "{done}");
    assert!(ended["cause"]["summary"].as_str().unwrap().contains(&digest[..19]), "{done}");
    assert_eq!(template(&lab), before);
    let found = seconds(done.event("cause-found").unwrap()["at"].as_str().unwrap());
    let seen = watch.first(|pod| waits_for(pod, &["ErrImagePull", "ImagePullBackOff"])).unwrap();
    measured(&format!(
        "image-not-found: {:.3} s from the first evidence in the API to the verdict",
        found - seen
    ));
    assert!(found - seen < SOON);
}

#[test]
#[ignore = "needs the real stack: tests/run"]
fn a_crash_on_start() {
    let lab = Lab::new("crash");
    lab.deploy_well();
    lab.project("command: [/bin/busybox, sh, -c, \"echo boom: cannot open config; exit 3\"]");
    fails_with(&lab, "crash-loop", "pods", |pod| {
        let statuses = pod["status"]["containerStatuses"].as_array().cloned().unwrap_or_default();
        let again = |status: &Value| {
            let ended = &status["state"]["terminated"]["exitCode"];
            status["restartCount"].as_u64() >= Some(1) && ended.as_u64().is_some_and(|code| code != 0)
        };
        waits_for(pod, &["CrashLoopBackOff"]) || statuses.iter().any(again)
    });
    // What people need at three in the morning: the exit code and the last words.
    let done = lab.release(&["deploy", "--env", "dev"]);
    assert!(done.err.contains("code 3") && done.err.contains("boom: cannot open config"), "{done}");
    assert!(done.out.contains("rolled back to release 1"), "{done}");
}

#[test]
#[ignore = "needs the real stack: tests/run"]
fn a_quota_that_is_exceeded() {
    let lab = Lab::new("quota");
    lab.deploy_well();
    lab.kubectl(&["-n", &lab.namespace, "create", "quota", "tight", "--hard=pods=2"]);
    lab.until("the quota's first count", || {
        lab.objects("resourcequotas").iter().any(|quota| quota["status"]["used"]["pods"] == "2")
    });
    lab.project("env: {NEW: \"yes\"}");
    fails_with(&lab, "quota", "replicasets,events", |object| {
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions
            .iter()
            .any(|condition| condition["type"] == "ReplicaFailure" && condition["status"] == "True")
            || (object["kind"] == "Event"
                && object["message"].as_str().is_some_and(|text| text.contains("exceeded quota")))
    });
}

#[test]
#[ignore = "needs the real stack: tests/run"]
fn pods_that_never_become_ready() {
    let lab = Lab::new("unready");
    lab.deploy_well();
    lab.project("health: {http: /nowhere}\nstrategy: {rolling: {deadline: 25s}}");
    let before = template(&lab);
    let done = lab.release(&["deploy", "--env", "dev", "-o", "json"]);
    assert_eq!(done.code, 7, "{done}");
    let ended = done.event("release-ended").unwrap();
    let kind = ended["cause"]["kind"].as_str().unwrap();
    assert!(kind == "never-ready" || kind == "deadline", "{done}");
    let summary = ended["cause"]["summary"].as_str().unwrap();
    assert!(summary.contains("404"), "the probe's answer is named: {done}");
    assert_eq!(template(&lab), before);
}

#[test]
#[ignore = "needs the real stack: tests/run"]
fn a_check_that_fails_during_the_soak() {
    let lab = Lab::new("soak");
    lab.project("verify: [{http: /version, body: soak}]");
    lab.deploy_well();
    lab.write("web/www/version", "something else\n");
    lab.project("verify: [{http: /version, body: soak, every: 1s}]\nstrategy: {rolling: {soak: 10s}}");
    let before = template(&lab);
    let done = lab.release(&["deploy", "--env", "dev"]);
    assert_eq!(done.code, 7, "{done}");
    assert!(done.err.contains("check-failed") && done.err.contains("without `soak` in the body"), "{done}");
    assert_eq!(template(&lab), before);
    // The same checks stand alone, on what runs now.
    assert_eq!(lab.release(&["verify", "--env", "dev"]).code, 0);
    lab.project("verify: [{http: /version, body: not there}]");
    let alone = lab.release(&["verify", "--env", "dev"]);
    assert_eq!(alone.code, 9, "{alone}");
}

#[test]
#[ignore = "needs the real stack: tests/run"]
fn a_first_release_that_fails_leaves_nothing_behind() {
    let lab = Lab::new("firstfail");
    lab.project("command: [/bin/busybox, \"false\"]\nconfig: {data: {a: b}}");
    let failed = lab.release(&["deploy", "--env", "dev"]);
    assert_eq!(failed.code, 7, "{failed}");
    assert!(failed.out.contains("no release ran before it"), "{failed}");
    // What the rollback itself deletes is no surprise.
    assert!(!failed.to_string().contains("by somebody else"), "{failed}");
    for kind in ["deployments", "services", "serviceaccounts", "configmaps"] {
        assert_eq!(lab.managed(kind), Vec::<String>::new(), "{kind}");
    }
    lab.project("config: {data: {a: b}}");
    let done = lab.deploy_well();
    assert!(done.out.contains("release 2 verified"), "{done}");
}

#[test]
#[ignore = "needs the real stack: tests/run"]
fn what_ran_without_a_record_is_brought_back() {
    let lab = Lab::new("norecord");
    lab.deploy_well();
    let before = template(&lab);
    lab.kubectl(&["-n", &lab.namespace, "delete", "configmaps", "-l", "release-tool.dev/project=radio"]);
    lab.project("command: [/bin/busybox, \"false\"]");
    let failed = lab.release(&["deploy", "--env", "dev"]);
    assert_eq!(failed.code, 7, "{failed}");
    assert_eq!(template(&lab), before);
    assert_eq!(lab.managed("services"), ["web"]);
    lab.project("");
    lab.deploy_well();
}

#[test]
#[ignore = "needs the real stack: tests/run"]
fn a_release_that_ran_out_of_time_is_rolled_back_for_good() {
    let lab = Lab::new("outoftime");
    lab.project("replicas: 1\nstrategy: {rolling: {deadline: 15s}}");
    lab.deploy_well();
    let before = template(&lab);
    // Nothing listens there; our deadline and the controller's come at the same time.
    lab.project("replicas: 1\nport: 9090\nhealth: {startup: 60s}\nstrategy: {rolling: {deadline: 15s}}");
    let failed = lab.release(&["deploy", "--env", "dev"]);
    assert_eq!(failed.code, 7, "{failed}");
    assert_eq!(template(&lab), before);
}
