//! The image that layers are put on.
//!
//! Its layers go into the new image as they are; their names are read, so that the new layers know which folders are there.
//! Every blob is checked against its digest and every layer against its diff id before anything is built on it. What came of
//! that is written down, so that the next build reads none of it.

use std::io::{self, Read, Write as _};
use std::path::Path;

use release_core::{Digest, Platform};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::error::NativeError;
use super::layout::{self, Descriptor, Layout, LayoutError};
use super::plan::{Node, Tree};
use super::record::{Kept, Records};
use super::spec::Format;
use super::walk::MAX_ENTRIES;
use super::{NativeEvent, json};
use crate::{Base, EntryKind, LayerContents, LayerEntry, Wanted};

/// The base, with its layers in the layout.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) layers: Vec<Descriptor>,
    pub(crate) config: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    media_type: Option<String>,
    config: Descriptor,
    layers: Vec<Foreign>,
    /// An index has these, and then it is no manifest, whatever its kind says.
    manifests: Option<Value>,
}

#[derive(Deserialize)]
struct Foreign {
    #[serde(flatten)]
    descriptor: Descriptor,
    #[serde(default)]
    urls: Vec<String>,
}

/// How a layer of a base is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    Plain,
    Gzip,
    #[cfg(feature = "zstd")]
    Zstd,
}

impl Packing {
    /// Whether a format has a name for it.
    fn fits(self, format: Format) -> bool {
        match (self, format) {
            (Self::Plain | Self::Gzip, _) => true,
            #[cfg(feature = "zstd")]
            (Self::Zstd, format) => format == Format::Oci,
        }
    }
}

/// What a layer does to the tree, in the order in which it does it. Paths are those of [`Tree`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Step {
    Put(String, Node),
    /// The path is gone.
    Gone(String),
    /// What was in the folder is gone.
    Emptied(String),
}

/// What was found out about a layer of a base, and where its blob was left.
#[derive(Serialize, Deserialize)]
struct Record {
    blob: Kept,
    steps: Vec<Step>,
}

/// Copies the base's layers into `layout` and its names into `tree`.
pub(crate) fn load(
    base: &Base,
    (platform, format): (&Platform, Format),
    layout: &Layout,
    records: Option<&Records>,
    tree: &mut Tree,
    tell: &mut dyn FnMut(NativeEvent),
) -> Result<Option<Loaded>, NativeError> {
    let Base::Layout { dir, manifest, .. } = base else { return Ok(None) };
    layout::check(dir)?;
    let digest = choose(dir, manifest.as_ref(), platform)?;
    let document: Manifest = layout::parse(dir, &digest)?;
    let bad = |what, digest: &Digest, why: &str| NativeError::BaseForm {
        what,
        digest: digest.clone(),
        why: why.to_owned(),
    };
    if document.manifests.is_some() || document.media_type.is_some_and(|kind| kind.contains("index")) {
        return Err(bad("manifest", &digest, "it is an index, or says that it is"));
    }
    let config: Map<String, Value> = layout::parse(dir, &document.config.digest)?;
    if !fits(&config, platform) {
        return Err(bad("configuration", &document.config.digest, &format!("it is not for {platform}")));
    }
    let ids = config.get("rootfs").and_then(|rootfs| rootfs.get("diff_ids")).and_then(Value::as_array);
    let ids: Option<Vec<Digest>> =
        ids.and_then(|ids| ids.iter().map(|id| id.as_str()?.parse().ok()).collect());
    let ids = ids.filter(|ids| ids.len() == document.layers.len());
    let ids =
        ids.ok_or_else(|| bad("configuration", &document.config.digest, "it does not list the layers"))?;
    let mut layers = Vec::new();
    for (foreign, diff_id) in document.layers.into_iter().zip(&ids) {
        let blob = foreign.descriptor;
        if !foreign.urls.is_empty() {
            return Err(bad("layer", &blob.digest, "it is kept elsewhere"));
        }
        let Some((packing, media_type)) =
            packing(&blob.media_type).filter(|(packing, _)| packing.fits(format))
        else {
            return Err(bad("layer", &blob.digest, &format!("its kind is `{}`", blob.media_type)));
        };
        let blob = Descriptor { media_type: format.name(media_type).to_owned(), ..blob };
        for step in steps(dir, layout, records, &blob, packing, diff_id)? {
            step.take(tree);
            if tree.len() > MAX_ENTRIES {
                let why = format!("the image has more than {MAX_ENTRIES} files");
                return Err(bad("layer", &blob.digest, &why));
            }
        }
        tell(NativeEvent::BaseLayer { blob: blob.clone() });
        layers.push(blob);
    }
    Ok(Some(Loaded { layers, config }))
}

/// How a kind of layer is compressed, and what the kind is called in the new image.
fn packing(media_type: &str) -> Option<(Packing, &'static str)> {
    Some(match media_type {
        json::LAYER | json::DOCKER_LAYER => (Packing::Plain, json::LAYER),
        json::LAYER_GZIP | json::DOCKER_LAYER_GZIP => (Packing::Gzip, json::LAYER_GZIP),
        #[cfg(feature = "zstd")]
        json::LAYER_ZSTD | "application/vnd.docker.image.rootfs.diff.tar.zstd" => {
            (Packing::Zstd, json::LAYER_ZSTD)
        }
        _ => return None,
    })
}

/// What a layer does, with its blob in the layout.
fn steps(
    dir: &Path,
    layout: &Layout,
    records: Option<&Records>,
    blob: &Descriptor,
    packing: Packing,
    diff_id: &Digest,
) -> Result<Vec<Step>, NativeError> {
    let about = format!("names in a layer of a base, {packing:?}, {}, {diff_id}", blob.digest);
    let path = layout.blob(&blob.digest);
    let known = records.and_then(|records| records.get::<Record>(&about));
    let same = |kept: &Kept| kept.digest == blob.digest && kept.size == blob.size && kept.is_at(&path);
    if let Some(record) = known.filter(|record| same(&record.blob)) {
        return Ok(record.steps);
    }
    copy(dir, layout, blob)?;
    let steps = names(layout, blob, diff_id)?;
    if let (Some(records), Some(kept)) = (records, Kept::new(&path, blob.digest.clone(), blob.size)) {
        let record = Record { blob: kept, steps };
        records.put(&about, &record);
        return Ok(record.steps);
    }
    Ok(steps)
}

impl Step {
    fn take(self, tree: &mut Tree) {
        match self {
            Self::Put(path, node) => tree.insert(&path, node),
            Self::Gone(path) => tree.remove(&path),
            Self::Emptied(folder) => tree.remove_below(&folder),
        }
    }
}

/// The manifest that is meant.
fn choose(dir: &Path, wanted: Option<&Digest>, platform: &Platform) -> Result<Digest, NativeError> {
    let index = layout::index(dir)?;
    let mut items: Vec<&layout::Item> = index
        .manifests
        .iter()
        .filter(|item| wanted.is_none_or(|wanted| *wanted == item.descriptor.digest))
        .collect();
    // Only among several: the only one is looked at, and what is wrong with it can be said.
    if items.len() > 1 {
        let fits = |item: &&layout::Item| {
            item.platform.as_ref().and_then(Value::as_object).is_some_and(|of| fits(of, platform))
        };
        items.retain(fits);
    }
    let mut found: Vec<&Digest> = items.iter().map(|item| &item.descriptor.digest).collect();
    // One image under several names is one image.
    found.dedup();
    match found.as_slice() {
        [one] => Ok((*one).clone()),
        many => Err(NativeError::BaseChoice {
            dir: dir.to_owned(),
            found: many.len(),
            wanted: wanted
                .map_or_else(|| format!("for {platform}, and exactly one is needed"), ToString::to_string),
            available: index.names(),
        }),
    }
}

/// Copies a blob, checked on the way.
fn copy(dir: &Path, layout: &Layout, blob: &Descriptor) -> Result<(), LayoutError> {
    let path = layout::blob(dir, &blob.digest);
    let unread = |source| LayoutError::Read { path: path.clone(), source };
    let mut from = Hashing::new(layout::open(&path)?.take(blob.size + 1));
    let mut to = layout.start()?;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let n = from.read(&mut buffer).map_err(unread)?;
        if n == 0 {
            break;
        }
        to.write_all(&buffer[..n]).map_err(|source| layout.unwritten(source))?;
    }
    let (digest, size) = from.end();
    if digest != blob.digest || size != blob.size {
        return Err(LayoutError::Corrupt { path });
    }
    to.keep(&blob.digest)?;
    Ok(())
}

/// Reads a layer's names.
fn names(layout: &Layout, blob: &Descriptor, diff_id: &Digest) -> Result<Vec<Step>, NativeError> {
    let file = io::BufReader::new(layout::open(&layout.blob(&blob.digest))?);
    let wanted = Wanted { hashes: false, keep: &|_| false };
    let contents = LayerContents::read(blob, file, wanted)?;
    if contents.diff_id != *diff_id {
        let (what, digest) = ("layer", blob.digest.clone());
        let why = "it is not the one the configuration lists".to_owned();
        return Err(NativeError::BaseForm { what, digest, why });
    }
    let put = |entry: LayerEntry| {
        let node = match entry.kind {
            EntryKind::Folder => Node::Folder,
            EntryKind::Link => Node::Link,
            EntryKind::File | EntryKind::HardLink | EntryKind::Special => Node::File,
        };
        Step::Put(entry.path, node)
    };
    // A layer takes away from those below it, never from itself, wherever the whiteout stands in it.
    let emptied = contents.opaque.into_iter().map(Step::Emptied);
    let gone = contents.gone.into_iter().map(Step::Gone);
    let entries = contents.entries.into_iter().filter(|entry| !entry.path.is_empty());
    Ok(emptied.chain(gone).chain(entries.map(put)).collect())
}

/// Hashes what is read.
struct Hashing<R> {
    from: R,
    hash: Sha256,
    size: u64,
}

impl<R> Hashing<R> {
    fn new(from: R) -> Self {
        Self { from, hash: Sha256::new(), size: 0 }
    }

    fn end(self) -> (Digest, u64) {
        (Digest::from_sha256(self.hash.finalize().into()), self.size)
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.from.read(buffer)?;
        self.hash.update(&buffer[..n]);
        self.size += n as u64;
        Ok(n)
    }
}

/// Whether the base runs where the image is meant to.
fn fits(config: &Map<String, Value>, platform: &Platform) -> bool {
    let text = |key: &str| config.get(key).and_then(Value::as_str);
    text("os").is_none_or(|os| os == platform.os)
        && text("architecture").is_none_or(|architecture| architecture == platform.architecture)
}
