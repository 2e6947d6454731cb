//! Which faults strike: the rules, and the seeded randomness they are drawn with.

use release_core::MonoTime;

use super::fault::{Fault, Rule};

/// Mixed into the seed, so that the faults' randomness is another than that of upload ids and tokens.
const STREAM: u64 = 0x5EED_0F00_FA17;

/// The rules, and what has been drawn so far.
#[derive(Debug)]
pub(super) struct Dice {
    rules: Vec<Rule>,
    rng: fastrand::Rng,
}

impl Dice {
    pub(super) fn new(rules: Vec<Rule>, seed: u64) -> Self {
        Self { rules, rng: fastrand::Rng::with_seed(seed ^ STREAM) }
    }

    pub(super) fn add(&mut self, rule: Rule) {
        self.rules.push(rule);
    }

    pub(super) fn clear(&mut self) {
        self.rules.clear();
    }

    /// The first fault of a kind that strikes here and now. Randomness is used up only by rules that apply.
    pub(super) fn draw(
        &mut self,
        kind: impl Fn(&Fault) -> bool,
        (repository, reference): (&str, &str),
        now: MonoTime,
    ) -> Option<Fault> {
        for rule in &mut self.rules {
            let possible = kind(&rule.fault) && rule.applies(repository, reference, now);
            if possible && self.rng.f64() < rule.rate {
                rule.times = rule.times.map(|times| times - 1);
                return Some(rule.fault.clone());
            }
        }
        None
    }

    /// A number below `end`; zero when that is zero.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.rng.u64(..end) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::registry::fault::Target;

    fn at(secs: u64) -> MonoTime {
        MonoTime::from_origin(Duration::from_secs(secs))
    }

    fn strikes(rule: &Rule, seed: u64) -> Vec<u64> {
        let mut dice = Dice::new(vec![rule.clone()], seed);
        let mut hit = |t: &u64| dice.draw(|f| *f == Fault::Partition, ("team/web", "v1"), at(*t)).is_some();
        (0..1_000).filter(|t| hit(t)).collect()
    }

    #[test]
    fn a_rule_strikes_in_its_window_at_its_target_as_often_as_it_may() {
        let always = Rule::always(Fault::Partition);
        let target = |repository: Option<&str>, reference: Option<&str>| Target {
            repository: repository.map(Into::into),
            reference: reference.map(Into::into),
        };
        for (rule, expected) in [
            (always.clone(), 1_000),
            (Rule::once(Fault::Partition), 1),
            (Rule::sometimes(Fault::Partition, 0.0), 0),
            (Rule::always(Fault::Reset), 0),
            (Rule { from: at(10), until: Some(at(20)), ..always.clone() }, 10),
            (Rule { times: Some(3), from: at(10), ..always.clone() }, 3),
            (Rule { target: target(Some("team/*"), None), ..always.clone() }, 1_000),
            (Rule { target: target(Some("team"), None), ..always.clone() }, 0),
            (Rule { target: target(None, Some("v1")), ..always.clone() }, 1_000),
            (Rule { target: target(Some("team/web"), Some("v2")), ..always }, 0),
        ] {
            assert_eq!(strikes(&rule, 1).len(), expected, "{rule:?}");
        }
    }

    #[test]
    fn a_seed_draws_the_same_faults_again_and_another_draws_others() {
        let rule = Rule::sometimes(Fault::Partition, 0.25);
        let struck = strikes(&rule, 1);
        assert!((200..300).contains(&struck.len()), "{}", struck.len());
        assert_eq!(struck, strikes(&rule, 1));
        assert_ne!(struck, strikes(&rule, 2));
    }
}
