//! What the simulation costs: pod transitions per second of CPU time, the memory of many Deployments, rehearsals.
//!
//! ```text
//! bench-simulation [--seconds N] [--seeds N] [--bin PATH] [--only WORDS]
//! ```
//!
//! A transition is a stored change of a pod's phase or readiness. `--seconds` is how much virtual time each churn takes,
//! `--seeds` how many stories `release rehearse` tells; `--bin` is the command (`RELEASE_TEST_BIN`, else `release` beside this
//! program); `--only` plays nothing but the churns with these words in their names, for a profiler. Build both with optimisation: without, the numbers mean nothing.
//!
//! Prints a line for each number with its target and whether it is met; ends with 1 when one is not.

mod churn;
mod cost;
mod crowd;
mod rehearsals;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use churn::Mix;

/// Transitions per second of CPU time: of nodes and pods alone, in the slower of their churns, and of all churns with all controllers at
/// work together.
const LEAST_RATE: f64 = 100_000.0;

/// 5,000 Deployments with one pod each.
const MOST_MEMORY: f64 = 1024.0;

/// 1,000 stories in a minute on two processors.
const LEAST_STORIES: f64 = 1000.0 / 120.0;

const MIXES: [Mix; 6] = [
    Mix { name: "pods alone, flapping", tenths: [0, 10, 0], rolls_every: 0, alone: true },
    Mix { name: "pods alone, crashing", tenths: [0, 0, 10], rolls_every: 0, alone: true },
    Mix { name: "rollouts and scaling", tenths: [10, 0, 0], rolls_every: 10, alone: false },
    Mix { name: "flapping", tenths: [0, 10, 0], rolls_every: 0, alone: false },
    Mix { name: "crashing", tenths: [0, 0, 10], rolls_every: 0, alone: false },
    Mix { name: "all of it", tenths: [5, 3, 2], rolls_every: 10, alone: false },
];

struct Words {
    seconds: u64,
    seeds: u64,
    bin: PathBuf,
    only: String,
}

fn main() -> anyhow::Result<ExitCode> {
    if std::env::args().nth(1).as_deref() == Some(crowd::WORD) {
        crowd::play();
        return Ok(ExitCode::SUCCESS);
    }
    let words = words()?;
    let mut met = true;
    println!("{:<44}{:>12}{:>12}  met", "what", "measured", "target");
    let mut say = |what: &str, measured: f64, target: f64, is_met: bool| {
        met &= is_met;
        let word = if is_met { "yes" } else { "NO" };
        println!("{what:<44}{measured:>12.1}{target:>12.1}  {word} ({:.2})", measured / target);
    };
    let mut all = churn::Sum::default();
    let mut alone = f64::INFINITY;
    for mix in MIXES.into_iter().filter(|mix| mix.name.contains(&words.only)) {
        let sum = churn::play(mix, words.seconds);
        println!(
            "  {:<42}{:>12.0}  {} transitions, {} writes, {:.2} s of CPU",
            mix.name,
            sum.rate(),
            sum.transitions,
            sum.writes,
            sum.cpu_seconds
        );
        if mix.alone {
            alone = alone.min(sum.rate());
        } else {
            all = all.plus(sum);
        }
    }
    if !words.only.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    say("pod transitions per CPU second, pods alone", alone, LEAST_RATE, alone >= LEAST_RATE);
    say("the same, with all controllers", all.rate(), LEAST_RATE, all.rate() >= LEAST_RATE);
    let mib = crowd::peak_mib()?;
    say("MiB at the peak of 5,000 Deployments", mib, MOST_MEMORY, mib <= MOST_MEMORY);
    let told = rehearsals::tell(&words.bin, words.seeds)?;
    println!(
        "  {:<42}{:>12.1}  {} seeds, {:.1} s on the clock, {:.1} s of CPU",
        "stories per second on the clock", told.per_second, words.seeds, told.seconds, told.cpu_seconds
    );
    say("stories per CPU second", told.per_cpu_second, LEAST_STORIES, told.per_cpu_second >= LEAST_STORIES);
    println!(
        "  the same seed tells the same timeline twice: {}",
        if told.is_same_twice { "yes" } else { "NO" }
    );
    met &= told.is_same_twice;
    Ok(if met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn words() -> anyhow::Result<Words> {
    let beside = std::env::current_exe()?.with_file_name("release");
    let bin = std::env::var_os("RELEASE_TEST_BIN").map_or(beside, PathBuf::from);
    let mut found = Words { seconds: 300, seeds: 100, bin, only: String::new() };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().with_context(|| format!("{word} needs a value"))?;
        match word.as_str() {
            "--seconds" => found.seconds = value.parse().context("--seconds")?,
            "--seeds" => found.seeds = value.parse().context("--seeds")?,
            "--bin" => found.bin = value.into(),
            "--only" => found.only = value,
            _ => bail!("usage: bench-simulation [--seconds N] [--seeds N] [--bin PATH] [--only WORDS]"),
        }
    }
    anyhow::ensure!(found.seconds > 0 && found.seeds > 0, "--seconds and --seeds must be at least 1");
    Ok(found)
}
