//! What this crate reads from disk, each with a limit. Everything else in it is pure.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::init::{Dockerfile, Findings};
use crate::{MAX_CONFIG_BYTES, ProjectError, Source};

/// How deep [`find`] looks: deep enough for `services/radio/player/Dockerfile`.
const MAX_DEPTH: usize = 4;
/// How many files and folders [`find`] looks at, so that it ends in a home directory too.
const MAX_ENTRIES: usize = 20_000;
/// How much of a Dockerfile [`find`] reads.
const MAX_DOCKERFILE_BYTES: u64 = 256 * 1024;
/// Folders that hold other people's files, or products.
const SKIPPED: &[&str] = &["node_modules", "target", "vendor", "dist", "build", "venv"];
/// Names under which folders with Kubernetes manifests are found.
const MANIFEST_DIRS: &[&str] = &["k8s", "kubernetes", "manifests", "charts", "helm", "kustomize"];

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SourcesError {
    /// The system refused.
    #[error("cannot read {}", path.display())]
    Io {
        /// What was to be read.
        path: PathBuf,
        /// Why it could not be.
        #[source]
        source: io::Error,
    },
    /// The text is no `release.yaml`.
    #[error(transparent)]
    Project(#[from] ProjectError),
    /// The files of a config folder do not fit into a ConfigMap.
    #[error(
        "the files in {} have more than {MAX_CONFIG_BYTES} bytes, which is what a ConfigMap takes: leave large files to the image or a volume",
        path.display()
    )]
    TooLarge {
        /// The folder.
        path: PathBuf,
    },
    /// A file has a name that is not UTF-8.
    #[error("the name of {} is not UTF-8", path.display())]
    Name {
        /// The file.
        path: PathBuf,
    },
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> SourcesError {
    move |source| SourcesError::Io { path: path.to_owned(), source }
}

fn read_at_most(path: &Path, limit: u64) -> Result<Vec<u8>, SourcesError> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(failed(path))?;
    file.take(limit).read_to_end(&mut bytes).map_err(failed(path))?;
    Ok(bytes)
}

/// Reads a `release.yaml`.
///
/// # Errors
/// When it cannot be read, is not UTF-8, or is larger than [`Source::MAX_BYTES`].
pub fn load(path: &Path) -> Result<Source, SourcesError> {
    // One byte more than allowed tells a file that is too large.
    let limit = u64::try_from(Source::MAX_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let bytes = read_at_most(path, limit)?;
    Ok(Source::from_bytes(path.display().to_string(), &bytes)?)
}

/// The files of a config folder by name, for [`crate::RenderContext::files`]. Subfolders and files whose name
/// starts with a dot are not taken.
///
/// # Errors
/// When the folder or a file cannot be read, or they are larger than a ConfigMap together.
pub fn read_config_dir(dir: &Path) -> Result<BTreeMap<String, Vec<u8>>, SourcesError> {
    let mut files = BTreeMap::new();
    let mut left = MAX_CONFIG_BYTES;
    for entry in fs::read_dir(dir).map_err(failed(dir))? {
        let path = entry.map_err(failed(dir))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            return Err(SourcesError::Name { path });
        };
        if name.starts_with('.') || !fs::metadata(&path).map_err(failed(&path))?.is_file() {
            continue;
        }
        let limit = u64::try_from(left).unwrap_or(u64::MAX).saturating_add(1);
        let bytes = read_at_most(&path, limit)?;
        let size = bytes.len() + name.len();
        left = left.checked_sub(size).ok_or_else(|| SourcesError::TooLarge { path: dir.to_owned() })?;
        files.insert(name.to_owned(), bytes);
    }
    Ok(files)
}

/// Looks for Dockerfiles and folders with manifests. Links are not followed; what cannot be read is passed over.
///
/// # Errors
/// When `root` itself cannot be read.
pub fn find(root: &Path) -> Result<Findings, SourcesError> {
    fs::read_dir(root).map_err(failed(root))?;
    let full = root.canonicalize().map_err(failed(root))?;
    let name = full.file_name().map(|name| name.to_string_lossy().into_owned());
    let mut findings = Findings { project: name.unwrap_or_default(), ..Findings::default() };
    let mut left = MAX_ENTRIES;
    walk(root, "", MAX_DEPTH, &mut left, &mut findings);
    // The shortest way first: the Dockerfile of the project's own folder is the main one.
    findings.dockerfiles.sort_by_key(|file| (file.path.matches('/').count(), file.path.clone()));
    findings.manifest_dirs.sort();
    Ok(findings)
}

fn walk(folder: &Path, prefix: &str, depth: usize, left: &mut usize, findings: &mut Findings) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut entries: Vec<_> = entries.filter_map(Result::ok).take(*left).collect();
    *left -= entries.len();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (Ok(kind), Ok(name)) = (entry.file_type(), entry.file_name().into_string()) else { continue };
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
        if kind.is_dir() {
            if MANIFEST_DIRS.contains(&name.as_str()) {
                findings.manifest_dirs.push(path.clone());
            }
            if depth > 1 && !name.starts_with('.') && !SKIPPED.contains(&name.as_str()) {
                walk(&entry.path(), &path, depth - 1, left, findings);
            }
        } else if kind.is_file() && is_dockerfile(&name) {
            let bytes = read_at_most(&entry.path(), MAX_DOCKERFILE_BYTES).unwrap_or_default();
            findings.dockerfiles.push(Dockerfile::read(&path, &String::from_utf8_lossy(&bytes)));
        }
    }
}

fn is_dockerfile(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let stem = lower.strip_prefix("dockerfile.").is_some_and(|rest| rest != "dockerignore");
    lower == "dockerfile" || lower == "containerfile" || stem || lower.ends_with(".dockerfile")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, bytes) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        root
    }

    #[test]
    fn finds_dockerfiles_and_manifests_and_not_other_peoples() {
        let root = folder(&[
            ("services/web/Dockerfile", b"FROM scratch\nEXPOSE 80\n"),
            ("Dockerfile", b"FROM scratch\nUSER 7\n"),
            ("Dockerfile.dockerignore", b"x"),
            ("worker.Dockerfile", b""),
            ("node_modules/x/Dockerfile", b""),
            (".cache/Dockerfile", b""),
            ("a/b/c/d/Dockerfile", b""),
            ("deploy/k8s/web.yaml", b""),
        ]);
        let found = find(root.path()).unwrap();
        let paths: Vec<_> = found.dockerfiles.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["Dockerfile", "worker.Dockerfile", "services/web/Dockerfile"]);
        assert_eq!(found.dockerfiles[0].user.as_deref(), Some("7"));
        assert_eq!(found.dockerfiles[2].port, Some(80));
        assert_eq!(found.manifest_dirs, ["deploy/k8s"]);
    }

    #[test]
    fn reads_config_files_up_to_the_limit() {
        let root = folder(&[("a.ini", b"x"), (".hidden", b"y"), ("sub/b.ini", b"z")]);
        let files = read_config_dir(root.path()).unwrap();
        assert_eq!(files, [("a.ini".to_owned(), b"x".to_vec())].into());
        fs::write(root.path().join("big"), vec![0; MAX_CONFIG_BYTES]).unwrap();
        assert!(matches!(read_config_dir(root.path()), Err(SourcesError::TooLarge { .. })));
        let missing = read_config_dir(&root.path().join("none")).unwrap_err();
        assert!(missing.to_string().starts_with("cannot read "), "{missing}");
    }

    #[test]
    fn loads_a_file_with_its_name() {
        let root = folder(&[("release.yaml", b"project: radio\n"), ("latin1.yaml", b"caf\xe9")]);
        let path = root.path().join("release.yaml");
        assert_eq!(load(&path).unwrap().name(), path.display().to_string());
        assert!(matches!(load(&root.path().join("latin1.yaml")), Err(SourcesError::Project(_))));
        assert!(matches!(load(root.path()), Err(SourcesError::Io { .. })));
    }
}
