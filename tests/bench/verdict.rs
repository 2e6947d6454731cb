//! How long from the watch event that makes a Deployment complete, as an independent client sees it, to our verdict.
//!
//! Each run releases a change to a real cluster, without a soak. Another client (kubectl) watches the Deployment and its pods
//! all the while. Two times are taken from the moment the verdict is on our standard output:
//!
//! * since the watch event in which the Deployment is complete at its newest generation;
//! * since the watch event in which the last pod of the new version is Ready.
//!
//! ```text
//! bench-verdict [--runs N] [--limit MILLISECONDS]
//! ```
//!
//! Prints each run and the medians; ends with 1 when the first median is above the limit (100 ms). Needs the stack of `tests/run`.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use release_tests::{Lab, Watch, now};
use serde_json::Value;

/// The promise: at the median of ten runs.
const LIMIT_MS: f64 = 100.0;

fn main() -> anyhow::Result<ExitCode> {
    let (runs, limit) = words()?;
    let lab = Lab::new("bench");
    lab.deploy_well();
    let (mut complete, mut ready) = (Vec::new(), Vec::new());
    for run in 1..=runs {
        let (since_complete, since_ready) = once(&lab, run)?;
        println!(
            "run {run:2}: complete to verdict {since_complete:7.1} ms   pod Ready to verdict {since_ready:7.1} ms"
        );
        complete.push(since_complete);
        ready.push(since_ready);
    }
    let (complete, ready) = (median(complete), median(ready));
    println!(
        "median: complete to verdict {complete:7.1} ms   pod Ready to verdict {ready:7.1} ms   (limit {limit} ms)"
    );
    Ok(if complete <= limit { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn words() -> anyhow::Result<(usize, f64)> {
    let (mut runs, mut limit) = (10, LIMIT_MS);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().with_context(|| format!("{word} needs a value"))?;
        match word.as_str() {
            "--runs" => runs = value.parse().context("--runs")?,
            "--limit" => limit = value.parse().context("--limit")?,
            _ => bail!("usage: bench-verdict [--runs N] [--limit MILLISECONDS]"),
        }
    }
    anyhow::ensure!(runs > 0, "--runs must be at least 1");
    Ok((runs, limit))
}

/// One release; milliseconds from complete to the verdict, and from the last pod's readiness to the verdict.
fn once(lab: &Lab, run: usize) -> anyhow::Result<(f64, f64)> {
    lab.project(&format!("env: {{RUN: \"{run}\"}}"));
    let pushed = lab.release(&["push", "-q"]);
    anyhow::ensure!(pushed.code == 0, "{pushed}");
    lab.write("images.lock", &pushed.out);
    let watch = Watch::start(lab, "deployments,pods");
    let mut running = lab.start(&["deploy", "--env", "dev", "--images", "images.lock", "-o", "json"]);
    running.until_it_says("\"release-ended\"");
    let verdict = now();
    let done = running.wait();
    anyhow::ensure!(done.code == 0, "{done}");
    let generation = lab.deployment()["metadata"]["generation"].as_i64().context("a generation")?;
    let complete =
        watch.first(|object| is_complete(object, generation)).context("nobody else saw it complete")?;
    let label = format!("{run}");
    let ready = watch
        .seen()
        .into_iter()
        .filter(|seen| is_ready_pod(&seen.object, &label) && seen.at <= verdict)
        .map(|seen| (seen.object["metadata"]["name"].to_string(), seen.at))
        // The first time each pod was seen ready; the last of these counts.
        .fold(std::collections::BTreeMap::new(), |mut first, (pod, at)| {
            first.entry(pod).or_insert(at);
            first
        })
        .into_values()
        .fold(f64::NEG_INFINITY, f64::max);
    Ok(((verdict - complete) * 1e3, (verdict - ready) * 1e3))
}

fn is_complete(object: &Value, generation: i64) -> bool {
    let (spec, status) = (&object["spec"], &object["status"]);
    object["kind"] == "Deployment"
        && object["metadata"]["name"] == "web"
        && status["observedGeneration"].as_i64() >= Some(generation)
        && ["replicas", "updatedReplicas", "availableReplicas"]
            .iter()
            .all(|key| status[*key] == spec["replicas"])
}

/// A ready pod of the version that has `RUN=label` in its environment.
fn is_ready_pod(object: &Value, label: &str) -> bool {
    let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let env = object["spec"]["containers"][0]["env"].as_array().cloned().unwrap_or_default();
    object["kind"] == "Pod"
        && conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
        && env.iter().any(|entry| entry["name"] == "RUN" && entry["value"] == label)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) {
        f64::midpoint(values[middle - 1], values[middle])
    } else {
        values[middle]
    }
}
