//! A context as one tar stream, for the classic builder.
//!
//! The files are read while the engine takes them. Two runs over the same files give the same bytes: entries are sorted, owners and
//! times are constants. Nothing is compressed: the engine is near.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use bytes::Bytes;
use futures::Stream;
use tokio::sync::mpsc;

use super::{ContextError, Exact, Listing, MTIME, PIECE_BYTES, PIECES, Trouble, mode};

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
        let mut exact = Exact::new(file, size);
        let result = archive.append_data(&mut header, relative, &mut exact);
        if let Some(error) = exact.trouble(&path) {
            return Err(WriteError::Context(error));
        }
        result
    };
    result.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => WriteError::Gone,
        _ => WriteError::Context(ContextError::Name { path: path.clone(), source: error }),
    })
}
