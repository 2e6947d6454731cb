//! Caches in folders of this machine: what BuildKit leaves in them and finds in them.
//!
//! BuildKit wants containerd's content store for that, served by us. Ours is a folder in the form of an image layout, as `docker buildx`
//! has it for `type=local`, so that either can use what the other left. What a new cache does not need any more is removed, so a folder
//! does not grow with every build. Whether a cached result fits is BuildKit's business.

mod message;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fs::File;
use std::future::Future;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures::StreamExt as _;
use release_core::Digest;
use release_layout::{Folder, LayoutError, REF_NAME, Unlocked};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use tokio::sync::mpsc;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use super::CACHE_TO;
use super::session::{Answer, Answers};
use crate::context::{PIECE_BYTES, PIECES};
use message::{
    Action, Info, InfoMessage, InfoRequest, Nothing, ReadRequest, ReadResponse, RefRequest, WriteRequest,
    WriteResponse,
};

/// What the engine may ask for, as its headers want it.
pub(super) const METHODS: [&str; 6] = [
    "/containerd.services.content.v1.Content/Info",
    "/containerd.services.content.v1.Content/Update",
    "/containerd.services.content.v1.Content/Read",
    "/containerd.services.content.v1.Content/Status",
    "/containerd.services.content.v1.Content/Write",
    "/containerd.services.content.v1.Content/Abort",
];

/// In which metadata the store is named, and what stands before the name of one in a folder.
const STORE: &str = "buildkit-attachable-store-id";
const LOCAL: &str = "local:";

/// The largest message. BuildKit sends a blob in pieces of 1 MiB.
const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// The largest blob that is kept: a layer of 64 GiB is a mistake.
const MAX_BLOB_BYTES: u64 = 64 * 1024 * 1024 * 1024;

/// How the kind of the document begins that only caches have.
const CACHE_CONFIG: &str = "application/vnd.buildkit.cacheconfig.";

/// By which name `docker buildx` finds a cache in its folder.
const LATEST: &str = "latest";

/// Folders with caches, by the name they have in the build.
#[derive(Clone, Default)]
pub(super) struct Stores(Arc<BTreeMap<String, Store>>);

/// One folder.
pub(super) struct Store {
    dir: PathBuf,
    /// Locked from the first write on.
    writing: Mutex<Option<Folder>>,
    /// Why something could not be written: BuildKit tells only that.
    trouble: Mutex<Option<LayoutError>>,
    /// Why something could not be given: it is not there, or not what its name stands for.
    damage: Mutex<Option<LayoutError>>,
    /// The blobs that have been hashed.
    sound: Mutex<BTreeSet<Digest>>,
}

impl Stores {
    pub(super) fn new(folders: impl IntoIterator<Item = (String, PathBuf)>) -> Self {
        let store = |dir| Store {
            dir,
            writing: Mutex::default(),
            trouble: Mutex::default(),
            damage: Mutex::default(),
            sound: Mutex::default(),
        };
        Self(Arc::new(folders.into_iter().map(|(name, dir)| (name, store(dir))).collect()))
    }

    /// The folder of this name.
    pub(super) fn get(&self, name: &str) -> Option<&Store> {
        self.0.get(name)
    }

    /// Why something could not be written, once.
    pub(super) fn trouble(&self) -> Option<LayoutError> {
        self.0.values().find_map(|store| locked(&store.trouble).take())
    }

    /// What was not as it should be in the folders that are read, once. In the one that is written it is made whole.
    pub(super) fn damage(&self) -> Vec<(PathBuf, LayoutError)> {
        let read = self.0.iter().filter(|(name, _)| *name != CACHE_TO);
        read.filter_map(|(_, store)| Some((store.dir.clone(), locked(&store.damage).take()?))).collect()
    }

    /// The store a request is about, which lives as long as all of them.
    fn named<T>(&self, request: &Request<T>) -> Result<Chosen, Status> {
        let id = request.metadata().get(STORE).and_then(|id| id.to_str().ok()).unwrap_or_default();
        let name = id.strip_prefix(LOCAL).unwrap_or(id);
        let unknown = || Status::not_found(format!("the build was given no store `{id}`"));
        if !self.0.contains_key(name) {
            return Err(unknown());
        }
        Ok(Chosen { stores: self.clone(), name: name.to_owned() })
    }
}

/// A store of several, to be taken to another thread.
struct Chosen {
    stores: Stores,
    name: String,
}

impl std::ops::Deref for Chosen {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.stores.0[&self.name]
    }
}

/// The digest of the cache in a folder; `None` when there is none yet.
///
/// # Errors
/// When the index cannot be read, or is none.
pub(super) fn cached(dir: &Path) -> Result<Option<Digest>, LayoutError> {
    let path = release_layout::index(dir);
    if !path.exists() {
        return Ok(None);
    }
    let caches = manifests(&path)?;
    let latest = caches.iter().find(|item| item["annotations"][REF_NAME] == LATEST).or(caches.last());
    let digest = latest.and_then(|item| item["digest"].as_str()).and_then(|digest| digest.parse().ok());
    Ok(digest.filter(|digest| release_layout::blob(dir, digest).exists()))
}

/// Whether a cache can be left in `dir`: what is there now is nothing but one.
///
/// # Errors
/// When something else is, or it cannot be read.
pub(super) fn can_keep(dir: &Path) -> Result<(), LayoutError> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|source| LayoutError::Read { path: dir.to_owned(), source })?,
    };
    if entries.count() == 0 {
        return Ok(());
    }
    if release_layout::check(dir).is_err() {
        return Err(LayoutError::Foreign { path: dir.to_owned() });
    }
    let path = release_layout::index(dir);
    if !path.exists() || manifests(&path)?.iter().all(|item| is_cache(dir, item)) {
        return Ok(());
    }
    Err(LayoutError::Form { path, why: "it has images, which a cache would replace" })
}

/// Whether this is the manifest of a cache.
fn is_cache(dir: &Path, item: &Value) -> bool {
    let document = digest_of(item).filter(|_| item["annotations"][REF_NAME] == LATEST);
    let document = document.and_then(|digest| release_layout::read(&release_layout::blob(dir, &digest)).ok());
    let document: Value = document.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    let is_config =
        |part: &Value| part["mediaType"].as_str().is_some_and(|kind| kind.starts_with(CACHE_CONFIG));
    let parts = document["manifests"].as_array().into_iter().flatten();
    parts.chain([&document["config"]]).any(is_config)
}

/// What is listed in the index at `path`.
fn manifests(path: &Path) -> Result<Vec<Value>, LayoutError> {
    let form = |_| LayoutError::Form { path: path.to_owned(), why: "it is no JSON" };
    let mut index: Value = serde_json::from_slice(&release_layout::read(path)?).map_err(form)?;
    Ok(index["manifests"].as_array_mut().map(std::mem::take).unwrap_or_default())
}

impl Store {
    /// Makes the cache with this descriptor the one of the folder, and removes what only others needed.
    ///
    /// # Errors
    /// When the descriptor is none, the cache is not there, or the folder cannot be written.
    pub(super) fn finish(&self, descriptor: &str) -> Result<(), LayoutError> {
        let path = release_layout::index(&self.dir);
        let form =
            || LayoutError::Form { path: path.clone(), why: "the engine did not say which cache it left" };
        let mut item: Value = serde_json::from_str(descriptor).map_err(|_| form())?;
        let digest: Digest = item["digest"].as_str().and_then(|d| d.parse().ok()).ok_or_else(form)?;
        let mut writing = self.folder()?;
        // Taken out: the lock ends with this.
        let Some(folder) = writing.take() else { return Err(form()) };
        let document = release_layout::read(&folder.blob(&digest))?;
        let document: Value = serde_json::from_slice(&document).map_err(|_| form())?;
        let mut needed = BTreeSet::from([digest]);
        for key in ["manifests", "layers"] {
            needed.extend(document[key].as_array().into_iter().flatten().filter_map(digest_of));
        }
        needed.extend(digest_of(&document["config"]));
        item["annotations"][REF_NAME] = LATEST.into();
        let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [item]});
        folder.put_index(index.to_string().as_bytes())?;
        folder.sweep(|digest| needed.contains(digest))?;
        Ok(())
    }

    /// The folder, made and locked the first time.
    fn folder(&self) -> Result<MutexGuard<'_, Option<Folder>>, LayoutError> {
        let mut folder = locked(&self.writing);
        if folder.is_none() {
            let locked = Unlocked::at(&self.dir)?.lock()?;
            // Somebody may have put something there since the build began; now nobody does.
            can_keep(&self.dir)?;
            *folder = Some(locked);
        }
        Ok(folder)
    }

    /// A blob and its size. It is hashed the first time, so that nothing is taken for what it is not.
    fn blob(&self, digest: &str) -> Result<(File, u64), Status> {
        let gone = |what| Status::not_found(format!("blob {digest} {what}"));
        let digest: Digest = digest.parse().map_err(|_| gone("is none"))?;
        let path = release_layout::blob(&self.dir, &digest);
        let damaged = |error| {
            locked(&self.damage).get_or_insert(error);
            gone("is not there")
        };
        let file = release_layout::open(&path).map_err(damaged)?;
        if !locked(&self.sound).contains(&digest) {
            if release_layout::hash(&path).map_err(damaged)?.0 != digest {
                let why = "its bytes are not those that its name stands for";
                return Err(damaged(LayoutError::Form { path, why }));
            }
            locked(&self.sound).insert(digest);
        }
        let size = file.metadata().map_err(|source| damaged(LayoutError::Read { path, source }))?.len();
        Ok((file, size))
    }

    fn info(&self, digest: &str) -> Result<Info, Status> {
        let (_, size) = self.blob(digest)?;
        Ok(Info { digest: digest.to_owned(), size: signed(size), ..Info::default() })
    }

    /// Sends the bytes that are asked for.
    fn read(
        &self,
        wanted: &ReadRequest,
        to: &mpsc::Sender<Result<ReadResponse, Status>>,
    ) -> Result<(), Status> {
        let (mut file, size) = self.blob(&wanted.digest)?;
        let start = unsigned(wanted.offset).min(size);
        let mut left = match unsigned(wanted.size) {
            0 => size - start,
            most => most.min(size - start),
        };
        let unread = |error: io::Error| Status::data_loss(format!("blob {}: {error}", wanted.digest));
        let mut offset = file.seek(SeekFrom::Start(start)).map_err(unread)?;
        while left > 0 {
            let mut data = Vec::new();
            let read =
                (&mut file).take(left.min(PIECE_BYTES as u64)).read_to_end(&mut data).map_err(unread)?;
            if read == 0 {
                return Err(Status::data_loss(format!("blob {} became shorter", wanted.digest)));
            }
            let piece = ReadResponse { offset: signed(offset), data };
            (offset, left) = (offset + read as u64, left - read as u64);
            if to.blocking_send(Ok(piece)).is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Keeps `error` for whoever waits for the build, and says it in the words BuildKit gets.
    fn failed(&self, error: LayoutError) -> Status {
        let status = Status::internal(error.to_string());
        locked(&self.trouble).get_or_insert(error);
        status
    }
}

/// A blob that comes in.
struct Incoming<'a> {
    store: &'a Store,
    file: NamedTempFile,
    hash: Sha256,
    size: u64,
    total: i64,
}

impl<'a> Incoming<'a> {
    fn begin(store: &'a Store) -> Result<Self, Status> {
        let folder = store.folder().map_err(|error| store.failed(error))?;
        let begun = folder.as_ref().map(Folder::begin).transpose().map_err(|error| store.failed(error))?;
        let file = begun.ok_or_else(|| Status::failed_precondition("the cache is complete"))?;
        Ok(Self { store, file, hash: Sha256::new(), size: 0, total: 0 })
    }

    fn take(&mut self, request: &WriteRequest) -> Result<WriteResponse, Status> {
        if request.total > 0 {
            self.total = request.total;
        }
        let action = request.action();
        if action == Action::Stat {
            if !request.expected.is_empty() && self.store.info(&request.expected).is_ok() {
                return Err(Status::already_exists(format!("blob {} is there", request.expected)));
            }
        } else {
            self.add(request)?;
        }
        let mut answer = WriteResponse {
            action: action.into(),
            offset: signed(self.size),
            total: self.total,
            ..WriteResponse::default()
        };
        if action == Action::Commit {
            answer.digest = self.keep(&request.expected)?.to_string();
        }
        Ok(answer)
    }

    fn add(&mut self, request: &WriteRequest) -> Result<(), Status> {
        if request.data.is_empty() {
            return Ok(());
        }
        if unsigned(request.offset) != self.size {
            return Err(Status::out_of_range(format!("{} bytes are there", self.size)));
        }
        self.size += request.data.len() as u64;
        if self.size > MAX_BLOB_BYTES {
            return Err(Status::resource_exhausted(format!("no blob has more than {MAX_BLOB_BYTES} bytes")));
        }
        self.hash.update(&request.data);
        self.file
            .write_all(&request.data)
            .map_err(|source| self.store.failed(LayoutError::Write { path: self.store.dir.clone(), source }))
    }

    /// Gives the blob its name, if it is what was promised.
    fn keep(&mut self, expected: &str) -> Result<Digest, Status> {
        let digest = Digest::from_sha256(std::mem::take(&mut self.hash).finalize().into());
        if !expected.is_empty() && expected != digest.as_str() {
            return Err(Status::failed_precondition(format!("{digest} came instead of {expected}")));
        }
        if self.total > 0 && unsigned(self.total) != self.size {
            return Err(Status::failed_precondition(format!(
                "{} bytes came instead of {}",
                self.size, self.total
            )));
        }
        let folder = self.store.folder().map_err(|error| self.store.failed(error))?;
        let Some(folder) = folder.as_ref() else {
            return Err(Status::failed_precondition("the cache is complete"));
        };
        // The one that stays in its place holds nothing, and goes with it.
        let empty = folder.begin().map_err(|error| self.store.failed(error))?;
        let whole = std::mem::replace(&mut self.file, empty);
        folder.keep(whole, &digest).map_err(|error| self.store.failed(error))?;
        locked(&self.store.sound).insert(digest.clone());
        Ok(digest)
    }
}

impl Stores {
    fn info(&self, request: &Request<InfoRequest>) -> Answer<InfoMessage> {
        let store = self.named(request)?;
        let info = store.info(&request.get_ref().digest)?;
        Ok(Response::new(InfoMessage { info: Some(info) }))
    }

    /// Labels say which blobs others need. The manifest says so too, and is what counts here.
    fn update(&self, request: Request<InfoMessage>) -> Answer<InfoMessage> {
        let store = self.named(&request)?;
        let asked = request.into_inner().info.unwrap_or_default();
        let info = Info { labels: asked.labels, ..store.info(&asked.digest)? };
        Ok(Response::new(InfoMessage { info: Some(info) }))
    }

    fn read(&self, request: Request<ReadRequest>) -> Answer<Answers<ReadResponse>> {
        let store = self.named(&request)?;
        let wanted = request.into_inner();
        let (sender, mut receiver) = mpsc::channel(PIECES);
        tokio::task::spawn_blocking(move || {
            if let Err(status) = store.read(&wanted, &sender) {
                let _ = sender.blocking_send(Err(status));
            }
        });
        Ok(Response::new(Box::pin(futures::stream::poll_fn(move |context| receiver.poll_recv(context)))))
    }

    fn write(&self, request: Request<Streaming<WriteRequest>>) -> Answer<Answers<WriteResponse>> {
        let store = self.named(&request)?;
        let mut requests = request.into_inner();
        // BuildKit waits for each answer.
        let (sender, mut receiver) = mpsc::channel(1);
        let (handing, mut handed) = mpsc::channel::<WriteRequest>(1);
        tokio::spawn(async move {
            while let Some(Ok(request)) = requests.next().await {
                if handing.send(request).await.is_err() {
                    return;
                }
            }
        });
        tokio::task::spawn_blocking(move || {
            let mut incoming = match Incoming::begin(&store) {
                Ok(incoming) => incoming,
                Err(status) => {
                    let _ = sender.blocking_send(Err(status));
                    return;
                }
            };
            while let Some(request) = handed.blocking_recv() {
                let answer = incoming.take(&request);
                let ends = answer.is_err();
                if sender.blocking_send(answer).is_err() || ends {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(futures::stream::poll_fn(move |context| receiver.poll_recv(context)))))
    }

    /// A blob that is being written is known to its stream only.
    fn status(&self, request: &Request<RefRequest>) -> Answer<Nothing> {
        self.named(request)?;
        Err(Status::not_found("nothing is half written"))
    }

    async fn call(self, request: hyper::Request<Body>) -> hyper::Response<Body> {
        /// Answers by a function of one request.
        macro_rules! answer {
            ($kind:ident, $answer:expr) => {
                Grpc::new(ProstCodec::default())
                    .apply_max_message_size_config(Some(MAX_MESSAGE_BYTES), None)
                    .$kind(tower::service_fn(|request| std::future::ready($answer(request))), request)
                    .await
            };
        }
        match request.uri().path().rsplit('/').next() {
            Some("Info") => answer!(unary, |request| self.info(&request)),
            Some("Update") => answer!(unary, |request| self.update(request)),
            Some("Read") => answer!(server_streaming, |request| self.read(request)),
            Some("Write") => answer!(streaming, |request| self.write(request)),
            Some("Status" | "Abort") => answer!(unary, |request| self.status(&request)),
            _ => Status::unimplemented("a cache does not need this").into_http(),
        }
    }
}

impl NamedService for Stores {
    const NAME: &'static str = message::SERVICE;
}

impl tower::Service<hyper::Request<Body>> for Stores {
    type Response = hyper::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: hyper::Request<Body>) -> Self::Future {
        let stores = self.clone();
        Box::pin(async move { Ok(stores.call(request).await) })
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn digest_of(descriptor: &Value) -> Option<Digest> {
    descriptor["digest"].as_str()?.parse().ok()
}

/// Sizes travel as signed numbers; what is negative is nothing.
fn unsigned(size: i64) -> u64 {
    u64::try_from(size).unwrap_or_default()
}

fn signed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
