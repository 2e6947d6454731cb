//! Prints what happened in a run, from its events.
//!
//! ```text
//! release deploy --env dev -o json > run.jsonl
//! cargo run -p release-pipeline --example report -- run.jsonl
//! ```
//!
//! Ends with the exit code the run had; 2 when there is no such file or it is none.

use std::io::Read as _;
use std::process::ExitCode;

use release_pipeline::{Ending, Report, read};

fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("usage: report FILE; `-` reads standard input");
        return ExitCode::from(2);
    };
    match text(&path).map_err(Into::into).and_then(|text| Ok(read(&text)?)) {
        Ok(envelopes) => {
            let report = Report::of(&envelopes);
            print(&report);
            ExitCode::from(report.ending.as_ref().map_or(1, Ending::exit_code))
        }
        Err(error) => {
            let error: Box<dyn std::error::Error> = error;
            eprintln!("error: {path}: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                eprintln!("  caused by: {cause}");
                source = cause.source();
            }
            ExitCode::from(2)
        }
    }
}

fn text(path: &str) -> std::io::Result<String> {
    if path != "-" {
        return std::fs::read_to_string(path);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map(|_| text)
}

fn print(report: &Report) {
    match report.release {
        Some(number) => println!("release {number}, {:.1} s", report.seconds),
        None => println!("no release, {:.1} s", report.seconds),
    }
    for (name, service) in &report.services {
        println!("\n{name}");
        if let Some(image) = &service.image {
            println!("  image    {image}");
        }
        for (second, phase) in &service.phases {
            println!("  {second:>7.1}s {phase:?}");
        }
        let (good, other) = service.checks;
        if good + other > 0 {
            println!("  checks   {good} good, {other} not");
        }
        if let Some(cause) = &service.cause {
            println!("  failed   {}: {}", cause.kind, cause.summary);
        }
        for line in service.captures.iter().flat_map(|capture| &capture.events) {
            println!("  event    {line}");
        }
        for log in service.captures.iter().flat_map(|capture| &capture.logs) {
            println!("  log      pod/{} ({})", log.pod, log.container);
            log.lines.iter().for_each(|line| println!("           | {line}"));
        }
    }
    println!("\n{}", ending(report.ending.as_ref()));
}

fn ending(ending: Option<&Ending>) -> String {
    match ending {
        None => "the events do not say how it ended".to_owned(),
        Some(Ending::Verified) => "verified".to_owned(),
        Some(Ending::NothingToDo { unwell }) if unwell.is_empty() => "nothing to do".to_owned(),
        Some(Ending::NothingToDo { unwell }) => format!("nothing to do, and {} not healthy", unwell.len()),
        Some(Ending::RolledBack { cause, running, .. }) => {
            let now = running.map_or("nothing runs".to_owned(), |number| format!("release {number} runs"));
            format!("rolled back, {now}: {}", cause.summary)
        }
        Some(Ending::NotRolledBack { cause, .. }) => format!("NOT rolled back: {}", cause.summary),
        Some(Ending::Stopped) => "stopped half-way".to_owned(),
        Some(Ending::Failed { error, .. }) => error.clone(),
    }
}
