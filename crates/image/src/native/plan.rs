//! Which entries a layer has. Nothing is read or written here.
//!
//! A folder that is in the image already stays as it is: `/tmp` keeps the mode its base gave it. What a path lies in is
//! added where it is missing, because engines create missing folders with modes of their own. Nothing goes through a
//! link: writing below `/lib` where `/lib` is a link would replace the link and hide everything behind it.

use std::collections::BTreeMap;
use std::path::PathBuf;

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
    /// Relative to the project's folder.
    pub(crate) disk: PathBuf,
    pub(crate) kind: Kind,
    /// Of a file, as it was looked at.
    pub(crate) stamp: Option<Stamp>,
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
    /// Relative to the project's folder; only files are read.
    pub(crate) disk: PathBuf,
    pub(crate) kind: Kind,
    /// Of a file, as it was looked at. What is read later has to have the same.
    pub(crate) stamp: Option<Stamp>,
}

/// What is in the image so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tree(BTreeMap<String, Node>);

/// What is at a path of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Node {
    Folder,
    File,
    Link,
}

impl Tree {
    pub(crate) fn insert(&mut self, path: &str, node: Node) {
        // Whatever is put over a folder takes the place of all of it.
        if node != Node::Folder && self.0.get(path) == Some(&Node::Folder) {
            self.remove_below(path);
        }
        self.0.insert(path.to_owned(), node);
    }

    pub(crate) fn remove(&mut self, path: &str) {
        self.remove_below(path);
        self.0.remove(path);
    }

    pub(crate) fn remove_below(&mut self, folder: &str) {
        if folder.is_empty() {
            self.0.clear();
            return;
        }
        let below: Vec<String> =
            self.0.range(format!("{folder}/")..format!("{folder}0")).map(|(path, _)| path.clone()).collect();
        for path in below {
            self.0.remove(&path);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    fn at(&self, path: &str) -> Option<Node> {
        self.0.get(path).copied()
    }
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

/// The entries of `layer`, sorted by the bytes of their paths, and `tree` with them in it.
pub(crate) fn plan(layer: &Layer, found: &[Found], tree: &mut Tree) -> Result<Vec<Entry>, NativeError> {
    let place = place(&layer.to)?;
    let bad = |why| NativeError::Target { to: layer.to.clone(), why };
    let mut entries = BTreeMap::new();
    for found in found {
        let path = match (&found.kind, found.path.as_str()) {
            (Kind::Folder, "") if place.is_empty() => continue,
            (Kind::Folder, "") => place.clone(),
            (_, "") if layer.to.ends_with('/') => {
                let name = layer.from.rsplit('/').find(|part| !part.is_empty()).unwrap_or_default();
                join(&place, name)
            }
            (_, "") => place.clone(),
            (_, below) => join(&place, below),
        };
        named(&path, found)?;
        if let Some(stamp) = found.stamp.filter(|stamp| stamp.size > MAX_FILE_BYTES) {
            let (path, size) = (found.disk.clone(), stamp.size);
            return Err(NativeError::TooLarge { path, size, limit: MAX_FILE_BYTES });
        }
        match (tree.at(&path), &found.kind) {
            (Some(Node::Folder), Kind::Folder) => continue,
            (Some(Node::Folder), _) if found.path.is_empty() => {
                return Err(bad("it is a folder in the image; end it with `/` to put the file into it"));
            }
            (Some(node), kind) if (node == Node::Folder) != (*kind == Kind::Folder) => {
                return Err(through(&path, &path, node));
            }
            _ => {}
        }
        parents(&path, tree, &mut entries)?;
        tree.insert(&path, found.kind.node());
        let (disk, kind) = (found.disk.clone(), found.kind.clone());
        entries.insert(path.clone(), Entry { path, disk, kind, stamp: found.stamp });
    }
    Ok(entries.into_values().collect())
}

/// Adds the folders `path` lies in where they are missing.
fn parents(path: &str, tree: &mut Tree, entries: &mut BTreeMap<String, Entry>) -> Result<(), NativeError> {
    for (end, _) in path.match_indices('/') {
        let parent = &path[..end];
        match tree.at(parent) {
            Some(Node::Folder) => {}
            Some(node) => return Err(through(path, parent, node)),
            None => {
                tree.insert(parent, Node::Folder);
                let entry =
                    Entry { path: parent.to_owned(), disk: PathBuf::new(), kind: Kind::Folder, stamp: None };
                entries.insert(parent.to_owned(), entry);
            }
        }
    }
    Ok(())
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

fn named(path: &str, found: &Found) -> Result<(), NativeError> {
    let bad = |why| Err(NativeError::Name { path: found.disk.clone(), why });
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
