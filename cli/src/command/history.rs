//! `release history`: the releases the cluster remembers.

use jiff::Timestamp;
use release_cluster::{Action, Header};

use super::target::connect;
use crate::answer::{self, table};
use crate::args::{Args, Environment};
use crate::error::Failure;
use crate::words;

pub(crate) async fn run(args: &Args, words: &Environment) -> Result<u8, Failure> {
    let target = connect(args, words).await?;
    let headers = &target.found.headers;
    answer::print(args.output, headers, || text(headers, Timestamp::now()))?;
    Ok(0)
}

fn text(headers: &[Header], now: Timestamp) -> String {
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
