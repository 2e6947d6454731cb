//! What is said about an image that was built: its SBOM and its provenance.
//!
//! Files of the project are read here, and the image's layers, from a layout. Nothing is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};

use release_core::{Digest, PinnedImage, ServiceName};
use release_image::{
    BuildType, Contents, LockfileError, MAX_LOCK_BYTES, Material, Package, Provenance, Sbom, Stored,
    StoredError, Wanted, cargo_packages, distribution_packages, is_package_database,
};
use release_manifest::{ByPlatform, ImageSource, NativeBuild};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{Attest, SupplyError};

/// The name of a lock file that is looked for.
const LOCKFILE: &str = "Cargo.lock";

/// A lock file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lockfile {
    /// Relative to the project's folder.
    path: String,
    text: String,
}

impl Lockfile {
    /// The lock file of a service: the one that is named, or the nearest above what the image is made from.
    pub(super) fn find(root: &Path, source: &ImageSource) -> Result<Option<Self>, SupplyError> {
        let (named, start) = match source {
            ImageSource::Native(build) => (build.lockfile.as_deref(), made_from(build).into_iter().next()),
            ImageSource::Dockerfile(build) => (build.lockfile.as_deref(), Some(build.dockerfile.clone())),
            ImageSource::Pinned(_) => return Ok(None),
        };
        if let Some(path) = named {
            return Self::read(root, path).map(Some);
        }
        let Some(start) = start else { return Ok(None) };
        let found = above(&start).find(|folder| root.join(folder).join(LOCKFILE).is_file());
        found.map(|folder| Self::read(root, &folder.join(LOCKFILE).to_string_lossy())).transpose()
    }

    fn read(root: &Path, path: &str) -> Result<Self, SupplyError> {
        let fail = |source| SupplyError::File { path: path.to_owned(), source };
        let mut text = String::new();
        let file = std::fs::File::open(root.join(path)).map_err(fail)?;
        file.take(MAX_LOCK_BYTES).read_to_string(&mut text).map_err(fail)?;
        Ok(Self { path: path.to_owned(), text })
    }

    fn packages(&self, source: &ImageSource, service: &ServiceName) -> Result<Vec<Package>, SupplyError> {
        let mut programs = BTreeSet::from([service.to_string()]);
        if let ImageSource::Native(build) = source {
            let paths = made_from(build);
            let names = paths.iter().filter_map(|path| Path::new(path).file_name());
            programs.extend(names.map(|name| name.to_string_lossy().into_owned()));
        }
        cargo_packages(&self.text, &self.path, &programs)
            .map_err(|source: LockfileError| SupplyError::Lockfile { path: self.path.clone(), source })
    }
}

/// What an image is made from, for every platform, the program first: that by its place in cargo's folder, wherever this is.
fn made_from(build: &NativeBuild) -> Vec<String> {
    let fallback = [String::new()];
    let platforms = if build.platforms.is_empty() { &fallback[..] } else { &build.platforms };
    let programs = build.rust.iter().flat_map(|rust| platforms.iter().filter_map(|on| rust.within(on)));
    let layers = build.layers.iter().flat_map(|layer| platforms.iter().filter_map(|on| layer.from.of(on)));
    programs.chain(layers).collect()
}

/// The folders above a path, the nearest first, up to the project's: never out of it.
fn above(path: &str) -> impl Iterator<Item = PathBuf> {
    let plain: PathBuf =
        Path::new(path).components().filter(|component| matches!(component, Component::Normal(_))).collect();
    let folders: Vec<PathBuf> = plain.ancestors().skip(1).map(Path::to_owned).collect();
    folders.into_iter()
}

/// What a document is about.
pub(super) struct About<'a> {
    pub(super) service: &'a ServiceName,
    pub(super) source: &'a ImageSource,
    pub(super) image: &'a PinnedImage,
    /// What it is built on, if that was pulled.
    pub(super) base: Option<&'a PinnedImage>,
    /// `SOURCE_DATE_EPOCH`, if it is given.
    pub(super) created: Option<u64>,
}

impl About<'_> {
    /// What is in the image. Reads all of its layers, of every platform.
    pub(super) fn sbom(&self, stored: &Stored, lockfile: Option<&Lockfile>) -> Result<Sbom, SupplyError> {
        let mut packages = match lockfile {
            Some(lockfile) => lockfile.packages(self.source, self.service)?,
            None => Vec::new(),
        };
        let mut distribution = None;
        let wanted = Wanted { hashes: false, keep: &is_package_database };
        for image in stored.images(&self.image.digest).map_err(unread)? {
            let layers = stored.layers(&image, wanted).map_err(unread)?;
            let (found, more) = distribution_packages(&Contents::stack(&layers).kept(&layers));
            distribution = distribution.or(found);
            packages.extend(more);
        }
        Ok(Sbom { image: self.image.clone(), created: self.created, distribution, packages })
    }

    /// Where the image comes from.
    pub(super) fn provenance(&self, attest: &Attest, lockfile: Option<&Lockfile>) -> Provenance {
        let mut external = Map::new();
        external.insert("service".to_owned(), self.service.as_str().into());
        let build_type = match self.source {
            ImageSource::Native(build) => {
                let layers: Vec<Value> = build
                    .layers
                    .iter()
                    .map(|layer| match &layer.from {
                        ByPlatform::Same(from) => json!({"from": from, "to": layer.to}),
                        ByPlatform::Each(from) => json!({"from": from, "to": layer.to}),
                    })
                    .collect();
                external.insert("layers".to_owned(), layers.into());
                external.insert("rust".to_owned(), json!(build.rust.as_ref().map(|rust| &rust.bin)));
                external.insert("platforms".to_owned(), json!(build.platforms));
                BuildType::Native
            }
            ImageSource::Dockerfile(build) => {
                external.insert("dockerfile".to_owned(), build.dockerfile.as_str().into());
                external.insert("context".to_owned(), build.context.as_str().into());
                external.insert("target".to_owned(), json!(build.target));
                external.insert("args".to_owned(), json!(build.args));
                external.insert("platform".to_owned(), json!(build.platform));
                // Names only: what secrets are, and where, is nobody's business, and an address can have a password in it.
                external.insert("secrets".to_owned(), names(&build.secrets));
                external.insert("ssh".to_owned(), names(&build.ssh));
                external.insert("contexts".to_owned(), names(&build.contexts));
                BuildType::Dockerfile
            }
            // Nobody here built it.
            ImageSource::Pinned(_) => BuildType::Native,
        };
        external.retain(|_, value| !value.is_null());
        let mut internal = Map::new();
        internal.extend(self.created.map(|created| ("sourceDateEpoch".to_owned(), created.into())));
        Provenance {
            build_type,
            external,
            internal,
            materials: materials(attest, self.base, lockfile),
            builder: attest.builder.id.clone(),
            invocation: attest.builder.invocation.clone(),
            created: self.created,
        }
    }
}

/// The names in a map; nothing when there are none.
fn names<T>(map: &BTreeMap<String, T>) -> Value {
    if map.is_empty() { Value::Null } else { map.keys().map(String::as_str).collect() }
}

fn unread(source: StoredError) -> SupplyError {
    SupplyError::Stored { source: Box::new(source) }
}

fn materials(attest: &Attest, base: Option<&PinnedImage>, lockfile: Option<&Lockfile>) -> Vec<Material> {
    let sources = attest.sources.as_ref().map(|sources| Material {
        name: "source".to_owned(),
        uri: sources.uri(),
        digest: BTreeMap::from([("gitCommit".to_owned(), sources.commit.clone())]),
        annotations: sources.dirty.then(|| ("dirty".to_owned(), "true".to_owned())).into_iter().collect(),
    });
    let lockfile = lockfile.map(|lockfile| {
        let digest = Digest::from_sha256(Sha256::digest(&lockfile.text).into());
        Material {
            name: lockfile.path.clone(),
            uri: None,
            digest: BTreeMap::from([("sha256".to_owned(), digest.hex().to_owned())]),
            annotations: BTreeMap::new(),
        }
    });
    let base = base.map(|image| Material {
        name: "base".to_owned(),
        uri: Some(format!("docker://{image}")),
        digest: BTreeMap::from([("sha256".to_owned(), image.digest.hex().to_owned())]),
        annotations: BTreeMap::new(),
    });
    sources.into_iter().chain(lockfile).chain(base).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_file_is_looked_for_up_to_the_projects_folder_and_no_further() {
        let folders = |path: &str| -> Vec<String> {
            above(path).map(|folder| folder.to_string_lossy().into_owned()).collect()
        };
        assert_eq!(folders("target/release/player"), ["target/release", "target", ""]);
        assert_eq!(folders("player"), [""]);
        assert_eq!(folders("./a/b"), ["a", ""]);
        assert_eq!(folders("../../etc/passwd"), ["etc", ""]);
    }
}
