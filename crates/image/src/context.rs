//! What of a build's folders is sent to the engine.
//!
//! Here is which paths there are and how they are read; how they travel is in `archive` for the classic builder, and in
//! `buildkit::sync` for BuildKit. Owners and times are constants, so that two runs over the same files give the same image.

mod archive;
mod follow;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::dockerfile::Paths;
use crate::ignore::Fate;
use crate::{BuildError, Ignore, IgnoreError};
pub(crate) use archive::stream;
pub(crate) use follow::follow;

/// The time every entry carries: 2000-01-01, the same everywhere, and late enough for zip files, which begin in 1980.
pub(crate) const MTIME: u64 = 946_684_800;

/// How many pieces wait for the engine. Together with [`PIECE_BYTES`] this bounds what a slow engine makes us keep: 1 MiB.
pub(crate) const PIECES: usize = 16;

/// The size of a piece of the stream.
pub(crate) const PIECE_BYTES: usize = 64 * 1024;

/// The most entries a context can have. Far beyond what anybody builds from; a mistaken `/` as context ends here.
pub(crate) const MAX_ENTRIES: usize = 1_000_000;

/// Why a context cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// A file, folder or link cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The path, absolute.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file became shorter while it was read.
    #[error("`{}` changed while it was being sent", path.display())]
    Changed {
        /// The path, absolute.
        path: PathBuf,
    },
    /// There are too many files.
    #[error("`{}` has more than {limit} files: is it the right folder?", path.display())]
    TooMany {
        /// The context.
        path: PathBuf,
        /// How many there can be.
        limit: usize,
    },
    /// A name cannot be written into a tar header, or is no text.
    #[error("`{}` has a name that cannot be sent", path.display())]
    Name {
        /// The path, absolute.
        path: PathBuf,
        /// What the archive's writer said.
        #[source]
        source: io::Error,
    },
}

/// What will be sent of a folder.
#[derive(Debug, Clone)]
pub(crate) struct Listing {
    pub(crate) root: PathBuf,
    /// Relative paths, sorted, parents before their children.
    pub(crate) entries: Vec<PathBuf>,
    /// What is neither file nor folder nor link, and so cannot be sent.
    pub(crate) skipped: Vec<String>,
}

/// Which paths of a folder are sent. By default all are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    /// What is left out.
    pub(crate) ignore: Ignore,
    /// What else is left out because only some paths are asked for.
    pub(crate) unasked: Ignore,
    /// What goes along even if it is ignored.
    pub(crate) always: BTreeSet<String>,
}

/// Walks the context for the classic builder, which takes the Dockerfile and the ignore file out of the archive, and then away if
/// they are ignored.
pub(crate) async fn list(paths: Paths) -> Result<Listing, BuildError> {
    let listed = tokio::task::spawn_blocking(move || {
        let (ignore, ignore_file) = read_ignore(&paths)?;
        let mut always = BTreeSet::from([paths.dockerfile]);
        always.extend(ignore_file);
        Ok(walk(&paths.context, &Rules { ignore, always, ..Rules::default() })?)
    });
    match listed.await {
        Ok(listing) => listing,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// The ignore file of a build, and its name. `web.Dockerfile.dockerignore` beside its Dockerfile goes before `.dockerignore` of the
/// context.
pub(crate) fn read_ignore(paths: &Paths) -> Result<(Ignore, Option<String>), BuildError> {
    for name in [format!("{}.dockerignore", paths.dockerfile), ".dockerignore".to_owned()] {
        let path = paths.context.join(&name);
        match read_file(&path) {
            Ok(bytes) => {
                let ignore = Ignore::parse(&String::from_utf8_lossy(&bytes))
                    .map_err(|source| BuildError::Ignore { path, source })?;
                return Ok((ignore, Some(name)));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(ContextError::Read { path, source }.into()),
        }
    }
    Ok((Ignore::default(), None))
}

/// Whoever opens a pipe waits for somebody who writes into it: so nothing but files is opened.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    if !path.metadata()?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    fs::read(path)
}

/// Everything in the folder `root` that the rules leave.
pub(crate) fn walk(root: &Path, rules: &Rules) -> Result<Listing, ContextError> {
    let mut walk = Walk { root, rules, entries: BTreeSet::new(), skipped: Vec::new() };
    walk.folder(Path::new(""), "", &Fates::default())?;
    Ok(Listing { root: root.to_owned(), entries: walk.entries.into_iter().collect(), skipped: walk.skipped })
}

impl Rules {
    /// Leaves out what matches `excludes`, and everything but `includes` and what lies below them; no includes are all paths.
    pub(crate) fn new(includes: &BTreeSet<String>, excludes: &[String]) -> Result<Self, IgnoreError> {
        let unasked = if includes.is_empty() { Ignore::default() } else { Ignore::all_but(includes)? };
        Ok(Self { ignore: Ignore::of(excludes)?, unasked, always: BTreeSet::new() })
    }

    /// Whether the path is sent, wherever it lies.
    pub(crate) fn send(&self, path: &str) -> bool {
        self.always.contains(path) || (!self.ignore.ignores(path) && !self.unasked.ignores(path))
    }
}

/// What becomes of a path by each of the rules.
#[derive(Default)]
struct Fates {
    ignore: Fate,
    unasked: Fate,
}

struct Walk<'a> {
    root: &'a Path,
    rules: &'a Rules,
    entries: BTreeSet<PathBuf>,
    skipped: Vec<String>,
}

impl Walk<'_> {
    /// Goes through the folder at `relative`; `name` is the same path, as patterns are matched against it.
    fn folder(&mut self, relative: &Path, name: &str, parent: &Fates) -> Result<(), ContextError> {
        let path = self.root.join(relative);
        let failed = |source| ContextError::Read { path: path.clone(), source };
        for entry in fs::read_dir(&path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let kind = entry.file_type().map_err(failed)?;
            let child = relative.join(entry.file_name());
            let part = entry.file_name().to_string_lossy().into_owned();
            let child_name = if name.is_empty() { part } else { format!("{name}/{part}") };
            let fates = Fates {
                ignore: self.rules.ignore.fate(&parent.ignore, &child_name),
                unasked: self.rules.unasked.fate(&parent.unasked, &child_name),
            };
            let sent =
                (!fates.ignore.ignored && !fates.unasked.ignored) || self.rules.always.contains(&child_name);
            if sent && !kind.is_dir() && !kind.is_file() && !kind.is_symlink() {
                self.skipped.push(child_name);
                continue;
            }
            if sent {
                self.add(&child)?;
            }
            if kind.is_dir() && (sent || self.looks_below(&child_name, &fates)) {
                self.folder(&child, &child_name, &fates)?;
            }
        }
        Ok(())
    }

    /// Whether something below a folder that is left out may be sent all the same.
    fn looks_below(&self, folder: &str, fates: &Fates) -> bool {
        let inside = |path: &String| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
        let open = |fate: &Fate, rule: &Ignore| !fate.ignored || rule.excepts_below(folder);
        self.rules.always.iter().any(inside)
            || (open(&fates.ignore, &self.rules.ignore) && open(&fates.unasked, &self.rules.unasked))
    }

    /// Adds a path, and the folders it lies in: a folder that is left out is sent when something in it is.
    fn add(&mut self, relative: &Path) -> Result<(), ContextError> {
        for path in relative.ancestors() {
            if path.as_os_str().is_empty() || !self.entries.insert(path.to_owned()) {
                break;
            }
        }
        if self.entries.len() > MAX_ENTRIES {
            return Err(ContextError::TooMany { path: self.root.to_owned(), limit: MAX_ENTRIES });
        }
        Ok(())
    }
}

/// What happened while folders were sent, for whoever sees only that a stream ended.
#[derive(Clone, Default)]
pub(crate) struct Trouble(Arc<Mutex<Told>>);

#[derive(Default)]
struct Told {
    /// Why one broke off.
    error: Option<ContextError>,
    /// What could not be sent and was left out.
    skipped: BTreeSet<String>,
}

impl Trouble {
    /// Why a stream broke off, once.
    pub(crate) fn take(&self) -> Option<ContextError> {
        self.told().error.take()
    }

    /// What was left out, once.
    pub(crate) fn skipped(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.told().skipped)
    }

    pub(crate) fn put(&self, error: ContextError) {
        self.told().error.replace(error);
    }

    pub(crate) fn skip(&self, paths: impl IntoIterator<Item = String>) {
        self.told().skipped.extend(paths);
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(unix)]
pub(crate) fn mode(metadata: &fs::Metadata) -> u32 {
    use std::os::unix::fs::MetadataExt as _;
    metadata.mode() & 0o7777
}

/// Where files have no mode, everything may be run: nobody could say otherwise.
#[cfg(not(unix))]
pub(crate) fn mode(_: &fs::Metadata) -> u32 {
    0o755
}

/// Exactly as many bytes as the header promised: what was added since is left out, what is missing is an error.
pub(crate) struct Exact {
    file: File,
    left: u64,
    /// Reading's own error, to tell it from one of writing.
    failed: Option<io::Error>,
}

impl Exact {
    pub(crate) fn new(file: File, size: u64) -> Self {
        Self { file, left: size, failed: None }
    }

    /// What is wrong with the file at `path` if reading it failed.
    pub(crate) fn trouble(&mut self, path: &Path) -> Option<ContextError> {
        self.failed.take().map(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => ContextError::Changed { path: path.to_owned() },
            _ => ContextError::Read { path: path.to_owned(), source: error },
        })
    }
}

impl Read for Exact {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let error = match self.file.read(&mut buffer[..most]) {
            Ok(0) => io::Error::from(io::ErrorKind::UnexpectedEof),
            Ok(n) => {
                self.left -= n as u64;
                return Ok(n);
            }
            Err(error) => error,
        };
        let kind = error.kind();
        // An interrupted read is tried again by the caller.
        if kind != io::ErrorKind::Interrupted {
            self.failed = Some(error);
        }
        Err(kind.into())
    }
}

#[cfg(test)]
mod tests;
