//! `release demo`: the main job on the embedded default, as a story of two releases.
//!
//! It is `release deploy --env local` twice, in a folder of its own that is gone afterwards.

use std::fs;
use std::path::{Path, PathBuf};

use release_core::Repository;
use release_pipeline::{Ending, Prepared, Report, page, story};

use super::deploy::{Deployment, Done};
use super::target::Place;
use crate::answer;
use crate::args::{self, Args, Deploy, Format};
use crate::error::Failure;
use crate::exit::Exit;
use crate::local;
use crate::signal::Stop;
use crate::talk::Talk;

/// The project, as it lies in the repository.
const PROJECT: &[(&str, &str)] = &[
    ("release.yaml", include_str!("../../../examples/demo/release.yaml")),
    ("player-api/bin/player-api", include_str!("../../../examples/demo/player-api/bin/player-api")),
    ("player-api/www/healthz", include_str!("../../../examples/demo/player-api/www/healthz")),
    (NOW, include_str!("../../../examples/demo/player-api/www/api/now")),
    ("programmes/bin/programmes", include_str!("../../../examples/demo/programmes/bin/programmes")),
    ("programmes/www/healthz", include_str!("../../../examples/demo/programmes/www/healthz")),
    ("programmes/www/api/programmes", include_str!("../../../examples/demo/programmes/www/api/programmes")),
];

/// What is different in the second version.
const NOW: &str = "player-api/www/api/now";
const SECOND: &str = include_str!("../../../examples/demo/second/now");

/// What the programs in the images do.
const APPS: &str = include_str!("../../../examples/demo/apps.yaml");

/// The service whose second version is bad.
const BAD: &str = "player-api";

pub(crate) async fn run(args: &Args, words: &args::Demo, stop: &Stop) -> Result<Exit, Failure> {
    if let Some(path) = &words.report {
        // Better to know now than after the show. What is there stays until there is something better.
        fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .map_err(|source| file("write", path, source))?;
    }
    let stage = Stage::new()?;
    let mut told = Vec::new();
    let mut reports = Vec::new();
    let say = |line: &str| {
        if !args.quiet && args.output != Format::Json {
            answer::say(line);
        }
    };
    say(
        "Two services, a registry and a cluster in this process; the cluster's time runs as fast as it can.\n",
    );
    for version in [1, 2] {
        if version == 2 {
            say("\nNow a version whose pods become ready, and answer errors.\n");
            stage.write(NOW, SECOND)?;
        }
        let talk = Talk::new(args);
        let report = stage.release(args, version, &talk, stop).await?;
        told.extend(talk.tape().envelopes());
        reports.push(report);
    }
    match args.output {
        // The events have been the answer.
        Format::Json => {}
        Format::Text => {
            // What to do next would be about an environment that is gone.
            let screens: Vec<_> = reports.iter().map(|report| story(report, answer::columns())).collect();
            answer::emit(&format!("\n{}", screens.join("\n")))?;
            say(
                "\nWith a project of your own: `release init`, then `release deploy --env local`, or `release rehearse`.",
            );
        }
        Format::Yaml => answer::print(args.output, &reports, String::new)?,
    }
    if let Some(path) = &words.report {
        fs::write(path, page(&told)).map_err(|source| file("write", path, source))?;
        say(&format!("The report of both is in {}", path.display()));
    }
    as_told(&reports)
}

/// Whether the first release was verified and the second rolled back.
fn as_told(reports: &[Report]) -> Result<Exit, Failure> {
    let endings: Vec<_> = reports.iter().map(|report| report.ending.as_ref()).collect();
    match endings.as_slice() {
        [Some(Ending::Verified), Some(Ending::RolledBack { .. })] => Ok(Exit::Done),
        other => Err(Failure::Internal(anyhow::anyhow!("the demo did not go as told: {other:?}"))),
    }
}

/// A folder with the project, what is built of it, and what `local` keeps.
struct Stage {
    folder: PathBuf,
    /// Where the registry listens, for both releases: names of images are part of what is released.
    registry: Repository,
}

impl Stage {
    fn new() -> Result<Self, Failure> {
        // A folder that must not exist yet: nobody can have put a link there.
        let folder = std::env::temp_dir().join(format!("release-demo-{}", std::process::id()));
        fs::create_dir(&folder).map_err(|source| file("make", &folder, source))?;
        let registry = free_address().map_err(|source| file("find a port for", &folder, source))?;
        let stage = Self { folder, registry };
        for (name, text) in PROJECT {
            stage.write(name, text)?;
        }
        Ok(stage)
    }

    fn write(&self, name: &str, text: &str) -> Result<(), Failure> {
        let path = self.folder.join(name);
        let parent = path.parent().map_or(Ok(()), fs::create_dir_all);
        parent.and_then(|()| fs::write(&path, text)).map_err(|source| file("write", &path, source))
    }

    async fn release(&self, args: &Args, version: u8, talk: &Talk, stop: &Stop) -> Result<Report, Failure> {
        let words = Deploy::local(format!("v{version}"));
        let args = Args::about(self.folder.join("release.yaml"), args);
        let deployment = Deployment::read(&args, &words)?.building_in(&self.folder, self.registry.clone());
        let place = deployment.place_in(&self.folder.join("local"))?;
        let scripts = |prepared: &Prepared| {
            let bad = prepared.pinned.iter().find(|(name, _)| name.as_str() == BAD);
            let digest = bad.map(|(_, image)| image.digest.to_string()).unwrap_or_default();
            script(&place, version, &digest)
        };
        let done = deployment.carry_out(&place, talk, stop, &scripts).await;
        talk.finish();
        match done? {
            Done::Released => Ok(talk.report()),
            Done::Previewed { .. } => {
                Err(Failure::Internal(anyhow::anyhow!("the gate of `local` is closed")))
            }
        }
    }
}

/// A repository on a port that nobody listens on now.
fn free_address() -> std::io::Result<Repository> {
    let address = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
    format!("{address}/radio").parse().map_err(std::io::Error::other)
}

impl Drop for Stage {
    fn drop(&mut self) {
        // What is left behind in a temporary folder harms nobody.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Says what the image with that digest does, which is the one of this version.
fn script(place: &Place, version: u8, digest: &str) -> Result<(), Failure> {
    let Some(local) = place.local() else { return Ok(()) };
    let before = local.scripts()?.unwrap_or_else(|| APPS.to_owned());
    let name = if version == 1 { "${FIRST}" } else { "${SECOND}" };
    let scripts = before.replace(name, digest);
    local::scripts(&scripts, "examples/demo/apps.yaml")?;
    Ok(local.keep_scripts(&scripts)?)
}

fn file(verb: &'static str, path: &Path, source: std::io::Error) -> Failure {
    Failure::File { verb, path: path.display().to_string(), hint: None, source }
}
