//! What a story is: steps, each a request and what is waited for.

use serde_json::Value;

use super::until::Until;

/// What stands in images' references for the registry of a side.
pub(super) const REGISTRY: &str = "REGISTRY";
/// The one Deployment of every story.
pub(super) const WEB: &str = "web";

/// What a person asks the API server for.
#[derive(Debug, Clone)]
pub enum Act {
    /// To make an object.
    Create(Value),
    /// To change the Deployment, with a merge patch.
    Change(Value),
    /// To bring back the template of the revision before, as `kubectl rollout undo` does.
    Undo,
    /// To delete the Deployment, with this propagation policy.
    Delete(&'static str),
    /// To delete one pod.
    DeletePod,
    /// To change the labels of one pod, with a merge patch.
    Relabel(Value),
}

/// One request, and what is waited for.
#[derive(Debug, Clone)]
pub struct Step {
    /// What it is called in a trace.
    pub name: &'static str,
    /// The request.
    pub act: Act,
    /// What has to be seen before the next one.
    pub until: Until,
}

/// A rollout, from the first request to the last.
#[derive(Debug, Clone)]
pub struct Story {
    /// Its name, which is that of its recording.
    pub name: &'static str,
    /// What happens.
    pub steps: Vec<Step>,
}
