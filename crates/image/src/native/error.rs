//! Why there is no image.

use std::io;
use std::path::PathBuf;

use release_core::Digest;

use super::layout::{Available, LayoutError};
use super::program::ProgramError;
use crate::IgnoreError;
use crate::LayerError;

/// Why an image could not be put together. Paths are those of the project, or of the image where that is said.
#[derive(Debug, thiserror::Error)]
pub enum NativeError {
    /// A value of the configuration that no runtime would take.
    #[error("{what} `{text}` cannot be used: {why}")]
    Config {
        /// Which value.
        what: &'static str,
        /// As it was given.
        text: String,
        /// The rule it breaks.
        why: &'static str,
    },
    /// A file or folder cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The path.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The `.dockerignore` cannot be understood.
    #[error("cannot understand `{}`", path.display())]
    Ignore {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: IgnoreError,
    },
    /// A layer is to be made of something outside of the project.
    #[error("`{from}` leads out of the project's folder")]
    Outside {
        /// The path as it was given.
        from: String,
    },
    /// The image would have what it is put together from in it, and the next one that as well.
    #[error("the image layout `{layout}` lies in `{from}`, which the image is made from")]
    Itself {
        /// What the layer is made from.
        from: String,
        /// The layout, relative to the project's folder.
        layout: String,
    },
    /// A place in the image that is none.
    #[error("files cannot go to `{to}` in the image: {why}")]
    Target {
        /// The place as it was given.
        to: String,
        /// The rule it breaks.
        why: &'static str,
    },
    /// Neither a file nor a folder nor a link.
    #[error("`{}` is {kind}: only files, folders and links can be put into an image", path.display())]
    Special {
        /// The path.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// A name that would take files away instead of adding one.
    #[error(
        "`{path}` cannot be put into an image: names that begin with `.wh.` mean that a file is taken away"
    )]
    Whiteout {
        /// The path in the image.
        path: String,
    },
    /// A name that is no text, or is too long for any system to create.
    #[error("`{}` has a name that cannot be put into an image: {why}", path.display())]
    Name {
        /// The path.
        path: PathBuf,
        /// The rule it breaks.
        why: &'static str,
    },
    /// A file that not every runtime could unpack.
    #[error("`{}` has {size} bytes; a file in an image can have at most {limit}", path.display())]
    TooLarge {
        /// The path.
        path: PathBuf,
        /// Its size.
        size: u64,
        /// The most there can be.
        limit: u64,
    },
    /// Everything in a folder is left out.
    #[error("`{from}` has nothing in it that `.dockerignore` lets through")]
    Empty {
        /// The path as it was given.
        from: String,
    },
    /// A layer of more files than anybody means to have.
    #[error("`{from}` has more than {limit} files: is it the right folder?")]
    TooMany {
        /// The path as it was given.
        from: String,
        /// How many there can be.
        limit: usize,
    },
    /// A place below something that is no folder.
    #[error("`{path}` cannot be put into the image: `{at}` is {what} there")]
    Through {
        /// The path in the image.
        path: String,
        /// What it lies in.
        at: String,
        /// What that is.
        what: &'static str,
    },
    /// A file became shorter while it was read.
    #[error("`{}` changed while it was read", path.display())]
    Changed {
        /// The path.
        path: PathBuf,
    },
    /// The base has no such manifest, or several and nothing to choose by.
    #[error("`{}` has {found} images {wanted}{}", dir.display(), Available(available))]
    BaseChoice {
        /// The layout.
        dir: PathBuf,
        /// How many it has.
        found: usize,
        /// What was looked for.
        wanted: String,
        /// Those it has.
        available: Vec<String>,
    },
    /// A document or layer of the base cannot be understood.
    #[error("{what} {digest} of the base cannot be understood: {why}")]
    BaseForm {
        /// Which part.
        what: &'static str,
        /// Its digest.
        digest: Digest,
        /// What is wrong.
        why: String,
    },
    /// A layer of the base is none that can be built on.
    #[error(transparent)]
    BaseLayer(#[from] LayerError),
    /// It cannot be known which libraries a program needs.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The layout cannot be written, or is not sound.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Somebody ended the build.
    #[error("the build was ended")]
    Cancelled,
}
