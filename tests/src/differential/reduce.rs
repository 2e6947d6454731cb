//! The shortest script that still fails, by leaving operations out.

use anyhow::Result;

use super::compare::{Disagreement, compare};
use super::operation::Operation;
use super::real::Real;

/// Leaves out whatever is not needed for a disagreement at the last operation.
///
/// # Errors
/// When the real server cannot be spoken to.
pub async fn reduce(
    real: &Real,
    operations: &[Operation],
    disagreement: Disagreement,
) -> Result<(Vec<Operation>, Disagreement)> {
    let mut script = operations[..=disagreement.at].to_vec();
    let mut found = disagreement;
    let mut size = script.len().div_ceil(2);
    loop {
        let mut from = 0;
        // The last operation is the one that shows the difference.
        while from + 1 < script.len() {
            let until = (from + size).min(script.len() - 1);
            let mut shorter = script.clone();
            shorter.drain(from..until);
            match compare(real, &shorter).await? {
                Err(disagreement) => {
                    script = shorter;
                    script.truncate(disagreement.at + 1);
                    found = disagreement;
                }
                Ok(_) => from = until,
            }
        }
        if size == 1 {
            return Ok((script, found));
        }
        size = size.div_ceil(2);
    }
}
