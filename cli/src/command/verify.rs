//! `release verify`: the environment's checks, on what runs now.

use release_cluster::{Seen, Target as CheckTarget};
use release_core::{ObjectRef, Status, Verdict};
use release_manifest::{Environment, LABEL_PART_OF};
use serde_json::json;

use super::target::{Place, Target};
use crate::answer::{self, table};
use crate::args::{self, Args};
use crate::error::Failure;
use crate::exit::Exit;
use crate::local::{PATIENCE, Turn};
use crate::workspace::Workspace;

pub(crate) async fn run(args: &Args, words: &args::Environment) -> Result<Exit, Failure> {
    let workspace = Workspace::load(args)?;
    let environment = workspace.environment(&words.env, args.quiet)?;
    let (project, name) = (environment.project.clone(), environment.name.clone());
    let place = Place::of(Some(&environment), project, name, words, Turn::Wait(PATIENCE)).await?;
    let good = place.visit(None, async |target| look(args, &environment, target).await).await?;
    if good {
        Ok(Exit::Done)
    } else {
        Err(Failure::Check { message: "not everything that runs is as it should be".to_owned() })
    }
}

/// Looks, and says what was seen; whether all of it is good.
async fn look(args: &Args, environment: &Environment, target: &Target) -> Result<bool, Failure> {
    let asked: Vec<_> = environment
        .services
        .values()
        .map(|service| {
            let object =
                ObjectRef::new("apps/v1", "Deployment", target.cluster.namespace(), service.name.as_str());
            // What is simulated has no way out to a URL.
            let asked =
                |check: &CheckTarget| !environment.is_local() || matches!(check, CheckTarget::Pods { .. });
            let checks = release_pipeline::checks(service)
                .into_iter()
                .filter(|(_, check)| asked(&check.http.target))
                .map(|(name, check)| (name, check.http))
                .collect();
            (object, checks)
        })
        .collect();
    let labels = format!("{LABEL_PART_OF}={}", environment.project);
    let seen = target.cluster.survey(&labels, &asked).await?;
    let good = seen.iter().all(is_good);
    let value = json!({"v": 1, "good": good, "services": seen.iter().map(|seen| json!({
        "object": seen.object, "status": seen.assessment.status, "cause": seen.assessment.cause,
        "checks": seen.checks.iter().map(|(name, verdict)| json!({"check": name, "result": verdict})).collect::<Vec<_>>(),
    })).collect::<Vec<_>>()});
    answer::print(args.output, &value, || text(&seen))?;
    Ok(good)
}

fn is_good(seen: &Seen) -> bool {
    seen.assessment.status == Status::Ready
        && seen.checks.iter().all(|(_, verdict)| matches!(verdict, Verdict::Good { .. }))
}

fn text(seen: &[Seen]) -> String {
    let mut rows = Vec::new();
    for seen in seen {
        let readiness = seen.assessment.readiness;
        let (word, why) = match (seen.assessment.status, &seen.assessment.cause) {
            (Status::Ready, _) => {
                ("good", format!("{} of {} pods ready", readiness.ready, readiness.desired))
            }
            (_, Some(cause)) => ("bad", cause.summary.clone()),
            (Status::Unknown, None) => {
                ("no evidence", "it does not exist, or its controller has not looked at it yet".to_owned())
            }
            (_, None) => ("bad", format!("{} of {} pods ready", readiness.ready, readiness.desired)),
        };
        rows.push(vec![seen.object.name.clone(), "health".to_owned(), word.to_owned(), why]);
        rows.extend(seen.checks.iter().map(|(name, verdict)| {
            let (word, why) = match verdict {
                Verdict::Good { latency } => ("good", format!("{} ms", latency.as_millis())),
                Verdict::Bad { why } => ("bad", why.clone()),
                Verdict::NotEnough { why } => ("no evidence", why.clone()),
            };
            vec![seen.object.name.clone(), name.clone(), word.to_owned(), why]
        }));
    }
    table(&["SERVICE", "CHECK", "VERDICT", ""], &rows)
}
