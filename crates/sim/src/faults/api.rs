//! Faults between the API server and its clients: what the face does to requests, answers and watches.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::asked::Asked;
use super::{Fault, FaultKind, Faults, Note, note, replica};
use crate::api::{Replica, WAITS_FOR_CACHE};
use crate::apps::Dice;
use crate::status::Status;

/// How a watch ends before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchEnd {
    /// As after its timeout.
    Closed,
    /// The connection is reset.
    Reset,
}

/// What is done to one request.
#[derive(Debug, Clone, Default)]
pub struct Meddling {
    /// The answer takes so much longer.
    pub slower: Duration,
    /// It is answered with this and not carried out.
    pub refused: Option<Status>,
    /// Nobody listens: it is not carried out.
    pub unreachable: bool,
    /// It is carried out, and the connection is reset before the answer.
    pub answer_lost: bool,
    /// If it is a watch, it ends like this, so much later.
    pub watch: Option<(Duration, WatchEnd)>,
    /// History is forgotten before it is carried out.
    pub compacts: bool,
    /// Which API server carries it out.
    pub replica: Replica,
}

impl Faults {
    /// What is done to a request that arrives now.
    pub(crate) fn request(
        &mut self,
        parts: &http::request::Parts,
        now: Timestamp,
        notes: &mut Vec<Note>,
    ) -> Meddling {
        let mut meddling = Meddling::default();
        if !self.plan.iter().any(|fault| fault.fault.is_of_api()) {
            return meddling;
        }
        let asked = Asked::of(parts);
        let subject = format!("{} {}", asked.verb, asked.path);
        let count = self.asked.entry(subject.as_str().into()).or_default();
        *count += 1;
        let count = *count;
        let plan = Arc::clone(&self.plan);
        for (at, fault) in plan.iter().enumerate() {
            let dice = self.dice(at, &subject).of(&count.to_string());
            let hits = fault.fault.is_of_api() && asked.fits(fault) && dice.hits(0, fault.rate);
            let done = match self.until_outage(fault, now) {
                Some(later) if hits && !later.is_zero() => {
                    // A watch that runs when the outage begins is cut then.
                    let end = (later, WatchEnd::Reset);
                    meddling.watch = Some(sooner(meddling.watch, end));
                    false
                }
                _ if hits && self.is_open(fault, now) => {
                    let window = self.open(fault);
                    let of_server = self.dice(at, "api server");
                    replica::change(&fault.fault, &asked, (dice, of_server), window, &mut meddling.replica)
                        || meddle(fault, &asked, dice, &mut meddling)
                }
                _ => false,
            };
            if done {
                notes.push(note(now, fault, subject.clone()));
            }
        }
        meddling
    }

    /// How long it is until an outage begins that has not begun yet.
    fn until_outage(&self, fault: &Fault, now: Timestamp) -> Option<Duration> {
        let begins = self.start + fault.from.least;
        (fault.fault == FaultKind::Outage && begins > now).then(|| begins.duration_since(now).unsigned_abs())
    }
}

/// Of two ends of a watch the one that comes first.
fn sooner(known: Option<(Duration, WatchEnd)>, other: (Duration, WatchEnd)) -> (Duration, WatchEnd) {
    known.filter(|known| known.0 <= other.0).unwrap_or(other)
}

/// Applies one fault, if it can happen to such a request; says whether it did.
fn meddle(fault: &Fault, asked: &Asked<'_>, dice: Dice, meddling: &mut Meddling) -> bool {
    let watches = asked.verb == "watch";
    let is_named = fault.target.resource.is_some();
    let refused = match &fault.fault {
        FaultKind::ApiError { status: 503 } => {
            Status::new(503, "ServiceUnavailable", "the server is currently unable to handle the request")
        }
        FaultKind::ApiError { status } => Status::new(*status, "InternalError", "an error on the server"),
        // An apply is never told of another version: the server tries again by itself.
        FaultKind::Conflict if asked.verb == "update" || (asked.verb == "patch" && !asked.is_apply) => {
            let why =
                "the object has been modified; please apply your changes to the latest version and try again";
            Status::new(
                409,
                "Conflict",
                format!("Operation cannot be fulfilled on \"{}\": {why}", asked.name),
            )
        }
        FaultKind::TooManyRequests { retry_after_seconds } => {
            let mut status = Status::new(429, "TooManyRequests", "too many requests, please try again later");
            status.details.retry_after_seconds = Some(*retry_after_seconds);
            status
        }
        FaultKind::WatchExpires if watches => Status::new(410, "Expired", "too old resource version"),
        FaultKind::ListExpires if asked.continues => {
            Status::new(410, "Expired", "The provided continue parameter is too old")
        }
        FaultKind::Denied { status: 401 } => Status::new(401, "Unauthorized", "Unauthorized"),
        FaultKind::Denied { status } => {
            Status::new(*status, "Forbidden", format!("{} of {} is forbidden", asked.verb, asked.path))
        }
        FaultKind::RevisionTooLarge if asked.names_revision() && !asked.continues => {
            let asked: u64 = asked.revision.parse().unwrap_or(u64::MAX);
            meddling.slower += WAITS_FOR_CACHE;
            Status::too_large_revision(asked, asked.saturating_sub(1))
        }
        FaultKind::DiscoveryFails if asked.is_discovery() => {
            Status::new(503, "ServiceUnavailable", "the server is currently unable to handle the request")
        }
        FaultKind::KindMissing if asked.is_custom() || is_named => Status::no_such_path(),
        FaultKind::Compaction if asked.continues || (watches && asked.names_revision()) => {
            return !std::mem::replace(&mut meddling.compacts, true);
        }
        FaultKind::AnswerLost if !watches => return !std::mem::replace(&mut meddling.answer_lost, true),
        FaultKind::Outage => return !std::mem::replace(&mut meddling.unreachable, true),
        FaultKind::SlowApi { by } => {
            meddling.slower += by.draw(dice, 1);
            return true;
        }
        FaultKind::WatchCloses { after } | FaultKind::WatchResets { after } if watches => {
            let closes = matches!(fault.fault, FaultKind::WatchCloses { .. });
            let end = (after.draw(dice, 1), if closes { WatchEnd::Closed } else { WatchEnd::Reset });
            meddling.watch = Some(sooner(meddling.watch, end));
            return true;
        }
        _ => return false,
    };
    meddling.refused.get_or_insert(refused);
    true
}
