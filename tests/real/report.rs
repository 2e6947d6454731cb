//! What the record of a release has to tell, from another place and later.

use release_tests::{Finished, Lab};
use serde_json::Value;

fn report(lab: &Lab, words: &[&str]) -> (Finished, Value) {
    let done = lab.release(&[&["report", "-o", "json"], words].concat());
    assert_eq!(done.code, 0, "{done}");
    let value = serde_json::from_str(&done.out).unwrap();
    (done, value)
}

#[test]
#[ignore = "needs the real stack: tests/run"]
fn the_record_keeps_the_events() {
    let lab = Lab::new("report");
    let told = lab.release(&["deploy", "--env", "dev", "-o", "json"]);
    assert_eq!(told.code, 0, "{told}");
    lab.write("run.jsonl", &told.out);

    // What was told and what was kept is the same story, up to what may be dropped.
    let (_, mut of_file) = report(&lab, &["run.jsonl"]);
    let (_, mut of_record) = report(&lab, &["--env", "dev"]);
    for value in [&mut of_file, &mut of_record] {
        value["services"]["web"]["prepared"].take();
        value["seconds"].take();
    }
    assert_eq!(of_record, of_file);

    lab.project("command: [/bin/busybox, sh, -c, \"echo no database; exit 3\"]");
    let failed = lab.release(&["deploy", "--env", "dev"]);
    assert_eq!(failed.code, 7, "{failed}");
    assert!(failed.err.contains("`release report 2 --env dev`"), "{failed}");

    // Without a checkout; the newest, and by number.
    std::fs::remove_file(lab.dir.path().join("release.yaml")).unwrap();
    let place = ["--env", "dev", "--project", "radio", "-n", &lab.namespace, "--context", &lab.context];
    let newest = lab.release(&[&["report"], &place[..]].concat());
    assert!(newest.out.starts_with("release 2 failed and was rolled back to release 1"), "{newest}");
    assert!(newest.out.contains("| no database"), "{newest}");
    let first = lab.release(&[&["report", "1"], &place[..]].concat());
    assert!(first.out.starts_with("release 1 verified"), "{first}");
    let none = lab.release(&[&["report", "7"], &place[..]].concat());
    assert!(none.code == 2 && none.err.contains("the record has 2, 1"), "{none}");
    let page = lab.release(&[&["report", "2", "--html", "page.html"], &place[..]].concat());
    assert_eq!((page.code, page.out.trim()), (0, "page.html"), "{page}");
    assert!(lab.release(&["report", "page.html"]).out.contains("| no database"));
}

#[test]
#[ignore = "needs the real stack: tests/run"]
fn a_release_that_is_taken_up_is_one_story() {
    let lab = Lab::new("report-two");
    lab.project("command: [/bin/busybox, sh, -c, \"sleep 6; exec /bin/busybox httpd -f -p 8080 -h /www\"]");
    let mut running = lab.start(&["deploy", "--env", "dev"]);
    running.until_it_says("rolling out");
    running.signal("INT");
    assert_eq!(running.wait().code, 130);
    let (_, halfway) = report(&lab, &["--env", "dev"]);
    assert_eq!(halfway["ending"]["ended"], "stopped");
    lab.deploy_well();
    let (_, whole) = report(&lab, &["1", "--env", "dev"]);
    assert_eq!(whole["ending"]["ended"], "verified");
    assert_eq!(whole["runs"].as_array().map(Vec::len), Some(2), "{whole}");

    // As an earlier version of the program leaves it, or one that was killed.
    lab.kubectl(&["-n", &lab.namespace, "delete", "configmap", "release.radio.dev.1.events"]);
    let (done, bare) = report(&lab, &["--env", "dev"]);
    assert_eq!(bare["ending"]["ended"], "verified");
    assert!(done.err.contains("the record has no events of release 1"), "{done}");
}
