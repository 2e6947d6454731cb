//! Dockerfile builds through the engine's BuildKit, asked in its own protocol.
//!
//! ```text
//!   we ── POST /session, then HTTP/2 ── the engine asks us: folders, credentials, secrets, agents   (session.rs)
//!   we ── POST /grpc, then HTTP/2 ───── we ask BuildKit: Solve, and Status while it runs            (here)
//! ```
//!
//! `POST /build` would do for a build with a context and nothing else. Whatever a build is cancelled by, both connections close
//! and the engine stops. Not here: what BuildKit says becomes events in `progress`.

mod agent;
mod input;
mod mask;
mod session;
mod store;
mod sync;
mod wire;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::moby::buildkit::v1::control_client::ControlClient;
use bollard::moby::buildkit::v1::{CacheOptions, CacheOptionsEntry, SolveRequest, StatusRequest};
use futures::{StreamExt as _, TryStreamExt as _};
use release_core::{Credentials, Digest};
use release_layout::LayoutError;
use serde_json::{Value, json};
use tonic::Status;
use tonic::transport::Channel;

use crate::context::Trouble;
use crate::dockerfile::Paths;
use crate::progress::Progress;
use crate::{BuildError, BuildEvent, BuiltImage, DockerfileBuild, Engine, EngineInfo};
use input::Lent;
pub use input::{
    BuildAgent, BuildCache, BuildContext, BuildInputs, BuildSecret, CacheSource, InputError, SecretSource,
};
use mask::Mask;
use session::Offer;
use store::Stores;
use sync::{Folder, Folders};
pub use wire::WireError;

/// How long the rest of the progress is waited for once the build has ended. BuildKit ends it within milliseconds.
const LINGER: Duration = Duration::from_secs(3);

/// The longest message BuildKit sends.
const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// What BuildKit calls the result that goes into the engine's own store, and under which key it names it.
const EXPORTER: &str = "moby";
const IMAGE_ID: &str = "containerimage.digest";

/// Under which key BuildKit says which cache it left.
const CACHE_MANIFEST: &str = "cache.manifest";

/// What the folder is called that the cache is left in.
const CACHE_TO: &str = "to";

/// The first API version whose builder knows further contexts: Engine 23.0, with version 1.4 of the Dockerfile's language.
const CONTEXTS_SINCE: (u32, u32) = (1, 42);

/// What the Dockerfile frontend calls the two folders of a build. The Dockerfile is in one of its own: it need not be sent with the context.
const CONTEXT: &str = "context";
const DOCKERFILE: &str = "dockerfile";

/// How an engine that keeps its images in containerd calls its store.
const CONTAINERD_STORE: &str = "io.containerd.snapshotter";

impl Engine {
    /// Builds with BuildKit.
    pub(crate) async fn solve(
        &self,
        build: &DockerfileBuild,
        paths: &Paths,
        credentials: &BTreeMap<String, Credentials>,
        tell: &mut (dyn FnMut(BuildEvent) + Send),
    ) -> Result<BuiltImage, BuildError> {
        let lent = build.inputs.lend()?;
        let mut caches = Caches::of(&build.inputs)?;
        for notice in std::mem::take(&mut caches.notices) {
            tell(BuildEvent::Notice { message: notice });
        }
        loop {
            let stores = Stores::new(caches.folders());
            let ended = self.attempt(build, paths, &lent, &caches, &stores, credentials, tell).await;
            let damaged = stores.damage();
            for (dir, error) in &damaged {
                tell(BuildEvent::Notice { message: unusable(dir, error) });
            }
            if ended.is_ok() || damaged.is_empty() {
                return ended;
            }
            // What it began with cannot be had: without it, the build only takes longer.
            caches.from.retain(|(_, path, _)| damaged.iter().all(|(dir, _)| dir != *path));
        }
    }

    /// Builds once.
    #[expect(clippy::too_many_arguments, reason = "all of one build, and only `solve` calls it")]
    async fn attempt(
        &self,
        build: &DockerfileBuild,
        paths: &Paths,
        lent: &Lent,
        caches: &Caches<'_>,
        stores: &Stores,
        credentials: &BTreeMap<String, Credentials>,
        tell: &mut (dyn FnMut(BuildEvent) + Send),
    ) -> Result<BuiltImage, BuildError> {
        let failed = |source| BuildError::Wire { endpoint: self.endpoint.clone(), source };
        let mask = Mask::new(&lent.secrets);
        let trouble = Trouble::default();
        let id = session_id();
        let folders = Folders { by_name: folders(build, paths), trouble: trouble.clone() };
        let offer =
            Offer { credentials: credentials.clone(), lent: lent.clone(), folders, stores: stores.clone() };
        let session = session::open(&self.endpoint, &id, offer).await.map_err(failed)?;
        let control = self.control(&id).await.map_err(failed)?;
        let request = request(build, paths, caches, &id);
        let ended = self.follow(control, request, &mut |e| tell(mask.event(e))).await;
        drop(session);
        for path in trouble.skipped() {
            tell(BuildEvent::not_sent(&path));
        }
        // A folder that breaks off is told by BuildKit as a failed download; the reason lies beside it.
        if let Some(error) = trouble.take() {
            return Err(error.into());
        }
        if let Some(error) = stores.trouble() {
            return Err(InputError::Cache(error).into());
        }
        let mut said = ended.map_err(|error| mask.error(error))?;
        if let Some(store) = stores.get(CACHE_TO) {
            let cache = said.remove(CACHE_MANIFEST).unwrap_or_default();
            store.finish(&cache).map_err(InputError::Cache)?;
        }
        let id = said.remove(IMAGE_ID);
        id.map(|id| BuiltImage { id }).ok_or_else(|| BuildError::NoImage { endpoint: self.endpoint.clone() })
    }

    /// Whether this engine can do what the build wants, before anything is sent.
    pub(crate) async fn can(&self, inputs: &BuildInputs) -> Result<(), BuildError> {
        knows(self.info(), inputs)?;
        if inputs.needs_containerd() {
            let failed =
                |source| BuildError::Engine { endpoint: self.endpoint.clone(), source: Box::new(source) };
            let store = self.docker.info().await.map_err(failed)?.driver_status.unwrap_or_default();
            if !store.iter().flatten().any(|word| word.contains(CONTAINERD_STORE)) {
                return Err(BuildError::NoCaches { version: self.info().version.clone() });
            }
        }
        Ok(())
    }

    /// The engine's BuildKit.
    async fn control(&self, session: &str) -> Result<ControlClient<Channel>, WireError> {
        let headers = [("x-docker-expose-session-uuid", session.to_owned())];
        let mut io = Some(wire::upgrade(&self.endpoint, "/grpc", &headers).await?);
        let connector = tower::service_fn(move |_| {
            let io = io.take().ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionAborted));
            std::future::ready(io)
        });
        // The address is only a header: the connection is there already.
        let endpoint = tonic::transport::Endpoint::from_static("http://docker");
        let channel = endpoint.connect_with_connector(connector).await.map_err(io::Error::other)?;
        Ok(ControlClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES))
    }

    /// Has the request done, and tells how it goes. Returns what BuildKit says of the result.
    async fn follow(
        &self,
        control: ControlClient<Channel>,
        request: SolveRequest,
        tell: &mut (dyn FnMut(BuildEvent) + Send),
    ) -> Result<HashMap<String, String>, BuildError> {
        let mut progress = Progress::default();
        let ask = StatusRequest { r#ref: request.r#ref.clone() };
        let (mut solving, mut watching) = (control.clone(), control);
        let mut solve = std::pin::pin!(solving.solve(request));
        let statuses = async move { watching.status(ask).await.map(tonic::Response::into_inner) };
        let mut statuses = std::pin::pin!(futures::stream::once(statuses).try_flatten());
        let (mut answer, mut told_all) = (None, false);
        while answer.is_none() || !told_all {
            tokio::select! {
                status = statuses.next(), if !told_all => match status {
                    Some(Ok(status)) => progress.buildkit(&status, tell),
                    Some(Err(error)) => {
                        tracing::debug!(%error, "the progress of the build is not told");
                        told_all = true;
                    }
                    None => told_all = true,
                },
                said = &mut solve, if answer.is_none() => answer = Some(said),
                () = tokio::time::sleep(LINGER), if answer.is_some() => told_all = true,
            }
        }
        progress.flush(tell);
        let no_image = || BuildError::NoImage { endpoint: self.endpoint.clone() };
        match answer.ok_or_else(no_image)? {
            Ok(answer) => Ok(answer.into_inner().exporter_response),
            Err(status) => Err(self.failure(&mut progress, status)),
        }
    }

    /// What BuildKit says comes without a cause; a connection that broke has one.
    fn failure(&self, progress: &mut Progress, status: Status) -> BuildError {
        if std::error::Error::source(&status).is_none() {
            return progress.failure(status.message().to_owned());
        }
        let source = WireError::Connect(io::Error::other(status));
        BuildError::Wire { endpoint: self.endpoint.clone(), source }
    }
}

/// Whether the engine's builder knows these inputs, by what the engine says of itself.
fn knows(info: &EngineInfo, inputs: &BuildInputs) -> Result<(), BuildError> {
    let version = info.version.clone();
    match inputs.first() {
        Some(what) if !info.buildkit => Err(BuildError::NoBuildKit { what, version }),
        _ if !inputs.contexts.is_empty() && info.api < CONTEXTS_SINCE => {
            Err(BuildError::NoContexts { version })
        }
        _ => Ok(()),
    }
}

fn unusable(cache: &Path, error: &LayoutError) -> String {
    format!("the cache in `{}` is not used: {error}", cache.display())
}

/// The folders with caches of a build.
#[derive(Debug, Default)]
struct Caches<'a> {
    /// By the name each has in the build, and which cache is in it.
    from: Vec<(String, &'a PathBuf, Digest)>,
    /// Why others are not used.
    notices: Vec<String>,
    to: Option<&'a PathBuf>,
}

impl<'a> Caches<'a> {
    fn of(inputs: &'a BuildInputs) -> Result<Self, InputError> {
        let mut caches = Self { to: inputs.cache_folder(), ..Self::default() };
        if let Some(path) = caches.to {
            store::can_keep(path)?;
        }
        for source in &inputs.cache_from {
            let CacheSource::Folder(path) = source else { continue };
            match store::cached(path) {
                Ok(Some(digest)) => caches.from.push((format!("from-{}", caches.from.len()), path, digest)),
                Ok(None) => caches.notices.push(format!("there is no cache in `{}` yet", path.display())),
                Err(error) => caches.notices.push(unusable(path, &error)),
            }
        }
        Ok(caches)
    }

    fn folders(&self) -> impl Iterator<Item = (String, PathBuf)> {
        let from = self.from.iter().map(|(name, path, _)| (name.clone(), (*path).clone()));
        from.chain(self.to.map(|path| (CACHE_TO.to_owned(), path.clone())))
    }

    /// As the Dockerfile frontend takes them. It takes images by another key.
    fn imports(&self) -> Option<String> {
        let import = |(name, _, digest): &(String, _, Digest)| json!({"Type": "local", "Attrs": {"src": name, "digest": digest}});
        let imports: Vec<_> = self.from.iter().map(import).collect();
        (!imports.is_empty()).then(|| Value::from(imports).to_string())
    }
}

/// What BuildKit may read of this machine for the build.
fn folders(build: &DockerfileBuild, paths: &Paths) -> BTreeMap<String, Folder> {
    let dockerfile = paths.context.join(&paths.dockerfile);
    let name = paths.name();
    let ignore = format!("{name}.dockerignore");
    let mut files = BTreeMap::from([(name.to_owned(), dockerfile.clone())]);
    files.extend(Some((ignore.clone(), dockerfile.with_file_name(ignore))).filter(|(_, path)| path.exists()));
    let mut folders = BTreeMap::from([
        (CONTEXT.to_owned(), Folder::Whole(paths.context.clone())),
        (DOCKERFILE.to_owned(), Folder::Files(files)),
    ]);
    for (name, context) in &build.inputs.contexts {
        if let BuildContext::Folder(path) = context {
            folders.insert(local(name), Folder::Whole(path.clone()));
        }
    }
    folders
}

/// What a further context that is a folder is called, apart from [`CONTEXT`] and [`DOCKERFILE`].
fn local(context: &str) -> String {
    format!("_{context}")
}

/// The build as BuildKit takes it. Its keys are those of the Dockerfile frontend.
fn request(build: &DockerfileBuild, paths: &Paths, caches: &Caches<'_>, session: &str) -> SolveRequest {
    let inputs = &build.inputs;
    let mut attributes = HashMap::from([("filename".to_owned(), paths.name().to_owned())]);
    let some = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
    attributes.extend(some(&build.target).map(|target| ("target".to_owned(), target)));
    attributes.extend(some(&build.platform).map(|platform| ("platform".to_owned(), platform)));
    // No stage's name: all of them.
    attributes.extend(build.no_cache.then(|| ("no-cache".to_owned(), String::new())));
    for (prefix, values) in [("build-arg:", &build.args), ("label:", &build.labels)] {
        attributes.extend(values.iter().map(|(name, value)| (format!("{prefix}{name}"), value.clone())));
    }
    attributes.extend(inputs.contexts.iter().map(|(name, context)| {
        let place = match context {
            BuildContext::Address(address) => address.clone(),
            BuildContext::Folder(_) => format!("local:{}", local(name)),
        };
        (format!("context:{name}"), place)
    }));
    let images = inputs.cache_from.iter().filter_map(|source| match source {
        CacheSource::Image(image) => Some(image.to_string()),
        CacheSource::Folder(_) => None,
    });
    let images: Vec<_> = images.collect();
    attributes.extend((!images.is_empty()).then(|| ("cache-from".to_owned(), images.join(","))));
    attributes.extend(caches.imports().map(|imports| ("cache-imports".to_owned(), imports)));
    SolveRequest {
        // Sessions are not shared by builds, so one name does for both.
        r#ref: session.to_owned(),
        session: session.to_owned(),
        frontend: "dockerfile.v0".to_owned(),
        frontend_attrs: attributes,
        // Engines before 24 know only the old pair of fields, and later ones take it as well.
        exporter_deprecated: EXPORTER.to_owned(),
        exporter_attrs_deprecated: HashMap::from([("name".to_owned(), build.tag.to_string())]),
        cache: Some(CacheOptions {
            exports: inputs.cache_to.iter().map(export).collect(),
            ..CacheOptions::default()
        }),
        ..SolveRequest::default()
    }
}

fn export(cache: &BuildCache) -> CacheOptionsEntry {
    let (kind, place, all_stages) = match cache {
        BuildCache::Inline => ("inline", None, false),
        BuildCache::Registry { image, all_stages } => {
            ("registry", Some(("ref", image.to_string())), *all_stages)
        }
        BuildCache::Folder { all_stages, .. } => ("local", Some(("dest", CACHE_TO.to_owned())), *all_stages),
    };
    let mode = if all_stages { "max" } else { "min" };
    let attrs = place.into_iter().flat_map(|place| [place, ("mode", mode.to_owned())]);
    let attrs = attrs.map(|(key, value)| (key.to_owned(), value)).collect();
    CacheOptionsEntry { r#type: kind.to_owned(), attrs }
}

/// A name for the session that no other session of this engine has.
fn session_id() -> String {
    use std::hash::{BuildHasher as _, RandomState};
    // `RandomState` is the standard library's only source of randomness; two of its numbers make 128 bits.
    format!("release-{:016x}{:016x}", RandomState::new().hash_one(1), RandomState::new().hash_one(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_builder_that_cannot_take_something_is_told_from_one_that_can() {
        let nothing = BuildInputs::default;
        let agents = vec![BuildAgent { id: "default".into(), socket: None }];
        let contexts =
            BTreeMap::from([("a".to_owned(), BuildContext::Address("docker-image://a".to_owned()))]);
        let agents = BuildInputs { agents, ..nothing() };
        let contexts = BuildInputs { contexts, ..nothing() };
        for (buildkit, api, inputs, expected) in [
            (false, (1, 52), &nothing(), "good"),
            (
                false,
                (1, 52),
                &agents,
                "ssh agents of a build need BuildKit, which the docker engine 1.0 does not have",
            ),
            (true, (1, 41), &agents, "good"),
            (
                true,
                (1, 41),
                &contexts,
                "further contexts of a build need a docker engine 23.0 or later; this one is 1.0",
            ),
            (true, (1, 42), &contexts, "good"),
        ] {
            let info = EngineInfo { version: "1.0".into(), api_version: String::new(), buildkit, api };
            let shown = knows(&info, inputs).map_or_else(|error| error.to_string(), |()| "good".to_owned());
            assert_eq!(shown, expected);
        }
    }

    #[test]
    fn a_build_is_asked_for_in_the_words_of_the_dockerfile_frontend() {
        let text = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let image = |name: &str| name.parse::<release_core::ImageRef>().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let folder = release_layout::Unlocked::at(dir.path()).unwrap().lock().unwrap();
        let digest = release_layout::digest(b"{}");
        folder.put(&digest, b"{}").unwrap();
        folder.put_index(json!({"manifests": [{"digest": digest}]}).to_string().as_bytes()).unwrap();
        let build = DockerfileBuild {
            context: ".".into(),
            dockerfile: "docker/web.Dockerfile".into(),
            target: Some("web".into()),
            args: text(&[("WORD", "a b")]),
            platform: Some("linux/arm64".into()),
            labels: text(&[("org.example.word", "x")]),
            tag: image("r.example.com/web:v1"),
            no_cache: true,
            inputs: BuildInputs {
                secrets: vec![BuildSecret {
                    id: "npm".into(),
                    from: SecretSource::Variable("NPM_TOKEN".into()),
                }],
                agents: vec![BuildAgent { id: "default".into(), socket: None }],
                contexts: BTreeMap::from([
                    (
                        "shared".to_owned(),
                        BuildContext::Address("docker-image://r.example.com/shared:v2".to_owned()),
                    ),
                    ("lib".to_owned(), BuildContext::Folder("/src/lib".into())),
                ]),
                cache_from: vec![
                    CacheSource::Image(image("r.example.com/web:cache")),
                    CacheSource::Image(image("r.example.com/base:cache")),
                    CacheSource::Folder(dir.path().to_owned()),
                    CacheSource::Folder(dir.path().join("none")),
                ],
                cache_to: vec![
                    BuildCache::Inline,
                    BuildCache::Registry { image: image("r.example.com/web:cache"), all_stages: true },
                    BuildCache::Folder { path: "cache".into(), all_stages: false },
                ],
            },
        };
        let paths = Paths { context: "/src/web".into(), dockerfile: "docker/web.Dockerfile".into() };
        let caches = Caches::of(&build.inputs).unwrap();
        assert_eq!(
            caches.notices,
            [format!("there is no cache in `{}` yet", dir.path().join("none").display())]
        );
        assert_eq!(caches.folders().map(|(name, _)| name).collect::<Vec<_>>(), ["from-0", "to"]);
        let request = request(&build, &paths, &caches, "release-1");
        let sorted = |map: HashMap<String, String>| map.into_iter().collect::<BTreeMap<_, _>>();
        let cache = request.cache.unwrap();
        let exports: Vec<_> = cache.exports.into_iter().map(|e| (e.r#type, sorted(e.attrs))).collect();
        insta::assert_debug_snapshot!((
            request.frontend,
            sorted(request.frontend_attrs),
            request.exporter_deprecated,
            sorted(request.exporter_attrs_deprecated),
            exports,
            build.inputs.images().map(|image| image.to_string()).collect::<Vec<_>>(),
            folders(&build, &paths),
        ));
    }
}
