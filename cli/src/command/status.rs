//! `release status`: what runs, and how it is.

use std::fmt::Write as _;

use jiff::Timestamp;
use release_cluster::{Entry, Header, Seen, State};
use release_core::{ObjectRef, PinnedImage, ServiceName, Status};
use release_manifest::LABEL_PART_OF;
use serde_json::json;

use super::target::{Target, find};
use crate::answer::{self, table};
use crate::args::{Args, Recorded};
use crate::error::Failure;
use crate::exit::Exit;
use crate::words;

/// One service as it runs, beside what was released.
struct Row<'a> {
    service: &'a ServiceName,
    /// The image that was released.
    released: &'a PinnedImage,
    seen: Seen,
    /// Objects of the release that are not there any more.
    missing: Vec<ObjectRef>,
}

impl Row<'_> {
    /// The image that its pods are to run now; as long as there are none, the one that was released.
    fn image(&self) -> String {
        let released = self.released.to_string();
        if self.is_other() { self.seen.images[0].clone() } else { released }
    }

    /// Whether somebody has given it another image.
    fn is_other(&self) -> bool {
        !self.seen.images.is_empty() && !self.seen.images.contains(&self.released.to_string())
    }
}

pub(crate) async fn run(args: &Args, words: &Recorded) -> Result<Exit, Failure> {
    find(args, words).await?.visit(None, async |target| show(args, words, target).await).await?;
    Ok(Exit::Done)
}

async fn show(args: &Args, words: &Recorded, target: &Target) -> Result<(), Failure> {
    let journal = target.store.peek().await.map_err(release_pipeline::TargetError::from)?;
    let current = verified(&target.found.headers);
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
        for ((name, service, _), seen) in workloads.iter().zip(seen) {
            let missing = target.cluster.missing(&service.objects).await?;
            rows.push(Row { service: name, released: &service.image, seen, missing });
        }
    }
    let value = json!({
        "v": 1, "project": target.project, "environment": target.environment,
        "release": current.map(|header| header.number),
        "version": current.and_then(|header| header.version.clone()),
        "interrupted": interrupted(journal.as_ref()),
        "failed": failed(&target.found.headers).map(|header| json!({"release": header.number, "state": header.state})),
        "services": rows.iter().map(|row| json!({
            "service": row.service, "image": row.image(), "released": row.released,
            "missing": row.missing.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "status": row.seen.assessment.status,
            "ready": row.seen.assessment.readiness.ready, "desired": row.seen.assessment.readiness.desired,
            "cause": row.seen.assessment.cause,
        })).collect::<Vec<_>>(),
    });
    let head = headline(
        &target.project.to_string(),
        &words.environment.env,
        &target.found.headers,
        journal.as_ref(),
        target.cluster.clock().wall(),
    );
    answer::print(args.output, &value, || text(&head, &rows))
}

fn interrupted(journal: Option<&Entry>) -> Option<u64> {
    journal.and_then(|entry| entry.running.as_ref()).map(|running| running.release)
}

/// The release that runs, as far as is known.
fn verified(headers: &[Header]) -> Option<&Header> {
    headers.iter().rev().find(|header| header.state == State::Verified)
}

/// The newest release, if it failed.
fn failed(headers: &[Header]) -> Option<&Header> {
    headers.last().filter(|header| matches!(header.state, State::RolledBack | State::NotRolledBack))
}

fn headline(
    project: &str,
    environment: &str,
    headers: &[Header],
    journal: Option<&Entry>,
    now: Timestamp,
) -> String {
    let current = verified(headers);
    let mut text = match current {
        Some(header) => format!(
            "{project} in {environment}: release {}{}, verified {}",
            header.number,
            header.version.as_ref().map(|version| format!(" ({version})")).unwrap_or_default(),
            words::ago(header.ended_at.unwrap_or(header.started_at), now)
        ),
        None => format!("{project} in {environment}: nothing has been released and verified yet"),
    };
    if let Some(header) = failed(headers) {
        let (number, when) = (header.number, words::ago(header.ended_at.unwrap_or(header.started_at), now));
        let end = if header.state == State::RolledBack { "was" } else { "was NOT" };
        let _ = write!(
            text,
            "\nrelease {number} failed {when} and {end} rolled back: `release report {number} --env {environment}` tells why"
        );
        if header.state == State::NotRolledBack {
            let _ = write!(text, ", `release rollback --env {environment}` tries again");
        }
    }
    if let Some(number) = interrupted(journal) {
        let _ = write!(
            text,
            "\nrelease {number} is under way, or was interrupted: `release deploy --env {environment}` takes it up, `release rollback --env {environment}` undoes it"
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
                Status::Ready if !row.missing.is_empty() => "incomplete",
                Status::Ready if row.is_other() => "changed",
                Status::Ready => "healthy",
                Status::Progressing => "progressing",
                Status::Failed => "failed",
                Status::Unknown => "unknown",
            };
            let image = row.image();
            vec![
                row.service.to_string(),
                format!("{}/{}", assessment.readiness.ready, assessment.readiness.desired),
                word.to_owned(),
                image.parse().map_or(image, |image| words::image(&image)),
                causes(row).join("; "),
            ]
        })
        .collect();
    out.push_str(&table(&["SERVICE", "READY", "STATUS", "IMAGE", "CAUSE"], &rows));
    out
}

/// What is not as it should be.
fn causes(row: &Row<'_>) -> Vec<String> {
    let mut causes = Vec::new();
    if let Some(cause) = &row.seen.assessment.cause {
        causes.push(format!("{}: {}", cause.kind, cause.summary));
    }
    if !row.missing.is_empty() {
        let missing: Vec<_> = row.missing.iter().map(ToString::to_string).collect();
        causes.push(format!("missing: {}", missing.join(", ")));
    }
    if row.is_other() {
        causes.push(format!("released was {}", words::image(row.released)));
    }
    causes
}

#[cfg(test)]
mod tests;
