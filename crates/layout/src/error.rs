//! Why a layout cannot be used.

use std::io;
use std::path::{Path, PathBuf};

/// Why a layout cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// The folder has other things in it.
    #[error("`{}` is not empty and no image layout", path.display())]
    Foreign {
        /// The folder.
        path: PathBuf,
    },
    /// A file of the layout cannot be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file of the layout cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file of the layout is not what the specification says.
    #[error("`{}` is not part of an image layout: {why}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: &'static str,
    },
    /// A blob's bytes are not those it is named after.
    #[error("`{}` does not have the bytes its name stands for", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
    },
}

/// An error of writing `path`, for `map_err`.
pub(crate) fn unwritten(path: &Path) -> impl Fn(io::Error) -> LayoutError {
    let path = path.to_owned();
    move |source| LayoutError::Write { path: path.clone(), source }
}

/// An error of reading `path`, for `map_err`.
pub(crate) fn unread(path: &Path) -> impl Fn(io::Error) -> LayoutError {
    let path = path.to_owned();
    move |source| LayoutError::Read { path: path.clone(), source }
}
