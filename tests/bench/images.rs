//! How long an image takes from files on disk to a registry: `release push` of an image without a Dockerfile, against
//! `docker build` (BuildKit) with `docker push`, and `buildah bud` with `buildah push`.
//!
//! All have the same files, 10,000 of them with 41 MB in one layer and a program of 1 MB in another, on nothing; the same
//! registry, on loopback; and take turns in the same run. Three situations: nothing is known of the files (cold; every run
//! has files nobody has seen), nothing changed, and one file of the large layer changed. Requests are counted by a proxy in
//! front of the registry, memory is the peak of the `release` process.
//!
//! Then what only a push costs: an image layout that is ready, of 8 layers with 32 MB each, against `skopeo copy`; and one
//! broken connection in a blob of 256 MiB, whose bytes are counted.
//!
//! ```text
//! bench-images --tool PATH [--runs N] [--files N]
//! ```
//!
//! Prints each run and a table of medians; ends with 1 when a target is missed. Needs the engine and the registry of
//! `tests/run`, a `release` that was built with `--release`, and `buildah` (left out when it is not there).

#[path = "images/contender.rs"]
mod contender;
#[path = "images/copy.rs"]
mod copy;
#[path = "images/files.rs"]
mod files;
#[path = "images/proxy.rs"]
mod proxy;
#[path = "images/reset.rs"]
mod reset;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};

use contender::{Contender, Outcome};
use files::Project;
use proxy::Proxy;
use release_sim::registry::{Config, serve};

const SITUATIONS: [&str; 3] = ["cold", "unchanged", "one file changed"];

struct Words {
    tool: PathBuf,
    runs: usize,
    files: usize,
}

/// What was measured, by situation and contender.
type Seen = BTreeMap<(usize, usize), Vec<Outcome>>;

fn main() -> anyhow::Result<ExitCode> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    if let [word, dir, repository] = given.as_slice()
        && word == copy::WORD
    {
        copy::push(Path::new(dir), repository)?;
        return Ok(ExitCode::SUCCESS);
    }
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
    let travel = travel(&registry, words.runs)?;
    let built = report(&contenders, &seen);
    let travelled = report_travel(&travel);
    Ok(if built && travelled { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What pushing alone costs.
struct Travel {
    release: Vec<copy::Cost>,
    skopeo: Vec<copy::Cost>,
    /// On the simulated registry.
    again: reset::Again,
    /// On the registry of the tests.
    again_docker: reset::Again,
}

fn travel(registry: &str, runs: usize) -> anyhow::Result<Travel> {
    let (mut release, mut skopeo) = (Vec::new(), Vec::new());
    for run in 0..runs {
        let dir = tempfile::tempdir()?;
        copy::layout(dir.path(), 8, 32_000_000)?;
        let at = |name: &str| format!("{registry}/bench-copy-{}/{name}", fastrand::u32(..));
        let ours = || copy::release(dir.path(), &at("release"));
        // In turn.
        let first = (run % 2 == 0).then(ours).transpose()?;
        if copy::has_skopeo() {
            skopeo.push(copy::skopeo(dir.path(), &at("skopeo"))?);
        }
        release.push(match first {
            Some(cost) => cost,
            None => ours()?,
        });
        let last = |costs: &[copy::Cost]| costs.last().map_or(f64::NAN, |cost| cost.seconds);
        println!(
            "run {} ready layout    release {:.3} s, skopeo {:.3} s",
            run + 1,
            last(&release),
            last(&skopeo)
        );
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let config = Config { max_bytes: 4 * 1024 * 1024 * 1024, ..Config::default() };
    let simulated = runtime.block_on(serve(config))?;
    let again = reset::again(&simulated.address().to_string())?;
    Ok(Travel { release, skopeo, again, again_docker: reset::again(registry)? })
}

fn report_travel(travel: &Travel) -> bool {
    let seconds = |costs: &[copy::Cost]| median(costs.iter().map(|cost| cost.seconds).collect());
    let peak = |costs: &[copy::Cost]| costs.iter().map(|cost| cost.peak_mb).fold(0.0, f64::max);
    let (ours, theirs) = (seconds(&travel.release), seconds(&travel.skopeo));
    println!("\n| | release | skopeo |\n|---|---|---|");
    println!("| ready layout of 8 x 32 MB | {ours:.3} s | {theirs:.3} s |");
    println!("| its peak memory | {:.1} MB | {:.1} MB |", peak(&travel.release), peak(&travel.skopeo));
    for (name, again) in [("simulated registry", &travel.again), ("Docker registry", &travel.again_docker)] {
        let skopeo = again.skopeo.map_or_else(|| "gave up".to_owned(), |mib| format!("{mib:.1} MiB"));
        println!("| sent again after one reset, {name} | {:.1} MiB | {skopeo} |", again.release);
    }
    println!();
    let mut targets = Targets { met: true };
    if travel.skopeo.is_empty() {
        println!("skopeo is not here and is left out");
    } else {
        targets.at_least("ready layout, times faster than skopeo", theirs / ours, 1.0);
    }
    // Two megabytes for each of four uploads.
    targets.at_most("ready layout, peak memory in MB", peak(&travel.release), MOST_MB);
    // One part has 8 MiB.
    targets.at_most("sent again after a reset in MiB", travel.again.release, 4.0 + 8.0);
    targets.met
}

/// The most memory: 64 MB, and two for each of four uploads.
const MOST_MB: f64 = 64.0 + 4.0 * 2.0;

/// What was promised.
struct Targets {
    met: bool,
}

impl Targets {
    fn say(&mut self, what: &str, value: f64, good: bool, wanted: &str) {
        self.met &= good;
        println!("{} {what}: {value:.2} (wanted: {wanted})", if good { "met   " } else { "MISSED" });
    }

    fn at_least(&mut self, what: &str, value: f64, least: f64) {
        self.say(what, value, value >= least, &format!("at least {least}"));
    }

    fn at_most(&mut self, what: &str, value: f64, most: f64) {
        self.say(what, value, value <= most, &format!("at most {most}"));
    }
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
fn report(contenders: &[Contender], seen: &Seen) -> bool {
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
        return false;
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
    let mut targets = Targets { met: true };
    let mut at_least = |what: &str, value: f64, least: f64| targets.at_least(what, value, least);
    at_least("unchanged, times faster than docker", faster(1, gzip), 10.0);
    at_least("one file changed, times faster than docker", faster(2, gzip), 5.0);
    at_least("cold, times faster than docker", faster(0, gzip), 2.0);
    at_least("cold with zstd, times faster than docker", faster(0, zstd), 4.0);
    let mut at_most = |what: &str, value: f64, most: f64| targets.at_most(what, value, most);
    at_most("unchanged, requests", requests(1), 2.0);
    at_most("one file changed, requests", requests(2), 7.0);
    at_most("size of the layers with gzip, as a share of docker's", size(gzip) / size(docker), 1.0);
    at_most("peak memory in MB", memory, MOST_MB);
    targets.met
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
