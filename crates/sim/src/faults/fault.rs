//! One fault as it is written in a plan.

use serde::Deserialize;

use crate::apps::{PullError, Span};

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
}

/// What can go wrong in a cluster, apart from its API: that is the business of the face.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum FaultKind {
    /// F20: a pod finds no node.
    NeverScheduled,
    /// F21: images cannot be pulled.
    PullFails {
        /// What the registry says.
        error: PullError,
    },
    /// F22: containers crash, every time.
    Crash {
        /// So long after their start.
        after: Span,
    },
    /// F23: containers are ready and not ready in turns.
    Flap {
        /// How long one turn is.
        turn: Span,
    },
    /// F24: pods are ready, but their answers are wrong or slow.
    BadAnswers {
        /// The part of answers that is wrong.
        error_rate: f64,
        /// The status code of those.
        #[serde(default = "bad_status")]
        status: u16,
        /// How much longer all answers take.
        #[serde(default)]
        slower: Span,
    },
    /// F25: a node is silent for a while.
    NodeLost {
        /// How long.
        lasts: Span,
    },
    /// F26: a node is cordoned and its pods are evicted; afterwards it takes pods again.
    Drain {
        /// How long it stays cordoned.
        lasts: Span,
    },
    /// F27: pods take their whole grace period to end.
    SlowStop,
    /// F27: pods have a finalizer nobody takes away for a while.
    StuckFinalizer {
        /// How long.
        lasts: Span,
    },
    /// F28: changes of endpoints reach clients late.
    EndpointLag {
        /// By how much.
        by: Span,
    },
    /// F29: somebody scales a Deployment in the middle of everything, as an autoscaler does.
    Scale {
        /// To so many replicas.
        to: u32,
    },
    /// F31: the controllers and the scheduler do nothing for a while.
    ControllersPaused {
        /// How long.
        lasts: Span,
    },
    /// F32: pods of Jobs never end.
    JobHangs,
    /// F32: pods of Jobs fail.
    JobFails {
        /// So many of each Job.
        times: u32,
    },
}

fn bad_status() -> u16 {
    500
}

impl FaultKind {
    /// Its number in the list of all faults.
    pub fn number(&self) -> &'static str {
        match self {
            FaultKind::NeverScheduled => "F20",
            FaultKind::PullFails { .. } => "F21",
            FaultKind::Crash { .. } => "F22",
            FaultKind::Flap { .. } => "F23",
            FaultKind::BadAnswers { .. } => "F24",
            FaultKind::NodeLost { .. } => "F25",
            FaultKind::Drain { .. } => "F26",
            FaultKind::SlowStop | FaultKind::StuckFinalizer { .. } => "F27",
            FaultKind::EndpointLag { .. } => "F28",
            FaultKind::Scale { .. } => "F29",
            FaultKind::ControllersPaused { .. } => "F31",
            FaultKind::JobHangs | FaultKind::JobFails { .. } => "F32",
        }
    }

    /// Its name in a plan.
    pub fn name(&self) -> &'static str {
        match self {
            FaultKind::NeverScheduled => "never-scheduled",
            FaultKind::PullFails { .. } => "pull-fails",
            FaultKind::Crash { .. } => "crash",
            FaultKind::Flap { .. } => "flap",
            FaultKind::BadAnswers { .. } => "bad-answers",
            FaultKind::NodeLost { .. } => "node-lost",
            FaultKind::Drain { .. } => "drain",
            FaultKind::SlowStop => "slow-stop",
            FaultKind::StuckFinalizer { .. } => "stuck-finalizer",
            FaultKind::EndpointLag { .. } => "endpoint-lag",
            FaultKind::Scale { .. } => "scale",
            FaultKind::ControllersPaused { .. } => "controllers-paused",
            FaultKind::JobHangs => "job-hangs",
            FaultKind::JobFails { .. } => "job-fails",
        }
    }
}
