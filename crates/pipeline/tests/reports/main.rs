//! Reports of three recorded runs, as text and as a page; and of what nobody would record.

mod fold;
mod hostile;

use std::path::Path;

use release_pipeline::{Envelope, Report, page, read, read_page, text};

const RUNS: &[&str] = &["verified", "soak", "crash"];

fn recorded(name: &str) -> Vec<Envelope> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/reports/runs/{name}.jsonl"));
    read(&std::fs::read_to_string(path).expect("a recorded run")).expect("events")
}

#[test]
fn a_screen_for_each_run() {
    for name in RUNS {
        let screen = text(&Report::of(&recorded(name)), None);
        assert!(screen.lines().count() <= 50, "more than a screen:\n{screen}");
        insta::assert_snapshot!(format!("text_{name}"), screen);
    }
}

#[test]
fn a_page_for_each_run() {
    for name in RUNS {
        let page = page(&recorded(name));
        // The style is another file, and the events are the fixture.
        let (head, rest) = page.split_once("<style>").expect("a style");
        let (_, rest) = rest.split_once("</style>").expect("its end");
        let (body, _) = rest.split_once("<script ").expect("the events");
        insta::assert_snapshot!(format!("page_{name}"), format!("{head}…{body}…"));
    }
}

#[test]
fn the_report_as_json() {
    insta::assert_json_snapshot!("json_crash", Report::of(&recorded("crash")));
}

#[test]
fn a_page_is_folded_again_to_the_same_report() {
    for name in RUNS {
        let envelopes = recorded(name);
        let made = page(&envelopes);
        let back = read_page(&made).expect("its events");
        assert_eq!(Report::of(&back), Report::of(&envelopes), "{name}");
        assert_eq!(page(&back), made, "{name}: other bytes");
    }
}

#[test]
fn a_page_needs_nothing_else() {
    for name in RUNS {
        let page = page(&recorded(name));
        let before_events = page.split("<script ").next().unwrap_or_default();
        for word in ["src=", "href=", "url(", "@import", "onload", "<script"] {
            assert!(!before_events.contains(word), "{name}: {word}");
        }
        assert_eq!(page.matches("<script").count(), 1, "{name}: the events are the only script element");
        assert_eq!(page.matches("<h1>").count(), 1, "{name}");
    }
}

#[test]
fn a_page_without_events_is_no_page_of_ours() {
    let error = read_page("<!doctype html><title>x</title>").unwrap_err();
    assert_eq!(error.to_string(), "the page has no events in it");
    let made = page(&recorded("verified"));
    let cut = format!("{}</script>", &made[..made.len() - 400]);
    assert_eq!(read_page(&cut).unwrap_err().to_string(), "the events in the page are damaged");
    let newer = made.replacen("{\"v\":1", "{\"v\":7", 1);
    assert!(read_page(&newer).unwrap_err().to_string().contains("format version 7"));
}

#[test]
fn bars_fit_into_the_terminal() {
    let report = Report::of(&recorded(RUNS[0]));
    let widest = |columns: Option<u16>| {
        let screen = text(&report, columns);
        let bars = screen.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
        let bars = bars.filter(|line| line.contains(['░', '▒', '▓', '█', '─', '◂']));
        bars.map(|line| line.chars().count()).max().expect("a bar")
    };
    for columns in [50, 60, 70] {
        assert!(widest(Some(columns)) <= columns.into(), "{columns}: {}", widest(Some(columns)));
    }
    assert!(widest(Some(20)) < widest(Some(60)));
    assert_eq!(widest(Some(200)), widest(None));
}
