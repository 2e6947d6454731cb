//! `release status`: what runs, and how it is.

use std::fmt::Write as _;

use jiff::Timestamp;
use release_cluster::{Entry, Header, Seen, State};
use release_core::{PinnedImage, ServiceName, Status};
use release_manifest::LABEL_PART_OF;
use serde_json::json;

use super::target::{Target, find};
use crate::answer::{self, table};
use crate::args::{Args, Recorded};
use crate::error::Failure;
use crate::exit::Exit;
use crate::words;

/// One service as it runs.
struct Row<'a> {
    service: &'a ServiceName,
    image: &'a PinnedImage,
    seen: Seen,
}

pub(crate) async fn run(args: &Args, words: &Recorded) -> Result<Exit, Failure> {
    find(args, words).await?.visit(None, async |target| show(args, words, target).await).await?;
    Ok(Exit::Done)
}

async fn show(args: &Args, words: &Recorded, target: &Target) -> Result<(), Failure> {
    let journal = target.store.peek().await.map_err(release_pipeline::TargetError::from)?;
    let current = target.found.headers.iter().rev().find(|header| header.state == State::Verified);
    let mut rows = Vec::new();
    if let Some(header) = current {
        let workloads: Vec<_> = header
            .services
            .iter()
            .flat_map(|(name, service)| service.objects.iter().map(move |object| (name, service, object)))
            .filter(|(_, _, object)| object.kind == "Deployment")
            .collect();
        let asked: Vec<_> = workloads.iter().map(|(_, _, object)| ((*object).clone(), Vec::new())).collect();
        let labels = format!("{LABEL_PART_OF}={}", target.project);
        let seen = target.cluster.survey(&labels, &asked).await?;
        rows.extend(workloads.iter().zip(seen).map(|((name, service, _), seen)| Row {
            service: name,
            image: &service.image,
            seen,
        }));
    }
    let value = json!({
        "v": 1, "project": target.project, "environment": target.environment,
        "release": current.map(|header| header.number),
        "version": current.and_then(|header| header.version.clone()),
        "interrupted": interrupted(journal.as_ref()),
        "services": rows.iter().map(|row| json!({
            "service": row.service, "image": row.image, "status": row.seen.assessment.status,
            "ready": row.seen.assessment.readiness.ready, "desired": row.seen.assessment.readiness.desired,
            "cause": row.seen.assessment.cause,
        })).collect::<Vec<_>>(),
    });
    let head = headline(
        &target.project.to_string(),
        &words.environment.env,
        current,
        journal.as_ref(),
        target.cluster.clock().wall(),
    );
    answer::print(args.output, &value, || text(&head, &rows))
}

fn interrupted(journal: Option<&Entry>) -> Option<u64> {
    journal.and_then(|entry| entry.running.as_ref()).map(|running| running.release)
}

fn headline(
    project: &str,
    environment: &str,
    current: Option<&Header>,
    journal: Option<&Entry>,
    now: Timestamp,
) -> String {
    let mut text = match current {
        Some(header) => format!(
            "{project} in {environment}: release {}{}, verified {}",
            header.number,
            header.version.as_ref().map(|version| format!(" ({version})")).unwrap_or_default(),
            words::ago(header.ended_at.unwrap_or(header.started_at), now)
        ),
        None => format!("{project} in {environment}: nothing has been released and verified yet"),
    };
    if let Some(number) = interrupted(journal) {
        let _ = write!(
            text,
            "\nrelease {number} is under way, or was interrupted: `release deploy` takes it up, `release rollback` undoes it"
        );
    }
    text
}

fn text(head: &str, rows: &[Row<'_>]) -> String {
    let mut out = format!("{head}\n");
    if rows.is_empty() {
        return out;
    }
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let assessment = &row.seen.assessment;
            let word = match assessment.status {
                Status::Ready => "healthy",
                Status::Progressing => "progressing",
                Status::Failed => "failed",
                Status::Unknown => "unknown",
            };
            vec![
                row.service.to_string(),
                format!("{}/{}", assessment.readiness.ready, assessment.readiness.desired),
                word.to_owned(),
                crate::words::image(row.image),
                assessment
                    .cause
                    .as_ref()
                    .map(|cause| format!("{}: {}", cause.kind, cause.summary))
                    .unwrap_or_default(),
            ]
        })
        .collect();
    out.push_str(&table(&["SERVICE", "READY", "STATUS", "IMAGE", "CAUSE"], &rows));
    out
}

#[cfg(test)]
mod tests;
