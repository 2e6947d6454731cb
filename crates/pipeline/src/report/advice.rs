//! What to do next, in a few lines, from how it ended and why.

use release_core::{Cause, CauseKind};

use super::words::clean;
use super::{Ending, Report};

/// What somebody who was woken up by this should do, most urgent first.
pub(super) fn advice(report: &Report) -> Vec<String> {
    let env = report.started.as_ref().map(|started| format!(" --env {}", clean(&started.environment)));
    let env = env.unwrap_or_default();
    let look = format!("`release status{env}` shows what runs now");
    let fix = format!("fix it and run `release deploy{env}` again");
    match &report.ending {
        None => vec![
            "how it ended is not told: it goes on, or the tool was killed".to_owned(),
            format!("{look}; `release deploy{env}` takes it up, `release rollback{env}` undoes it"),
        ],
        Some(Ending::Verified) => vec![
            format!("nothing: the new version runs; {look}"),
            format!("should it misbehave later, `release rollback{env}` returns to the release before"),
        ],
        Some(Ending::NothingToDo { unwell }) if unwell.is_empty() => vec![format!("nothing; {look}")],
        Some(Ending::NothingToDo { unwell }) => {
            let mut all: Vec<String> = unwell.iter().map(why).collect();
            all.dedup();
            all.push(look);
            all
        }
        Some(Ending::RolledBack { cause, running, .. }) => {
            let now = match running {
                Some(running) => format!("nothing is urgent: release {running} runs again"),
                None => "nothing runs: there was no release before to return to".to_owned(),
            };
            vec![now, why(cause), fix]
        }
        Some(Ending::NotRolledBack { cause, why: trouble, .. }) => {
            let mut all = vec![
                format!("look now: {look}"),
                format!("`release rollback{env}` tries to restore the release before once more"),
            ];
            all.extend(trouble.iter().map(|trouble| why(trouble)));
            all.push(why(cause));
            all
        }
        Some(Ending::Stopped) => {
            let again = match report.action {
                Some(release_cluster::Action::Rollback { to }) => format!("release rollback{env} --to {to}"),
                Some(release_cluster::Action::Deploy) | None => format!("release deploy{env}"),
            };
            vec![
                "what has begun goes on in the cluster, but nobody watches it".to_owned(),
                format!(
                    "`{again}` takes it up; `release rollback{env}` returns to the last verified release"
                ),
            ]
        }
        Some(Ending::Superseded { .. }) => {
            vec![format!("`release history{env}` shows how the other release ended")]
        }
        Some(Ending::Failed { .. }) => vec![look],
    }
}

/// Where to look for a cause of this kind.
fn why(cause: &Cause) -> String {
    match cause.kind {
        CauseKind::ImageNotFound | CauseKind::ImageNameInvalid => {
            "the image is not in the registry under this name: `release push` pushes it and prints what is there"
        }
        CauseKind::ImageUnauthorized => {
            "the nodes may not pull the image: look at the namespace's pull secrets (`pullSecrets`)"
        }
        CauseKind::ImagePull => "the nodes cannot pull the image: is the registry up, and reachable from them?",
        CauseKind::CrashLoop => "the process ends by itself: its last lines say why",
        CauseKind::OomKilled => "it used more memory than it may: raise `resources.memory`, or find out what grew",
        CauseKind::MissingConfig => "a ConfigMap, Secret or key that it names does not exist in this namespace",
        CauseKind::CannotStart => "the container cannot be started: look at its command, user and mounts",
        CauseKind::NeverReady | CauseKind::StartupProbe => {
            "it runs but does not answer its probe: look at port and path of `health`, and at what it waits for"
        }
        CauseKind::Flapping => "it is ready and not ready in turn: look at what its probe depends on",
        CauseKind::Unschedulable => "no node has room for it: ask for less in `resources`, or add nodes",
        CauseKind::Quota => "the namespace's quota is used up: ask for less in `resources`, or raise it",
        CauseKind::Admission => "a policy of the cluster does not admit its pods: the message names the rule",
        CauseKind::Volume => "a volume cannot be mounted: does the claim exist, and is it free?",
        CauseKind::JobFailed => "a job of the release failed: its last lines say why",
        CauseKind::ProgressDeadline | CauseKind::Deadline => {
            "it did not become ready in time: what was suspicious before says what it waited for"
        }
        CauseKind::CheckFailed => "the new version was ready and answered wrongly: look at what the check asks for",
        CauseKind::Refused => "the cluster refused a write: the message says what it does not accept",
        CauseKind::Unreachable => "the cluster did not answer: look at the network and the API server first",
        CauseKind::Interference => "somebody else changed the objects meanwhile: find out who before trying again",
        CauseKind::Sibling => "it was undone because another service of the release failed",
        CauseKind::Aborted => "somebody asked for it to be undone",
    }
    .to_owned()
}
