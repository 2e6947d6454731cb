//! One release at a time: a Lease with a holder, a time to live and a fence.
//!
//! The Lease alone proves nothing to a process that slept through its time to live; therefore every acquisition
//! takes the next number (`leaseTransitions`, the *fence*), and the journal refuses to be written under an old one.
//! Whether a holder is gone is judged by our own monotonic clock (its `renewTime` did not change for a whole time to
//! live while we watched), never by comparing clocks of two machines, as client-go's leader election does.

use std::time::Duration;

use futures::StreamExt as _;
use kube::runtime::watcher;
use release_core::ObjectRef;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::api::{Api, ApiError};
use crate::watch::stream;
use crate::{Clock, Cluster};

/// How long a holder that stopped renewing is respected. Short, because after a crash everybody waits for it.
pub const TTL: Duration = Duration::from_secs(15);

/// Time between renewals: three may fail before the lock is lost.
const RENEW_EVERY: Duration = Duration::from_secs(4);

/// A holder that could not renew for this long stops acting, well before anybody else may start.
const GIVE_UP_AFTER: Duration = Duration::from_secs(11);

/// A lock that is held.
pub struct Lock {
    api: Api,
    lease: ObjectRef,
    holder: String,
    fence: u64,
    lost: watch::Receiver<bool>,
    renewing: JoinHandle<()>,
}

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else holds it and went on renewing it.
    #[error("{holder} is releasing this environment (for {}s)", held_for.as_secs())]
    Held {
        /// Who.
        holder: String,
        /// Since when, as far as we watched.
        held_for: Duration,
    },
    /// The API server did not play along.
    #[error("the lock {lease} cannot be taken")]
    Api {
        /// The Lease.
        lease: String,
        /// The reason.
        #[source]
        source: Box<ApiError>,
    },
}

/// What was last seen of a Lease that somebody else holds.
struct Foreign {
    holder: String,
    renewed: String,
    since: release_core::MonoTime,
}

impl Cluster {
    /// Takes the lock `name` for `holder`, waiting up to `timeout` for somebody who holds it. `waiting` is told
    /// their name once.
    ///
    /// # Errors
    /// [`LockError::Held`] when it is still held after `timeout`; otherwise what the API server said.
    pub async fn lock(
        &self,
        name: &str,
        holder: &str,
        timeout: Duration,
        mut waiting: impl FnMut(&str),
    ) -> Result<Lock, LockError> {
        let lease = ObjectRef::new("coordination.k8s.io/v1", "Lease", &self.namespace, name);
        let fail = |source| LockError::Api { lease: name.to_owned(), source: Box::new(source) };
        let began = self.api.clock.now();
        let mut foreign: Option<Foreign> = None;
        loop {
            let live = self.api.get(&lease).await.map_err(fail)?;
            let now = self.api.clock.now();
            if let Some(other) = live.as_ref().and_then(|live| held_by_other(live, holder)) {
                let seen = match foreign.take() {
                    Some(seen) if seen.holder == other.0 && seen.renewed == other.1 => seen,
                    _ => Foreign { holder: other.0, renewed: other.1, since: now },
                };
                if now.since(seen.since) < TTL {
                    let waited = now.since(began);
                    if waited >= timeout {
                        return Err(LockError::Held { holder: seen.holder, held_for: waited });
                    }
                    waiting(&seen.holder);
                    let patience =
                        TTL.saturating_sub(now.since(seen.since)).min(timeout.saturating_sub(waited));
                    self.wait_for_change(&lease, patience).await;
                    foreign = Some(seen);
                    continue;
                }
            }
            match take(&self.api, &lease, live, holder).await {
                Ok(Some((fence, body))) => return Ok(self.hold(lease, holder, fence, body)),
                Ok(None) => {}
                Err(source) => return Err(fail(source)),
            }
        }
    }

    /// Waits until the Lease changes, at most for `patience`.
    async fn wait_for_change(&self, lease: &ObjectRef, patience: Duration) {
        let changes = async {
            let mut events = stream(
                &self.api.client,
                "coordination.k8s.io/v1",
                "Lease",
                &self.namespace,
                None,
                Some(&lease.name),
            );
            let mut listed = false;
            while let Some(event) = events.next().await {
                match event {
                    Ok(watcher::Event::InitDone) => listed = true,
                    Ok(watcher::Event::Apply(_) | watcher::Event::Delete(_)) if listed => return,
                    Ok(_) => {}
                    // An account that may not watch Leases still may read them.
                    Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
                }
            }
        };
        let _ = tokio::time::timeout(patience, changes).await;
    }

    fn hold(&self, lease: ObjectRef, holder: &str, fence: u64, body: Value) -> Lock {
        let (tell, lost) = watch::channel(false);
        let renewing = tokio::spawn(renew(self.api.clone(), lease.clone(), holder.to_owned(), body, tell));
        Lock { api: self.api.clone(), lease, holder: holder.to_owned(), fence, lost, renewing }
    }
}

/// Holder and last renewal of a Lease somebody else holds.
fn held_by_other(live: &Value, holder: &str) -> Option<(String, String)> {
    let other =
        live["spec"]["holderIdentity"].as_str().filter(|other| !other.is_empty() && *other != holder)?;
    Some((other.to_owned(), live["spec"]["renewTime"].as_str().unwrap_or_default().to_owned()))
}

fn micro_time(clock: &Clock) -> String {
    clock.wall().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

/// One attempt to become the holder; `None` when somebody was quicker.
async fn take(
    api: &Api,
    lease: &ObjectRef,
    live: Option<Value>,
    holder: &str,
) -> Result<Option<(u64, Value)>, ApiError> {
    let now = micro_time(&api.clock);
    let mut body = live.clone().unwrap_or_else(|| {
        json!({"apiVersion": lease.api_version, "kind": lease.kind, "metadata": {"name": lease.name,
            "namespace": lease.namespace, "labels": {"app.kubernetes.io/managed-by": "release"}}})
    });
    let fence = body["spec"]["leaseTransitions"].as_u64().unwrap_or(0) + 1;
    body["spec"] = json!({"holderIdentity": holder, "leaseDurationSeconds": TTL.as_secs(), "acquireTime": now,
        "renewTime": now, "leaseTransitions": fence});
    let written = match live {
        None => api.create(lease, &body).await,
        Some(_) => api.replace(lease, &body).await,
    };
    match written {
        Ok(body) => Ok(Some((fence, body))),
        Err(error) if error.is_code(409) || error.is_code(404) => {
            if error.is_code(404) && live_is_missing(&error) { Err(error) } else { Ok(None) }
        }
        // The next round reads it back: if it is ours it is simply taken again, with the next fence.
        Err(ApiError::Unknown { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A 404 about anything but the Lease itself (its namespace, say) does not go away.
fn live_is_missing(error: &ApiError) -> bool {
    error.status().and_then(|status| status.details.as_ref()).is_some_and(|details| details.kind != "leases")
}

/// Renews until the lock is lost or this task is ended.
async fn renew(api: Api, lease: ObjectRef, holder: String, mut body: Value, lost: watch::Sender<bool>) {
    let mut renewed_at = api.clock.now();
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        body["spec"]["renewTime"] = json!(micro_time(&api.clock));
        let attempt_at = api.clock.now();
        let patience = GIVE_UP_AFTER.saturating_sub(attempt_at.since(renewed_at));
        let still_ours = match tokio::time::timeout(patience, api.replace(&lease, &body)).await {
            Ok(Ok(now)) => {
                body = now;
                renewed_at = attempt_at;
                true
            }
            // Not ours any more, or our copy is old (the answer of an earlier renewal was lost): look.
            Ok(Err(error)) => {
                tracing::debug!(%error, "the lock was not renewed");
                match tokio::time::timeout(patience, api.get(&lease)).await {
                    Ok(Ok(Some(live))) if live["spec"]["holderIdentity"] == json!(holder) => {
                        body = live;
                        true
                    }
                    Ok(Ok(_)) => false,
                    Ok(Err(_)) | Err(_) => true,
                }
            }
            Err(_) => true,
        };
        if !still_ours || api.clock.now().since(renewed_at) >= GIVE_UP_AFTER {
            let _ = lost.send(true);
            return;
        }
    }
}

impl Lock {
    /// The number of this acquisition; greater than that of every earlier holder.
    pub fn fence(&self) -> u64 {
        self.fence
    }

    /// Ends when the lock is lost; never while it is held.
    pub async fn lost(&mut self) {
        if self.lost.wait_for(|lost| *lost).await.is_err() {
            // The renewing task is gone without a word: nobody renews any more.
        }
    }

    /// Gives the lock back, so that the next release need not wait for its time to live.
    pub async fn unlock(self) {
        self.renewing.abort();
        // A renewal that was under way may get in between; a lock that cannot be given back expires by itself.
        for _ in 0..3 {
            let Ok(Some(mut live)) = self.api.get(&self.lease).await else { return };
            if live["spec"]["holderIdentity"] != json!(self.holder) {
                return;
            }
            live["spec"]["holderIdentity"] = json!("");
            if self.api.replace(&self.lease, &live).await.is_ok() {
                return;
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}
