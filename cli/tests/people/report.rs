//! `release report` without a cluster: files, pages, standard input, and what cannot be reported on.

use release_pipeline::{Ending, Report, read, read_page};

use crate::folder::{Folder, KUBECONFIG, RADIO, check};

const CRASH: &str = include_str!("../../../crates/pipeline/tests/reports/runs/crash.jsonl");

fn with_run() -> Folder {
    let folder = Folder::new();
    folder.write("run.jsonl", CRASH);
    folder
}

#[test]
fn a_run_from_a_file() {
    let folder = with_run();
    check("report_file", &folder.screen(&["report run.jsonl"]));
    let piped = Folder::new().stdin(CRASH).run(&["report", "-"]);
    assert_eq!(piped.out, folder.run(&["report", "run.jsonl"]).out);
}

#[test]
fn a_page_says_where_it_is_and_is_read_again() {
    let folder = with_run();
    let told = folder.run(&["report", "run.jsonl", "--html", "out.html"]);
    assert_eq!((&*told.out, &*told.err, told.code), ("out.html\n", "", 0));
    let page = std::fs::read_to_string(folder.path("out.html")).expect("the page");
    assert_eq!(read_page(&page).expect("its events"), read(CRASH).expect("events"));
    assert_eq!(folder.run(&["report", "out.html"]).out, folder.run(&["report", "run.jsonl"]).out);
    let again = folder.run(&["report", "out.html", "--html", "again.html"]);
    assert_eq!(again.code, 0);
    assert_eq!(std::fs::read_to_string(folder.path("again.html")).expect("the page"), page);
}

#[test]
fn json_and_yaml_are_the_folded_report() {
    let folder = with_run();
    let json = folder.run(&["report", "run.jsonl", "-o", "json"]).out;
    let report = Report::of(&read(CRASH).expect("events"));
    assert_eq!(json.trim_end(), serde_json::to_string_pretty(&report).expect("JSON"));
    assert!(matches!(report.ending, Some(Ending::RolledBack { .. })));
    assert!(folder.run(&["report", "run.jsonl", "-o", "yaml"]).out.contains("ended: rolled-back"));
}

#[test]
fn what_cannot_be_reported_on() {
    let folder = with_run();
    folder.write("cut.jsonl", CRASH.get(..CRASH.len() - 100).expect("a longer file"));
    folder.write("strange.jsonl", "{\"v\":1}\nhello\n");
    folder.write("newer.jsonl", "{\"v\":2,\"type\":\"started\"}\n");
    folder.write("empty.jsonl", "\n");
    folder.write("other.html", "<!DOCTYPE html><p>hello");
    folder.write("kubeconfig", KUBECONFIG);
    let script = [
        "report",
        "report 4",
        "report run.jsonl --env dev",
        "report nowhere.jsonl",
        "report cut.jsonl",
        "report strange.jsonl",
        "report newer.jsonl",
        "report empty.jsonl",
        "report other.html",
        "report run.jsonl --html no/such/folder.html",
        "report 0 --env dev",
        "report --env dev",
        "report --project radio",
        "report --env dev --project radio",
        "report cut.jsonl -o json",
    ];
    check("report_cannot", &folder.screen(&script));
}

#[test]
fn events_of_a_later_version_are_passed_over() {
    let folder = Folder::new();
    let tea = r#"{"v":1,"run":"r","seq":99,"at":"2026-11-24T08:00:00Z","elapsed":99.0,"type":"tea-made"}"#;
    folder.write("run.jsonl", &format!("{CRASH}{tea}\n"));
    let told = folder.run(&["report", "run.jsonl"]);
    assert_eq!(told.code, 0);
    assert_eq!(told.err, "note: 1 event is of a later version of this program and was passed over\n");
    assert_eq!(folder.run(&["report", "run.jsonl", "-q"]).err, "");
}

#[test]
fn the_record_is_in_the_cluster() {
    let folder = Folder::with(RADIO);
    folder.write("kubeconfig", KUBECONFIG);
    let told = folder.run(&["report", "--env", "dev"]);
    assert_eq!(told.code, 6, "{}", told.screen());
}
