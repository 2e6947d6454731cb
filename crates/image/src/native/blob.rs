//! A blob on its way into a layout: written beside its place, and moved there whole.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use release_core::Digest;
use tempfile::NamedTempFile;

use super::layout::{Layout, LayoutError};

/// How much is compared at a time.
const PIECE_BYTES: usize = 256 * 1024;

/// A blob that is being written. Dropped, it leaves nothing behind.
#[derive(Debug)]
pub(crate) struct Blob<'a> {
    layout: &'a Layout,
    file: NamedTempFile,
}

impl<'a> Blob<'a> {
    pub(crate) fn new(layout: &'a Layout, file: NamedTempFile) -> Self {
        Self { layout, file }
    }

    /// Gives the blob its name. `true` when the layout had it already, byte for byte; one that differs from its name is
    /// replaced.
    pub(crate) fn keep(mut self, digest: &Digest) -> Result<bool, LayoutError> {
        let path = self.layout.blob(digest);
        let unwritten = |source| LayoutError::Write { path: path.clone(), source };
        self.file.flush().map_err(unwritten)?;
        if same(self.file.path(), &path).map_err(unwritten)? {
            return Ok(true);
        }
        self.layout.folder.keep(self.file, digest)?;
        Ok(false)
    }
}

impl Write for Blob<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Whether there is a plain file at `there` with the same bytes.
fn same(here: &Path, there: &Path) -> io::Result<bool> {
    let metadata = match fs::symlink_metadata(there) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let mut here = File::open(here)?;
    if !metadata.is_file() || metadata.len() != here.metadata()?.len() {
        return Ok(false);
    }
    let mut there = File::open(there)?;
    let (mut a, mut b) = (vec![0; PIECE_BYTES], vec![0; PIECE_BYTES]);
    loop {
        let n = here.read(&mut a)?;
        if n == 0 {
            return Ok(true);
        }
        match there.read_exact(&mut b[..n]) {
            Ok(()) if a[..n] == b[..n] => {}
            Ok(()) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}
