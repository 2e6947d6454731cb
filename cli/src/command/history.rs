//! `release history`: the releases the cluster remembers.

use std::collections::BTreeMap;

use jiff::Timestamp;
use release_cluster::{Action, Header, State};
use release_core::{Cause, EnvironmentName, PinnedImage, ProjectName, ServiceName};
use serde::Serialize;

use super::target::{Target, find};
use crate::answer::{self, table};
use crate::args::{Args, Recorded};
use crate::error::Failure;
use crate::exit::Exit;
use crate::words;

pub(crate) async fn run(args: &Args, words: &Recorded) -> Result<Exit, Failure> {
    let show = async |target: &Target| {
        let headers = &target.found.headers;
        let releases: Vec<_> = headers.iter().rev().map(Published::from).collect();
        answer::print(args.output, &releases, || text(headers, target.cluster.clock().wall()))
    };
    find(args, words).await?.visit(None, show).await?;
    Ok(Exit::Done)
}

/// A release as `-o json` shows it: what people asked for and got, without the tool's own bookkeeping.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Published<'a> {
    v: u32,
    number: u64,
    project: &'a ProjectName,
    environment: &'a EnvironmentName,
    action: Action,
    state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    actor: &'a str,
    started_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    baseline: Option<u64>,
    images: BTreeMap<&'a ServiceName, &'a PinnedImage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'a Cause>,
}

impl<'a> From<&'a Header> for Published<'a> {
    fn from(header: &'a Header) -> Self {
        Self {
            v: 1,
            number: header.number,
            project: &header.project,
            environment: &header.environment,
            action: header.action,
            state: header.state,
            version: header.version.as_deref(),
            actor: &header.actor,
            started_at: header.started_at,
            ended_at: header.ended_at,
            baseline: header.baseline,
            images: header.services.iter().map(|(name, service)| (name, &service.image)).collect(),
            cause: header.cause.as_ref(),
        }
    }
}

fn text(headers: &[Header], now: Timestamp) -> String {
    if headers.is_empty() {
        return "no release has been recorded yet\n".to_owned();
    }
    let rows: Vec<Vec<String>> = headers
        .iter()
        .rev()
        .map(|header| {
            let action = match header.action {
                Action::Deploy => "deploy".to_owned(),
                Action::Rollback { to } => format!("rollback to {to}"),
            };
            let took = header.ended_at.map_or("-".to_owned(), |ended| {
                words::seconds(ended.duration_since(header.started_at).as_secs_f64())
            });
            let why = header
                .cause
                .as_ref()
                .map(|cause| format!("{}: {}", cause.kind, cause.summary))
                .unwrap_or_default();
            vec![
                header.number.to_string(),
                header.state.to_string(),
                action,
                header.version.clone().unwrap_or_else(|| "-".to_owned()),
                words::ago(header.started_at, now),
                took,
                header.actor.clone(),
                why,
            ]
        })
        .collect();
    table(&["RELEASE", "STATE", "ACTION", "VERSION", "STARTED", "TOOK", "BY", "CAUSE"], &rows)
}

#[cfg(test)]
pub(super) mod tests;
