//! `release build` and `release push`.

use std::collections::BTreeMap;

use release_cluster::Clock;
use release_manifest::Images;
use release_pipeline::{ImageLock, Preparation, Until};

use super::images::prepare;
use crate::answer;
use crate::args::{Args, Build, Format};
use crate::error::Failure;
use crate::signal::Stop;
use crate::talk::Talk;
use crate::workspace::{Workspace, git_revision, named};

pub(crate) async fn run(args: &Args, words: &Build, until: Until, stop: &Stop) -> Result<u8, Failure> {
    let workspace = Workspace::load(args)?;
    let images = match &words.env {
        Some(env) => {
            let environment = workspace.environment(env, args.quiet)?;
            let services = environment
                .services
                .iter()
                .map(|(name, service)| (name.clone(), service.image.clone()))
                .collect();
            Images { registry: environment.registry, services, warnings: Vec::new() }
        }
        None => workspace.project.images()?,
    };
    if !args.quiet {
        for warning in &images.warnings {
            eprintln!("warning: {warning}");
        }
    }
    let only = named(&words.services, &images.services.keys().cloned().collect())?;
    let services: BTreeMap<_, _> =
        images.services.into_iter().filter(|(name, _)| only.is_empty() || only.contains(name)).collect();
    let clock = Clock::system();
    let talk = Talk::new(args, &clock);
    let preparation = Preparation {
        root: &workspace.root,
        project: workspace.project.name(),
        registry: images.registry,
        services,
        version: words.version.version.clone().or_else(|| git_revision(&workspace.root)),
    };
    let prepared = prepare(&preparation, until, &talk, stop).await?;
    talk.finish();
    match until {
        Until::Pushed => {
            let lock = ImageLock(prepared.pinned);
            answer_lines(
                args,
                lock.0.iter().map(|(name, image)| (name.to_string(), image.to_string())).collect(),
            );
        }
        Until::Built => {
            answer_lines(args, prepared.built.into_iter().map(|(name, id)| (name.to_string(), id)).collect());
        }
    }
    Ok(0)
}

fn answer_lines(args: &Args, lines: BTreeMap<String, String>) {
    if args.output == Format::Json {
        for (service, image) in lines {
            answer::json_line(
                &serde_json::json!({"v": 1, "type": "image", "service": service, "image": image}),
            );
        }
    } else {
        answer::emit(
            &lines.iter().map(|(service, image)| format!("{service} {image}\n")).collect::<String>(),
        );
    }
}
