//! What is different on purpose: each entry with its reason. The same table stands in `docs/reference/simulation.md`.

use serde_json::Value;

use super::operation::Operation;

/// A difference that stays.
pub struct Known {
    /// What differs.
    pub what: &'static str,
    /// Why it may.
    pub why: &'static str,
    /// Makes the simulation's answer the real one where, and only where, this is the difference.
    mend: fn(&Operation, &Value, &mut Value),
}

/// Everything that is known to differ.
pub const KNOWN: &[Known] = &[];

/// Mends what is known to differ; whether that explains everything.
pub(super) fn explain(operation: &Operation, real: &Value, simulated: &mut Value) -> bool {
    for known in KNOWN {
        (known.mend)(operation, real, simulated);
    }
    real == simulated
}
