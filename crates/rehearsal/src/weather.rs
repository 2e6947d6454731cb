//! Which faults a seed may draw, and the drawing.

use std::fmt::Write as _;
use std::time::Duration;

use release_sim::apps::{Dice, PullError, Span};
use release_sim::faults::{Fault, FaultKind, Target};

/// The most faults that are drawn for one seed. More hide one another.
const MOST: u64 = 3;

/// An API server that restarts is back in this time.
const LONGEST_OUTAGE: Duration = Duration::from_secs(40);

/// A fault as it may be drawn: its name, and how it is made.
struct Kind {
    name: &'static str,
    make: fn(Dice) -> FaultKind,
}

/// The faults that may happen in a rehearsal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weather {
    names: Vec<&'static str>,
}

/// A fault nobody knows.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("there is no fault `{name}`; there are: {}", known())]
pub struct UnknownFault {
    /// What was asked for.
    pub name: String,
}

fn known() -> String {
    let names: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
    names.join(", ")
}

fn seconds(dice: Dice, n: u64, least: u64, most: u64) -> Span {
    Span::fixed(dice.between(n, Duration::from_secs(least), Duration::from_secs(most)))
}

const KINDS: &[Kind] = &[
    Kind {
        name: "api-error",
        make: |dice| FaultKind::ApiError { status: if dice.hits(5, 0.5) { 500 } else { 503 } },
    },
    Kind { name: "answer-lost", make: |_| FaultKind::AnswerLost },
    Kind { name: "conflict", make: |_| FaultKind::Conflict },
    Kind { name: "too-many-requests", make: |_| FaultKind::TooManyRequests { retry_after_seconds: 1 } },
    Kind { name: "slow-api", make: |dice| FaultKind::SlowApi { by: seconds(dice, 5, 1, 6) } },
    Kind { name: "watch-closes", make: |dice| FaultKind::WatchCloses { after: seconds(dice, 5, 1, 20) } },
    Kind { name: "watch-resets", make: |dice| FaultKind::WatchResets { after: seconds(dice, 5, 1, 20) } },
    Kind { name: "watch-expires", make: |_| FaultKind::WatchExpires },
    Kind { name: "outage", make: |_| FaultKind::Outage },
    Kind {
        name: "pull-fails",
        make: |dice| FaultKind::PullFails {
            error: match dice.below(5, 3) {
                0 => PullError::NotFound,
                1 => PullError::Timeout,
                _ => PullError::Unauthorized,
            },
        },
    },
    Kind { name: "crash", make: |dice| FaultKind::Crash { after: seconds(dice, 5, 1, 30) } },
    Kind { name: "flap", make: |dice| FaultKind::Flap { turn: seconds(dice, 5, 3, 20) } },
    Kind {
        name: "bad-answers",
        make: |dice| FaultKind::BadAnswers {
            error_rate: 0.1 + 0.9 * dice.fraction(5),
            status: 500,
            slower: Span::millis(dice.below(6, 400)),
        },
    },
    Kind { name: "node-lost", make: |dice| FaultKind::NodeLost { lasts: seconds(dice, 5, 20, 600) } },
    Kind { name: "drain", make: |dice| FaultKind::Drain { lasts: seconds(dice, 5, 20, 180) } },
    Kind { name: "slow-stop", make: |_| FaultKind::SlowStop },
    Kind {
        name: "stuck-finalizer",
        make: |dice| FaultKind::StuckFinalizer { lasts: seconds(dice, 5, 10, 300) },
    },
    Kind { name: "endpoint-lag", make: |dice| FaultKind::EndpointLag { by: seconds(dice, 5, 1, 10) } },
];

impl Default for Weather {
    /// All of them.
    fn default() -> Self {
        Self { names: KINDS.iter().map(|kind| kind.name).collect() }
    }
}

impl Weather {
    /// Nothing goes wrong.
    pub fn fair() -> Self {
        Self { names: Vec::new() }
    }

    /// Reads `all`, `none`, or names with commas between them.
    ///
    /// # Errors
    /// When there is no such fault.
    pub fn parse(list: &str) -> Result<Self, UnknownFault> {
        let mut names = Vec::new();
        for word in list.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            match word {
                "all" => names.extend(Self::default().names),
                "none" => {}
                word => match KINDS.iter().find(|kind| kind.name == word) {
                    Some(kind) => names.push(kind.name),
                    None => return Err(UnknownFault { name: word.to_owned() }),
                },
            }
        }
        Ok(Self { names })
    }

    /// The faults of one seed, for about the time of one release in a namespace.
    pub(crate) fn draw(&self, seed: u64, namespace: &str) -> Vec<Fault> {
        let dice = Dice::new(seed, "weather", "rehearsal");
        let kinds: Vec<_> = KINDS.iter().filter(|kind| self.names.contains(&kind.name)).collect();
        // One seed in four has fair weather.
        let count = if kinds.is_empty() { 0 } else { dice.below(0, MOST + 1) };
        (1..=count)
            .filter_map(|n| {
                let at = usize::try_from(dice.below(n, kinds.len() as u64)).ok()?;
                Some(one(kinds[at], dice.of(&n.to_string()), namespace))
            })
            .collect()
    }
}

fn one(kind: &Kind, dice: Dice, namespace: &str) -> Fault {
    let fault = (kind.make)(dice);
    let from = dice.between(1, Duration::ZERO, Duration::from_secs(20));
    let lasts = dice.between(2, Duration::from_secs(5), Duration::from_secs(180));
    let of_nodes = matches!(fault, FaultKind::NodeLost { .. } | FaultKind::Drain { .. });
    let everywhere = of_nodes || fault.is_of_api();
    let (rate, lasts) = match &fault {
        FaultKind::Outage => (1.0, lasts.min(LONGEST_OUTAGE)),
        // A cluster loses one node of its few, not all of them.
        _ if of_nodes => (0.34, lasts),
        // An API that fails most of the time is an outage.
        _ if fault.is_of_api() => (0.05 + 0.35 * dice.fraction(3), lasts),
        _ => (0.2 + 0.8 * dice.fraction(3), lasts),
    };
    Fault {
        rate,
        from: Span::fixed(from),
        until: Some(Span::fixed(from + lasts)),
        target: Target { namespace: (!everywhere).then(|| namespace.to_owned()), ..Target::default() },
        fault,
    }
}

/// A drawn fault in a few words.
pub(crate) fn describe(fault: &Fault) -> String {
    let mut text = format!(
        "{} {} at rate {:.2} from {:.1} s",
        fault.fault.number(),
        fault.fault.name(),
        fault.rate,
        fault.from.least.as_secs_f64()
    );
    if let Some(until) = fault.until {
        // A text takes every write.
        let _ = write!(text, " to {:.1} s", until.least.as_secs_f64());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read() {
        assert_eq!(Weather::parse("all"), Ok(Weather::default()));
        assert_eq!(Weather::parse("none"), Ok(Weather::fair()));
        assert_eq!(Weather::parse("crash, drain").map(|weather| weather.names.len()), Ok(2));
        let error = Weather::parse("hail").expect_err("there is none");
        assert!(error.to_string().contains("`hail`") && error.to_string().contains("crash"), "{error}");
    }

    #[test]
    fn a_seed_draws_the_same_again() {
        let all = |seed| Weather::default().draw(seed, "radio");
        assert_eq!(all(7), all(7));
        let counts: Vec<_> = (0..100).map(|seed| all(seed).len()).collect();
        assert!(counts.contains(&0) && counts.contains(&3), "{counts:?}");
        assert!(Weather::fair().draw(7, "radio").is_empty());
    }

    #[test]
    fn names_are_those_of_the_simulation() {
        for kind in KINDS {
            assert_eq!((kind.make)(Dice::new(1, "", "")).name(), kind.name);
        }
    }
}
