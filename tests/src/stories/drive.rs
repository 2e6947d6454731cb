//! Tells a story to a cluster, whichever it is, and writes down what its watches show.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail, ensure};
use futures::StreamExt as _;
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, WatchParams,
};
use kube::core::{GroupVersionKind, WatchEvent};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::log::{Log, Seen, World};
use super::story::{Act, REGISTRY, Step, Story, WEB};
use super::until::{is_going, is_ready};

/// What is watched: group, version, kind, plural.
const WATCHED: &[(&str, &str, &str, &str)] = &[
    ("apps", "v1", "Deployment", "deployments"),
    ("apps", "v1", "ReplicaSet", "replicasets"),
    ("", "v1", "Pod", "pods"),
    ("", "v1", "Endpoints", "endpoints"),
    ("", "v1", "ResourceQuota", "resourcequotas"),
    ("", "v1", "Event", "events"),
];
/// Objects a story makes, but does not watch.
const OTHERS: &[(&str, &str, &str, &str)] = &[("", "v1", "Service", "services")];

/// How long a step may take: twice what the longest back-off of a story needs on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long nothing is asked after a step, so that what follows from it is seen with it.
const SETTLE: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(50);
/// Longer than any story, in seconds.
const WATCH_SECONDS: u32 = 290;

fn resource(&(group, version, kind, plural): &(&str, &str, &str, &str)) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

/// What a request led to.
#[derive(Debug, Default)]
struct Done {
    kind: &'static str,
    name: String,
    revision: u64,
}

impl Done {
    fn of(kind: &'static str, object: &DynamicObject) -> Self {
        let revision = object.metadata.resource_version.as_deref().and_then(|text| text.parse().ok());
        let name = object.metadata.name.clone().unwrap_or_default();
        Self { kind, name, revision: revision.unwrap_or(0) }
    }
}

/// The cluster of one story: a namespace of its own, watched.
struct Teller {
    client: Client,
    namespace: String,
    registry: String,
    log: Arc<Mutex<Log>>,
    /// End with it.
    watches: JoinSet<Result<()>>,
}

/// Tells a story, and returns what was seen of it.
///
/// # Errors
/// When a request is refused, or what a step waits for does not come.
pub async fn tell(client: Client, story: &Story, registry: &str) -> Result<Log> {
    let namespace = fresh_namespace(story.name);
    make_namespace(&client, &namespace).await?;
    let log = Log { namespace: namespace.clone(), registry: registry.to_owned(), chapters: Vec::new() };
    let log = Arc::new(Mutex::new(log));
    let mut teller =
        Teller { client, namespace, registry: registry.to_owned(), log, watches: JoinSet::new() };
    let told = teller.tell(story).await.with_context(|| format!("story {}", story.name));
    let spaces: Api<DynamicObject> =
        Api::all_with(teller.client.clone(), &resource(&("", "v1", "Namespace", "namespaces")));
    drop(spaces.delete(&teller.namespace, &DeleteParams::background()).await);
    told
}

fn fresh_namespace(name: &str) -> String {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().subsec_nanos();
    format!("s-{name}-{:x}", nanos ^ std::process::id())
}

/// Makes the namespace, and waits for the account its pods use.
async fn make_namespace(client: &Client, namespace: &str) -> Result<()> {
    let spaces: Api<DynamicObject> =
        Api::all_with(client.clone(), &resource(&("", "v1", "Namespace", "namespaces")));
    let body = json!({"metadata": {"name": namespace}});
    spaces.create(&PostParams::default(), &serde_json::from_value(body)?).await?;
    let accounts = resource(&("", "v1", "ServiceAccount", "serviceaccounts"));
    let accounts: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &accounts);
    let look = async {
        while accounts.get_opt("default").await?.is_none() {
            tokio::time::sleep(POLL).await;
        }
        Ok::<_, kube::Error>(())
    };
    Ok(tokio::time::timeout(PATIENCE, look).await.context("the default account")??)
}

impl Teller {
    async fn tell(&mut self, story: &Story) -> Result<Log> {
        for watched in WATCHED {
            self.watch(watched).await?;
        }
        for step in &story.steps {
            self.with_log(|log| log.begin(step.name));
            let done = self.act(&step.act).await.with_context(|| format!("step {}", step.name))?;
            self.wait(step, &done).await?;
        }
        let mut log = self.with_log(|log| log.clone());
        log.sort();
        Ok(log)
    }

    fn with_log<T>(&self, look: impl FnOnce(&mut Log) -> T) -> T {
        look(&mut self.log.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn api(&self, kind: &(&str, &str, &str, &str)) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource(kind))
    }

    async fn watch(
        &mut self,
        watched: &'static (&'static str, &'static str, &'static str, &'static str),
    ) -> Result<()> {
        let api = self.api(watched);
        let list = api.list(&ListParams::default()).await?;
        let from = list.metadata.resource_version.context("a list has a revision")?;
        let (log, kind) = (Arc::clone(&self.log), watched.2);
        self.watches.spawn(async move {
            let mut events = api.watch(&WatchParams::default().timeout(WATCH_SECONDS), &from).await?.boxed();
            while let Some(event) = events.next().await {
                let (gone, object) = match event? {
                    WatchEvent::Added(object) | WatchEvent::Modified(object) => (false, object),
                    WatchEvent::Deleted(object) => (true, object),
                    WatchEvent::Bookmark(_) => continue,
                    WatchEvent::Error(status) => bail!("the watch of {kind} ended: {status:?}"),
                };
                let seen = Seen { kind, gone, object: serde_json::to_value(object)? };
                log.lock().unwrap_or_else(PoisonError::into_inner).note(seen);
            }
            bail!("the watch of {kind} ended")
        });
        Ok(())
    }

    /// Waits for what the step waits for, but not before the watches have shown what was done.
    async fn wait(&mut self, step: &Step, done: &Done) -> Result<()> {
        let comes = |world: &World| {
            world.has_come_to(done.kind, &done.name, done.revision) && step.until.holds(world)
        };
        let holds = async {
            while !comes(&self.with_log(|log| log.world())) {
                tokio::time::sleep(POLL).await;
            }
        };
        if tokio::time::timeout(PATIENCE, holds).await.is_err() {
            let left: Vec<Value> = self.with_log(|log| log.world()).all("Deployment").cloned().collect();
            bail!("step {}: {:?} did not come about: {left:?}", step.name, step.until);
        }
        if !step.until.is_fleeting() {
            tokio::time::sleep(SETTLE).await;
        }
        match self.watches.try_join_next() {
            Some(ended) => ended?,
            None => Ok(()),
        }
    }

    async fn act(&self, act: &Act) -> Result<Done> {
        let deployments = self.api(&WATCHED[0]);
        let pods = self.api(&WATCHED[2]);
        match act {
            Act::Create(body) => {
                let body = self.fill(body)?;
                let known = WATCHED.iter().chain(OTHERS).find(|known| body["kind"] == known.2);
                let known = known.context("a kind that is made")?;
                let made =
                    self.api(known).create(&PostParams::default(), &serde_json::from_value(body)?).await?;
                Ok(Done::of(known.2, &made))
            }
            Act::Change(change) => {
                let change = Patch::Merge(self.fill(change)?);
                let changed = deployments.patch(WEB, &PatchParams::default(), &change).await?;
                Ok(Done::of("Deployment", &changed))
            }
            Act::Undo => {
                let template = self.template_before()?;
                let change = json!([{"op": "replace", "path": "/spec/template", "value": template}]);
                let change: Patch<()> = Patch::Json(serde_json::from_value(change)?);
                Ok(Done::of("Deployment", &deployments.patch(WEB, &PatchParams::default(), &change).await?))
            }
            Act::Delete(policy) => {
                let params = match *policy {
                    "Foreground" => DeleteParams::foreground(),
                    "Background" => DeleteParams::background(),
                    _ => DeleteParams::orphan(),
                };
                let deleted = deployments.delete(WEB, &params).await?;
                Ok(deleted.left().map_or_else(Done::default, |left| Done::of("Deployment", &left)))
            }
            Act::DeletePod => {
                let deleted = pods.delete(&self.one_pod()?, &DeleteParams::default()).await?;
                Ok(deleted.left().map_or_else(Done::default, |left| Done::of("Pod", &left)))
            }
            Act::Relabel(labels) => {
                let change = Patch::Merge(json!({"metadata": {"labels": labels}}));
                Ok(Done::of("Pod", &pods.patch(&self.one_pod()?, &PatchParams::default(), &change).await?))
            }
        }
    }

    /// The body with the registry of this side.
    fn fill(&self, body: &Value) -> Result<Value> {
        Ok(serde_json::from_str(&body.to_string().replace(REGISTRY, &self.registry))?)
    }

    /// The template of the revision before the current one, as it was written.
    fn template_before(&self) -> Result<Value> {
        const HASH: &str = "pod-template-hash";
        let world = self.with_log(|log| log.world());
        let revision = |set: &Value| -> i64 {
            let text = set["metadata"]["annotations"]["deployment.kubernetes.io/revision"].as_str();
            text.and_then(|text| text.parse().ok()).unwrap_or(0)
        };
        let mut sets: Vec<&Value> = world.all("ReplicaSet").collect();
        sets.sort_by_key(|set| revision(set));
        ensure!(sets.len() >= 2, "there is no revision to go back to");
        let mut template = sets[sets.len() - 2]["spec"]["template"].clone();
        if let Some(labels) = template["metadata"]["labels"].as_object_mut() {
            labels.remove(HASH);
        }
        Ok(template)
    }

    /// A pod that is ready and stays, whichever.
    fn one_pod(&self) -> Result<String> {
        let world = self.with_log(|log| log.world());
        one_of(&world).context("a pod that is ready")
    }
}

fn one_of(world: &World) -> Option<String> {
    let mut ready = world.all("Pod").filter(|pod| is_ready(pod) && !is_going(pod));
    // Who was orphaned is taken first: it is the one a story has to do with.
    let orphan = world.all("Pod").find(|pod| pod["metadata"]["ownerReferences"].is_null());
    let pod = orphan.or_else(|| ready.next())?;
    pod["metadata"]["name"].as_str().map(str::to_owned)
}
