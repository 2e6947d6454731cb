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
    match content(&path).map_err(Into::into).and_then(|text| Ok(read(&text)?)) {
        Ok(envelopes) => {
            let report = Report::of(&envelopes);
            print!("{}", release_pipeline::text(&report, None));
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

fn content(path: &str) -> std::io::Result<String> {
    if path != "-" {
        return std::fs::read_to_string(path);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map(|_| text)
}
