//! The write-ahead journal: what the running release is about to do, written before it is done.
//!
//! One object, replaced by compare-and-swap on its `resourceVersion`; a release that was taken over cannot write it any
//! more and must stop. The plan is in the release's record; here is only where the machine stands.

use jiff::Timestamp;
use release_core::ObjectRef;
use release_rollout::Suspended;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::again::Again;
use crate::api::{Api, ApiError};
use crate::store::{Part, StoreError, read};

/// What the journal's name has that the lock's has not.
pub(crate) const SUFFIX: &str = ".journal";

/// Whose entry is replaced.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Over {
    /// An earlier holder's, when the journal is opened.
    Theirs,
    /// Our own.
    Ours,
}

/// What the journal says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The form of this entry.
    pub v: u32,
    /// The lock's generation under which it was written.
    pub fence: u64,
    /// Counts the writes, for people who look.
    pub seq: u64,
    /// When it was written.
    pub at: Timestamp,
    /// The release under way, and where it stands. `None` between releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<Running>,
}

/// A release under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Running {
    /// Its number; the record of that number has the plan.
    pub release: u64,
    /// Where its machine stands.
    pub machine: Suspended,
}

/// The journal, opened under a fence.
pub struct Journal {
    api: Api,
    object: ObjectRef,
    /// The object as last written, with its `resourceVersion`.
    live: Value,
    entry: Entry,
}

/// The fence of the last entry under the lock of this name, 0 when there is none. A Lease that was deleted, by which people
/// break locks, must not start to count from 1 again: every later release would be fenced out.
pub(crate) async fn last_fence(api: &Api, lease: &ObjectRef) -> Result<u64, ApiError> {
    let namespace = lease.namespace.as_deref().unwrap_or_default();
    let journal = ObjectRef::new("v1", "ConfigMap", namespace, &format!("{}{SUFFIX}", lease.name));
    let live = api.get(&journal).await?;
    // A damaged journal is told by whoever opens it.
    Ok(live.and_then(|live| read::<Entry>(&live, Part::Journal).ok()).map_or(0, |entry| entry.fence))
}

impl Journal {
    pub(crate) async fn open(
        api: Api,
        object: ObjectRef,
        body: Value,
        fence: u64,
    ) -> Result<Self, StoreError> {
        let now = api.clock.wall();
        let (live, mut entry) = match api.get(&object).await? {
            Some(live) => {
                let entry: Entry = read(&live, Part::Journal)?;
                (live, entry)
            }
            None => (body, Entry { v: 1, fence, seq: 0, at: now, running: None }),
        };
        if entry.fence > fence {
            return Err(StoreError::Fenced { ours: fence, theirs: entry.fence });
        }
        entry.fence = fence;
        let mut journal = Self { api, object, live, entry };
        // Taking over is itself a write: from now on an earlier holder's compare-and-swap fails.
        journal.write(Over::Theirs).await?;
        Ok(journal)
    }

    /// The release an earlier process left unfinished, if there is one.
    pub fn running(&self) -> Option<&Running> {
        self.entry.running.as_ref()
    }

    /// Writes where the release stands.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when another process has taken over: nothing more may be done then.
    pub async fn append(&mut self, running: Running) -> Result<(), StoreError> {
        self.entry.running = Some(running);
        self.write(Over::Ours).await
    }

    /// Writes that no release is under way.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub async fn close(&mut self) -> Result<(), StoreError> {
        self.entry.running = None;
        self.write(Over::Ours).await
    }

    async fn write(&mut self, over: Over) -> Result<(), StoreError> {
        self.entry.seq += 1;
        self.entry.at = self.api.clock.wall();
        let clock = self.api.clock.clone();
        let mut again = Again::new(&clock);
        loop {
            let text = serde_json::to_string(&self.entry).map_err(|error| self.damaged(&error))?;
            self.live["data"] = json!({"entry": text});
            let existing = self.live["metadata"]["resourceVersion"].is_string();
            let written = if existing {
                self.api.replace(&self.object, &self.live).await
            } else {
                self.api.create(&self.object, &self.live).await
            };
            let error = match written {
                Ok(live) => {
                    self.live = live;
                    return Ok(());
                }
                Err(error) if error.is_code(409) || matches!(error, ApiError::Unknown { .. }) => error,
                Err(error) => return Err(error.into()),
            };
            if self.read_back(&text, over, existing).await? {
                return Ok(());
            }
            if !again.pause().await {
                return Err(error.into());
            }
        }
    }

    /// After a lost answer or a conflict: what is there now? Ours with the same text means that the write went through;
    /// an older entry means that it did not; an entry that is not older means that we are out.
    async fn read_back(&mut self, text: &str, over: Over, existing: bool) -> Result<bool, StoreError> {
        let Some(live) = self.api.get(&self.object).await? else {
            // What was never created can be created still; what existed was deleted by somebody.
            return if existing { Err(self.damaged(&"it was deleted")) } else { Ok(false) };
        };
        let theirs: Entry = read(&live, Part::Journal)?;
        if live["data"]["entry"] == json!(text) {
            self.live = live;
            return Ok(true);
        }
        if (theirs.fence, theirs.seq) >= (self.entry.fence, self.entry.seq) {
            return Err(StoreError::Fenced { ours: self.entry.fence, theirs: theirs.fence });
        }
        if let Over::Theirs = over {
            // The earlier holder got further between our look and our write: that is where the release stands.
            self.entry.seq = theirs.seq + 1;
            self.entry.running = theirs.running;
        }
        self.live = live;
        Ok(false)
    }

    fn damaged(&self, why: &dyn std::fmt::Display) -> StoreError {
        StoreError::damaged(Part::Journal, &self.object, why)
    }
}
