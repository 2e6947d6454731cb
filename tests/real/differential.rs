//! The simulation against a real API server: the same scripts, the same answers.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use release_tests::differential::{Disagreement, LENGTH, Operation, Real, Trace, compare, reduce, script};
use release_tests::measured;

/// Operations of a sample, and of a full run.
const SAMPLE: usize = 1_500;
const FULL: usize = 12_000;
/// Scripts that run side by side.
const AT_ONCE: usize = 8;
/// So many failing scripts are reduced and shown.
const SHOWN: usize = 5;

fn number<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn seeds() -> std::ops::Range<u64> {
    let first = number("RELEASE_TEST_SEED").unwrap_or(0);
    let operations = if std::env::var_os("RELEASE_TEST_FULL").is_some() { FULL } else { SAMPLE };
    let count = number("RELEASE_TEST_SEEDS").unwrap_or(operations.div_ceil(LENGTH) as u64);
    first..first + count
}

/// The script of a seed; None if both agree. What differs once and not again was the machine's slowness.
async fn try_seed(real: &Real, seed: u64) -> anyhow::Result<(u64, Outcome)> {
    let operations = script(seed);
    for is_last in [false, true] {
        match compare(real, &operations).await? {
            Ok(agreement) => return Ok((seed, Outcome::Agreed(agreement.agreed, agreement.known))),
            Err(found) if is_last => return Ok((seed, Outcome::Differed(operations, found))),
            Err(_) => {}
        }
    }
    unreachable!("the last try returns")
}

enum Outcome {
    Agreed(usize, usize),
    Differed(Vec<Operation>, Disagreement),
}

async fn show(real: &Real, seed: u64, operations: &[Operation], found: Disagreement) -> anyhow::Result<()> {
    let (operations, found) = reduce(real, operations, found).await?;
    eprintln!("seed {seed}:\n{found}");
    let trace = Trace { about: format!("seed {seed}"), operations, answers: found.answers };
    let text = serde_json::to_string_pretty(&trace)?;
    match std::env::var_os("RELEASE_TEST_TRACES") {
        Some(folder) => {
            let path = std::path::Path::new(&folder).join(format!("differential-{seed}.json"));
            std::fs::write(&path, text)?;
            eprintln!("written to {}", path.display());
        }
        None => eprintln!("{text}"),
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs the real stack: tests/run"]
async fn the_simulation_answers_as_a_real_api_server() -> anyhow::Result<()> {
    // Only the stack of these tests has one; a cluster of somebody's own has controllers.
    let Ok(kubeconfig) = std::env::var("RELEASE_TEST_BARE_KUBECONFIG") else {
        measured("differential: left out, RELEASE_TEST_BARE_KUBECONFIG is not set");
        return Ok(());
    };
    let real = Real::new(&kubeconfig)?;
    let began = std::time::Instant::now();
    let outcomes: Vec<(u64, Outcome)> = stream::iter(seeds())
        .map(|seed| try_seed(&real, seed))
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    let (mut agreed, mut known, mut failing) = (0, 0, Vec::new());
    for (seed, outcome) in outcomes {
        match outcome {
            Outcome::Agreed(same, as_known) => {
                agreed += same;
                known += as_known;
            }
            Outcome::Differed(operations, found) => {
                agreed += found.at;
                failing.push((seed, operations, found));
            }
        }
    }
    measured(&format!(
        "differential: {agreed} operations answered as a real API server does, {known} as known to differ, {} scripts differ ({:.0} s)",
        failing.len(),
        began.elapsed().as_secs_f64()
    ));
    let seeds: Vec<u64> = failing.iter().map(|(seed, ..)| *seed).collect();
    for (seed, operations, found) in &failing {
        eprintln!("seed {seed}: {}\n{found}", serde_json::to_string(&operations[found.at])?);
    }
    let shown = number("RELEASE_TEST_SHOWN").unwrap_or(SHOWN);
    for (seed, operations, found) in failing.into_iter().take(shown) {
        show(&real, seed, &operations, found).await?;
    }
    assert!(seeds.is_empty(), "scripts of these seeds differ: {seeds:?}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn recorded_scripts_are_answered_as_they_were() -> anyhow::Result<()> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("traces");
    let mut count = 0;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let trace: Trace = serde_json::from_slice(&std::fs::read(&path)?)?;
        let differs = trace.replay().await?;
        assert!(differs.is_none(), "{}: {differs:?}", path.display());
        count += 1;
    }
    assert!(count > 0, "no traces");
    Ok(())
}
