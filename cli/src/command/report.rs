//! `release report`: what happened, from the events: on a screen, as JSON, or as one HTML page.

use std::io::Read as _;
use std::path::Path;

use release_cluster::{Header, StoreError};
use release_pipeline::{
    Envelope, Event, Recorded, Report, TargetError, page, read, read_page, recorded, releases, text,
};

use super::target::{Target, find};
use crate::answer;
use crate::args::{self, Args, Environment};
use crate::error::Failure;
use crate::exit::Exit;
use crate::words;

/// Events of a file. A day of a large project's releases is smaller.
const FILE_MAX: u64 = 256 << 20;

pub(crate) async fn run(args: &Args, words: &args::Report) -> Result<Exit, Failure> {
    let envelopes = match (&words.of, &words.env) {
        (Some(of), env) if !is_number(of) => {
            if env.is_some() {
                return Err(usage(
                    format!("`{of}` is read as a file, which needs no --env"),
                    "give a release's number, or only the file",
                ));
            }
            from_file(of)?
        }
        (of, Some(env)) => {
            let number = of.as_deref().map(words::release).transpose();
            let number = number.map_err(|why| usage(why, "for a file of that name write ./NAME"))?;
            from_record(args, words, env, number).await?
        }
        (Some(number), None) => {
            return Err(usage(
                format!("of which environment is release {number}?"),
                "give --env ENV; or name a file of events, which needs no cluster",
            ));
        }
        (None, None) => {
            return Err(usage(
                "there is nothing to report on".to_owned(),
                "give --env ENV for its newest release, or a file of events (`release deploy … -o json > FILE`)",
            ));
        }
    };
    show(args, words.html.as_deref(), &envelopes)
}

fn usage(message: String, hint: &str) -> Failure {
    Failure::Usage { message, hint: Some(hint.to_owned()) }
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_ascii_digit())
}

fn from_file(path: &str) -> Result<Vec<Envelope>, Failure> {
    let mut bytes = Vec::new();
    let taken = if path == "-" {
        std::io::stdin().lock().take(FILE_MAX + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(FILE_MAX + 1).read_to_end(&mut bytes))
    };
    let name = if path == "-" { "standard input" } else { path };
    let fail = |source| Failure::File { verb: "read", path: name.to_owned(), hint: None, source };
    taken.map_err(fail)?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(fail(std::io::Error::other(format!("it is larger than {} MiB", FILE_MAX >> 20))));
    }
    let text = String::from_utf8(bytes).map_err(|error| fail(std::io::Error::other(error)))?;
    let events = |source: anyhow::Error| Failure::Events { path: name.to_owned(), source: source.into() };
    let is_page = text.trim_start().get(..9).is_some_and(|start| start.eq_ignore_ascii_case("<!doctype"));
    let envelopes = if is_page {
        read_page(&text).map_err(|error| events(error.into()))?
    } else {
        read(&text).map_err(|error| events(error.into()))?
    };
    if envelopes.is_empty() {
        return Err(events(anyhow::anyhow!("there are no events in it")));
    }
    Ok(envelopes)
}

async fn from_record(
    args: &Args,
    words: &args::Report,
    env: &str,
    number: Option<u64>,
) -> Result<Vec<Envelope>, Failure> {
    let environment = Environment {
        env: env.to_owned(),
        namespace: words.namespace.clone(),
        context: words.context.clone(),
    };
    let place = find(args, &args::Recorded { environment, project: words.project.clone() }).await?;
    let read = async |target: &Target| {
        let header = choose(&target.found.headers, number)?;
        let found = recorded(&target.store, header, target.cluster.context()).await;
        Ok((header.number, found.map_err(TargetError::from)?))
    };
    let (number, Recorded { envelopes, complete }) = place.visit(None, read).await?;
    if !complete && !args.quiet {
        answer::say(&format!(
            "note: the record has no events of release {number}: it goes on, its tool was killed, or an earlier version wrote it"
        ));
    }
    Ok(envelopes)
}

/// The release of that number, or the newest.
fn choose(headers: &[Header], number: Option<u64>) -> Result<&Header, Failure> {
    let found = match number {
        Some(number) => headers.iter().find(|header| header.number == number),
        None => headers.last(),
    };
    found.ok_or_else(|| match number {
        Some(number) => {
            let known: Vec<_> = headers.iter().rev().map(|header| header.number.to_string()).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            usage(
                StoreError::NoSuchRelease { number, known }.to_string(),
                "`release history` shows when they ran and how they ended",
            )
        }
        None => usage("no release has been recorded yet".to_owned(), "`release deploy` makes the first one"),
    })
}

fn show(args: &Args, html: Option<&Path>, envelopes: &[Envelope]) -> Result<Exit, Failure> {
    let unknown = envelopes.iter().filter(|envelope| matches!(envelope.event, Event::Unknown { .. })).count();
    if unknown > 0 && !args.quiet {
        let words = if unknown == 1 { "event is" } else { "events are" };
        let past = if unknown == 1 { "was" } else { "were" };
        answer::say(&format!(
            "note: {unknown} {words} of a later version of this program and {past} passed over"
        ));
    }
    if let Some(path) = html {
        std::fs::write(path, page(envelopes)).map_err(|source| Failure::File {
            verb: "write",
            path: path.display().to_string(),
            hint: None,
            source,
        })?;
        answer::emit(&format!("{}\n", path.display()))?;
        return Ok(Exit::Done);
    }
    let reports: Vec<_> = releases(envelopes).into_iter().map(Report::of).collect();
    let screen =
        || reports.iter().map(|report| text(report, answer::columns())).collect::<Vec<_>>().join("\n");
    match reports.as_slice() {
        // Of one release there is one report, of several a list.
        [report] => answer::print(args.output, report, screen)?,
        reports => answer::print(args.output, &reports, screen)?,
    }
    Ok(Exit::Done)
}
