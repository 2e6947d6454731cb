//! Many seeds on several threads.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::{Outcome, Rehearsal};

/// What is told while seeds run.
pub struct Ear<'a> {
    /// An outcome, in no order.
    pub tell: &'a (dyn Fn(&Outcome) + Sync),
    /// Whether no further seed is to begin; asked before each.
    pub stops: &'a (dyn Fn() -> bool + Sync),
}

/// Runs every seed on one of `threads` threads and tells each outcome as it comes. The outcomes come back by seed. A seed whose story
/// broke off with a panic is among the second list.
pub fn soak(
    rehearsal: &Rehearsal,
    seeds: Range<u64>,
    threads: usize,
    ear: &Ear<'_>,
) -> (Vec<Outcome>, Vec<u64>) {
    let next = AtomicU64::new(seeds.start);
    let ended = Mutex::new((Vec::new(), Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || (ear.stops)() {
                        return;
                    }
                    let outcome = catch_unwind(AssertUnwindSafe(|| rehearsal.run(seed)));
                    let mut ended = ended.lock().unwrap_or_else(PoisonError::into_inner);
                    match outcome {
                        Ok(mut outcome) => {
                            (ear.tell)(&outcome);
                            // A thousand timelines would be more than anybody reads.
                            outcome.timeline = Vec::new();
                            ended.0.push(outcome);
                        }
                        Err(_) => ended.1.push(seed),
                    }
                }
            });
        }
    });
    let (mut outcomes, mut panicked) = ended.into_inner().unwrap_or_else(PoisonError::into_inner);
    outcomes.sort_by_key(|outcome| outcome.seed);
    panicked.sort_unstable();
    (outcomes, panicked)
}
