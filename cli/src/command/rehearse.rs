//! `release rehearse`: what would happen on a bad day. Contacts nothing.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use release_core::EnvironmentName;
use release_manifest::{Environment, Gate, LOCAL};
use release_rehearsal::{Ear, Moment, Outcome, Rehearsal, Summary, Weather, soak};
use release_sim::Apps;

use crate::answer::{self, table};
use crate::args::{Args, Format, Rehearse};
use crate::error::Failure;
use crate::exit::Exit;
use crate::local::scripts;
use crate::signal::Stop;
use crate::talk;
use crate::workspace::Workspace;

/// How many seeds that broke a promise are listed; each can be told again by itself.
const LISTED: usize = 20;

pub(crate) fn run(args: &Args, words: &Rehearse, stop: &Stop) -> Result<Exit, Failure> {
    let rehearsal = rehearsal(args, words)?;
    if let Some(seed) = words.seed {
        let outcome = rehearsal.run(seed);
        answer::print(args.output, &outcome, || story(&outcome))?;
        return verdict(&Summary::of([&outcome]));
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let began = Instant::now();
    // Drawn only where somebody looks at a terminal.
    let bar = if args.quiet { ProgressBar::hidden() } else { ProgressBar::new(words.seeds) };
    bar.set_style(
        ProgressStyle::with_template("{pos} of {len} seeds").unwrap_or(ProgressStyle::default_bar()),
    );
    let ear = Ear { tell: &|_| bar.inc(1), stops: &|| stop.token().is_cancelled() };
    // The threads of the runtime hear the signals meanwhile.
    let (outcomes, panicked) =
        tokio::task::block_in_place(|| soak(&rehearsal, 0..words.seeds, threads, &ear));
    bar.finish_and_clear();
    let summary = Summary::of(&outcomes);
    answer::print(args.output, &summary, || many(&summary))?;
    if args.output == Format::Text {
        let (told, all) = (outcomes.len(), words.seeds);
        let of = if told as u64 == all { String::new() } else { format!(" of {all}") };
        answer::say(&format!("{told}{of} seeds in {:.1} s", began.elapsed().as_secs_f64()));
    }
    if stop.token().is_cancelled() {
        return Err(Failure::Stopped { exit: stop.exit() });
    }
    if !panicked.is_empty() {
        return Err(Failure::Internal(anyhow::anyhow!(
            "the rehearsal itself broke off with seeds {panicked:?}"
        )));
    }
    verdict(&summary)
}

fn rehearsal(args: &Args, words: &Rehearse) -> Result<Rehearsal, Failure> {
    let usage = |message: String| Failure::Usage { message, hint: None };
    let workspace = Workspace::load(args)?;
    let environment = environment(&workspace, words.env.as_deref(), args.quiet)?;
    if words.faults.trim().is_empty() {
        // An empty variable of a pipeline is not a wish for fair weather.
        return Err(usage("--faults is empty: give names, `all`, or `none`".to_owned()));
    }
    let weather = Weather::parse(&words.faults).map_err(|error| usage(error.to_string()))?;
    let apps = match &words.apps {
        None => Apps::default(),
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|source| Failure::File {
                verb: "read",
                path: format!("the scripts {}", path.display()),
                hint: None,
                source,
            })?;
            scripts(&text, &path.display().to_string())?
        }
    };
    let mut files = BTreeMap::new();
    for (name, service) in &environment.services {
        files.insert(name.clone(), workspace.files(service)?);
    }
    let rehearsal =
        Rehearsal::new(environment, &files, apps, weather).map_err(|error| usage(error.to_string()))?;
    if !args.quiet {
        for note in rehearsal.notes() {
            answer::say(&format!("note: {note}"));
        }
    }
    Ok(rehearsal)
}

/// The environment that was named; else the first by name with a manual gate, which is where a bad day hurts; else the
/// first by name.
fn environment(workspace: &Workspace, name: Option<&str>, quiet: bool) -> Result<Environment, Failure> {
    if let Some(name) = name {
        return workspace.environment(name, quiet);
    }
    let mut first = None;
    for name in workspace.project.environment_names() {
        let environment = workspace.project.environment(name.as_str())?;
        if environment.gate == Gate::Manual {
            return workspace.environment(name.as_str(), quiet);
        }
        first.get_or_insert(name);
    }
    // Everybody has `local`.
    let name = first.map_or(LOCAL, EnvironmentName::as_str);
    workspace.environment(name, quiet)
}

fn verdict(summary: &Summary) -> Result<Exit, Failure> {
    // Faults belong to release 2: where release 1 fails, nothing was rehearsed.
    let first: u64 = summary.endings.get(&1).map_or(0, |endings| endings.values().sum());
    let begun: u64 = summary.endings.get(&2).map_or(0, |endings| endings.values().sum());
    if begun < first && summary.broken.is_empty() {
        let missing = first - begun;
        return Err(Failure::Check {
            message: format!(
                "with {missing} of {first} seeds release 1 was not verified, in fair weather: release 2 was not rehearsed"
            ),
        });
    }
    if summary.broken.is_empty() {
        return Ok(Exit::Done);
    }
    let count = summary.broken.len();
    let (them, verb) = if count == 1 { ("release", "was") } else { ("releases", "were") };
    Err(Failure::Check { message: format!("{count} {them} {verb} neither verified nor rolled back") })
}

/// The story of one seed, as people read it.
fn story(outcome: &Outcome) -> String {
    let mut text = format!("seed {}\n", outcome.seed);
    // A text takes every write.
    for fault in &outcome.faults {
        let _ = writeln!(text, "  fault in release 2: {fault}");
    }
    for moment in &outcome.timeline {
        match moment {
            Moment::Told(envelope) => {
                for line in talk::lines(envelope) {
                    let _ = writeln!(text, "{line}");
                }
            }
            Moment::Fault { elapsed, fault, target } => {
                let at = crate::words::seconds(*elapsed);
                let _ = writeln!(text, "{at:>7}  fault {fault} hits {target}");
            }
        }
    }
    text.push('\n');
    for release in &outcome.releases {
        let why = release.ended.why().map(|why| format!(": {why}")).unwrap_or_default();
        let (number, word) = (release.release, release.ended.word());
        let _ = writeln!(text, "release {number} {word} after {:.1} s{why}", release.seconds);
    }
    text.push('\n');
    text.push_str(&services(&Summary::of([outcome]), false));
    text
}

fn many(summary: &Summary) -> String {
    let mut rows = Vec::new();
    for (release, endings) in &summary.endings {
        for (word, count) in endings {
            rows.push(vec![release.to_string(), (*word).to_owned(), count.to_string()]);
        }
    }
    let mut text = table(&["RELEASE", "ENDED", "SEEDS"], &rows);
    text.push('\n');
    text.push_str(&services(summary, true));
    if !summary.broken.is_empty() {
        text.push_str("\nneither verified nor rolled back:\n");
    }
    for broken in summary.broken.iter().take(LISTED) {
        let why = broken.ended.why().map(|why| format!(": {why}")).unwrap_or_default();
        let (seed, release, word) = (broken.seed, broken.release, broken.ended.word());
        let _ = writeln!(text, "  seed {seed}: release {release} {word}{why}");
    }
    if let Some(more) = summary.broken.len().checked_sub(LISTED).filter(|more| *more > 0) {
        let _ = writeln!(text, "  and {more} more");
    }
    text
}

fn services(summary: &Summary, seeds: bool) -> String {
    let rows: Vec<Vec<String>> = summary
        .services
        .iter()
        .map(|(name, seen)| {
            let seed = if seeds { format!(" (seed {})", seen.least_ready_seed) } else { String::new() };
            vec![
                name.clone(),
                format!("{}/{}{seed}", seen.least_ready, seen.wanted),
                seen.sent.to_string(),
                seen.lost.to_string(),
                seen.failed.to_string(),
            ]
        })
        .collect();
    table(&["SERVICE", "LEAST READY", "REQUESTS", "LOST", "FAILED"], &rows)
}
