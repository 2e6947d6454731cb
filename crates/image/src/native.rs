//! Images put together here: files and a configuration, no daemon, the same bytes on every machine.
//!
//! ```text
//!  base ──────► Tree (what is there already)
//!                 │
//!  layers ─► walk ─► plan ─► archive ─► gzip ─► blob ─┐
//!  config ─────────────────────────────► json ─► blob ─┼─► manifest ─► index.json
//! ```
//!
//! What is put into an image ([`plan`]) is decided apart from reading and writing it. Whatever differs between two machines
//! does not get in: owners, times, umask, the order of folders, the number of processors.

mod archive;
mod base;
mod blob;
mod error;
mod gzip;
pub(crate) mod json;
pub(crate) mod layout;
mod plan;
mod spec;
mod walk;

#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use release_core::Digest;

pub use error::NativeError;
pub use layout::{Descriptor, Layout, LayoutError};
pub use spec::{Base, Layer, NativeBuild, Platform, PlatformError, Port, Protocol, RunConfig};

use gzip::Packed;
use plan::{Entry, Tree};

/// The most threads that compress at a time. Each holds about 3 MiB; beyond eight, reading files is what takes the time.
const MAX_THREADS: usize = 8;

/// How a build is done. None of it changes a byte of the image.
#[derive(Debug, Clone, Default)]
pub struct BuildOptions {
    /// How many threads compress; as many as there are processors, at most eight, when `None`.
    pub threads: Option<usize>,
    /// Set it from elsewhere to end the build at the next opportunity.
    pub cancel: Arc<AtomicBool>,
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
        self.check()?;
        let root = self
            .root
            .canonicalize()
            .map_err(|source| NativeError::Read { path: self.root.clone(), source })?;
        let ignore = walk::ignore(&root)?;
        let mut tree = Tree::default();
        let base = base::load(&self.base, &self.platform, layout, &mut tree, tell)?;
        let mut layers = base.as_ref().map(|base| base.layers.clone()).unwrap_or_default();
        let mut diff_ids: Vec<Digest> = Vec::new();
        for layer in &self.layers {
            let found = walk::walk(&root, &layer.from, &ignore)?;
            let entries = plan::plan(layer, &found, &mut tree)?;
            let (packed, reused) = self.layer(layout, &root, &entries, options)?;
            let blob = json::layer(&packed);
            tell(NativeEvent::Layer {
                from: layer.from.clone(),
                entries: entries.len(),
                blob: blob.clone(),
                reused,
            });
            layers.push(blob);
            diff_ids.push(packed.diff_id);
        }
        let bytes = json::config(self, base.as_ref(), &diff_ids)?;
        let config = layout.put(json::CONFIG, &bytes)?;
        let manifest = layout.put(json::MANIFEST, &json::manifest(&config, &layers))?;
        Ok(NativeImage { manifest, config, layers })
    }

    fn layer(
        &self,
        layout: &Layout,
        root: &Path,
        entries: &[Entry],
        options: &BuildOptions,
    ) -> Result<(Packed, bool), NativeError> {
        let available = || std::thread::available_parallelism().map_or(1, usize::from);
        let threads = options.threads.unwrap_or_else(available).clamp(1, MAX_THREADS);
        let mut blob = layout.start()?;
        let cancelled = || options.cancel.load(Ordering::Relaxed);
        let packed =
            gzip::pack(threads, &mut blob, |to| archive::write(root, entries, self.created, &cancelled, to));
        match packed {
            Ok(packed) => {
                let reused = blob.keep(&packed.digest)?;
                Ok((packed, reused))
            }
            Err(gzip::PackError::Produce(error)) => Err(error),
            Err(gzip::PackError::Write(source)) => Err(layout.unwritten(source).into()),
        }
    }
}

/// An error of reading `path`, for `map_err`.
fn unread(path: &Path) -> impl FnOnce(io::Error) -> NativeError {
    let path = path.to_owned();
    move |source| NativeError::Read { path, source }
}
