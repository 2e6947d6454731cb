//! Names, messages and log lines that try to be something else.

use release_pipeline::{Report, page, read, read_page, text};

const EVIL: &str = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&\"'`<!--\u{1b}[31mred\u{1b}[2J\u{7}\u{202e}txt\u{2028}";

/// A run in which everything that can be said by others says this.
fn run() -> String {
    let evil = serde_json::to_string(EVIL).expect("JSON");
    let object = format!(r#"{{"apiVersion":"v1","kind":{evil},"namespace":"n","name":{evil}}}"#);
    let cause = format!(
        r#"{{"kind":"crash-loop","certainty":"terminal","object":{object},"summary":{evil},"evidence":[{{"source":{evil},"object":{object},"reason":{evil},"message":{evil},"at":{evil}}}]}}"#
    );
    let events = [
        format!(
            r#""type":"started","command":{evil},"project":{evil},"environment":{evil},"context":{evil},"namespace":{evil},"version":{evil},"actor":{evil}"#
        ),
        format!(r#""type":"image","service":"web","image":"notice","message":{evil}"#),
        format!(
            r#""type":"planned","release":2,"changes":[{{"service":"web","object":{object},"verb":"update","fields":[{evil}]}}],"unchanged":[]"#
        ),
        r#""type":"phase-entered","service":"web","phase":"soaking""#.to_owned(),
        format!(
            r#""type":"checked","service":"web","check":{evil},"verdict":{{"verdict":"bad","why":{evil}}}"#
        ),
        format!(r#""type":"cause-suspected","service":"web","cause":{cause}"#),
        format!(r#""type":"outcome-unknown","effect":{{"fence":1,"seq":1}},"service":"web","why":{evil}"#),
        format!(
            r#""type":"captured","service":"web","object":{object},"capture":{{"events":[{evil}],"logs":[{{"pod":{evil},"container":{evil},"previous":true,"lines":[{evil}]}}]}}"#
        ),
        format!(r#""type":"watch-troubled","why":{evil}"#),
        format!(
            r#""type":"release-ended","release":2,"action":{{"do":"deploy"}},"state":"not-rolled-back","cause":{cause},"notRestored":{cause},"service":"web""#
        ),
    ];
    let line = |(seq, rest): (usize, &String)| {
        format!(r#"{{"v":1,"run":"r","seq":{seq},"at":"2026-11-24T08:00:00Z","elapsed":{seq}.5,{rest}}}"#)
    };
    events.iter().enumerate().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_page_stays_a_page() {
    let envelopes = read(&run()).expect("events");
    let page = page(&envelopes);
    assert_eq!(page.matches("<script").count(), 1);
    assert_eq!(page.matches("</script").count(), 1);
    assert!(!page.contains("<img") && !page.contains("<!--"));
    assert!(!page.contains('\u{1b}') && !page.contains('\u{2028}'));
    let (body, _) = page.split_once("<script ").expect("the events");
    assert!(!body.contains('\u{202e}') && !body.contains('\u{7}'));
    assert!(body.contains("&lt;img src=x onerror=alert(2)&gt;&amp;&quot;&#39;"));
    // The events are as they were.
    assert_eq!(read_page(&page).expect("its events"), envelopes);
}

#[test]
fn a_terminal_stays_a_terminal() {
    let screen = text(&Report::of(&read(&run()).expect("events")), None);
    assert!(screen.contains("red") && !screen.contains("[31m"), "{screen}");
    for c in screen.chars() {
        assert!(c == '\n' || !c.is_control(), "{c:?} in {screen}");
        assert!(!matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'), "{c:?} in {screen}");
    }
}

#[test]
fn numbers_that_are_none_do_not_matter() {
    let line = r#"{"v":1,"run":"r","seq":0,"at":"2026-11-24T08:00:00Z","elapsed":ELAPSED,"type":"phase-entered","service":"web","phase":"soaking"}"#;
    for elapsed in ["-5.0", "1e300", "0.0", "1e-300", "9007199254740993"] {
        let envelopes = read(&line.replace("ELAPSED", elapsed)).expect("an event");
        assert!(
            page(&envelopes).len() < 40_000 && !text(&Report::of(&envelopes), None).is_empty(),
            "{elapsed}"
        );
    }
}
