//! Packages of a `Cargo.lock`, versions 1 to 4.
//!
//! A lock file lists what any part of the workspace may be built with, on any platform and for its tests. When a program's
//! name is that of a package in it, only what that package needs is taken; features, platforms and development
//! dependencies are not known to the file, so the list can still be too long. It is never too short.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::package::{Package, purl};

/// The largest lock file that is read. Workspaces of a thousand packages have about 300 KiB.
pub const MAX_LOCK_BYTES: u64 = 16 * 1024 * 1024;

/// Why a lock file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockfileError {
    /// It is no TOML, or has other fields.
    #[error("it is no Cargo.lock: {why}")]
    Form {
        /// What the parser says.
        why: String,
    },
}

#[derive(Deserialize)]
struct Lock {
    #[serde(default)]
    package: Vec<Locked>,
    /// Version 1 keeps checksums here.
    #[serde(default)]
    metadata: BTreeMap<String, toml::Value>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    source: Option<String>,
    checksum: Option<String>,
    #[serde(default)]
    dependencies: Vec<String>,
}

impl Locked {
    fn purl(&self) -> String {
        let source = self.source.as_deref().unwrap_or_default();
        // `git+https://…?branch=main#REVISION`: the revision is what counts.
        let git = source.strip_prefix("git+").map(|rest| {
            let (url, revision) = rest.rsplit_once('#').unwrap_or((rest, ""));
            let url = url.split('?').next().unwrap_or(url);
            format!("git+{url}@{revision}")
        });
        purl("cargo", &[], &self.name, &self.version, &[("vcs_url", git.as_deref().unwrap_or_default())])
    }

    /// Whether a line of `dependencies` means this package: `name`, `name version` or `name version (source)`.
    fn is_meant(&self, line: &str) -> bool {
        let mut words = line.splitn(3, ' ');
        let source = |text: &str| Some(text.trim_matches(['(', ')'])) == self.source.as_deref();
        words.next() == Some(&*self.name)
            && words.next().is_none_or(|version| version == self.version)
            && words.next().is_none_or(source)
    }
}

/// The packages of the lock file `text`, found at `path`. `programs` are names of what the image is made from: of a program
/// that is a package of the workspace only what it needs is taken.
///
/// # Errors
/// When it is no lock file.
pub fn cargo_packages(
    text: &str,
    path: &str,
    programs: &BTreeSet<String>,
) -> Result<Vec<Package>, LockfileError> {
    let lock: Lock =
        toml::from_str(text).map_err(|error| LockfileError::Form { why: error.message().to_owned() })?;
    let mut by_name: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, package) in lock.package.iter().enumerate() {
        by_name.entry(&package.name).or_default().push(index);
    }
    let needs = |index: usize| -> Vec<usize> {
        let lines = lock.package[index].dependencies.iter();
        let meant = |line: &String| {
            let name = line.split(' ').next().unwrap_or_default();
            let mut all = by_name.get(name).into_iter().flatten().copied();
            all.find(|candidate| lock.package[*candidate].is_meant(line))
        };
        lines.filter_map(meant).collect()
    };
    let own = |package: &Locked| package.source.is_none();
    let roots: Vec<usize> = (0..lock.package.len())
        .filter(|index| own(&lock.package[*index]) && programs.contains(&lock.package[*index].name))
        .collect();
    let mut taken: BTreeSet<usize> = BTreeSet::new();
    let mut open = if roots.is_empty() { (0..lock.package.len()).collect() } else { roots };
    while let Some(index) = open.pop() {
        if taken.insert(index) {
            open.extend(needs(index));
        }
    }
    let checksum = |package: &Locked| {
        let old = || {
            let source = package.source.as_deref()?;
            let key = format!("checksum {} {} ({source})", package.name, package.version);
            lock.metadata.get(&key)?.as_str().map(str::to_owned)
        };
        let digits = |text: &String| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        package.checksum.clone().or_else(old).filter(digits)
    };
    let mut packages: Vec<Package> = taken
        .into_iter()
        .map(|index| {
            let package = &lock.package[index];
            let mut needed: Vec<String> =
                needs(index).into_iter().map(|needed| lock.package[needed].purl()).collect();
            needed.sort();
            needed.dedup();
            Package {
                purl: package.purl(),
                name: package.name.clone(),
                version: package.version.clone(),
                own: own(package),
                sha256: checksum(package),
                licence: None,
                found_in: path.to_owned(),
                needs: needed,
            }
        })
        .collect();
    packages.sort();
    Ok(packages)
}

#[cfg(test)]
mod tests;
