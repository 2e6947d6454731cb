//! Which faults a seed may draw, and the drawing.

use std::fmt::Write as _;
use std::time::Duration;

use release_sim::apps::{Dice, PullError, Span};
use release_sim::faults::{Fault, FaultKind, Target};

/// The most faults that are drawn for one seed. More hide one another.
const MOST: u64 = 3;

/// An API server that restarts is back in this time.
const LONGEST_OUTAGE: Duration = Duration::from_secs(40);

/// Drawn only when they are named: a release leaves the field or the object to whoever took it, and says so.
const BY_NAME: &[&str] = &["foreign-delete", "foreign-apply"];

/// A fault as it may be drawn: its name, and how it is made.
struct Kind {
    name: &'static str,
    make: fn(Dice) -> FaultKind,
}

/// The faults that may happen in a rehearsal.
#[derive(Debug, Clone, PartialEq)]
pub struct Weather {
    names: Vec<&'static str>,
    /// Those that happen with every seed.
    fixed: Vec<Fault>,
}

/// A fault nobody knows.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("there is no fault `{name}`; there are: {}", known())]
pub struct UnknownFault {
    /// What was asked for.
    pub name: String,
}

fn known() -> String {
    Weather::names().collect::<Vec<_>>().join(", ")
}

fn seconds(dice: Dice, n: u64, least: u64, most: u64) -> Span {
    Span::fixed(dice.between(n, Duration::from_secs(least), Duration::from_secs(most)))
}

/// A table of names and of how each is made.
macro_rules! kinds {
    ($($name:literal => $make:expr,)*) => { &[$(Kind { name: $name, make: $make }),*] };
}

/// What may happen. Not among them: what happens to custom kinds, of which a release makes none, and the end of the
/// namespace, after which nothing can be restored.
const KINDS: &[Kind] = kinds! {
    "api-error" => |dice| FaultKind::ApiError { status: if dice.hits(5, 0.5) { 500 } else { 503 } },
    "answer-lost" => |_| FaultKind::AnswerLost,
    "conflict" => |_| FaultKind::Conflict,
    "too-many-requests" => |_| FaultKind::TooManyRequests { retry_after_seconds: 1 },
    "revision-too-large" => |_| FaultKind::RevisionTooLarge,
    "slow-api" => |dice| FaultKind::SlowApi { by: seconds(dice, 5, 1, 6) },
    "watch-closes" => |dice| FaultKind::WatchCloses { after: seconds(dice, 5, 1, 20) },
    "watch-resets" => |dice| FaultKind::WatchResets { after: seconds(dice, 5, 1, 20) },
    "watch-expires" => |_| FaultKind::WatchExpires,
    "list-expires" => |_| FaultKind::ListExpires,
    "no-bookmarks" => |_| FaultKind::NoBookmarks,
    "late-initial-end" => |dice| FaultKind::LateInitialEnd { by: seconds(dice, 5, 1, 90) },
    "stale-reads" => |dice| FaultKind::StaleReads {
        servers: 1 + dice.below(5, 2),
        by: Span { least: Duration::from_secs(1), most: dice.between(6, Duration::from_secs(2), Duration::from_secs(60)) },
        unset_too: false,
    },
    "slow-watch" => |dice| FaultKind::SlowWatch { by: seconds(dice, 5, 1, 30) },
    "repeated-events" => |dice| FaultKind::RepeatedEvents { events: 1 + usize::from(dice.hits(5, 0.5)) },
    "compaction" => |_| FaultKind::Compaction,
    "outage" => |_| FaultKind::Outage,
    // Who is refused with 403 cannot do his work, which is no weather.
    "denied" => |_| FaultKind::Denied { status: 401 },
    "webhook-down" => |_| FaultKind::WebhookDown,
    "webhook-denies" => |_| FaultKind::WebhookDenies,
    "webhook-changes" => |_| FaultKind::WebhookChanges,
    "discovery-fails" => |_| FaultKind::DiscoveryFails,
    "never-scheduled" => |_| FaultKind::NeverScheduled,
    "pull-fails" => |dice| FaultKind::PullFails {
        error: match dice.below(5, 3) {
            0 => PullError::NotFound,
            1 => PullError::Timeout,
            _ => PullError::Unauthorized,
        },
    },
    "crash" => |dice| FaultKind::Crash { after: seconds(dice, 5, 1, 30) },
    "flap" => |dice| FaultKind::Flap { turn: seconds(dice, 5, 3, 20) },
    "bad-answers" => |dice| FaultKind::BadAnswers {
        error_rate: 0.1 + 0.9 * dice.fraction(5),
        status: 500,
        slower: Span::millis(dice.below(6, 400)),
    },
    "node-lost" => |dice| FaultKind::NodeLost { lasts: seconds(dice, 5, 20, 600) },
    "drain" => |dice| FaultKind::Drain { lasts: seconds(dice, 5, 20, 180) },
    "slow-stop" => |_| FaultKind::SlowStop,
    "stuck-finalizer" => |dice| FaultKind::StuckFinalizer { lasts: seconds(dice, 5, 10, 300) },
    "endpoint-lag" => |dice| FaultKind::EndpointLag { by: seconds(dice, 5, 1, 10) },
    "scale" => |dice| FaultKind::Scale { to: 1 + u32::try_from(dice.below(5, 8)).unwrap_or(0) },
    "foreign-edit" => |_| FaultKind::ForeignEdit,
    "foreign-delete" => |_| FaultKind::ForeignDelete,
    "foreign-apply" => |_| FaultKind::ForeignApply,
    "controllers-paused" => |dice| FaultKind::ControllersPaused { lasts: seconds(dice, 5, 5, 120) },
    "job-hangs" => |_| FaultKind::JobHangs,
    "job-fails" => |dice| FaultKind::JobFails { times: 1 + u32::try_from(dice.below(5, 8)).unwrap_or(0) },
    "clock-skew" => |dice| FaultKind::ClockSkew { by: seconds(dice, 5, 1, 3600), behind: dice.hits(6, 0.5) },
};

impl Default for Weather {
    /// All of them after which a release ends verified or rolled back.
    fn default() -> Self {
        let names = Self::names().filter(|name| !BY_NAME.contains(name)).collect();
        Self { names, fixed: Vec::new() }
    }
}

impl Weather {
    /// Nothing goes wrong.
    pub fn fair() -> Self {
        Self::exactly(Vec::new())
    }

    /// These faults and no others, with every seed; their windows are counted from the start of release 2.
    pub fn exactly(faults: Vec<Fault>) -> Self {
        Self { names: Vec::new(), fixed: faults }
    }

    /// The names of all faults that may be drawn.
    pub fn names() -> impl Iterator<Item = &'static str> {
        KINDS.iter().map(|kind| kind.name)
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
        Ok(Self { names, fixed: Vec::new() })
    }

    /// The faults of one seed, for about the time of one release in a namespace.
    pub(crate) fn draw(&self, seed: u64, namespace: &str) -> Vec<Fault> {
        let dice = Dice::new(seed, "weather", "rehearsal");
        let kinds: Vec<_> = KINDS.iter().filter(|kind| self.names.contains(&kind.name)).collect();
        // One seed in four has fair weather.
        let count = if kinds.is_empty() { 0 } else { dice.below(0, MOST + 1) };
        let drawn = (1..=count).filter_map(|n| {
            let at = usize::try_from(dice.below(n, kinds.len() as u64)).ok()?;
            Some(one(kinds[at], dice.of(&n.to_string()), namespace))
        });
        self.fixed.iter().cloned().chain(drawn).collect()
    }
}

fn one(kind: &Kind, dice: Dice, namespace: &str) -> Fault {
    let fault = (kind.make)(dice);
    let from = dice.between(1, Duration::ZERO, Duration::from_secs(20));
    let lasts = dice.between(2, Duration::from_secs(5), Duration::from_secs(180));
    let of_nodes = matches!(fault, FaultKind::NodeLost { .. } | FaultKind::Drain { .. });
    let of_clock = matches!(fault, FaultKind::ClockSkew { .. });
    let of_controllers = matches!(fault, FaultKind::ControllersPaused { .. });
    let everywhere = of_nodes || of_clock || of_controllers || fault.is_of_api();
    let (rate, lasts) = match &fault {
        FaultKind::Outage => (1.0, lasts.min(LONGEST_OUTAGE)),
        _ if of_clock || of_controllers => (1.0, lasts),
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
        target: Target {
            namespace: (!everywhere).then(|| namespace.to_owned()),
            resource: webhook_of(&fault, dice),
            ..Target::default()
        },
        fault,
    }
}

/// What a webhook is asked about: what runs. One that says no says it to pods, as those do that know good images.
fn webhook_of(fault: &FaultKind, dice: Dice) -> Option<String> {
    let denies = matches!(fault, FaultKind::WebhookDenies);
    let plural = if !denies && dice.hits(7, 0.5) { "deployments" } else { "pods" };
    fault.is_of_webhook().then(|| plural.to_owned())
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
