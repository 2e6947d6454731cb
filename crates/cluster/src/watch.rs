//! A few watches per namespace, whatever the number of services: workloads, ReplicaSets, pods and events.
//!
//! Built on kube's `watcher`, which relists after 410 and resumes after drops. Added here: a watch ends after
//! [`WATCH_SECONDS`] so that a silent one is noticed within a minute, a relist synthesises deletions by
//! replacing the whole kind, and readers are woken once per burst.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use kube::api::{Api as KubeApi, ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::watcher;
use release_core::ObjectRef;
use release_health::Snapshot;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::{Cluster, kind};

/// A watch is asked for this long and then reopened where it stood. kube gives up on a silent one 5 s later: together
/// less than the 60 s after which a watch without a sign of life must not be trusted.
const WATCH_SECONDS: u32 = 50;

/// Pause before a failed watch is opened again; doubles up to the second value.
const REOPEN: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// A watch that has failed again and again for this long is told. What is once dropped is opened again, and nobody needs to know.
const TROUBLED: Duration = Duration::from_secs(15);

/// A watch that did not fail for this long has worked in between: the longest pause, and the time of an attempt. A watch that
/// works says nothing as long as nothing changes.
const WORKED: Duration = Duration::from_secs(30);

/// What is watched in every namespace. Events tell why something is not created; they carry no labels.
const KINDS: &[(&str, &str)] =
    &[("apps/v1", "Deployment"), ("apps/v1", "ReplicaSet"), ("v1", "Pod"), ("v1", "Event")];

/// Watch events of one kind, with errors passed on.
pub(crate) fn stream(
    client: &kube::Client,
    api_version: &str,
    kind_name: &str,
    namespace: &str,
    labels: Option<&str>,
    name: Option<&str>,
) -> impl Stream<Item = Result<watcher::Event<DynamicObject>, watcher::Error>> + Send + Unpin + use<> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let gvk = GroupVersionKind::gvk(group, version, kind_name);
    let resource = ApiResource::from_gvk_with_plural(&gvk, &kind::plural(kind_name));
    let api: KubeApi<DynamicObject> = KubeApi::namespaced_with(client.clone(), namespace, &resource);
    let mut config = watcher::Config::default().timeout(WATCH_SECONDS);
    if let Some(labels) = labels {
        config = config.labels(labels);
    }
    if let Some(name) = name {
        config = config.fields(&format!("metadata.name={name}"));
    }
    Box::pin(watcher(api, config))
}

/// The newest known objects of a namespace.
pub(crate) struct Watches {
    state: Arc<State>,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    kinds: Mutex<Kinds>,
    changed: Notify,
}

#[derive(Default)]
struct Kind {
    objects: BTreeMap<String, Arc<Value>>,
    /// The objects of a relist that has not ended.
    listing: BTreeMap<String, Arc<Value>>,
    listed: bool,
    trouble: Option<String>,
}

/// A copy of what is known at one moment; cheap, objects are shared.
pub(crate) struct Known(BTreeMap<&'static str, Vec<Arc<Value>>>);

impl Watches {
    /// Opens the watches of the cluster's namespace. Workloads, ReplicaSets and pods are narrowed by `labels`.
    pub(crate) fn open(cluster: &Cluster, labels: &str) -> Self {
        let state = Arc::new(State::default());
        let tasks = KINDS
            .iter()
            .map(|&(api_version, kind_name)| {
                let labels = (kind_name != "Event").then(|| labels.to_owned());
                let (client, namespace) = (cluster.api.client.clone(), cluster.namespace.clone());
                let open =
                    move || stream(&client, api_version, kind_name, &namespace, labels.as_deref(), None);
                tokio::spawn(follow(Arc::clone(&state), kind_name, api_version, open))
            })
            .collect();
        Self { state, tasks }
    }

    /// Ends when something has changed since the last call.
    pub(crate) async fn changed(&self) {
        self.state.changed.notified().await;
    }

    /// Whether every kind has been listed at least once.
    pub(crate) fn listed(&self) -> bool {
        let kinds = lock(&self.state.kinds);
        KINDS.iter().all(|(_, kind)| kinds.get(kind).is_some_and(|kind| kind.listed))
    }

    /// What is wrong with a watch that does not work, if one does not: it has never worked, or not for some time.
    pub(crate) fn trouble(&self) -> Option<String> {
        lock(&self.state.kinds).values().find_map(|kind| kind.trouble.clone())
    }

    pub(crate) fn known(&self) -> Known {
        let kinds = lock(&self.state.kinds);
        Known(kinds.iter().map(|(name, kind)| (*name, kind.objects.values().cloned().collect())).collect())
    }
}

impl Drop for Watches {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Known {
    fn all(&self, kind: &str) -> Vec<&Value> {
        self.0.get(kind).into_iter().flatten().map(AsRef::as_ref).collect()
    }

    /// What health needs to judge `workload`.
    pub(crate) fn snapshot(&self, workload: &ObjectRef) -> Snapshot<'_> {
        let own = self
            .all(&workload.kind)
            .into_iter()
            .find(|object| object["metadata"]["name"] == workload.name.as_str());
        Snapshot {
            workload: own,
            replica_sets: self.all("ReplicaSet"),
            pods: self.all("Pod"),
            events: self.all("Event"),
        }
    }
}

/// What is known, by kind.
type Kinds = BTreeMap<&'static str, Kind>;

/// A poisoned lock only means that a reader panicked; the maps are replaced whole and stay sound.
fn lock(kinds: &Mutex<Kinds>) -> MutexGuard<'_, Kinds> {
    kinds.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn follow<S>(state: Arc<State>, name: &'static str, api_version: &'static str, open: impl Fn() -> S)
where
    S: Stream<Item = Result<watcher::Event<DynamicObject>, watcher::Error>> + Unpin,
{
    let mut pause = REOPEN.0;
    let mut failures = Failures::default();
    let mut events = open();
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                pause = REOPEN.0;
                failures = Failures::default();
                let mut kinds = lock(&state.kinds);
                let visible = kinds.entry(name).or_default().take(event, name, api_version);
                drop(kinds);
                if visible {
                    state.changed.notify_one();
                }
            }
            Err(error) => {
                tracing::debug!(kind = name, %error, "a watch was interrupted");
                let lasts = failures.one_more(Instant::now());
                if lock(&state.kinds).entry(name).or_default().fail(&error, lasts) {
                    state.changed.notify_one();
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(REOPEN.1);
                if is_expired(&error) {
                    events = open();
                }
            }
        }
    }
}

/// Failures of one watch without anything good in between.
#[derive(Default)]
struct Failures {
    /// When the first of them was, and the last.
    seen: Option<(Instant, Instant)>,
}

impl Failures {
    /// Takes in a failure; whether the watch has not worked for so long that it is told.
    fn one_more(&mut self, now: Instant) -> bool {
        let first = self.seen.filter(|(_, last)| now - *last < WORKED).map_or(now, |(first, _)| first);
        self.seen = Some((first, now));
        now - first >= TROUBLED
    }
}

/// Whether a watch cannot begin where the last one ended. kube starts again from a list when this comes as an event; when it
/// comes as the answer's status it would ask for the same version for ever.
fn is_expired(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::WatchStartFailed(kube::Error::Api(status)) if status.code == 410)
}

impl Kind {
    /// Whether a failure is told: at once while nothing was ever listed, later only when it `lasts`.
    fn fail(&mut self, error: &watcher::Error, lasts: bool) -> bool {
        let told = lasts || !self.listed;
        if told {
            self.trouble = Some(crate::api::chain(error));
        }
        told
    }

    /// Whether readers can see a difference.
    fn take(&mut self, event: watcher::Event<DynamicObject>, kind: &str, api_version: &str) -> bool {
        match event {
            watcher::Event::Apply(object) => {
                self.trouble = None;
                let (name, value) = named(object, kind, api_version);
                self.objects.insert(name, value);
                true
            }
            watcher::Event::Delete(object) => {
                self.trouble = None;
                let (name, _) = named(object, kind, api_version);
                self.objects.remove(&name);
                true
            }
            watcher::Event::Init => {
                self.listing.clear();
                false
            }
            watcher::Event::InitApply(object) => {
                let (name, value) = named(object, kind, api_version);
                self.listing.insert(name, value);
                false
            }
            watcher::Event::InitDone => {
                self.objects = std::mem::take(&mut self.listing);
                self.listed = true;
                self.trouble = None;
                true
            }
        }
    }
}

/// An object as plain JSON with the kind that lists leave out, and without the bulk nobody here reads.
fn named(mut object: DynamicObject, kind: &str, api_version: &str) -> (String, Arc<Value>) {
    let name = object.metadata.name.clone().unwrap_or_default();
    let ours = object.metadata.managed_fields.take().map(|fields| {
        fields.into_iter().filter(|field| field.manager.as_deref() == Some(crate::FIELD_MANAGER)).map(
            |mut field| {
                field.fields_v1 = None;
                field
            },
        )
    });
    object.metadata.managed_fields = ours.map(Iterator::collect);
    let mut value = serde_json::to_value(&object).unwrap_or(Value::Null);
    value["kind"] = kind.into();
    value["apiVersion"] = api_version.into();
    (name, Arc::new(value))
}
