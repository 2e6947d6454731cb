//! A script with what the real server answered: written when it fails, kept when it is fixed, replayed without a cluster.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::compare::{Side, fresh_namespace, set_up};
use super::known;
use super::operation::Operation;
use super::simulated::Simulated;

/// A recorded script.
#[derive(Debug, Serialize, Deserialize)]
pub struct Trace {
    /// What it is about.
    pub about: String,
    /// What is asked.
    pub operations: Vec<Operation>,
    /// What the real server answered, normalised.
    pub answers: Vec<Value>,
}

impl Trace {
    /// Asks the simulation; the first operation it answers otherwise, and what it answers.
    ///
    /// # Errors
    /// When a request cannot be made.
    pub async fn replay(&self) -> Result<Option<(usize, Value)>> {
        let simulated = Simulated::default();
        let namespace = fresh_namespace();
        let account = set_up(&namespace, async |m, p, b| simulated.ask(m, p, b).await).await?;
        let mut side = Side::new(&namespace, &account);
        for (at, (operation, expected)) in self.operations.iter().zip(&self.answers).enumerate() {
            let answer = simulated.send(&side.memory, operation).await?;
            let mut answer = side.note(operation, answer);
            if answer != *expected && !known::explain(operation, expected, &mut answer) {
                return Ok(Some((at, answer)));
            }
        }
        Ok(None)
    }
}
