//! `release render`: the manifests of an environment, byte-identical for identical input.

use release_core::{Digest, PinnedImage, Repository};
use release_manifest::{ImageSource, Object, Service, render, to_yaml};
use release_pipeline::ImageLock;

use crate::answer;
use crate::args::{Args, Format, Render};
use crate::error::Failure;
use crate::exit::Exit;
use crate::workspace::{Workspace, built, check_lock, image_lock, lock_suffices, named};

pub(crate) fn run(args: &Args, words: &Render) -> Result<Exit, Failure> {
    let workspace = Workspace::load(args)?;
    let environment = workspace.environment(&words.env, args.quiet)?;
    let known = environment.services.keys().cloned().collect();
    let only = named(&words.services, &known)?;
    let lock = words.images.as_deref().map(image_lock).transpose()?;
    if let Some(lock) = &lock {
        check_lock(lock, &known)?;
        lock_suffices(lock, built(&environment, &only))?;
    }
    let lock = lock.unwrap_or_default();
    let mut objects = Vec::new();
    let mut made_up = false;
    for service in
        environment.services.values().filter(|service| only.is_empty() || only.contains(&service.name))
    {
        let image = if let Some(image) = pinned(service, &lock) {
            image
        } else {
            made_up = true;
            placeholder(service, environment.registry.as_ref())?
        };
        let context = environment.render_context(workspace.files(service)?);
        objects.extend(
            render(service, &image, &context)
                .map_err(|source| Failure::Render { service: service.name.to_string(), source })?,
        );
    }
    if made_up && !args.quiet {
        answer::say(
            "note: an image that is not built yet shows an all-zero digest; give --images FILE (from `release push`) to see the real one",
        );
    }
    manifests(args, &objects)?;
    Ok(Exit::Done)
}

/// Prints manifests: a YAML stream, or as JSON a list that `kubectl apply` takes.
pub(super) fn manifests(args: &Args, objects: &[Object]) -> Result<(), Failure> {
    match args.output {
        Format::Json => {
            let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": objects});
            answer::emit(&format!("{}\n", serde_json::to_string_pretty(&list).map_err(anyhow::Error::from)?))
        }
        Format::Text | Format::Yaml => answer::emit(&to_yaml(objects)),
    }
}

fn pinned(service: &Service, lock: &ImageLock) -> Option<PinnedImage> {
    lock.0.get(&service.name).cloned().or_else(|| match &service.image {
        ImageSource::Pinned(image) => Some(image.clone()),
        ImageSource::Dockerfile(_) | ImageSource::Native(_) => None,
    })
}

/// What stands where a digest will be: rendering must not need a build.
pub(super) fn placeholder(service: &Service, registry: Option<&Repository>) -> Result<PinnedImage, Failure> {
    let repository = match registry {
        Some(registry) => registry.join(service.name.as_str()),
        None => format!("registry.invalid/{}", service.name).parse(),
    };
    let repository = repository.map_err(|error| Failure::Usage { message: error.to_string(), hint: None })?;
    Ok(repository.at(Digest::from_sha256([0; 32])))
}
