//! The folders of a build, as BuildKit reads them: its file synchronization.
//!
//! ```text
//!   BuildKit                                  we
//!     ── the folder's name, and paths ────────►
//!     ◄── STAT of each path, in order; an empty one ends them
//!     ── REQ 7 ───────────────────────────────►      the bytes of the eighth path
//!     ◄── DATA 7 …, the last one empty
//!     ── FIN ─────────────────────────────────►
//!     ◄── FIN
//! ```
//!
//! So only what the Dockerfile copies travels, and what is ignored is nowhere: the Dockerfile comes out of a folder of its own. The
//! protocol is that of [fsutil](https://github.com/tonistiigi/fsutil), the names in the request are
//! [BuildKit's](https://github.com/moby/buildkit/blob/master/session/filesync/filesync.go).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use bollard::fsutil::types::packet::PacketType;
use bollard::fsutil::types::{Packet, Stat};
use bollard::moby::filesync::packet::file_sync_server::FileSync;
use futures::StreamExt as _;
use percent_encoding::percent_decode;
use tokio::sync::mpsc;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

use super::session::{Answer, Answers};
use crate::context::{
    self, ContextError, Exact, MAX_ENTRIES, MTIME, PIECE_BYTES, PIECES, Rules, Trouble, follow,
};

/// How Go writes what a path is into the upper bits of its mode (`io/fs.FileMode`).
const FOLDER: u32 = 1 << 31;
const LINK: u32 = 1 << 27;
/// The bits of Unix that Go keeps elsewhere, and where: set-user-ID, set-group-ID, sticky.
const SPECIAL: [(u32, u32); 3] = [(0o4000, 1 << 23), (0o2000, 1 << 22), (0o1000, 1 << 20)];

const NANOSECONDS: i64 = 1_000_000_000;

/// What BuildKit may read, by the name it has for it.
pub(super) struct Folders {
    pub(super) by_name: BTreeMap<String, Folder>,
    /// What happens while they are read.
    pub(super) trouble: Trouble,
}

/// Something that BuildKit sees as a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Folder {
    /// One of this machine.
    Whole(PathBuf),
    /// Files by the name they have in it, wherever they are. Links are gone through.
    Files(BTreeMap<String, PathBuf>),
}

/// One path of a folder.
struct Item {
    /// In the folder, with `/` between its parts.
    name: String,
    disk: PathBuf,
}

/// Which folder is asked for, and which of its paths.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    folder: String,
    includes: Vec<String>,
    /// As includes, and what links on the way lead to.
    follow: Vec<String>,
    excludes: Vec<String>,
}

#[tonic::async_trait]
impl FileSync for Folders {
    type DiffCopyStream = Answers<Packet>;
    type TarStreamStream = Answers<Packet>;

    async fn diff_copy(&self, request: Request<Streaming<Packet>>) -> Answer<Self::DiffCopyStream> {
        let wish = Wish::read(request.metadata())?;
        let folder = self.by_name.get(&wish.folder);
        let folder = folder
            .ok_or_else(|| Status::not_found(format!("the build was given no folder `{}`", wish.folder)))?;
        let (sender, mut receiver) = mpsc::channel(PIECES);
        let (asking, asked) = mpsc::unbounded_channel();
        tokio::spawn(listen(request.into_inner(), asking));
        let sending =
            Sending { folder: folder.clone(), wish, to: sender, asked, trouble: self.trouble.clone() };
        tokio::task::spawn_blocking(move || sending.run());
        let packets = futures::stream::poll_fn(move |context| receiver.poll_recv(context));
        Ok(Response::new(Box::pin(packets)))
    }

    async fn tar_stream(&self, _: Request<Streaming<Packet>>) -> Answer<Self::TarStreamStream> {
        Err(Status::unimplemented("folders are synchronized, not sent as archives"))
    }
}

/// What BuildKit wants next.
enum Asked {
    /// The bytes of the path in this place.
    File(u32),
    /// Nothing more.
    Fin,
}

/// Hands on what BuildKit asks for. It asks ahead of what it has read, so its words are never left waiting; they are bounded by what
/// there is to ask for.
async fn listen(mut packets: Streaming<Packet>, to: mpsc::UnboundedSender<Asked>) {
    for _ in 0..=MAX_ENTRIES {
        let Some(Ok(packet)) = packets.next().await else { return };
        let asked = match packet.r#type() {
            PacketType::PacketReq => Asked::File(packet.id),
            PacketType::PacketFin => Asked::Fin,
            PacketType::PacketErr => {
                let said = String::from_utf8_lossy(&packet.data).into_owned();
                tracing::debug!(%said, "BuildKit cannot take the folder");
                return;
            }
            PacketType::PacketStat | PacketType::PacketData => return,
        };
        let ends = matches!(asked, Asked::Fin);
        if to.send(asked).is_err() || ends {
            return;
        }
    }
}

/// A folder on its way, on a thread of its own.
struct Sending {
    folder: Folder,
    wish: Wish,
    to: mpsc::Sender<Result<Packet, Status>>,
    asked: mpsc::UnboundedReceiver<Asked>,
    trouble: Trouble,
}

/// Why a folder is not sent to its end.
enum Broken {
    /// Whoever asked is gone, and knows why.
    Gone,
    /// The folder cannot be read.
    Unread(ContextError),
    /// What was asked for makes no sense.
    Refused(Status),
}

impl Sending {
    fn run(mut self) {
        let status = match self.send() {
            Ok(()) | Err(Broken::Gone) => return,
            Err(Broken::Unread(error)) => {
                self.trouble.put(error);
                Status::aborted("the folder cannot be read")
            }
            Err(Broken::Refused(status)) => status,
        };
        // An error in the stream is what makes BuildKit give the folder up.
        let _ = self.to.blocking_send(Err(status));
    }

    fn send(&mut self) -> Result<(), Broken> {
        let items = self.items()?;
        for item in &items {
            let stat = self.folder.stat(item).map_err(Broken::Unread)?;
            self.packet(PacketType::PacketStat, |packet| packet.stat = Some(stat))?;
        }
        self.packet(PacketType::PacketStat, |_| {})?;
        loop {
            match self.asked.blocking_recv() {
                None => return Err(Broken::Gone),
                Some(Asked::Fin) => return self.packet(PacketType::PacketFin, |_| {}),
                Some(Asked::File(id)) => {
                    let unknown =
                        || Broken::Refused(Status::invalid_argument(format!("there is no path {id}")));
                    let item = usize::try_from(id).ok().and_then(|place| items.get(place));
                    self.bytes(id, &item.ok_or_else(unknown)?.disk)?;
                }
            }
        }
    }

    /// The paths that are wanted, sorted as BuildKit expects them: by their parts.
    fn items(&self) -> Result<Vec<Item>, Broken> {
        let Wish { includes, follow: links, excludes, .. } = &self.wish;
        let mut wanted: BTreeSet<String> = includes.iter().cloned().collect();
        if let (Folder::Whole(root), false) = (&self.folder, links.is_empty()) {
            let followed = follow(root, links);
            // The folder itself is among them.
            if followed.is_empty() {
                wanted.clear();
            } else {
                wanted.extend(followed);
            }
        } else {
            wanted.extend(links.iter().cloned());
        }
        let refused = |error| Broken::Refused(Status::invalid_argument(format!("not understood: {error}")));
        let rules = Rules::new(&wanted, excludes).map_err(refused)?;
        match &self.folder {
            Folder::Files(files) => {
                let sent = files.iter().filter(|(name, _)| rules.send(name));
                Ok(sent.map(|(name, disk)| Item { name: name.clone(), disk: disk.clone() }).collect())
            }
            Folder::Whole(root) => {
                let listing = context::walk(root, &rules).map_err(Broken::Unread)?;
                self.trouble.skip(listing.skipped);
                let item = |path: &PathBuf| {
                    let disk = root.join(path);
                    Ok(Item { name: wire_name(path, &disk)?, disk })
                };
                listing.entries.iter().map(item).collect::<Result<_, _>>().map_err(Broken::Unread)
            }
        }
    }

    /// The bytes of a file, in pieces. An empty one says that these are all.
    fn bytes(&self, id: u32, path: &Path) -> Result<(), Broken> {
        let unread = |source| Broken::Unread(ContextError::Read { path: path.to_owned(), source });
        let file = File::open(path).map_err(unread)?;
        // The size of the opened file: its name may stand for another one by now.
        let size = file.metadata().map_err(unread)?.len();
        let mut exact = Exact::new(file, size);
        loop {
            let mut data = Vec::new();
            let read = (&mut exact).take(PIECE_BYTES as u64).read_to_end(&mut data);
            if let Some(error) = exact.trouble(path) {
                return Err(Broken::Unread(error));
            }
            read.map_err(unread)?;
            let last = data.is_empty();
            self.packet(PacketType::PacketData, |packet| (packet.id, packet.data) = (id, data))?;
            if last {
                return Ok(());
            }
        }
    }

    fn packet(&self, kind: PacketType, fill: impl FnOnce(&mut Packet)) -> Result<(), Broken> {
        let mut packet = Packet { r#type: kind.into(), ..Packet::default() };
        fill(&mut packet);
        self.to.blocking_send(Ok(packet)).map_err(|_| Broken::Gone)
    }
}

impl Folder {
    /// What is told of a path. Owners and times are constants: they would end up in the image.
    fn stat(&self, item: &Item) -> Result<Stat, ContextError> {
        let unread = |source| ContextError::Read { path: item.disk.clone(), source };
        let metadata = match self {
            Self::Whole(_) => item.disk.symlink_metadata(),
            Self::Files(_) => item.disk.metadata(),
        }
        .map_err(unread)?;
        let mut stat = Stat {
            path: item.name.clone(),
            mode: go_mode(context::mode(&metadata)),
            mod_time: i64::try_from(MTIME).unwrap_or_default() * NANOSECONDS,
            ..Stat::default()
        };
        if metadata.is_symlink() {
            stat.mode |= LINK;
            stat.linkname = text(&fs::read_link(&item.disk).map_err(unread)?, &item.disk)?;
        } else if metadata.is_dir() {
            stat.mode |= FOLDER;
        }
        if !metadata.is_dir() {
            stat.size = i64::try_from(metadata.len()).unwrap_or(i64::MAX);
        }
        Ok(stat)
    }
}

/// A mode of Unix as Go has it.
fn go_mode(mode: u32) -> u32 {
    let special = SPECIAL.iter().filter(|(unix, _)| mode & unix != 0);
    special.fold(mode & 0o777, |go, (_, bit)| go | bit)
}

/// The path in its folder as it is told, with `/` between its parts.
fn wire_name(path: &Path, disk: &Path) -> Result<String, ContextError> {
    let parts: Result<Vec<_>, _> = path.iter().map(|part| text(Path::new(part), disk)).collect();
    Ok(parts?.join("/"))
}

fn text(path: &Path, disk: &Path) -> Result<String, ContextError> {
    let no_text = || io::Error::new(io::ErrorKind::InvalidData, "it is not written in UTF-8");
    let text = path.to_str().ok_or_else(no_text);
    text.map(str::to_owned).map_err(|source| ContextError::Name { path: disk.to_owned(), source })
}

impl Wish {
    fn read(metadata: &MetadataMap) -> Result<Self, Status> {
        let folder = values(metadata, "dir-name")?.pop();
        Ok(Self {
            folder: folder.ok_or_else(|| Status::invalid_argument("no folder is named"))?,
            includes: values(metadata, "include-patterns")?,
            follow: values(metadata, "followpaths")?,
            excludes: values(metadata, "exclude-patterns")?,
        })
    }
}

/// The values of a header. Since version 0.12, BuildKit writes those that are not all visible ASCII as Go's `url.QueryEscape` does, and
/// says so in a second header.
fn values(metadata: &MetadataMap, key: &str) -> Result<Vec<String>, Status> {
    let encoded =
        metadata.get(format!("{key}-encoded")).is_some_and(|value| value.as_encoded_bytes() == b"1");
    let value = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        if encoded {
            bytes.iter_mut().filter(|byte| **byte == b'+').for_each(|plus| *plus = b' ');
            bytes = percent_decode(&bytes).collect();
        }
        String::from_utf8(bytes).map_err(|_| Status::invalid_argument(format!("`{key}` is no text")))
    };
    metadata.get_all(key).iter().map(|written| value(written.as_encoded_bytes())).collect()
}

#[cfg(test)]
mod tests;
