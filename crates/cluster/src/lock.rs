//! One release at a time: a Lease with a holder, a time to live and a fence.
//!
//! The Lease alone proves nothing to a process that slept through its time to live; therefore every acquisition
//! takes the next number (`leaseTransitions`, the *fence*), and the journal refuses to be written under an old one.
//! Whether a holder is gone is judged by our own monotonic clock (its `renewTime` did not change for a whole time to
//! live while we watched), never by comparing clocks of two machines, as client-go's leader election does.

use std::time::Duration;

use futures::StreamExt as _;
use kube::runtime::watcher;
use release_core::{MonoTime, ObjectRef};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::api::{Api, ApiError};
use crate::journal::last_fence;
use crate::watch::stream;
use crate::{Clock, Cluster};

/// How long a holder that stopped renewing is respected. Short, because after a crash everybody waits for it.
pub const TTL: Duration = Duration::from_secs(15);

/// Time between renewals, a third of [`TTL`] as is the custom for leases: often enough that one may fail and be tried again
/// before [`GIVE_UP_AFTER`], seldom enough that a fleet of releases is no load.
const RENEW_EVERY: Duration = Duration::from_secs(5);

/// Time from a failed renewal to the next try.
const RENEW_AGAIN: Duration = Duration::from_secs(1);

/// How long one renewal may take. Shorter than a request's usual patience: a dead connection must leave time for another.
const RENEWAL: Duration = Duration::from_secs(3);

/// A holder that could not renew for this long stops acting, well before anybody else may start.
const GIVE_UP_AFTER: Duration = Duration::from_secs(11);

/// How long taking a free lock is tried when answers are lost or others are quicker: an API server's restart.
const TAKING: Duration = Duration::from_secs(45);

/// Pause between two such tries.
const TAKE_AGAIN: Duration = Duration::from_millis(500);

/// Time between two looks at a Lease that may not be watched.
const POLL: Duration = Duration::from_secs(1);

/// How long giving the lock back may take: somebody waits for the process to end, and the lock expires by itself.
const GIVING_BACK: Duration = Duration::from_secs(5);

/// A lock that is held.
pub struct Lock {
    api: Api,
    lease: ObjectRef,
    claim: Claim,
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

/// Which acquisition a process believes to be the current one.
#[derive(Clone)]
struct Claim {
    holder: String,
    fence: u64,
}

impl Claim {
    fn is_current(&self, live: &Value) -> bool {
        let spec = &live["spec"];
        spec["holderIdentity"] == self.holder.as_str() && spec["leaseTransitions"] == self.fence
    }
}

/// What was last seen of a Lease that somebody else holds.
struct Foreign {
    holder: String,
    renewed: String,
    since: MonoTime,
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
        let mut told = String::new();
        let mut trying_since = None;
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
                    if told != seen.holder {
                        told.clone_from(&seen.holder);
                        waiting(&seen.holder);
                    }
                    let patience =
                        TTL.saturating_sub(now.since(seen.since)).min(timeout.saturating_sub(waited));
                    self.wait_for_change(&lease, version(live.as_ref()), patience).await;
                    foreign = Some(seen);
                    continue;
                }
            }
            match take(&self.api, &lease, live, holder).await {
                Ok((fence, body)) => return Ok(self.hold(lease, holder, fence, body, now)),
                Err(error) => {
                    let since = *trying_since.get_or_insert(now);
                    if !may_pass(&error) || self.api.clock.now().since(since) >= TAKING {
                        return Err(fail(error));
                    }
                    tokio::time::sleep(TAKE_AGAIN).await;
                }
            }
        }
    }

    /// Waits until the Lease is not the one with this version any more, at most for `patience`.
    async fn wait_for_change(&self, lease: &ObjectRef, seen: Option<String>, patience: Duration) {
        let changes = async {
            let mut events = stream(
                &self.api.client,
                "coordination.k8s.io/v1",
                "Lease",
                &self.namespace,
                None,
                Some(&lease.name),
            );
            let mut listed = None;
            while let Some(event) = events.next().await {
                match event {
                    Ok(watcher::Event::Init) => listed = None,
                    Ok(watcher::Event::InitApply(object)) => listed = object.metadata.resource_version,
                    // It may have changed between the read and the list.
                    Ok(watcher::Event::InitDone) if listed == seen => {}
                    Ok(_) => return,
                    // An account that may not watch Leases still may read them.
                    Err(_) => return tokio::time::sleep(POLL).await,
                }
            }
        };
        let _ = tokio::time::timeout(patience, changes).await;
    }

    fn hold(&self, lease: ObjectRef, holder: &str, fence: u64, body: Value, taken_at: MonoTime) -> Lock {
        let (tell, lost) = watch::channel(false);
        let claim = Claim { holder: holder.to_owned(), fence };
        let renewal = Renewal {
            api: self.api.clone(),
            lease: lease.clone(),
            claim: claim.clone(),
            body,
            renewed_at: taken_at,
            unanswered: Vec::new(),
        };
        let renewing = tokio::spawn(renewal.run(tell));
        Lock { api: self.api.clone(), lease, claim, lost, renewing }
    }
}

fn version(live: Option<&Value>) -> Option<String> {
    live?["metadata"]["resourceVersion"].as_str().map(str::to_owned)
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

/// One attempt to become the holder.
async fn take(
    api: &Api,
    lease: &ObjectRef,
    live: Option<Value>,
    holder: &str,
) -> Result<(u64, Value), ApiError> {
    let now = micro_time(&api.clock);
    let mut body = live.clone().unwrap_or_else(|| {
        json!({"apiVersion": lease.api_version, "kind": lease.kind, "metadata": {"name": lease.name,
            "namespace": lease.namespace, "labels": {"app.kubernetes.io/managed-by": "release"}}})
    });
    let last = match body["spec"]["leaseTransitions"].as_u64() {
        Some(last) => last,
        None => last_fence(api, lease).await?,
    };
    let fence = last + 1;
    body["spec"] = json!({"holderIdentity": holder, "leaseDurationSeconds": TTL.as_secs(), "acquireTime": now,
        "renewTime": now, "leaseTransitions": fence});
    let body = match live {
        None => api.create(lease, &body).await?,
        Some(_) => api.replace(lease, &body).await?,
    };
    Ok((fence, body))
}

/// Whether a failed attempt is worth another look: somebody was quicker, the Lease was deleted under us, or nobody knows. After
/// a lost answer the next look finds the Lease ours, and it is simply taken again with the next fence.
fn may_pass(error: &ApiError) -> bool {
    let lease_is_gone = || {
        let details = error.status().and_then(|status| status.details.as_ref());
        error.is_code(404) && details.is_some_and(|details| details.kind == "leases")
    };
    error.is_code(409) || matches!(error, ApiError::Unknown { .. }) || lease_is_gone()
}

/// Keeping a lock.
struct Renewal {
    api: Api,
    lease: ObjectRef,
    claim: Claim,
    /// The Lease as last seen.
    body: Value,
    /// When the last renewal that counts was sent. Others see it later, so they wait longer than we act.
    renewed_at: MonoTime,
    /// Renewals whose answer was lost: what they wrote and when they were sent.
    unanswered: Vec<(Value, MonoTime)>,
}

impl Renewal {
    /// Renews until the lock is lost or this task is ended.
    async fn run(mut self, lost: watch::Sender<bool>) {
        let mut pause = RENEW_EVERY;
        loop {
            let clock = self.api.clock.clone();
            let give_up_at = self.renewed_at + GIVE_UP_AFTER;
            let next = (clock.now() + pause).min(give_up_at);
            tokio::time::sleep_until(clock.instant(next)).await;
            let began = clock.now();
            let until = (began + RENEWAL).min(give_up_at);
            let renewed = tokio::time::timeout_at(clock.instant(until), self.renew()).await;
            pause = match renewed {
                Ok(Some(true)) => RENEW_EVERY,
                Ok(None) | Err(_) => RENEW_AGAIN,
                Ok(Some(false)) => break,
            };
            if clock.now() >= self.renewed_at + GIVE_UP_AFTER {
                break;
            }
        }
        let _ = lost.send(true);
    }

    /// Renews once. `Some(false)`: the lock is not ours any more. `None`: nothing is known, or our copy was old.
    async fn renew(&mut self) -> Option<bool> {
        let (now, text) = (self.api.clock.now(), json!(micro_time(&self.api.clock)));
        let mut body = self.body.clone();
        body["spec"]["renewTime"] = text.clone();
        self.unanswered.push((text, now));
        match self.api.replace(&self.lease, &body).await {
            Ok(body) => return Some(self.renewed(body, now)),
            Err(error) => tracing::debug!(%error, "the lock was not renewed"),
        }
        match self.api.get(&self.lease).await {
            Ok(Some(live)) if self.claim.is_current(&live) => {
                let ours = self.unanswered.iter().find(|(text, _)| *text == live["spec"]["renewTime"]);
                match ours.map(|(_, at)| *at) {
                    Some(at) if at > self.renewed_at => Some(self.renewed(live, at)),
                    Some(_) | None => {
                        self.body = live;
                        None
                    }
                }
            }
            Ok(_) => Some(false),
            Err(_) => None,
        }
    }

    fn renewed(&mut self, body: Value, at: MonoTime) -> bool {
        self.body = body;
        self.renewed_at = at;
        self.unanswered.clear();
        true
    }
}

impl Lock {
    /// The number of this acquisition; greater than that of every earlier holder.
    pub fn fence(&self) -> u64 {
        self.claim.fence
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
        let _ = tokio::time::timeout(GIVING_BACK, self.give_back()).await;
    }

    async fn give_back(&self) {
        // A renewal that was under way may get in between; a lock that cannot be given back expires by itself.
        for _ in 0..3 {
            let Ok(Some(mut live)) = self.api.get(&self.lease).await else { return };
            if !self.claim.is_current(&live) {
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
