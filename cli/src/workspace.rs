//! What lies around the project file: the file itself, image locks, config folders, the git revision, who is asking.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use release_cluster::Access;
use release_core::ServiceName;
use release_manifest::sources::SourcesError;
use release_manifest::{Environment, ImageSource, Problem, Project, Service, Set, closest, sources};
use release_pipeline::{Expect, ImageLock};
use serde::Deserialize;

use crate::answer;
use crate::args::{self, Args};
use crate::error::{Failure, color};

/// An image lock is a line a service; this is thousands of services.
const LOCK_MAX: u64 = 1 << 20;

/// A project file, read.
pub(crate) struct Workspace {
    pub(crate) project: Project,
    /// The folder of the project file; paths in it are relative to it.
    pub(crate) root: PathBuf,
}

impl Workspace {
    pub(crate) fn load(args: &Args) -> Result<Self, Failure> {
        let source = sources::load(&args.config).map_err(|error| no_project(&args.config, error))?;
        let sets = args.set.iter().map(|set| set.parse::<Set>()).collect::<Result<Vec<_>, _>>();
        let sets = sets.map_err(|error| Failure::Usage { message: error.to_string(), hint: None })?;
        let project = Project::parse(&source, &|name| std::env::var(name).ok(), &sets)?;
        let parent = args.config.parent().filter(|parent| !parent.as_os_str().is_empty());
        Ok(Self { project, root: parent.unwrap_or(Path::new("")).to_owned() })
    }

    /// The environment, with its warnings shown.
    pub(crate) fn environment(&self, name: &str, quiet: bool) -> Result<Environment, Failure> {
        let environment = self.project.environment(name)?;
        if !quiet {
            warn(&environment.warnings);
        }
        Ok(environment)
    }

    /// The contents of a service's config folder.
    pub(crate) fn files(&self, service: &Service) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
        match service.config.as_ref().and_then(|config| config.files.as_ref()) {
            Some(folder) => Ok(sources::read_config_dir(&self.root.join(folder))?),
            None => Ok(BTreeMap::new()),
        }
    }
}

/// Tells what is probably not meant.
pub(crate) fn warn(warnings: &[Problem]) {
    for warning in warnings {
        answer::say(&warning.render(color()));
    }
}

/// A project file that does not exist needs another hint than one that cannot be read.
fn no_project(path: &Path, error: SourcesError) -> Failure {
    match error {
        SourcesError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => Failure::Usage {
            message: format!("there is no {}", path.display()),
            hint: Some("`release init` writes a first one; --config names one that is elsewhere".to_owned()),
        },
        error => error.into(),
    }
}

/// The services somebody named, checked against those there are.
pub(crate) fn named(
    words: &[String],
    known: &BTreeSet<ServiceName>,
) -> Result<BTreeSet<ServiceName>, Failure> {
    words
        .iter()
        .map(|word| {
            known.iter().find(|name| name.as_str() == word).cloned().ok_or_else(|| Failure::Usage {
                message: format!("the project has no service `{word}`"),
                hint: Some(suggestion(word, known)),
            })
        })
        .collect()
}

/// Whether a lock is one of this project: a misspelt or foreign line must not look like an image that was given.
pub(crate) fn check_lock(lock: &ImageLock, known: &BTreeSet<ServiceName>) -> Result<(), Failure> {
    let Some(stranger) = lock.0.keys().find(|name| !known.contains(*name)) else { return Ok(()) };
    Err(Failure::Usage {
        message: format!("the image lock names service `{stranger}`, which the project does not have"),
        hint: Some(suggestion(stranger.as_str(), known)),
    })
}

/// The services among these, all if there are none, whose images are built.
pub(crate) fn built<'a>(
    environment: &'a Environment,
    only: &'a BTreeSet<ServiceName>,
) -> impl Iterator<Item = &'a ServiceName> {
    environment
        .services
        .iter()
        .filter(|(name, _)| only.is_empty() || only.contains(*name))
        .filter(|(_, service)| service.image.is_built())
        .map(|(name, _)| name)
}

/// With an image lock nothing is built: what was tested is what runs. So it has an image of every service that is.
pub(crate) fn lock_suffices<'a>(
    lock: &ImageLock,
    built: impl Iterator<Item = &'a ServiceName>,
) -> Result<(), Failure> {
    let missing: Vec<_> = built.filter(|name| !lock.0.contains_key(*name)).map(ServiceName::as_str).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let services = if missing.len() == 1 { "service" } else { "services" };
    Err(Failure::Usage {
        message: format!(
            "the image lock has no line for {services} `{}`, and with --images nothing is built",
            missing.join("`, `")
        ),
        hint: Some(format!(
            "`release push {}` prints what is missing; or name only services that the lock has",
            missing.join(" ")
        )),
    })
}

/// The name that was probably meant, or all there are.
fn suggestion(word: &str, known: &BTreeSet<ServiceName>) -> String {
    let names: Vec<_> = known.iter().map(ServiceName::as_str).collect();
    match closest(word, names.iter().copied()) {
        Some(close) => format!("did you mean `{close}`?"),
        None => format!("it has: {}", names.join(", ")),
    }
}

/// Reads an image lock from a file, or from standard input for `-`.
pub(crate) fn image_lock(path: &Path) -> Result<ImageLock, Failure> {
    let fail = |source| Failure::File {
        verb: "read",
        path: format!("the image lock {}", path.display()),
        hint: Some("`release push > FILE` writes one; `-` reads it from standard input"),
        source,
    };
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin().take(LOCK_MAX).read_to_string(&mut text).map_err(fail)?;
    } else {
        std::fs::File::open(path).map_err(fail)?.take(LOCK_MAX).read_to_string(&mut text).map_err(fail)?;
    }
    text.parse().map_err(|source| Failure::ImageLock { path: path.display().to_string(), source })
}

/// How the cluster is found, and what is expected of it.
pub(crate) fn access(
    environment: Option<&Environment>,
    words: &args::Environment,
) -> Result<(Access, Expect), Failure> {
    let own = environment.and_then(|environment| environment.context.clone());
    let uid = environment.and_then(|environment| environment.cluster.clone());
    if let Some(context) = &words.context {
        let overridden = own.as_ref() != Some(context);
        return Ok((Access::Context(context.clone()), Expect { uid, overridden }));
    }
    if let Some(context) = own {
        return Ok((Access::Context(context), Expect { uid, overridden: false }));
    }
    if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
        return Ok((Access::InCluster, Expect { uid, overridden: true }));
    }
    Err(Failure::Usage {
        message: format!("environment `{}` names no context, and this is not a pod of a cluster", words.env),
        hint: Some("name one in release.yaml (`context: …`) or give --context".to_owned()),
    })
}

/// What git says in the project's folder; `None` when it fails, or is not there.
pub(crate) fn git(root: &Path, words: &[&str]) -> Option<String> {
    let output = std::process::Command::new("git").arg("-C").arg(root).args(words).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The git revision of the working tree, with `-dirty` when it has changes; `None` outside git.
pub(crate) fn git_revision(root: &Path) -> Option<String> {
    let revision = git(root, &["rev-parse", "--short=12", "HEAD"])?;
    marked(root, revision, &[])
}

/// The commit that last touched what each image is built from. Not the newest of all: that would make a new image, and a
/// rollout, of every service with every commit.
pub(crate) fn source_revisions(
    root: &Path,
    services: &BTreeMap<ServiceName, ImageSource>,
) -> BTreeMap<ServiceName, String> {
    let built = services.iter().filter_map(|(name, source)| match source {
        ImageSource::Dockerfile(build) => Some((name, build)),
        // What its layers are made from is mostly made by other tools, and git does not know it.
        ImageSource::Native(_) | ImageSource::Pinned(_) => None,
    });
    built
        .filter_map(|(name, build)| {
            let paths = [build.context.as_str(), build.dockerfile.as_str()];
            let revision = git(root, &["log", "-1", "--format=%H", "--", paths[0], paths[1]])?;
            Some((name.clone(), marked(root, revision, &paths)?))
        })
        .collect()
}

/// A revision with `-dirty` when there are changes since, below `paths` if any are given.
fn marked(root: &Path, revision: String, paths: &[&str]) -> Option<String> {
    if revision.is_empty() {
        return None;
    }
    let status = ["status", "--porcelain", "--untracked-files=no", "--"];
    let words: Vec<&str> = status.iter().chain(paths).copied().collect();
    let dirty = git(root, &words).is_some_and(|changes| !changes.is_empty());
    Some(if dirty { format!("{revision}-dirty") } else { revision })
}

/// Where cargo leaves what it builds in the project's folder, relative to that or absolute. Cargo is asked, because that is up
/// to variables, to its configuration and to the workspace; a machine that only makes images of what another one has built
/// may have none.
pub(crate) fn cargo_target(root: &Path, services: &BTreeMap<ServiceName, ImageSource>) -> PathBuf {
    let rust = |source: &ImageSource| matches!(source, ImageSource::Native(build) if build.rust.is_some());
    if !services.values().any(rust) {
        return PathBuf::from("target");
    }
    let folder = if root.as_os_str().is_empty() { Path::new(".") } else { root };
    let told = || {
        let mut cargo = std::process::Command::new("cargo");
        cargo.args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(folder);
        // Asking must not fetch a toolchain.
        let output =
            cargo.env("RUSTUP_AUTO_INSTALL", "0").stdin(std::process::Stdio::null()).output().ok()?;
        let metadata: CargoMetadata = serde_json::from_slice(&output.stdout).ok()?;
        Some(metadata.target_directory)
    };
    let given = || {
        let names = ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR"];
        names.into_iter().find_map(std::env::var_os).filter(|dir| !dir.is_empty()).map(PathBuf::from)
    };
    told().or_else(given).unwrap_or_else(|| PathBuf::from("target"))
}

/// What is needed of `cargo metadata`.
#[derive(Deserialize)]
struct CargoMetadata {
    target_directory: PathBuf,
}

/// Whether there are changes that nobody committed.
pub(crate) fn is_dirty(root: &Path) -> bool {
    git(root, &["status", "--porcelain", "--untracked-files=no"]).is_some_and(|changes| !changes.is_empty())
}

/// Who is asking, for the record: the CI job or the user.
pub(crate) fn actor() -> String {
    let var = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if let Some(job) = var("CI_JOB_URL") {
        return match var("GITLAB_USER_LOGIN") {
            Some(user) => format!("{user} ({job})"),
            None => job,
        };
    }
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let user = var("USER").or_else(|| var("LOGNAME")).unwrap_or_else(|| "someone".to_owned());
    match host.trim() {
        "" => user,
        host => format!("{user}@{host}"),
    }
}
