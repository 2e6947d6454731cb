//! `release build` and `release push`.

use std::collections::BTreeMap;
use std::path::Path;

use release_core::ServiceName;
use release_manifest::{Images, LOCAL};
use release_pipeline::{Event, Preparation, Until};

use super::images::{base_cache, build_records, image_cache, prepare, source_date_epoch};
use super::supply::attest;
use crate::answer;
use crate::args::{Args, Build, Format};
use crate::error::Failure;
use crate::exit::Exit;
use crate::local::{self, Turn};
use crate::signal::Stop;
use crate::talk::Talk;
use crate::workspace::{Workspace, cargo_target, git_revision, named, source_revisions, warn};

pub(crate) async fn run(
    args: &Args,
    words: &Build,
    until: Until,
    layout: Option<&Path>,
    talk: &Talk,
    stop: &Stop,
) -> Result<Exit, Failure> {
    let workspace = Workspace::load(args)?;
    let images = match &words.env {
        Some(env) => {
            let environment = workspace.environment(env, args.quiet)?;
            let services = environment
                .services
                .iter()
                .map(|(name, service)| (name.clone(), service.image.clone()))
                .collect();
            Images {
                registry: environment.registry,
                supply: environment.supply,
                services,
                warnings: Vec::new(),
            }
        }
        None => workspace.project.images()?,
    };
    if !args.quiet {
        warn(&images.warnings);
    }
    let only = named(&words.services, &images.services.keys().cloned().collect())?;
    let services: BTreeMap<_, _> =
        images.services.into_iter().filter(|(name, _)| only.is_empty() || only.contains(name)).collect();
    let preparation = Preparation {
        root: &workspace.root,
        project: workspace.project.name(),
        registry: images.registry,
        revisions: source_revisions(&workspace.root, &services),
        cargo_target: cargo_target(&workspace.root, &services),
        services,
        version: words.version.version.clone().or_else(|| git_revision(&workspace.root)),
        images: match layout {
            Some(dir) => release_pipeline::Images::Layout(dir.to_owned()),
            None => image_cache(workspace.project.name()),
        },
        bases: base_cache(),
        records: build_records(workspace.project.name()),
        no_cache: words.no_cache,
        created: source_date_epoch()?,
        attest: match until {
            Until::Pushed if words.env.as_deref() != Some(LOCAL) => attest(&workspace.root, &images.supply)?,
            _ => None,
        },
    };
    let local = match words.env.as_deref() {
        Some(LOCAL) if layout.is_none() => {
            Some(stop.or(local::open(workspace.project.name(), Turn::Wait(local::PATIENCE))).await?)
        }
        _ => None,
    };
    let prepared = match &local {
        Some(local) => local::images(local, preparation, talk, stop, args.quiet).await?,
        None => prepare(&preparation, until, talk, stop).await?,
    };
    talk.finish();
    let images: BTreeMap<ServiceName, String> = match until {
        Until::Pushed => prepared.pinned.into_iter().map(|(name, image)| (name, image.to_string())).collect(),
        Until::Built => prepared.built,
    };
    if args.output == Format::Json {
        talk.tell(Event::Prepared { images });
    } else {
        answer::print(args.output, &images, || lines(&images))?;
    }
    Ok(Exit::Done)
}

/// The image lock, or what resembles it before a push.
fn lines(images: &BTreeMap<ServiceName, String>) -> String {
    images.iter().map(|(service, image)| format!("{service} {image}\n")).collect()
}
