//! Which entries a layer has. Nothing is read or written here.
//!
//! A folder that is in the image already stays as it is: `/tmp` keeps the mode its base gave it. What a path lies in is
//! added where it is missing, because engines create missing folders with modes of their own. Nothing goes through a
//! link: writing below `/lib` where `/lib` is a link would replace the link and hide everything behind it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::archive::MAX_FILE_BYTES;
use super::error::NativeError;
use super::spec::Layer;
use super::stamp::Stamp;

/// The longest path a system resolves, and the longest name a file system takes.
const MAX_PATH_BYTES: usize = 4095;
const MAX_NAME_BYTES: usize = 255;

/// What a name that takes a file away begins with.
const WHITEOUT: &str = ".wh.";

/// Something on disk that goes into a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// Relative to what the layer is made from; empty for that itself.
    pub(crate) path: String,
    pub(crate) disk: Disk,
    pub(crate) kind: Kind,
    /// Of a file, as it was looked at.
    pub(crate) stamp: Option<Stamp>,
}

/// Where on disk something is: relative to the project's folder, or absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Disk {
    /// In this folder, by the last part of its path in the image. All files of a folder share it.
    In(Arc<Path>),
    /// Here.
    At(Arc<Path>),
}

impl Disk {
    /// The path, of what is at `path` in the image.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        match self {
            Self::In(folder) => folder.join(path.rsplit('/').next().unwrap_or(path)),
            Self::At(path) => path.to_path_buf(),
        }
    }
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Folder,
    File { executable: bool },
    Link { target: String },
}

/// One entry of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// In the image, without the `/` at the beginning.
    pub(crate) path: String,
    /// Only files are read; folders that were added are nowhere.
    pub(crate) disk: Option<Disk>,
    pub(crate) kind: Kind,
    /// Of a file, as it was looked at. What is read later has to have the same.
    pub(crate) stamp: Option<Stamp>,
}

impl Entry {
    /// Where it is read; the project's folder is `root`.
    pub(crate) fn on_disk(&self, root: &Path) -> PathBuf {
        self.disk.as_ref().map_or_else(|| root.to_owned(), |disk| root.join(disk.path(&self.path)))
    }
}

/// What is in the image so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tree {
    base: BTreeMap<String, Node>,
    /// The layers on it, in order, each sorted. They only add: nothing takes the place of a folder ([`plan`]).
    layers: Vec<Arc<Vec<Entry>>>,
}

/// What is at a path of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Node {
    Folder,
    File,
    Link,
}

impl Tree {
    /// Puts something of the base there.
    pub(crate) fn insert(&mut self, path: &str, node: Node) {
        // Whatever is put over a folder takes the place of all of it.
        if node != Node::Folder && self.base.get(path) == Some(&Node::Folder) {
            self.remove_below(path);
        }
        self.base.insert(path.to_owned(), node);
    }

    pub(crate) fn remove(&mut self, path: &str) {
        self.remove_below(path);
        self.base.remove(path);
    }

    pub(crate) fn remove_below(&mut self, folder: &str) {
        if folder.is_empty() {
            self.base.clear();
            return;
        }
        let below: Vec<String> = self
            .base
            .range(format!("{folder}/")..format!("{folder}0"))
            .map(|(path, _)| path.clone())
            .collect();
        for path in below {
            self.base.remove(&path);
        }
    }

    /// How many paths the base has.
    pub(crate) fn len(&self) -> usize {
        self.base.len()
    }

    /// Puts a layer on it that was planned for it.
    pub(crate) fn add(&mut self, entries: Arc<Vec<Entry>>) {
        self.layers.push(entries);
    }

    fn at(&self, path: &str) -> Option<Node> {
        let mut layers = self.layers.iter().rev();
        layers.find_map(|layer| node_of(layer, path)).or_else(|| self.base.get(path).copied())
    }
}

/// What is at a path of a layer, whose entries are sorted.
fn node_of(entries: &[Entry], path: &str) -> Option<Node> {
    let at = entries.binary_search_by(|entry| entry.path.as_str().cmp(path)).ok()?;
    Some(entries[at].kind.node())
}

impl Kind {
    fn node(&self) -> Node {
        match self {
            Self::Folder => Node::Folder,
            Self::File { .. } => Node::File,
            Self::Link { .. } => Node::Link,
        }
    }
}

/// The entries of `layer`, sorted by the bytes of their paths. `tree` is what is there before it.
pub(crate) fn plan(layer: &Layer, found: Vec<Found>, tree: &Tree) -> Result<Vec<Entry>, NativeError> {
    let place = place(&layer.to)?;
    let entries = found.into_iter().filter_map(|found| entry(layer, &place, found, tree).transpose());
    let mut entries = entries.collect::<Result<Vec<_>, _>>()?;
    entries.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    let missing = missing_parents(&entries, tree)?;
    if !missing.is_empty() {
        entries.extend(missing);
        entries.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    }
    Ok(entries)
}

/// What was found as an entry of a layer at `place`, unless it is a folder that is there already.
fn entry(layer: &Layer, place: &str, found: Found, tree: &Tree) -> Result<Option<Entry>, NativeError> {
    let Found { path: below, disk, kind, stamp } = found;
    let (is_itself, is_folder) = (below.is_empty(), kind == Kind::Folder);
    let path = match (is_itself, place) {
        (true, "") if is_folder => return Ok(None),
        (true, _) if !is_folder && layer.to.ends_with('/') => {
            join(place, layer.from.rsplit('/').find(|part| !part.is_empty()).unwrap_or_default())
        }
        (true, _) => place.to_owned(),
        (false, "") => below,
        (false, _) => join(place, &below),
    };
    named(&path, &disk)?;
    if let Some(stamp) = stamp.filter(|stamp| stamp.size > MAX_FILE_BYTES) {
        let (path, size) = (disk.path(&path), stamp.size);
        return Err(NativeError::TooLarge { path, size, limit: MAX_FILE_BYTES });
    }
    match tree.at(&path) {
        Some(Node::Folder) if is_folder => return Ok(None),
        Some(Node::Folder) if is_itself => {
            let why = "it is a folder in the image; end it with `/` to put the file into it";
            return Err(NativeError::Target { to: layer.to.clone(), why });
        }
        Some(node) if (node == Node::Folder) != is_folder => return Err(through(&path, &path, node)),
        _ => {}
    }
    Ok(Some(Entry { path, disk: Some(disk), kind, stamp }))
}

/// The folders that `entries`, which are sorted, lie in and that are nowhere yet.
fn missing_parents(entries: &[Entry], tree: &Tree) -> Result<Vec<Entry>, NativeError> {
    let mut missing = BTreeMap::new();
    let mut seen = "";
    for Entry { path, .. } in entries {
        let Some((parent, _)) = path.rsplit_once('/').filter(|(parent, _)| *parent != seen) else { continue };
        for (end, _) in path.match_indices('/') {
            let folder = &path[..end];
            match node_of(entries, folder).or_else(|| tree.at(folder)) {
                Some(Node::Folder) => {}
                Some(node) => return Err(through(path, folder, node)),
                None => {
                    let folder = folder.to_owned();
                    let entry = Entry { path: folder.clone(), disk: None, kind: Kind::Folder, stamp: None };
                    missing.insert(folder, entry);
                }
            }
        }
        seen = parent;
    }
    Ok(missing.into_values().collect())
}

fn through(path: &str, at: &str, node: Node) -> NativeError {
    let what = match node {
        Node::Folder => "a folder",
        Node::File => "a file",
        Node::Link => "a link",
    };
    NativeError::Through { path: format!("/{path}"), at: format!("/{at}"), what }
}

/// A place in the image without its first and last `/`.
fn place(to: &str) -> Result<String, NativeError> {
    let bad = |why| Err(NativeError::Target { to: to.to_owned(), why });
    if !to.starts_with('/') {
        return bad("it must begin with `/`");
    }
    if to.contains('\0') {
        return bad("a NUL byte ends it");
    }
    let parts: Vec<&str> = to.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") {
        return bad("`..` leads nowhere in an image");
    }
    Ok(parts.join("/"))
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

fn named(path: &str, disk: &Disk) -> Result<(), NativeError> {
    let bad = |why| Err(NativeError::Name { path: disk.path(path), why });
    if path.is_empty() {
        return bad("it would be the image's root");
    }
    if path.len() > MAX_PATH_BYTES {
        return bad("the path is longer than 4095 bytes");
    }
    for part in path.split('/') {
        if part.starts_with(WHITEOUT) {
            return Err(NativeError::Whiteout { path: format!("/{path}") });
        }
        if part.len() > MAX_NAME_BYTES {
            return bad("it is longer than 255 bytes");
        }
    }
    Ok(())
}
