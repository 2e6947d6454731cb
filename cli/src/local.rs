//! The environment `local` from the command line: where it is kept, and what is different there.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::CommandFactory as _;
use release_core::{ProjectName, ServiceName};
use release_manifest::{ByPlatform, DockerBuild, Environment, ImageSource, NativeBuild, NativeLayer};
use release_pipeline::{Preparation, Prepared, Until};
use release_rehearsal::local::{Local, LocalError, Visit};
use release_rehearsal::well_behaved;
use release_sim::Apps;
use release_sim::apps::ScriptError;

use crate::answer;
use crate::args::Args;
use crate::command::prepare;
use crate::error::Failure;
use crate::signal::Stop;
use crate::talk::Talk;

/// Where the cluster and the registry of a project are kept: in the user's state, a folder a project
/// (<https://specifications.freedesktop.org/basedir-spec/latest/>).
fn folder(project: &ProjectName) -> PathBuf {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = folder("XDG_STATE_HOME")
        .or_else(|| folder("HOME").map(|home| home.join(".local/state")))
        .unwrap_or_else(std::env::temp_dir);
    state.join("release/local").join(project.as_str())
}

/// How long a command waits that says nothing about it: most take less than a second.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How often it is looked whether another command has ended.
const LOOK: Duration = Duration::from_millis(50);

/// When it is said what is waited for.
const SILENT: Duration = Duration::from_secs(1);

/// What a command does while another one works in `local`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Turn {
    /// It waits, so long at most.
    Wait(Duration),
    /// It shows what was there before, because it changes nothing.
    Look,
}

/// Takes what is kept of the project's `local`; nobody else changes it until it is dropped.
pub(crate) async fn open(project: &ProjectName, turn: Turn) -> Result<Local, Failure> {
    let (began, folder) = (Instant::now(), folder(project));
    let mut told = false;
    loop {
        let worker = match Local::open(&folder, &command()) {
            Err(LocalError::Busy { worker, .. }) => worker,
            opened => return Ok(opened?),
        };
        let name = worker.as_ref().map_or_else(|| "another command".to_owned(), ToString::to_string);
        match turn {
            Turn::Look => {
                answer::say(&format!("note: {name} works in `local`; this is how it was before"));
                return Ok(Local::look(&folder));
            }
            Turn::Wait(patience) if began.elapsed() >= patience => {
                return Err(LocalError::Busy { folder, worker }.into());
            }
            Turn::Wait(_) => {}
        }
        if !told && began.elapsed() >= SILENT {
            told = true;
            answer::say(&format!("note: {name} works in `local`; waiting for it to end"));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What this process does, for others: without its words, which may be nobody's business.
pub(crate) fn command() -> String {
    let known = Args::command();
    let is_known = |word: &String| known.get_subcommands().any(|command| command.get_name() == word);
    match std::env::args().skip(1).find(is_known) {
        Some(word) => format!("release {word}"),
        None => "release".to_owned(),
    }
}

/// How the cluster is visited: scripts that were given count first, then images pass the project's own checks.
pub(crate) fn visit(
    local: &Local,
    environment: Option<&Environment>,
    namespace: String,
) -> Result<Visit, Failure> {
    let given = match local.scripts()? {
        Some(yaml) => scripts(&yaml, "the scripts kept in `local`")?,
        None => Apps::default(),
    };
    let apps = match environment {
        Some(environment) => well_behaved(environment, given)
            .map_err(|error| Failure::Usage { message: error.to_string(), hint: None })?,
        None => given,
    };
    Ok(Visit { namespace, apps })
}

/// Reads scripts of applications; `name` is what they are called in a complaint.
pub(crate) fn scripts(yaml: &str, name: &str) -> Result<Apps, Failure> {
    Apps::read(yaml).map_err(|error| unreadable(&error, name, "what applications do"))
}

/// What is told of a file that was to say `what`.
pub(crate) fn unreadable(error: &ScriptError, name: &str, what: &str) -> Failure {
    let why = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    // The first line says what and where; below it the reader has drawn the place again.
    let why = why.lines().next().unwrap_or_default().trim_start_matches("error: ");
    Failure::Usage {
        message: format!("{name} does not say {what}: {why}"),
        hint: Some("docs/reference/simulation.md lists the fields".to_owned()),
    }
}

/// Prepares images for `local`: they are built without an engine and pushed to the embedded registry. Images that exist already are
/// taken as they are: their registry is not asked.
pub(crate) async fn images(
    local: &Local,
    mut preparation: Preparation<'_>,
    talk: &Talk,
    stop: &Stop,
    quiet: bool,
) -> Result<Prepared, Failure> {
    let services = std::mem::take(&mut preparation.services);
    let mut pinned = BTreeMap::new();
    for (name, source) in services {
        match source {
            ImageSource::Pinned(image) => drop(pinned.insert(name, image)),
            ImageSource::Dockerfile(build) => {
                if !quiet {
                    answer::say(&stands_in(&name));
                }
                preparation.services.insert(name, ImageSource::Native(Box::new(stand_in(&build))));
            }
            native @ ImageSource::Native(_) => drop(preparation.services.insert(name, native)),
        }
    }
    let mut prepared = Prepared::default();
    if !preparation.services.is_empty() {
        let wanted = preparation.registry.as_ref().map(release_core::Repository::registry);
        let wanted: Option<SocketAddr> = wanted.and_then(|registry| registry.parse().ok());
        let registry =
            local.registry(wanted.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)))).await?;
        if Some(registry.address()) != wanted {
            let name = format!("{}/{}", registry.address(), preparation.project);
            if !quiet && let Some(wanted) = wanted {
                answer::say(&format!(
                    "note: another program listens on {wanted}; the embedded registry is at {} this time, so images have other names",
                    registry.address()
                ));
            }
            preparation.registry = name.parse().ok();
        }
        prepared = prepare(&preparation, Until::Pushed, talk, stop).await?;
        registry.keep()?;
    }
    prepared.pinned.extend(pinned);
    Ok(prepared)
}

fn stands_in(service: &ServiceName) -> String {
    format!(
        "note: no engine builds images for `local`: the build context of {service} stands in for its image, which is never run"
    )
}

/// An image that is another one whenever something changes in what the Dockerfile is built from.
fn stand_in(build: &DockerBuild) -> NativeBuild {
    let layer =
        |from: &str| NativeLayer { from: ByPlatform::Same(from.to_owned()), to: "/context/".to_owned() };
    NativeBuild {
        layers: vec![layer(&build.context), layer(&build.dockerfile)],
        labels: build.args.iter().map(|(name, value)| (format!("build-arg.{name}"), value.clone())).collect(),
        ..NativeBuild::default()
    }
}
