//! What applying would do, asked of the server itself: every object is applied as a dry run.
//!
//! That answers two questions before anything is written: does it change anything, and would it be refused
//! (immutable fields, admission, missing rights, fields other managers own).

use futures::stream::{self, StreamExt as _};
use release_core::{Cause, ObjectRef};
use serde_json::Value;

use crate::Cluster;
use crate::api::ApiError;
use crate::object::{Conflicts, Mode, refusal, same_content};

/// Requests in flight. Kubernetes' own client defaults to bursts of ten.
pub(crate) const PARALLEL: usize = 8;

/// What applying one object would do.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// It does not exist and would be created.
    Create,
    /// It exists and would change. Holds what it is and what it would be, for a diff.
    Update {
        /// The live object.
        live: Box<Value>,
        /// What the server says it would be.
        would_be: Box<Value>,
    },
    /// Nothing would change.
    Nothing {
        /// The live object.
        live: Box<Value>,
    },
    /// The server would refuse.
    Refused(Box<Cause>),
}

impl Change {
    /// The object as it is before, if there is one.
    pub fn live(&self) -> Option<&Value> {
        match self {
            Self::Update { live, .. } | Self::Nothing { live } => Some(live),
            Self::Create | Self::Refused(_) => None,
        }
    }
}

/// Whether our field manager has applied this object before.
pub fn is_ours(live: &Value) -> bool {
    live["metadata"]["managedFields"].as_array().is_some_and(|entries| {
        entries.iter().any(|entry| entry["manager"] == crate::FIELD_MANAGER && entry["operation"] == "Apply")
    })
}

impl Cluster {
    /// What applying each object would do, in the order given.
    ///
    /// # Errors
    /// When the server cannot be reached; a refusal is an answer, not an error.
    pub async fn preview(
        &self,
        objects: &[(ObjectRef, Value)],
        conflicts: Conflicts,
    ) -> Result<Vec<Change>, ApiError> {
        let asked = objects.iter().map(|(object, body)| self.preview_one(object, body, conflicts));
        let answers: Vec<_> = stream::iter(asked).buffered(PARALLEL).collect().await;
        answers.into_iter().collect()
    }

    async fn preview_one(
        &self,
        object: &ObjectRef,
        body: &Value,
        conflicts: Conflicts,
    ) -> Result<Change, ApiError> {
        let live = match self.api.get(object).await {
            Ok(live) => live,
            Err(error @ ApiError::Refused { .. }) => {
                return Ok(Change::Refused(Box::new(refusal(object, &error))));
            }
            Err(error) => return Err(error),
        };
        let would_be = match self.api.apply(object, body, Mode::DryRun, conflicts).await {
            Ok(would_be) => would_be,
            Err(error @ ApiError::Refused { .. }) => {
                return Ok(Change::Refused(Box::new(refusal(object, &error))));
            }
            Err(error) => return Err(error),
        };
        Ok(match live {
            None => Change::Create,
            Some(live) if same_content(&live, &would_be) => Change::Nothing { live: Box::new(live) },
            Some(live) => Change::Update { live: Box::new(live), would_be: Box::new(would_be) },
        })
    }

    /// The object as it is now.
    ///
    /// # Errors
    /// When it may not be read.
    pub async fn live(&self, object: &ObjectRef) -> Result<Option<Value>, ApiError> {
        self.api.get(object).await
    }
}
