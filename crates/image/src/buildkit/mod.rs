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
mod sync;
mod wire;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::time::Duration;

use bollard::moby::buildkit::v1::control_client::ControlClient;
use bollard::moby::buildkit::v1::{CacheOptions, CacheOptionsEntry, SolveRequest, StatusRequest};
use futures::{StreamExt as _, TryStreamExt as _};
use release_core::{Credentials, ImageRef};
use tonic::Status;
use tonic::transport::Channel;

use crate::context::Trouble;
use crate::dockerfile::Paths;
use crate::progress::Progress;
use crate::{BuildError, BuildEvent, BuiltImage, DockerfileBuild, Engine, EngineInfo};
pub use input::{BuildAgent, BuildCache, BuildContext, BuildInputs, BuildSecret, InputError, SecretSource};
use mask::Mask;
use session::Offer;
use sync::{Folder, Folders};
pub use wire::WireError;

/// How long the rest of the progress is waited for once the build has ended. BuildKit ends it within milliseconds.
const LINGER: Duration = Duration::from_secs(3);

/// The longest message BuildKit sends.
const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// What BuildKit calls the result that goes into the engine's own store, and under which key it names it.
const EXPORTER: &str = "moby";
const IMAGE_ID: &str = "containerimage.digest";

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
        let failed = |source| BuildError::Wire { endpoint: self.endpoint.clone(), source };
        let lent = build.inputs.lend()?;
        let mask = Mask::new(&lent.secrets);
        let trouble = Trouble::default();
        let id = session_id();
        let folders = Folders { by_name: folders(build, paths), trouble: trouble.clone() };
        let offer = Offer { credentials: credentials.clone(), lent, folders };
        let session = session::open(&self.endpoint, &id, offer).await.map_err(failed)?;
        let control = self.control(&id).await.map_err(failed)?;
        let ended = self.follow(control, request(build, paths, &id), &mut |e| tell(mask.event(e))).await;
        drop(session);
        for path in trouble.skipped() {
            tell(BuildEvent::not_sent(&path));
        }
        // A folder that breaks off is told by BuildKit as a failed download; the reason lies beside it.
        match trouble.take() {
            Some(error) => Err(error.into()),
            None => ended.map_err(|error| mask.error(error)),
        }
    }

    /// Whether this engine can do what the build wants, before anything is sent.
    pub(crate) async fn can(&self, inputs: &BuildInputs) -> Result<(), BuildError> {
        knows(self.info(), inputs)?;
        let exports = |cache: &BuildCache| matches!(cache, BuildCache::Registry { .. });
        if inputs.cache_to.iter().any(exports) {
            let failed =
                |source| BuildError::Engine { endpoint: self.endpoint.clone(), source: Box::new(source) };
            let store = self.docker.info().await.map_err(failed)?.driver_status.unwrap_or_default();
            if !store.iter().flatten().any(|word| word.contains(CONTAINERD_STORE)) {
                return Err(BuildError::NoCacheExport { version: self.info().version.clone() });
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

    /// Has the request done, and tells how it goes.
    async fn follow(
        &self,
        control: ControlClient<Channel>,
        request: SolveRequest,
        tell: &mut (dyn FnMut(BuildEvent) + Send),
    ) -> Result<BuiltImage, BuildError> {
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
            Ok(answer) => {
                let id = answer.into_inner().exporter_response.remove(IMAGE_ID);
                id.map(|id| BuiltImage { id }).ok_or_else(no_image)
            }
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
fn request(build: &DockerfileBuild, paths: &Paths, session: &str) -> SolveRequest {
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
    if !inputs.cache_from.is_empty() {
        let images: Vec<_> = inputs.cache_from.iter().map(ImageRef::to_string).collect();
        attributes.insert("cache-from".to_owned(), images.join(","));
    }
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
    let (r#type, attrs) = match cache {
        BuildCache::Inline => ("inline", HashMap::new()),
        BuildCache::Registry { image, all_stages } => {
            let mode = if *all_stages { "max" } else { "min" };
            let attrs = [("ref", image.to_string()), ("mode", mode.to_owned())];
            ("registry", attrs.map(|(key, value)| (key.to_owned(), value)).into())
        }
    };
    CacheOptionsEntry { r#type: r#type.to_owned(), attrs }
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
        let image = |name: &str| name.parse::<ImageRef>().unwrap();
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
                cache_from: vec![image("r.example.com/web:cache"), image("r.example.com/base:cache")],
                cache_to: vec![
                    BuildCache::Inline,
                    BuildCache::Registry { image: image("r.example.com/web:cache"), all_stages: true },
                ],
            },
        };
        let paths = Paths { context: "/src/web".into(), dockerfile: "docker/web.Dockerfile".into() };
        let request = request(&build, &paths, "release-1");
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
