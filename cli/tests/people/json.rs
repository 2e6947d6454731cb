//! `-o json`: every line is an event that the library reads, failures included; and how quiet quiet is.

use release_pipeline::{Ending, Event, Report, read};

use crate::folder::{DIGEST, Folder, KUBECONFIG, RADIO};

/// The one line of a failure, read back, and its exit code.
fn failed(folder: &Folder, words: &[&str]) -> (String, i32) {
    let told = folder.run(&[words, &["-o", "json"]].concat());
    let events = read(&told.out).unwrap_or_else(|error| panic!("{error}\n{}", told.screen()));
    let Some(Event::Failed { exit_code, error }) = events.last().map(|envelope| envelope.event.clone())
    else {
        panic!("no failure\n{}", told.screen());
    };
    assert_eq!(i32::from(exit_code), told.code, "{}", told.screen());
    assert_eq!(told.err.trim_end(), error, "people are told the same");
    assert_eq!(Report::of(&events).ending.map(|ending| i32::from(ending.exit_code())), Some(told.code));
    assert!(events.iter().enumerate().all(|(seq, envelope)| envelope.seq == seq as u64));
    (error, told.code)
}

#[test]
fn a_failure_is_one_line() {
    let folder = Folder::with(RADIO);
    folder.write("Dockerfile", "FROM scratch\n");
    for (words, code, part) in [
        (&["render", "--env", "dve"] as &[&str], 2, "there is no environment `dve`"),
        (&["render", "--env", "dev", "--images", "x"], 2, "cannot read the image lock x"),
        (&["deploy"], 2, "--env <ENV>"),
        (&["init"], 2, "exists already"),
        (&["build", "web"], 3, "unix:///nowhere/docker.sock"),
        (&["push", "web"], 3, "unix:///nowhere/docker.sock"),
        (&["status", "--env", "dev"], 6, "kubeconfig"),
        (&["history", "--env", "dev"], 6, "kubeconfig"),
        (&["verify", "--env", "dev"], 6, "kubeconfig"),
        (&["rollback", "--env", "dev"], 6, "kubeconfig"),
        (&["deploy", "player", "--env", "dev"], 6, "kubeconfig"),
        (&["deploy", "--env", "prod"], 10, "gate"),
    ] {
        let told = folder.run(&[words, &["-o", "json"]].concat());
        if words[0] == "build" || words[0] == "push" {
            // That it began, what its Dockerfile is warned about, and that it failed.
            assert_eq!(read(&told.out).expect("events").len(), 3, "{}", told.screen());
        } else {
            assert_eq!(told.out.lines().count(), 1, "{}", told.screen());
        }
        let (error, found) = failed(&folder, words);
        assert_eq!(found, code, "{words:?}");
        assert!(error.contains(part), "{words:?}: {error}");
    }
}

#[test]
fn images_that_exist_are_the_last_line() {
    let told = Folder::with(RADIO).run(&["build", "player", "-o", "json"]);
    let events = read(&told.out).expect("events");
    let Some(Event::Prepared { images }) = events.last().map(|envelope| &envelope.event) else {
        panic!("{}", told.screen());
    };
    let images: Vec<_> = images.iter().map(|(service, image)| format!("{service} {image}")).collect();
    assert_eq!(images, [format!("player registry.example.com/radio/player@{DIGEST}")]);
}

#[test]
fn doctor_says_it_once() {
    let told = Folder::new().run(&["doctor", "-o", "json"]);
    let value: serde_json::Value = serde_json::from_str(&told.out).expect("one JSON value");
    assert_eq!((told.code, &value["good"]), (9, &serde_json::Value::Bool(false)));
}

#[test]
fn quiet_leaves_what_went_wrong() {
    let folder = Folder::with(RADIO);
    folder.write("Dockerfile", "FROM scratch\n");
    let told = folder.run(&["build", "web", "-q"]);
    assert!(told.err.starts_with("error: "), "{}", told.screen());
    let loud = folder.run(&["build", "web"]);
    assert!(loud.err.contains("building Dockerfile"), "{}", loud.screen());
}

#[test]
fn nothing_is_coloured_where_nobody_looks() {
    for vars in [("NO_COLOR", "1"), ("NO_COLOR", ""), ("CI", "true"), ("TERM", "xterm-256color")] {
        let folder = Folder::with(&RADIO.replace("port:", "prt:")).var(vars.0, vars.1);
        folder.write("kubeconfig", KUBECONFIG);
        for words in [&["render", "--env", "dev"] as &[&str], &["deploy"], &["--help"], &["doctor"]] {
            let told = folder.run(words);
            assert!(!told.out.contains('\u{1b}') && !told.err.contains('\u{1b}'), "{}", told.screen());
        }
    }
}

#[test]
fn every_ending_has_a_code_that_is_documented() {
    // What is read back from a file ends the same way as the run did.
    let text = "{\"v\":1,\"run\":\"r\",\"seq\":0,\"at\":\"2026-11-24T08:00:00Z\",\"elapsed\":0.1,\"type\":\"failed\",\"exitCode\":11,\"error\":\"error: cannot start\"}";
    let report = Report::of(&read(text).expect("an event"));
    assert_eq!(report.ending.as_ref().map(Ending::exit_code), Some(11));
}
