//! How long an image takes from files on disk to a registry: `release push` of an image without a Dockerfile, against
//! `docker build` (BuildKit) with `docker push`, and `buildah bud` with `buildah push`.
//!
//! All have the same files, 10,000 of them with 41 MB in one layer and a program of 1 MB in another, on nothing; the same
//! registry, on loopback; and take turns in the same run. Three situations: nothing is known of the files (cold; every run
//! has files nobody has seen), nothing changed, and one file of the large layer changed. Requests are counted by a proxy in
//! front of the registry, memory is the peak of the `release` process.
//!
//! ```text
//! bench-images --tool PATH [--runs N] [--files N]
//! ```
//!
//! Prints each run and a table of medians; ends with 1 when a target is missed. Needs the engine and the registry of
//! `tests/run`, a `release` that was built with `--release`, and `buildah` (left out when it is not there).

#[path = "images/contender.rs"]
mod contender;
#[path = "images/files.rs"]
mod files;
#[path = "images/proxy.rs"]
mod proxy;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};

use contender::{Contender, Outcome};
use files::Project;
use proxy::Proxy;

const SITUATIONS: [&str; 3] = ["cold", "unchanged", "one file changed"];

struct Words {
    tool: PathBuf,
    runs: usize,
    files: usize,
}

/// What was measured, by situation and contender.
type Seen = BTreeMap<(usize, usize), Vec<Outcome>>;

fn main() -> anyhow::Result<ExitCode> {
    let words = words()?;
    let registry = std::env::var("RELEASE_TEST_REGISTRY").context("RELEASE_TEST_REGISTRY")?;
    let proxy = Proxy::start(&registry)?;
    let contenders = contender::all(&words.tool)?;
    let mut seen = Seen::new();
    for run in 0..words.runs {
        // Files nobody has seen: what other runs left in caches and in the registry is of no use.
        let project = Project::new(&words, run, &proxy)?;
        for (situation, name) in SITUATIONS.iter().enumerate() {
            if situation == 2 {
                project.change_one_file()?;
            }
            for at in 0..contenders.len() {
                // In turn, so that nobody is always the first.
                let which = (at + run) % contenders.len();
                let outcome = contenders[which].go(&project, &proxy)?;
                println!("run {} {name:16} {:14} {outcome}", run + 1, contenders[which].name());
                seen.entry((situation, which)).or_default().push(outcome);
            }
        }
        project.remove_images(&contenders);
    }
    Ok(report(&contenders, &seen))
}

fn words() -> anyhow::Result<Words> {
    let mut all = Words { tool: PathBuf::new(), runs: 5, files: 10_000 };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().with_context(|| format!("{word} needs a value"))?;
        match word.as_str() {
            "--tool" => all.tool = PathBuf::from(value).canonicalize().context("--tool")?,
            "--runs" => all.runs = value.parse().context("--runs")?,
            "--files" => all.files = value.parse().context("--files")?,
            _ => bail!("usage: bench-images --tool PATH [--runs N] [--files N]"),
        }
    }
    ensure!(all.tool.is_file(), "--tool has to name a `release` that was built with --release");
    ensure!(all.runs > 0 && all.files > 0, "--runs and --files must be at least 1");
    Ok(all)
}

/// The table, and whether the targets are met.
fn report(contenders: &[Contender], seen: &Seen) -> ExitCode {
    let middle = |situation: usize, which: usize, of: fn(&Outcome) -> f64| {
        median(seen.get(&(situation, which)).into_iter().flatten().map(of).collect())
    };
    println!("\n| | {} |", contenders.iter().map(Contender::name).collect::<Vec<_>>().join(" | "));
    println!("|---|{}", "---|".repeat(contenders.len()));
    for (situation, name) in SITUATIONS.iter().enumerate() {
        let cells = (0..contenders.len()).map(|which| {
            let seconds = middle(situation, which, |outcome| outcome.seconds);
            let requests = middle(situation, which, |outcome| outcome.requests);
            format!("{seconds:.3} s, {requests} requests")
        });
        println!("| {name} | {} |", cells.collect::<Vec<_>>().join(" | "));
    }
    let sizes = (0..contenders.len()).map(|which| format!("{:.2} MB", middle(0, which, |o| o.bytes / 1e6)));
    println!("| size of the layers | {} |", sizes.collect::<Vec<_>>().join(" | "));
    let find = |name: &str| contenders.iter().position(|contender| contender.name() == name);
    let (Some(gzip), Some(zstd), Some(docker)) = (find("release"), find("release, zstd"), find("docker"))
    else {
        return ExitCode::FAILURE;
    };
    let seconds = |situation, which| middle(situation, which, |outcome| outcome.seconds);
    let faster = |situation, which| seconds(situation, docker) / seconds(situation, which);
    let requests = |situation| middle(situation, gzip, |outcome| outcome.requests);
    let size = |which| middle(0, which, |outcome| outcome.bytes);
    let memory = seen
        .iter()
        .filter(|((_, which), _)| *which == gzip || *which == zstd)
        .flat_map(|(_, outcomes)| outcomes.iter().map(|outcome| outcome.peak_mb))
        .fold(0.0, f64::max);
    println!();
    let mut met = true;
    let mut target = |what: &str, value: f64, good: bool, wanted: &str| {
        met &= good;
        println!("{} {what}: {value:.2} (wanted: {wanted})", if good { "met   " } else { "MISSED" });
    };
    let mut at_least = |what: &str, value: f64, least: f64| {
        target(what, value, value >= least, &format!("at least {least}"));
    };
    at_least("unchanged, times faster than docker", faster(1, gzip), 10.0);
    at_least("one file changed, times faster than docker", faster(2, gzip), 5.0);
    at_least("cold, times faster than docker", faster(0, gzip), 2.0);
    at_least("cold with zstd, times faster than docker", faster(0, zstd), 4.0);
    let mut at_most = |what: &str, value: f64, most: f64| {
        target(what, value, value <= most, &format!("at most {most}"));
    };
    at_most("unchanged, requests", requests(1), 2.0);
    at_most("one file changed, requests", requests(2), 7.0);
    at_most("size of the layers with gzip, as a share of docker's", size(gzip) / size(docker), 1.0);
    // Four uploads at a time, two megabytes each.
    at_most("peak memory in MB", memory, 64.0 + 4.0 * 2.0);
    if met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        even if even.is_multiple_of(2) => f64::midpoint(values[middle - 1], values[middle]),
        _ => values[middle],
    }
}
