//! Which of the events in a file belong to which release.

use crate::{Envelope, Event};

/// Cuts what several runs have told into pieces, each of one release, in order. A run that takes up the release of the run
/// before it belongs to the same piece.
pub fn releases(envelopes: &[Envelope]) -> Vec<&[Envelope]> {
    let mut pieces: Vec<&[Envelope]> = Vec::new();
    let mut from = 0;
    for run in envelopes.chunk_by(|a, b| a.run == b.run) {
        let before = pieces.last().map(|piece| number(piece));
        let continues = before.is_some_and(|before| before.is_some() && before == number(run));
        let to = from + run.len();
        match pieces.last_mut().filter(|_| continues) {
            Some(piece) => *piece = &envelopes[from - piece.len()..to],
            None => pieces.push(run),
        }
        from = to;
    }
    if pieces.is_empty() {
        // Nothing at all is a report, too: one that says nothing.
        pieces.push(envelopes);
    }
    pieces
}

/// The release that a run is about.
fn number(run: &[Envelope]) -> Option<u64> {
    run.iter().find_map(|envelope| match &envelope.event {
        Event::ReleaseBegan { release, .. } | Event::ReleaseResumed { release, .. } => Some(*release),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use release_cluster::Action;

    use super::*;

    fn run(name: &str, release: Option<u64>) -> Vec<Envelope> {
        let at = jiff::Timestamp::UNIX_EPOCH;
        let envelope = |event| Envelope { v: 1, run: name.to_owned(), seq: 0, at, elapsed: 0.0, event };
        let began = release.map(|release| Event::ReleaseBegan {
            release,
            action: Action::Deploy,
            images: BTreeMap::new(),
        });
        let stopped = Event::Stopped { release: release.unwrap_or(0), phases: BTreeMap::new() };
        began.into_iter().chain([stopped]).map(envelope).collect()
    }

    #[test]
    fn runs_of_one_release_stay_together() {
        for (runs, lengths) in [
            (vec![], vec![0]),
            (vec![run("a", Some(1))], vec![2]),
            (vec![run("a", Some(1)), run("b", Some(1)), run("c", Some(2))], vec![4, 2]),
            (vec![run("a", Some(1)), run("b", Some(2)), run("c", Some(2)), run("d", Some(2))], vec![2, 6]),
            (vec![run("a", None), run("b", None)], vec![1, 1]),
        ] {
            let all = runs.concat();
            let found: Vec<_> = releases(&all).into_iter().map(<[_]>::len).collect();
            assert_eq!(found, lengths);
        }
    }
}
