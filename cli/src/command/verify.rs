//! `release verify`: the environment's checks, on what runs now.

use release_cluster::Seen;
use release_core::{ObjectRef, Status, Verdict};
use release_manifest::LABEL_PART_OF;
use serde_json::json;

use super::target::open;
use crate::answer::{self, table};
use crate::args::{Args, Environment};
use crate::error::Failure;
use crate::exit::Exit;
use crate::workspace::Workspace;

pub(crate) async fn run(args: &Args, words: &Environment) -> Result<Exit, Failure> {
    let workspace = Workspace::load(args)?;
    let environment = workspace.environment(&words.env, args.quiet)?;
    let target =
        open(Some(&environment), environment.project.clone(), environment.name.clone(), words).await?;
    let asked: Vec<_> = environment
        .services
        .values()
        .map(|service| {
            let object =
                ObjectRef::new("apps/v1", "Deployment", target.cluster.namespace(), service.name.as_str());
            let checks = release_pipeline::checks(service)
                .into_iter()
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
    if good {
        Ok(Exit::Done)
    } else {
        Err(Failure::Check { message: "not everything that runs is as it should be".to_owned() })
    }
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
