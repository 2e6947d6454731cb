//! Faults of one API server among several: what its cache shows, and how it serves watches.

use jiff::Timestamp;

use super::FaultKind;
use super::asked::Asked;
use crate::api::{Behind, Replica};
use crate::apps::Dice;

/// Changes who answers, if a fault does that to such a request; says whether it did.
///
/// `of_server` is what does not change from one request to the next.
pub(super) fn change(
    fault: &FaultKind,
    asked: &Asked<'_>,
    (dice, of_server): (Dice, Dice),
    (since, until): (Timestamp, Option<Timestamp>),
    replica: &mut Replica,
) -> bool {
    let watches = asked.verb == "watch";
    match fault {
        FaultKind::StaleReads { servers, by, unset_too }
            if asked.is_read() && (watches || *unset_too || !asked.revision.is_empty()) =>
        {
            let by = by.draw(of_server, dice.below(1, *servers));
            replica.behind = Some(Behind { since, by, until });
            replica.always_from_cache |= *unset_too;
        }
        FaultKind::SlowWatch { by } if watches => {
            replica.behind = Some(Behind { since, by: by.draw(dice, 1), until });
        }
        FaultKind::NoBookmarks if watches => replica.no_bookmarks = true,
        FaultKind::LateInitialEnd { by } if watches => replica.late_end += by.draw(dice, 1),
        FaultKind::RepeatedEvents { events } if watches && asked.names_revision() => {
            replica.repeats += events;
        }
        FaultKind::ConversionFails if asked.is_custom() => replica.no_conversion = true,
        _ => return false,
    }
    true
}
