//! What is on disk below the path a layer is made from.
//!
//! `.dockerignore` of the project decides what is left out. A path that a layer names is meant: a pattern that leaves out
//! the path itself, or a folder it lies in, does not count for it. So `target` in `.dockerignore` and a layer made from
//! `target/release/player` go together.

use std::ffi::OsStr;
use std::fs::{self, FileType, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::error::NativeError;
use super::plan::{Disk, Found, Kind};
use super::stamp::Stamp;
use super::{MAX_THREADS, unread};
use crate::Ignore;
use crate::ignore::Fate;

/// The most files a layer can have. Far beyond what anybody ships; a mistaken `.` ends here.
pub(crate) const MAX_ENTRIES: usize = 1_000_000;

/// How many folders are worth threads.
const MANY_FOLDERS: usize = 32;

/// The `.dockerignore` of the project.
pub(crate) fn ignore(root: &Path) -> Result<Ignore, NativeError> {
    let path = root.join(".dockerignore");
    match fs::read(&path) {
        Ok(bytes) => Ignore::parse(&String::from_utf8_lossy(&bytes))
            .map_err(|source| NativeError::Ignore { path, source }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Ignore::default()),
        Err(source) => Err(NativeError::Read { path, source }),
    }
}

/// What is at `from` and below it, sorted by nothing in particular. `root` and `layout`, where the image is put together, are
/// absolute and free of links.
pub(crate) fn walk(
    root: &Path,
    from: &str,
    ignore: &Ignore,
    layout: &Path,
) -> Result<Vec<Found>, NativeError> {
    let outside = || NativeError::Outside { from: from.to_owned() };
    if from.is_empty() || Path::new(from).is_absolute() {
        return Err(outside());
    }
    // The path itself may be a link, if it stays in the project; links below it are taken as links.
    let path = root.join(from).canonicalize().map_err(unread(&root.join(from)))?;
    let relative = path.strip_prefix(root).map_err(|_| outside())?;
    let metadata = path.metadata().map_err(unread(&path))?;
    let kind = kind(&path, metadata.file_type(), &metadata)?;
    let folder = kind == Kind::Folder;
    let stamp = (!folder).then(|| Stamp::of(&metadata));
    let (ignore, fate) = ignore.below(text(relative)?);
    let walk = Walk {
        root,
        from,
        ignore: &ignore,
        layout: layout.strip_prefix(root).ok(),
        count: AtomicUsize::new(1),
        left_out: AtomicBool::new(false),
    };
    let mut found = vec![Found { path: String::new(), disk: Disk::At(relative.into()), kind, stamp }];
    if folder {
        walk.all(Open { disk: relative.into(), name: String::new(), parent: fate }, &mut found)?;
        // An empty folder may be meant; one that an ignore file empties is a mistake.
        if walk.left_out.into_inner() && found.iter().all(|found| found.kind == Kind::Folder) {
            return Err(NativeError::Empty { from: from.to_owned() });
        }
    }
    Ok(found)
}

/// A file that is named by itself, wherever it is; its permissions are its own.
pub(crate) fn one(path: String, disk: PathBuf) -> Result<Found, NativeError> {
    let metadata = disk.metadata().map_err(unread(&disk))?;
    let kind = kind(&disk, metadata.file_type(), &metadata)?;
    Ok(Found { path, stamp: Some(Stamp::of(&metadata)), disk: Disk::At(disk.into()), kind })
}

struct Walk<'a> {
    root: &'a Path,
    from: &'a str,
    ignore: &'a Ignore,
    /// Where the image is put together, if that is in the project's folder.
    layout: Option<&'a Path>,
    /// How much was found.
    count: AtomicUsize,
    /// Whether `.dockerignore` kept anything back.
    left_out: AtomicBool,
}

/// A folder that was not gone through yet.
struct Open {
    disk: Arc<Path>,
    /// What the layer calls it.
    name: String,
    /// What the ignore file says about it.
    parent: Fate,
}

impl Walk<'_> {
    /// Goes through a folder and all below it: alone as long as there are few, then on several threads.
    fn all(&self, first: Open, found: &mut Vec<Found>) -> Result<(), NativeError> {
        let mut open = vec![first];
        while open.len() < MANY_FOLDERS {
            let Some(next) = open.pop() else { return Ok(()) };
            self.folder(&next, found, &mut open)?;
        }
        let next = AtomicUsize::new(0);
        let some = || {
            let mut found = Vec::new();
            while let Some(first) = open.get(next.fetch_add(1, Ordering::Relaxed)) {
                let mut below = Vec::new();
                self.folder(first, &mut found, &mut below)?;
                while let Some(next) = below.pop() {
                    self.folder(&next, &mut found, &mut below)?;
                }
            }
            Ok::<_, NativeError>(found)
        };
        let threads = thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
        thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(some)).collect();
            found.extend(some()?);
            for other in others {
                match other.join() {
                    Ok(more) => found.extend(more?),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            Ok(())
        })
    }

    /// Goes through one folder; those in it are put to `open`.
    fn folder(&self, folder: &Open, found: &mut Vec<Found>, open: &mut Vec<Open>) -> Result<(), NativeError> {
        let path = self.root.join(&folder.disk);
        // What the ignore file calls what is in it: one text for all.
        let mut matched = inside(text(&folder.disk)?, "");
        let prefix = matched.len();
        for entry in fs::read_dir(&path).map_err(unread(&path))? {
            let entry = entry.map_err(unread(&path))?;
            let disk = |name: &OsStr| folder.disk.join(name);
            let file_name = entry.file_name();
            let Some(part) = file_name.to_str() else {
                return Err(not_text(&disk(&file_name)));
            };
            matched.truncate(prefix);
            matched.push_str(part);
            let fate = self.ignore.fate(&folder.parent, &matched);
            let kind_of = entry.file_type().map_err(unread(&path))?;
            let goes_on = kind_of.is_dir() && (!fate.ignored || self.ignore.excepts_below(&matched));
            if fate.ignored {
                self.left_out.store(true, Ordering::Relaxed);
            } else {
                // Only files need more than their type, and asking costs.
                let (kind, stamp) = if kind_of.is_file() {
                    let metadata = entry.metadata().map_err(|e| unread(&disk(&file_name))(e))?;
                    (Kind::File { executable: executable(&metadata) }, Some(Stamp::of(&metadata)))
                } else {
                    (kind_without(&entry.path(), kind_of)?, None)
                };
                let disk = Disk::In(Arc::clone(&folder.disk));
                found.push(Found { path: inside(&folder.name, part), disk, kind, stamp });
                if self.count.fetch_add(1, Ordering::Relaxed) >= MAX_ENTRIES {
                    return Err(NativeError::TooMany { from: self.from.to_owned(), limit: MAX_ENTRIES });
                }
            }
            if goes_on {
                if self.layout.is_some_and(|layout| layout == Path::new(&matched)) {
                    return Err(NativeError::Itself { from: self.from.to_owned(), layout: matched });
                }
                let name = inside(&folder.name, part);
                open.push(Open { disk: disk(&file_name).into(), name, parent: fate });
            }
        }
        Ok(())
    }
}

/// What is called `part` in a folder.
fn inside(folder: &str, part: &str) -> String {
    let mut path = String::with_capacity(folder.len() + 1 + part.len());
    if !folder.is_empty() {
        path.push_str(folder);
        path.push('/');
    }
    path.push_str(part);
    path
}

fn kind(path: &Path, kind: FileType, metadata: &Metadata) -> Result<Kind, NativeError> {
    if kind.is_file() {
        return Ok(Kind::File { executable: executable(metadata) });
    }
    kind_without(path, kind)
}

fn kind_without(path: &Path, kind: FileType) -> Result<Kind, NativeError> {
    if kind.is_dir() {
        return Ok(Kind::Folder);
    }
    if kind.is_symlink() {
        let target = fs::read_link(path).map_err(unread(path))?;
        return Ok(Kind::Link { target: text(&target)?.to_owned() });
    }
    Err(NativeError::Special { path: path.to_owned(), kind: special(kind) })
}

/// A path as text. Everything that reads an image expects UTF-8.
fn text(path: &Path) -> Result<&str, NativeError> {
    path.to_str().ok_or_else(|| not_text(path))
}

fn not_text(path: &Path) -> NativeError {
    NativeError::Name { path: path.to_owned(), why: "it is not UTF-8" }
}

#[cfg(unix)]
fn executable(metadata: &Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    // Only the owner's bit: the others depend on the umask of whoever made the checkout.
    metadata.permissions().mode() & 0o100 != 0
}

/// Where files have no mode, everything may be run: nobody could say otherwise.
#[cfg(not(unix))]
fn executable(_: &Metadata) -> bool {
    true
}

#[cfg(unix)]
fn special(kind: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt as _;
    if kind.is_socket() {
        "a socket"
    } else if kind.is_fifo() {
        "a named pipe"
    } else {
        "a device"
    }
}

#[cfg(not(unix))]
fn special(_: FileType) -> &'static str {
    "something special"
}
