//! The files a project names: what its images are made from, and its keys. They are looked at, not judged: whether a Dockerfile
//! builds is for the build to say.

use std::path::Path;

use release_core::{Platform, ServiceName};
use release_manifest::{ImageSource, NativeBase, NativeBuild};

use super::{Finding, Wanted, bad, good};
use crate::command::supply::{signing_key, verifying_key};
use crate::workspace::cargo_target;

/// Whether what images are built from is there: a line in all, or a line for each service whose is not.
pub(super) fn images(wanted: &Wanted) -> Vec<Finding> {
    let cargo = cargo_target(&wanted.root, &wanted.services);
    let missing = |(name, source)| missing(name, source, &wanted.root, &cargo);
    let found: Vec<Finding> = wanted.services.iter().filter_map(missing).collect();
    let built = wanted.services.values().filter(|source| source.is_built()).count();
    if built == 0 || !found.is_empty() {
        return found;
    }
    let services = if built == 1 { "1 service is".to_owned() } else { format!("{built} services are") };
    vec![good("images", format!("what {services} built from is there"))]
}

/// What the image of a service is built from and is not there.
fn missing(name: &ServiceName, source: &ImageSource, root: &Path, cargo: &Path) -> Option<Finding> {
    let (paths, hint) = match source {
        ImageSource::Pinned(_) => return None,
        ImageSource::Dockerfile(build) if root.join(&build.dockerfile).is_file() => return None,
        ImageSource::Dockerfile(build) => {
            let hint = "write it, or name another one: `image: {dockerfile: PATH}`";
            (vec![root.join(&build.dockerfile).display().to_string()], hint)
        }
        ImageSource::Native(build) => {
            let paths = missing_of(build, root, cargo);
            let cargo = build.rust.is_some() && paths.iter().any(|path| Path::new(path).starts_with(cargo));
            let hint = if cargo {
                "cargo builds the program, for the `profile` and `target` of `rust`; what other tools make is made first"
            } else {
                "paths are relative to the folder of the project file; what other tools make is made first"
            };
            (paths, hint)
        }
    };
    let are = match paths.as_slice() {
        [] => return None,
        [_] => "which is",
        _ => "which are",
    };
    let text = format!("service `{name}` is built from {}, {are} not there", paths.join(", "));
    Some(Finding { what: "images", good: false, text, hint: Some(hint.to_owned()) })
}

/// Of a build without a Dockerfile, each path once.
fn missing_of(build: &NativeBuild, root: &Path, cargo: &Path) -> Vec<String> {
    let own = [Platform::default().to_string()];
    let platforms = if build.platforms.is_empty() { &own[..] } else { &build.platforms };
    let base = match &build.base {
        NativeBase::Layout(folder) => Some(Path::new(folder).join("oci-layout").display().to_string()),
        NativeBase::Scratch | NativeBase::Image(_) => None,
    };
    let layers = build.layers.iter().flat_map(|layer| platforms.iter().filter_map(|on| layer.from.of(on)));
    let programs = build.rust.iter().flat_map(|rust| platforms.iter().filter_map(|on| rust.within(on)));
    let programs = programs.map(|within| cargo.join(within).display().to_string());
    let mut paths = Vec::new();
    for path in base.into_iter().chain(layers).chain(programs).chain(build.lockfile.clone()) {
        if !root.join(&path).exists() && !paths.contains(&path) {
            paths.push(path);
        }
    }
    paths
}

/// Whether the keys can be read, and are keys. Nothing of them is told.
pub(super) fn keys(wanted: &Wanted) -> Vec<Finding> {
    let said = |what, place: &dyn std::fmt::Display, read| match read {
        Ok(()) => good(what, place.to_string()),
        Err(failure) => bad(what, &failure),
    };
    let signing = wanted.supply.key.iter();
    let signing = signing.map(|place| said("signing key", place, signing_key(&wanted.root, place).map(drop)));
    let policy = wanted.environment.iter().filter_map(|environment| environment.signed.as_ref());
    let policy = policy
        .flat_map(|signed| &signed.keys)
        .map(|place| said("policy key", place, verifying_key(&wanted.root, place).map(drop)));
    signing.chain(policy).collect()
}
