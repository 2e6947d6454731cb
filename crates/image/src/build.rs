//! Building an image from a Dockerfile.
//!
//! With BuildKit the engine asks for what it needs; see `buildkit`. To the classic builder the context goes up as one tar stream
//! in the request. Cancel by dropping the future: the engine stops when the connection closes.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bollard::auth::DockerCredentials;
use bollard::models::{BuildInfo, BuildInfoAux, ErrorDetail};
use bollard::query_parameters::{BuildImageOptions, BuilderVersion};
use bollard::{body_try_stream, errors::Error as EngineSays};
use futures::StreamExt as _;
use release_core::Credentials;

use crate::buildkit::{InputError, WireError};
use crate::context::{self, ContextError, Listing, Trouble};
use crate::progress::Progress;
use crate::push::auth_config;
use crate::{DockerfileBuild, Endpoint, Engine, IgnoreError};

/// How long the rest of an answer is read once the image's id is known. The engine names the image after that, within
/// milliseconds.
const LINGER: Duration = Duration::from_secs(10);

/// What happens during a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildEvent {
    /// A step began, or was found in the cache.
    Step {
        /// As the builder names it: `[2/3] COPY . /`.
        name: String,
        /// Whether the result was there already.
        cached: bool,
    },
    /// A step wrote a line.
    Output {
        /// The line, without its end.
        line: String,
    },
    /// Something people should know, such as a builder's warning.
    Notice {
        /// The sentence.
        message: String,
    },
}

impl BuildEvent {
    pub(crate) fn not_sent(path: &str) -> Self {
        Self::Notice { message: format!("`{path}` is not sent: it is no file, folder or link") }
    }
}

/// An image inside of the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltImage {
    /// The engine's own id of it, `sha256:…`. A registry knows the image by another digest, which [`Engine::push`] returns.
    pub id: String,
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The context is missing or no folder.
    #[error("cannot use `{}` as build context", path.display())]
    Context {
        /// The path as it was given.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The Dockerfile is missing or no file.
    #[error("cannot read dockerfile `{}`", path.display())]
    Dockerfile {
        /// The path as it was given.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The Dockerfile is not among the files of the context.
    #[error("dockerfile `{}` is outside of its build context `{}`", dockerfile.display(), context.display())]
    DockerfileOutside {
        /// The Dockerfile as it was given.
        dockerfile: PathBuf,
        /// The context as it was given.
        context: PathBuf,
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
    /// A file of the context cannot be sent.
    #[error("cannot send the build context")]
    Send(#[from] ContextError),
    /// A secret, agent or context that the build is to be given cannot be used.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The build is to be given what the classic builder cannot take.
    #[error("{what} of a build need BuildKit, which the docker engine {version} does not have")]
    NoBuildKit {
        /// What it is to be given.
        what: &'static str,
        /// The engine's version.
        version: String,
    },
    /// The engine's BuildKit is too old for further contexts: it would take their names for images.
    #[error("further contexts of a build need a docker engine 23.0 or later; this one is {version}")]
    NoContexts {
        /// The engine's version.
        version: String,
    },
    /// The engine has no caches in registries and folders.
    #[error(
        "the docker engine {version} has no caches of builds in registries and folders: it does not keep its images in containerd; `inline` leaves one in the image"
    )]
    NoCaches {
        /// The engine's version.
        version: String,
    },
    /// There is no connection to the engine's BuildKit, or it broke.
    #[error("the docker engine at {endpoint} broke off the build")]
    Wire {
        /// Where the engine listens.
        endpoint: Endpoint,
        /// What happened.
        #[source]
        source: WireError,
    },
    /// A step failed, or the Dockerfile is wrong.
    #[error("{}{}", step.as_ref().map_or_else(|| "the build failed".to_owned(), |step| format!("build step `{step}` failed")), exit_code.map_or_else(|| format!(": {message}"), |code| format!(" with exit code {code}")))]
    Failed {
        /// The step, if the builder named one.
        step: Option<String>,
        /// What the step's command ended with, if it was a command.
        exit_code: Option<i64>,
        /// The builder's own words.
        message: String,
        /// The last lines the step wrote, at most [`BuildError::OUTPUT_LINES`].
        output: Vec<String>,
    },
    /// The engine did not take the build, or the connection broke.
    #[error("the docker engine at {endpoint} broke off the build")]
    Engine {
        /// Where the engine listens.
        endpoint: Endpoint,
        /// What it said.
        #[source]
        source: Box<EngineSays>,
    },
    /// The engine ended its answer without an image.
    #[error("the docker engine at {endpoint} ended the build without naming an image")]
    NoImage {
        /// Where the engine listens.
        endpoint: Endpoint,
    },
}

impl BuildError {
    /// How many of a failing step's last lines are kept: what fits on a screen beside the error.
    pub const OUTPUT_LINES: usize = 30;
}

impl Engine {
    /// Builds the image and names it `build.tag` inside of the engine. `credentials` are those of the registries that base images
    /// are pulled from, by registry; they go to the engine, and nowhere else.
    ///
    /// # Errors
    /// Paths that make no sense and files that cannot be read, before the engine is asked; then what the engine says.
    pub async fn build(
        &self,
        build: &DockerfileBuild,
        credentials: &BTreeMap<String, Credentials>,
        tell: &mut (dyn FnMut(BuildEvent) + Send),
    ) -> Result<BuiltImage, BuildError> {
        let paths = build.paths()?;
        build.inputs.check()?;
        self.can(&build.inputs).await?;
        if self.info().buildkit {
            // BuildKit reads the file itself, and does not say in which line it is wrong.
            context::read_ignore(&paths)?;
            return self.solve(build, &paths, credentials, tell).await;
        }
        let version = &self.info().version;
        let message = format!("the docker engine {version} has no BuildKit: using its classic builder");
        tell(BuildEvent::Notice { message });
        let options = options(build, &paths.dockerfile);
        let listing = context::list(paths).await?;
        for path in &listing.skipped {
            tell(BuildEvent::not_sent(path));
        }
        self.classic(options, listing, credentials, tell).await
    }

    /// Builds with the classic builder.
    async fn classic(
        &self,
        options: BuildImageOptions,
        listing: Listing,
        credentials: &BTreeMap<String, Credentials>,
        tell: &mut (dyn FnMut(BuildEvent) + Send),
    ) -> Result<BuiltImage, BuildError> {
        let trouble = Trouble::default();
        let body = body_try_stream(context::stream(listing, &trouble));
        let stream = self.docker.build_image(options, for_engine(credentials), Some(body));
        let ended = self.read(stream, tell).await;
        // A context that breaks off looks like a broken connection from here; the reason lies beside it.
        match trouble.take() {
            Some(error) => Err(error.into()),
            None => ended,
        }
    }

    /// Reads the classic builder's answer.
    async fn read(
        &self,
        stream: impl futures::Stream<Item = Result<BuildInfo, EngineSays>>,
        tell: &mut (dyn FnMut(BuildEvent) + Send),
    ) -> Result<BuiltImage, BuildError> {
        let mut progress = Progress::default();
        let mut stream = std::pin::pin!(stream);
        let mut id = None;
        loop {
            let next = match id {
                None => stream.next().await,
                Some(_) => tokio::time::timeout(LINGER, stream.next()).await.unwrap_or(None),
            };
            match next {
                None => break,
                Some(Err(EngineSays::DockerStreamError { error })) => {
                    progress.flush(tell);
                    return Err(progress.failure(error));
                }
                // The engine refuses some builds before they begin, such as one with an unknown instruction.
                Some(Err(EngineSays::DockerResponseServerError { status_code: 400, message })) => {
                    return Err(progress.failure(message));
                }
                Some(Err(source)) => {
                    return Err(BuildError::Engine {
                        endpoint: self.endpoint.clone(),
                        source: Box::new(source),
                    });
                }
                Some(Ok(BuildInfo { error_detail: Some(ErrorDetail { code, .. }), .. })) => {
                    return Err(progress.failure(format!("code {}", code.unwrap_or_default())));
                }
                Some(Ok(BuildInfo { aux: Some(BuildInfoAux::Default(image)), .. })) => id = image.id.or(id),
                Some(Ok(BuildInfo { stream: Some(text), .. })) => progress.classic(&text, tell),
                Some(Ok(_)) => {}
            }
        }
        progress.flush(tell);
        id.map(|id| BuiltImage { id }).ok_or_else(|| BuildError::NoImage { endpoint: self.endpoint.clone() })
    }
}

fn options(build: &DockerfileBuild, dockerfile: &str) -> BuildImageOptions {
    let map = |m: &BTreeMap<String, String>| -> Option<HashMap<String, String>> {
        (!m.is_empty()).then(|| m.iter().map(|(k, v)| (k.clone(), v.clone())).collect())
    };
    BuildImageOptions {
        dockerfile: dockerfile.to_owned(),
        t: Some(build.tag.to_string()),
        buildargs: map(&build.args),
        labels: map(&build.labels),
        platform: build.platform.clone().unwrap_or_default(),
        target: build.target.clone().unwrap_or_default(),
        nocache: build.no_cache,
        rm: true,
        // A failed build must leave nothing behind that nobody knows of.
        forcerm: true,
        version: BuilderVersion::BuilderV1,
        ..BuildImageOptions::default()
    }
}

/// Credentials as the engine asks for them: Docker Hub under the name its daemon has for it.
fn for_engine(credentials: &BTreeMap<String, Credentials>) -> Option<HashMap<String, DockerCredentials>> {
    let name = |registry: &str| match registry {
        "docker.io" => "registry-1.docker.io".to_owned(),
        other => other.to_owned(),
    };
    let all = credentials.iter();
    let all: HashMap<_, _> =
        all.map(|(registry, own)| (name(registry), auth_config(own, registry))).collect();
    (!all.is_empty()).then_some(all)
}
