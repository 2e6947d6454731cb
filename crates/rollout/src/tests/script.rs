//! How the world answers: kindly, unless the script says otherwise.

use std::collections::BTreeMap;
use std::time::Duration;

use release_core::{Assessment, Cause, CauseKind, Certainty, ObjectRef, Readiness, Status, Verdict};

use crate::{Answer, EffectKind, Outcome};

/// What becomes of one effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    Good,
    Refuse,
    Unknown,
    /// Reading back: it was not applied.
    Not,
    Bad,
    NotEnough,
    /// An answer to another question.
    Wrong,
    /// No answer at all.
    Never,
}

/// What a look at a workload finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Ready,
    Progressing,
    /// Progressing, and something looks wrong with it.
    Suspicious,
    /// The same, told about one of its pods.
    SuspiciousPod,
    Unknown,
    Failed,
    /// A failure nobody explains.
    FailedMutely,
    /// Somebody else deleted it.
    Gone,
}

/// Answers by what is asked for, and findings by version and workload. The last one of a list holds for ever; what is
/// not in the script goes well.
#[derive(Debug, Clone, Default)]
pub(super) struct Script {
    replies: BTreeMap<String, Vec<Reply>>,
    looks: BTreeMap<String, Vec<Look>>,
    pub(super) aborts: Option<Duration>,
    /// After how many steps the process dies and another one takes over.
    pub(super) dies: Option<usize>,
}

pub(super) fn well() -> Script {
    Script::default()
}

impl Script {
    pub(super) fn reply(mut self, question: &str, replies: &[Reply]) -> Self {
        self.replies.insert(question.to_owned(), replies.to_vec());
        self
    }

    pub(super) fn look(mut self, workload: &str, looks: &[Look]) -> Self {
        self.looks.insert(workload.to_owned(), looks.to_vec());
        self
    }

    pub(super) fn abort_at(mut self, seconds: u64) -> Self {
        self.aborts = Some(Duration::from_secs(seconds));
        self
    }

    pub(super) fn dies_after(mut self, steps: usize) -> Self {
        self.dies = Some(steps);
        self
    }

    /// The next answer to `question`.
    pub(super) fn next_reply(&mut self, question: &str) -> Reply {
        self.replies.get_mut(question).map_or(Reply::Good, next)
    }

    /// The next finding about `workload`.
    pub(super) fn next_look(&mut self, workload: &str) -> Look {
        self.looks.get_mut(workload).map_or(Look::Ready, next)
    }
}

fn next<T: Copy>(list: &mut Vec<T>) -> T {
    if list.len() > 1 { list.remove(0) } else { list[0] }
}

/// An outcome in the machine's words; `None` when there is none.
pub(super) fn outcome(kind: &EffectKind, reply: Reply) -> Option<Outcome> {
    let why = || "the script says so".to_owned();
    let good = match kind {
        EffectKind::Apply { .. } | EffectKind::ReadBack { .. } => Answer::Applied,
        EffectKind::Delete { .. } => Answer::Deleted,
        EffectKind::Check { .. } => Answer::Checked(Verdict::Good { latency: Duration::from_millis(3) }),
        EffectKind::Capture { .. } => Answer::Captured,
    };
    Some(match reply {
        Reply::Good => Outcome::Ok(good),
        Reply::Refuse => Outcome::Refused(cause(CauseKind::Refused, &about(kind))),
        Reply::Unknown => Outcome::Unknown { why: why() },
        Reply::Not => Outcome::Ok(Answer::NotApplied),
        Reply::Bad => Outcome::Ok(Answer::Checked(Verdict::Bad { why: why() })),
        Reply::NotEnough => Outcome::Ok(Answer::Checked(Verdict::NotEnough { why: why() })),
        Reply::Wrong => Outcome::Ok(match good {
            Answer::Captured => Answer::Deleted,
            Answer::Applied | Answer::NotApplied | Answer::Deleted | Answer::Checked(_) => Answer::Captured,
        }),
        Reply::Never => return None,
    })
}

fn about(kind: &EffectKind) -> ObjectRef {
    match kind {
        EffectKind::Apply { object, .. }
        | EffectKind::ReadBack { object, .. }
        | EffectKind::Delete { object }
        | EffectKind::Capture { object } => object.clone(),
        EffectKind::Check { name, .. } => ObjectRef::new("v1", "Check", "radio", name),
    }
}

pub(super) fn cause(kind: CauseKind, object: &ObjectRef) -> Cause {
    let summary = format!("{object}: the script says so");
    Cause { kind, certainty: Certainty::Terminal, object: object.clone(), summary, evidence: Vec::new() }
}

pub(super) fn assessment(object: &ObjectRef, look: Look) -> Assessment {
    let pod = ObjectRef::new("v1", "Pod", "radio", &format!("{}-1", object.name));
    let (status, cause) = match look {
        Look::Ready => (Status::Ready, None),
        Look::Progressing => (Status::Progressing, None),
        Look::Suspicious => (Status::Progressing, Some(cause(CauseKind::CrashLoop, object))),
        Look::SuspiciousPod => (Status::Progressing, Some(cause(CauseKind::ImagePull, &pod))),
        Look::Unknown => (Status::Unknown, None),
        Look::Failed => (Status::Failed, Some(cause(CauseKind::CrashLoop, object))),
        Look::FailedMutely => (Status::Failed, None),
        Look::Gone => (Status::Failed, Some(cause(CauseKind::Interference, object))),
    };
    Assessment { status, cause, readiness: Readiness::default(), revisit_at: None }
}
