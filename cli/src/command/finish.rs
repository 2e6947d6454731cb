//! The answer of a run: the release's number and verdict on stdout, the story of a failure on stderr, and the exit code.

use std::fmt::Write as _;

use release_cluster::Action;
use release_core::Cause;
use release_pipeline::{Ending, Report, verdict};

use crate::answer;
use crate::args::{Args, Format};
use crate::error::Failure;
use crate::exit::Exit;
use crate::signal::Stop;

/// Prints the answer and returns the exit code.
pub(crate) fn answer(args: &Args, report: &Report, stop: &Stop) -> Result<Exit, Failure> {
    let Some(ending) = &report.ending else {
        return Err(Failure::Internal(anyhow::anyhow!("the run ended without saying how")));
    };
    let story = story(report, ending);
    if !story.is_empty() {
        answer::say(&story);
    }
    // With JSON the events have been the answer.
    if args.output != Format::Json {
        let told = answer::print(args.output, report, || format!("{}\n", verdict(report, ending)));
        // The release has ended as it has, whether or not its verdict can be written.
        if let Err(failure) = told {
            failure.print();
        }
    }
    Ok(Exit::of(ending, stop.exit()))
}

/// What people need to read after a failure.
fn story(report: &Report, ending: &Ending) -> String {
    let mut text = String::new();
    let env = environment(report);
    match ending {
        Ending::Verified | Ending::Superseded { .. } => {}
        Ending::Failed { error, .. } => {
            let _ = writeln!(text, "{error}");
        }
        Ending::NothingToDo { unwell } => {
            for cause in unwell {
                let _ = writeln!(text, "warning: {}: {}", cause.object, cause.summary);
            }
        }
        Ending::RolledBack { service, cause, .. } => {
            error_line(&mut text, service.as_ref(), cause);
            let _ = writeln!(text, "  hint: {} shows the events and the last log lines", again(report));
        }
        Ending::NotRolledBack { service, cause, why } => {
            error_line(&mut text, service.as_ref(), cause);
            if let Some(why) = why {
                let _ = writeln!(text, "  not rolled back: {}: {}", why.object, why.summary);
            }
            let _ = writeln!(
                text,
                "  hint: `release status{env}` shows what runs now; `release rollback{env}` tries again; {} shows the events",
                again(report)
            );
        }
        Ending::Stopped => {
            let number = report.release.unwrap_or(0);
            let again = match report.action {
                // Without --to it would mean the last verified release, which may be another one.
                Some(Action::Rollback { to }) => format!("`release rollback{env} --to {to}`"),
                Some(Action::Deploy) | None => "the same `release deploy`".to_owned(),
            };
            let _ = writeln!(
                text,
                "stopped; release {number} is half-way and nothing is lost.\n  hint: {again} takes it up again; `release rollback{env}` returns to the last verified release"
            );
        }
    }
    text
}

/// The command that shows all of it, later and elsewhere.
fn again(report: &Report) -> String {
    format!("`release report {}{}`", report.release.unwrap_or(0), environment(report))
}

/// What a command needs to mean the same environment; empty if it is not known.
fn environment(report: &Report) -> String {
    report.started.as_ref().map(|started| format!(" --env {}", started.environment)).unwrap_or_default()
}

fn error_line(text: &mut String, service: Option<&release_core::ServiceName>, cause: &Cause) {
    let of = service.map(|service| format!("{service}: ")).unwrap_or_default();
    let _ = writeln!(text, "error: {of}{}: {}", cause.kind, cause.summary);
    // The newest evidence, which the summary has not said already.
    let mut shown: Vec<&str> = Vec::new();
    for evidence in cause.evidence.iter().rev() {
        if shown.len() == 3 {
            break;
        }
        let message = evidence.message.trim();
        if message.is_empty() || shown.contains(&message) || cause.summary.contains(message) {
            continue;
        }
        shown.push(message);
        let reason = evidence.reason.as_ref().map(|reason| format!("{reason}: ")).unwrap_or_default();
        let _ = writeln!(text, "  caused by: {} {reason}{message}", evidence.object);
    }
}

#[cfg(test)]
mod tests;
