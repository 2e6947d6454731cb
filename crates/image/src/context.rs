//! The build context as a tar stream.
//!
//! The folder is walked first, so that what cannot be read is known before the engine is asked; the files are read while
//! the engine takes them. Two runs over the same files give the same bytes: entries are sorted, owners and times are
//! constants. Nothing is compressed: the engine is near.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::Stream;
use tokio::sync::mpsc;

use crate::dockerfile::Paths;
use crate::ignore::Fate;
use crate::{BuildError, Ignore};

/// The time every entry carries: 2000-01-01, the same everywhere, and late enough for zip files, which begin in 1980.
const MTIME: u64 = 946_684_800;

/// How many pieces wait for the engine. Together with [`PIECE_BYTES`] this bounds what a slow engine makes us keep: 1 MiB.
const PIECES: usize = 16;

/// The size of a piece of the stream.
const PIECE_BYTES: usize = 64 * 1024;

/// The most entries a context can have. Far beyond what anybody builds from; a mistaken `/` as context ends here.
const MAX_ENTRIES: usize = 1_000_000;

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
    /// A name cannot be written into a tar header.
    #[error("`{}` has a name that cannot be sent", path.display())]
    Name {
        /// The path, absolute.
        path: PathBuf,
        /// What the archive's writer said.
        #[source]
        source: io::Error,
    },
}

/// What will be sent of a context.
#[derive(Debug, Clone)]
pub(crate) struct Listing {
    root: PathBuf,
    /// Relative paths, sorted, parents before their children.
    pub(crate) entries: Vec<PathBuf>,
    /// What is neither file nor folder nor link, and so cannot be sent.
    pub(crate) skipped: Vec<String>,
    /// What the ignore file leaves out and the builder needs all the same.
    pub(crate) needed: Vec<String>,
}

/// Who reads a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    /// Takes the Dockerfile and the ignore file out of the archive, and then away if they are ignored.
    Classic,
    /// Takes the Dockerfile out of the archive.
    BuildKit,
}

/// Reads the ignore file and walks the context.
pub(crate) async fn list(paths: Paths, reader: Reader) -> Result<Listing, BuildError> {
    match tokio::task::spawn_blocking(move || list_now(&paths, reader)).await {
        Ok(listing) => listing,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

fn list_now(paths: &Paths, reader: Reader) -> Result<Listing, BuildError> {
    let (ignore, ignore_file) = read_ignore(paths)?;
    // They go along even if they are ignored.
    let mut always = BTreeSet::from([paths.dockerfile.clone()]);
    always.extend(ignore_file.filter(|_| reader == Reader::Classic));
    let mut walk = Walk {
        root: &paths.context,
        ignore: &ignore,
        always: &always,
        entries: BTreeSet::new(),
        skipped: Vec::new(),
        needed: Vec::new(),
    };
    walk.folder(Path::new(""), "", &Fate::default())?;
    Ok(Listing {
        root: paths.context.clone(),
        entries: walk.entries.into_iter().collect(),
        skipped: walk.skipped,
        needed: walk.needed,
    })
}

/// `web.Dockerfile.dockerignore` beside its Dockerfile goes before `.dockerignore` of the context.
fn read_ignore(paths: &Paths) -> Result<(Ignore, Option<String>), BuildError> {
    for name in [format!("{}.dockerignore", paths.dockerfile), ".dockerignore".to_owned()] {
        let path = paths.context.join(&name);
        match fs::read(&path) {
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

struct Walk<'a> {
    root: &'a Path,
    ignore: &'a Ignore,
    always: &'a BTreeSet<String>,
    entries: BTreeSet<PathBuf>,
    skipped: Vec<String>,
    needed: Vec<String>,
}

impl Walk<'_> {
    /// Goes through the folder at `relative`; `name` is the same path, as patterns are matched against it.
    fn folder(&mut self, relative: &Path, name: &str, parent: &Fate) -> Result<(), ContextError> {
        let path = self.root.join(relative);
        let failed = |source| ContextError::Read { path: path.clone(), source };
        for entry in fs::read_dir(&path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let kind = entry.file_type().map_err(failed)?;
            let child = relative.join(entry.file_name());
            let part = entry.file_name().to_string_lossy().into_owned();
            let child_name = if name.is_empty() { part } else { format!("{name}/{part}") };
            let fate = self.ignore.fate(parent, &child_name);
            let sent = !fate.ignored || self.always.contains(&child_name);
            if sent && !kind.is_dir() && !kind.is_file() && !kind.is_symlink() {
                self.skipped.push(child_name);
                continue;
            }
            if sent {
                self.add(&child)?;
            }
            if fate.ignored && sent {
                self.needed.push(child_name.clone());
            }
            if kind.is_dir() && (sent || self.looks_below(&child_name)) {
                self.folder(&child, &child_name, &fate)?;
            }
        }
        Ok(())
    }

    /// Whether something below an ignored folder may be sent all the same.
    fn looks_below(&self, folder: &str) -> bool {
        let inside = |path: &String| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
        self.ignore.excepts_below(folder) || self.always.iter().any(inside)
    }

    /// Adds a path, and the folders it lies in: an ignored folder is sent when something in it is.
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

/// Why a stream broke off, for whoever sees only that it did.
#[derive(Clone, Default)]
pub(crate) struct Trouble(Arc<Mutex<Option<ContextError>>>);

impl Trouble {
    /// The reason, once.
    pub(crate) fn take(&self) -> Option<ContextError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, error: ContextError) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).replace(error);
    }
}

/// Starts to read what is listed, on a thread of its own, as fast as the stream is taken. If it breaks off, `trouble` has the reason.
pub(crate) fn stream(
    listing: Listing,
    trouble: &Trouble,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static + use<> {
    let (sender, receiver) = mpsc::channel(PIECES);
    let told = trouble.clone();
    tokio::task::spawn_blocking(move || {
        let pieces = io::BufWriter::with_capacity(PIECE_BYTES, Pieces(sender.clone()));
        match write(&listing, pieces) {
            Err(WriteError::Context(error)) => {
                told.put(error);
                // An error in the stream makes the request end as broken, not as complete.
                let _ = sender.blocking_send(Err(io::Error::other("the build context broke off")));
            }
            // Whoever does not take the stream any more knows why.
            Ok(()) | Err(WriteError::Gone) => {}
        }
    });
    futures::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|piece| (piece, receiver))
    })
}

/// The writing end of the bounded channel.
struct Pieces(mpsc::Sender<io::Result<Bytes>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = Ok(Bytes::copy_from_slice(bytes));
        self.0.blocking_send(piece).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

enum WriteError {
    Context(ContextError),
    Gone,
}

fn write(listing: &Listing, to: impl Write) -> Result<(), WriteError> {
    let mut archive = tar::Builder::new(to);
    for relative in &listing.entries {
        append(&mut archive, &listing.root, relative)?;
    }
    let gone = |_| WriteError::Gone;
    archive.into_inner().map_err(gone)?.flush().map_err(gone)
}

fn append(archive: &mut tar::Builder<impl Write>, root: &Path, relative: &Path) -> Result<(), WriteError> {
    let path = root.join(relative);
    let unread = |source| WriteError::Context(ContextError::Read { path: path.clone(), source });
    let metadata = path.symlink_metadata().map_err(unread)?;
    let mut header = tar::Header::new_gnu();
    header.set_mtime(MTIME);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mode(mode(&metadata));
    header.set_size(0);
    let result = if metadata.is_symlink() {
        let target = fs::read_link(&path).map_err(unread)?;
        header.set_entry_type(tar::EntryType::Symlink);
        archive.append_link(&mut header, relative, target)
    } else if metadata.is_dir() {
        header.set_entry_type(tar::EntryType::Directory);
        archive.append_data(&mut header, relative, io::empty())
    } else {
        let file = File::open(&path).map_err(unread)?;
        // The size of the opened file: its name may stand for another one by now.
        let size = file.metadata().map_err(unread)?.len();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(size);
        let mut exact = Exact { file, left: size, failed: None };
        let result = archive.append_data(&mut header, relative, &mut exact);
        match exact.failed {
            Some(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(WriteError::Context(ContextError::Changed { path }));
            }
            Some(error) => return Err(unread(error)),
            None => result,
        }
    };
    result.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => WriteError::Gone,
        _ => WriteError::Context(ContextError::Name { path: path.clone(), source: error }),
    })
}

#[cfg(unix)]
fn mode(metadata: &fs::Metadata) -> u32 {
    use std::os::unix::fs::MetadataExt as _;
    metadata.mode() & 0o7777
}

/// Where files have no mode, everything may be run: nobody could say otherwise.
#[cfg(not(unix))]
fn mode(_: &fs::Metadata) -> u32 {
    0o755
}

/// Exactly as many bytes as the header promised: what was added since is left out, what is missing is an error.
struct Exact {
    file: File,
    left: u64,
    /// Reading's own error, to tell it from one of writing.
    failed: Option<io::Error>,
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
