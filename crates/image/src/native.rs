//! Images put together here: files and a configuration, no daemon, the same bytes on every machine.
//!
//! ```text
//!  base ──────► Tree (what is there already)
//!                 │
//!  layers ─► walk ─► plan ─► cut ─► archive ─► codec ─► blob ─┐
//!                             │  (layer, pack)                 │
//!                             └─► record of the last build     │
//!  config ─────────────────────────────────────► json ─► blob ─┼─► manifest ─► index.json
//! ```
//!
//! What is put into an image ([`plan`]) is decided apart from reading and writing it. Whatever differs between two machines
//! does not get in: owners, times, umask, the order of folders, the number of processors.

mod archive;
mod base;
mod blob;
mod codec;
mod cut;
mod error;
pub(crate) mod json;
mod layer;
pub(crate) mod layout;
mod pack;
mod plan;
mod program;
mod record;
mod spec;
mod stamp;
mod walk;

#[cfg(all(test, unix))]
mod incremental;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

use release_core::Digest;

pub use error::NativeError;
pub use layer::Work;
pub use layout::{Descriptor, Layout, LayoutError};
pub use program::ProgramError;
pub use spec::{
    Base, Compression, Format, Healthcheck, Layer, NativeBuild, Origin, Port, Protocol, RunConfig,
};

use plan::{Found, Tree};
use record::Records;

/// The most threads that read and compress at a time. Each holds up to 6 MiB; beyond six, the one that hashes is what takes the time.
const MAX_THREADS: usize = 6;

/// How a build is done. None of it changes a byte of the image.
#[derive(Debug, Clone, Default)]
pub struct BuildOptions {
    /// How many threads compress; as many as there are processors, at most six, when `None`.
    pub threads: Option<usize>,
    /// Set it from elsewhere to end the build at the next opportunity.
    pub cancel: Arc<AtomicBool>,
    /// A folder for what builds write down for later builds, so that what did not change is neither read nor compressed again.
    /// Several builds may use one at a time. None of it matters when it is lost.
    pub records: Option<PathBuf>,
    /// Believe nothing that is written down there, and write it down anew.
    pub anew: bool,
}

/// What happens during a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NativeEvent {
    /// A layer of the base is in the layout.
    BaseLayer {
        /// Its blob.
        blob: Descriptor,
    },
    /// A layer was written.
    Layer {
        /// Where its files come from, as it was given.
        from: String,
        /// How many files, folders and links it has.
        entries: usize,
        /// Its blob.
        blob: Descriptor,
        /// Whether the layout had the blob already.
        reused: bool,
        /// How much of it had to be made.
        work: Work,
    },
}

/// An image in a layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NativeImage {
    /// The manifest: its digest is the one a registry knows the image by.
    pub manifest: Descriptor,
    /// The configuration: its digest is what an engine calls the image's id.
    pub config: Descriptor,
    /// The layers, those of the base first.
    pub layers: Vec<Descriptor>,
}

impl NativeBuild {
    /// Builds the image into `layout`. Nothing refers to it there until [`Layout::name`] is called.
    ///
    /// Blocks; a program with a runtime gives it a thread of its own. Memory does not grow with the image's size.
    ///
    /// # Errors
    /// What cannot be put into an image, what cannot be read, and what cannot be written.
    pub fn build(
        &self,
        layout: &Layout,
        options: &BuildOptions,
        tell: &mut dyn FnMut(NativeEvent),
    ) -> Result<NativeImage, NativeError> {
        self.build_as_of(SystemTime::now, layout, options, tell)
    }

    /// Builds with another clock, which says how old the files are.
    fn build_as_of(
        &self,
        now: fn() -> SystemTime,
        layout: &Layout,
        options: &BuildOptions,
        tell: &mut dyn FnMut(NativeEvent),
    ) -> Result<NativeImage, NativeError> {
        self.check()?;
        let root = self
            .root
            .canonicalize()
            .map_err(|source| NativeError::Read { path: self.root.clone(), source })?;
        let ignore = walk::ignore(&root)?;
        let own = layout.dir().canonicalize().map_err(unread(layout.dir()))?;
        let records = options.records.as_ref().map(|dir| Records::new(dir, !options.anew));
        let mut tree = Tree::default();
        let base =
            base::load(&self.base, (&self.platform, self.format), layout, records.as_ref(), &mut tree, tell)?;
        let layers = base.as_ref().map(|base| base.layers.clone()).unwrap_or_default();
        let mut work =
            Assembly { build: self, layout, options, records, root, tree, layers, made: Vec::new() };
        for program in self.programs.values() {
            program::fits(&work.root.join(program), &self.platform)?;
        }
        if let Some((layer, found)) = work.libraries()? {
            work.add(layer, found, now(), tell)?;
        }
        for layer in &self.layers {
            let look = now();
            let found = match self.programs.get(&layer.from) {
                Some(program) => vec![walk::one(String::new(), work.root.join(program))?],
                None => walk::walk(&work.root, &layer.from, &ignore, &own)?,
            };
            work.add(layer.clone(), found, look, tell)?;
        }
        let Assembly { layers, made, .. } = work;
        let bytes = json::config(self, base.as_ref(), &made)?;
        let config = layout.put(self.format.name(json::CONFIG), &bytes)?;
        let manifest = json::manifest(self.format, &config, &layers, self.base.origin());
        let manifest = layout.put(self.format.name(json::MANIFEST), &manifest)?;
        Ok(NativeImage { manifest, config, layers })
    }
}

/// An image that is being put together.
struct Assembly<'a> {
    build: &'a NativeBuild,
    layout: &'a Layout,
    options: &'a BuildOptions,
    records: Option<Records>,
    /// The project's folder, free of links.
    root: PathBuf,
    /// What is in the image so far.
    tree: Tree,
    /// Its layers so far, those of the base first.
    layers: Vec<Descriptor>,
    /// The layers that were made here, and their diff ids.
    made: Vec<(Layer, Digest)>,
}

impl Assembly<'_> {
    /// The libraries of the programs, as a layer.
    fn libraries(&self) -> Result<Option<(Layer, Vec<Found>)>, NativeError> {
        let mut needed = BTreeSet::new();
        for program in &self.build.libraries_of {
            let place = self.build.programs.get(program).map_or(Path::new(program), PathBuf::as_path);
            needed.extend(program::needed(&self.root.join(place))?);
        }
        let found: Vec<Found> = needed
            .into_iter()
            .map(|program::Needed { path, disk }| walk::one(path, disk))
            .collect::<Result<_, _>>()?;
        let from = format!("libraries of {}", self.build.libraries_of.join(", "));
        Ok((!found.is_empty()).then(|| (Layer { from, to: "/".to_owned() }, found)))
    }

    /// Makes a layer of what was found at the time `look`.
    fn add(
        &mut self,
        layer: Layer,
        found: Vec<Found>,
        look: SystemTime,
        tell: &mut dyn FnMut(NativeEvent),
    ) -> Result<(), NativeError> {
        let (build, options) = (self.build, self.options);
        let entries = Arc::new(plan::plan(&layer, found, &self.tree)?);
        self.tree.add(Arc::clone(&entries));
        let available = || std::thread::available_parallelism().map_or(1, usize::from);
        let job = layer::Job {
            layout: self.layout,
            root: &self.root,
            entries: &entries,
            look,
            created: build.created,
            compression: build.compression,
            threads: options.threads.unwrap_or_else(available).clamp(1, MAX_THREADS),
            cancel: &options.cancel,
            records: self.records.as_ref(),
            // Not the folder it is in: another checkout has other stamps and the same content.
            about: format!("{} -> {}", layer.from, layer.to),
        };
        let done = job.run()?;
        let blob = Descriptor {
            media_type: build.format.name(json::layer_type(build.compression)).to_owned(),
            digest: done.digest,
            size: done.size,
        };
        tell(NativeEvent::Layer {
            from: layer.from.clone(),
            entries: entries.len(),
            blob: blob.clone(),
            reused: done.reused,
            work: done.work,
        });
        self.layers.push(blob);
        self.made.push((layer, done.diff_id));
        Ok(())
    }
}

/// An error of reading `path`, for `map_err`.
fn unread(path: &Path) -> impl FnOnce(io::Error) -> NativeError {
    let path = path.to_owned();
    move |source| NativeError::Read { path, source }
}
