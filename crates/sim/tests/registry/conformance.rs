//! The table of the specification's requirements, run against the pure machine: a fresh registry a case.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::bench::Bench;
use crate::{discovery, management, pull, push};

/// A requirement in our words, and how it is checked.
pub(crate) type Case = (&'static str, fn(&mut Bench));

/// Runs all cases, and names those that fail.
fn run(workflow: &str, cases: &[Case]) {
    let failed: Vec<&str> = cases
        .iter()
        .filter(|(_, check)| catch_unwind(AssertUnwindSafe(|| check(&mut Bench::plain()))).is_err())
        .map(|(name, _)| *name)
        .collect();
    assert!(failed.is_empty(), "{workflow}: {failed:#?}");
}

#[test]
fn pull_workflow() {
    run("pull", pull::CASES);
}

#[test]
fn push_workflow() {
    run("push", push::CASES);
}

#[test]
fn content_discovery_workflow() {
    run("content discovery", discovery::CASES);
}

#[test]
fn content_management_workflow() {
    run("content management", management::CASES);
}

#[test]
fn the_table_covers_at_least_as_many_requirements_as_the_official_suite() {
    let all: Vec<&str> = [pull::CASES, push::CASES, discovery::CASES, management::CASES]
        .iter()
        .flat_map(|cases| cases.iter().map(|(name, _)| *name))
        .collect();
    let different: BTreeSet<&&str> = all.iter().collect();
    assert_eq!(different.len(), all.len(), "two cases have the same name");
    assert!(all.len() >= 83, "{} cases", all.len());
}
