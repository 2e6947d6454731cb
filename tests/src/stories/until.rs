//! What a story waits for, told from what its watches have shown.

use serde_json::Value;

use super::log::World;
use super::story::WEB;

/// What has to be seen.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// The Deployment's rollout is complete, and nothing of what was replaced is left.
    Complete,
    /// The Deployment has a condition with this type, status and reason.
    Condition(&'static str, &'static str, &'static str),
    /// The controller has seen the newest specification, and this many replicas are available.
    Available(i64),
    /// A container waits for this reason, after so many restarts, and the Deployment's time is over.
    Stuck(&'static str, i64),
    /// The Deployment's time is over.
    TimedOut,
    /// A container runs and is not ready, and the Deployment's time is over.
    Unready,
    /// Neither Deployment, ReplicaSet nor pod is left.
    Gone,
    /// The Deployment is gone, and what it made stays.
    Orphaned,
    /// So many pods are there, all of them ready.
    Pods(usize),
    /// The quota has been counted.
    Counted,
    /// It is there.
    Made,
}

impl Until {
    /// Whether it holds for a moment only: a container that waits is tried again.
    pub(super) fn is_fleeting(self) -> bool {
        matches!(self, Self::Stuck(..))
    }

    pub(super) fn holds(self, world: &World) -> bool {
        let web = world.get("Deployment", WEB);
        match self {
            Self::Complete => web.is_some_and(|web| is_complete(web, world)),
            Self::Condition(kind, status, reason) => web.is_some_and(|web| {
                let said = |c: &Value| c["type"] == kind && c["status"] == status && c["reason"] == reason;
                is_observed(web) && items(&web["status"]["conditions"]).any(said)
            }),
            Self::Available(count) => {
                web.is_some_and(|web| {
                    is_observed(web) && number(&web["status"]["availableReplicas"]) == count
                }) && world.all("Pod").all(|pod| !is_going(pod))
            }
            Self::Stuck(reason, restarts) => {
                world.all("Pod").any(|pod| waits(pod, reason, restarts)) && Self::TimedOut.holds(world)
            }
            Self::Unready => {
                let runs = |c: &Value| c["state"]["running"].is_object() && c["ready"] == false;
                world.all("Pod").any(|pod| items(&pod["status"]["containerStatuses"]).any(runs))
                    && Self::TimedOut.holds(world)
            }
            Self::TimedOut => {
                Self::Condition("Progressing", "False", "ProgressDeadlineExceeded").holds(world)
            }
            Self::Gone => {
                ["Deployment", "ReplicaSet", "Pod"].iter().all(|kind| world.all(kind).next().is_none())
            }
            Self::Orphaned => {
                let left = |set: &Value| set["metadata"]["ownerReferences"].is_null();
                web.is_none() && world.all("ReplicaSet").all(left)
            }
            Self::Pods(count) => world.all("Pod").count() == count && world.all("Pod").all(is_ready),
            Self::Counted => world.all("ResourceQuota").any(|quota| quota["status"]["used"].is_object()),
            Self::Made => true,
        }
    }
}

pub(super) fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

pub(super) fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}

fn is_observed(web: &Value) -> bool {
    web["status"]["observedGeneration"] == web["metadata"]["generation"]
}

pub(super) fn is_going(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

pub(super) fn is_ready(pod: &Value) -> bool {
    items(&pod["status"]["conditions"]).any(|c| c["type"] == "Ready" && c["status"] == "True")
}

fn is_complete(web: &Value, world: &World) -> bool {
    let (wanted, status) = (number(&web["spec"]["replicas"]), &web["status"]);
    let all = ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas"];
    let count = usize::try_from(wanted).unwrap_or(0);
    let addresses = |endpoints: &Value| -> usize {
        items(&endpoints["subsets"]).map(|subset| items(&subset["addresses"]).count()).sum()
    };
    is_observed(web)
        && all.iter().all(|field| number(&status[field]) == wanted)
        && world.all("Pod").count() == count
        && world.all("Pod").all(|pod| !is_going(pod))
        && world.all("Endpoints").all(|endpoints| addresses(endpoints) == count)
}

fn waits(pod: &Value, reason: &str, restarts: i64) -> bool {
    let waiting =
        |c: &Value| c["state"]["waiting"]["reason"] == reason && number(&c["restartCount"]) >= restarts;
    items(&pod["status"]["containerStatuses"]).any(waiting)
}
