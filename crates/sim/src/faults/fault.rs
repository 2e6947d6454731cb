//! One fault as it is written in a plan: what, how often, when and to whom.

use serde::Deserialize;

use super::kind::FaultKind;
use crate::apps::Span;

/// A fault with its rate, its window and its target.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What goes wrong.
    pub fault: FaultKind,
    /// The part of all targets it happens to, from 0 to 1; 1 if absent.
    #[serde(default = "always")]
    pub rate: f64,
    /// It happens from so long after the start of the simulation.
    #[serde(default)]
    pub from: Span,
    /// It happens until so long after the start; for ever if absent.
    #[serde(default)]
    pub until: Option<Span>,
    /// To whom it happens; to all if absent.
    #[serde(default)]
    pub target: Target,
}

fn always() -> f64 {
    1.0
}

/// To whom a fault happens. Absent fields fit everything; names may contain `*`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Target {
    /// The namespace.
    pub namespace: Option<String>,
    /// The name of the pod, node or other object.
    pub name: Option<String>,
    /// For faults of the API: what is asked for, as RBAC calls it (`get`, `list`, `watch`, `create`, `update`, `patch`,
    /// `delete`).
    pub verb: Option<String>,
    /// For faults of the API, webhooks and other people: the resource, as in `deployments`.
    pub resource: Option<String>,
}
