//! What became of many seeds.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{Ended, Outcome};

/// A release that ended in none of the two ways that are promised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Broken {
    /// The seed that tells the story again.
    pub seed: u64,
    /// The release's place in it.
    pub release: u64,
    /// How it ended.
    #[serde(flatten)]
    pub ended: Ended,
}

/// One service over all seeds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceSummary {
    /// How many pods it shall have.
    pub wanted: u64,
    /// The fewest that were ready at any moment of any story.
    pub least_ready: u64,
    /// The seed of that story.
    pub least_ready_seed: u64,
    /// Requests sent.
    pub sent: u64,
    /// Requests nobody answered.
    pub lost: u64,
    /// Requests answered with an error or too late.
    pub failed: u64,
}

/// What became of many seeds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// How many there were.
    pub seeds: u64,
    /// How often each release of the story ended in which way.
    pub endings: BTreeMap<u64, BTreeMap<&'static str, u64>>,
    /// The services.
    pub services: BTreeMap<String, ServiceSummary>,
    /// The promises that did not hold.
    pub broken: Vec<Broken>,
}

impl Summary {
    /// The sum of all outcomes.
    pub fn of<'a>(outcomes: impl IntoIterator<Item = &'a Outcome>) -> Self {
        let mut summary = Self::default();
        for outcome in outcomes {
            summary.add(outcome);
        }
        summary
    }

    /// One more outcome.
    pub fn add(&mut self, outcome: &Outcome) {
        self.seeds += 1;
        for release in &outcome.releases {
            *self.endings.entry(release.release).or_default().entry(release.ended.word()).or_default() += 1;
            if !release.ended.is_promised() {
                self.broken.push(Broken {
                    seed: outcome.seed,
                    release: release.release,
                    ended: release.ended.clone(),
                });
            }
        }
        for (name, seen) in &outcome.services {
            let sum = self
                .services
                .entry(name.clone())
                .or_insert_with(|| ServiceSummary { least_ready: u64::MAX, ..ServiceSummary::default() });
            sum.wanted = seen.wanted;
            if seen.least_ready < sum.least_ready {
                (sum.least_ready, sum.least_ready_seed) = (seen.least_ready, outcome.seed);
            }
            sum.sent += seen.sent;
            sum.lost += seen.lost;
            sum.failed += seen.failed;
        }
    }
}
