//! `release rehearse` of the example with two services: the whole command, many seeds, and one seed twice.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Instant;

use anyhow::Context as _;

use crate::cost;

/// What telling stories came to.
pub(crate) struct Told {
    /// On the clock.
    pub(crate) seconds: f64,
    /// User and system time of the command.
    pub(crate) cpu_seconds: f64,
    /// Stories per second on the clock.
    pub(crate) per_second: f64,
    /// Stories per second of CPU time.
    pub(crate) per_cpu_second: f64,
    /// Whether a seed that was told again was told the same.
    pub(crate) is_same_twice: bool,
}

/// Tells so many seeds.
pub(crate) fn tell(bin: &Path, seeds: u64) -> anyhow::Result<Told> {
    let (begun, spent) = (Instant::now(), cost::children_cpu_seconds());
    rehearse(bin, &["--seeds", &seeds.to_string()])?;
    let seconds = begun.elapsed().as_secs_f64();
    let cpu_seconds = cost::children_cpu_seconds() - spent;
    let one = || anyhow::Ok(rehearse(bin, &["--seed", "7"])?.stdout);
    let (first, second) = (one()?, one()?);
    Ok(Told {
        seconds,
        cpu_seconds,
        per_second: cost::per_second(seeds, seconds),
        per_cpu_second: cost::per_second(seeds, cpu_seconds),
        is_same_twice: !first.is_empty() && first == second,
    })
}

fn rehearse(bin: &Path, words: &[&str]) -> anyhow::Result<Output> {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/radio");
    let run = Command::new(bin)
        .args(["rehearse", "--env", "dev"])
        .args(words)
        .envs([("REGISTRY", "registry.invalid"), ("CONTEXT", "none")])
        .current_dir(example)
        .output();
    let output = run.with_context(|| format!("{} cannot be run", bin.display()))?;
    // 9: a promise of a rehearsal did not hold in some story, which is not the question here.
    let code = output.status.code();
    anyhow::ensure!(matches!(code, Some(0 | 9)), "{code:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(output)
}
