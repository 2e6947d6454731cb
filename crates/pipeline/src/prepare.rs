//! Preparing: from Dockerfiles, files and references to images that the registry has confirmed by digest.
//!
//! Nothing here touches a cluster. A push that the registry does not confirm is a failure, whatever the engine says.

mod native;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use release_core::{ImageRef, ImageRefError, PinnedImage, ProjectName, Repository, ServiceName};
use release_image::{
    BuildAgent, BuildCache, BuildContext, BuildError, BuildEvent, BuildInputs, BuildSecret, CacheSource,
    DockerfileBuild, Endpoint, Engine, EngineError, NativeError, PushError, PushEvent, SecretSource,
};
use release_manifest::{
    DockerBuild, DockerCache, DockerCacheSource, DockerContext, DockerSecret, ImageSource,
};
use release_registry::{ConfirmError, CredentialStore, CredentialsError, PullError, Registry, RegistryError};

use crate::event::{Event, ImageEvent};
use crate::supply::{Attest, SupplyError, Target};
use native::Assembled;
pub use native::Images;

/// What has to be prepared.
#[derive(Debug, Clone)]
pub struct Preparation<'a> {
    /// The folder Dockerfiles, contexts and layers are relative to.
    pub root: &'a Path,
    /// The project, for labels.
    pub project: &'a ProjectName,
    /// Where built images go.
    pub registry: Option<Repository>,
    /// Where each service's image comes from.
    pub services: BTreeMap<ServiceName, ImageSource>,
    /// The revision of what each image is built from, for its label. Must not change when nothing the image is built from has
    /// changed: a label is part of the digest, and a new digest is a rollout.
    pub revisions: BTreeMap<ServiceName, String>,
    /// What people call the version: the tag of built images.
    pub version: Option<String>,
    /// Where cargo leaves what it builds, relative to `root` or absolute: `target`, if nobody says otherwise.
    pub cargo_target: PathBuf,
    /// Where images without a Dockerfile are put together.
    pub images: Images,
    /// Where bases that come from registries are kept, for all projects. May be lost.
    pub bases: PathBuf,
    /// Where their builds write down what they found out, so that later ones read and compress only what changed. May be lost.
    pub records: PathBuf,
    /// Whether everything is built anew: neither these records nor the engine's cache are believed.
    pub no_cache: bool,
    /// The time that everything in them carries, in seconds since 1970: `SOURCE_DATE_EPOCH`, or 0.
    pub created: u64,
    /// How pushed images are signed, and what is said about them.
    pub attest: Option<Attest>,
}

/// How far preparing goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// The engine, or the image layout, has the images.
    Built,
    /// The registry has confirmed them.
    Pushed,
}

/// What was prepared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prepared {
    /// The engine's id of each image that was built from a Dockerfile, and the pinned image of every other service.
    pub built: BTreeMap<ServiceName, String>,
    /// The images the registry has confirmed.
    pub pinned: BTreeMap<ServiceName, PinnedImage>,
}

/// Why images could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// A service is built and there is nowhere to push it.
    #[error("service `{service}` is built, but the project names no registry to push it to")]
    NoRegistry {
        /// The service.
        service: ServiceName,
    },
    /// The version or the service's name does not make an image reference.
    #[error("service `{service}` has no usable image name")]
    Name {
        /// The service.
        service: ServiceName,
        /// What is wrong with it.
        #[source]
        source: ImageRefError,
    },
    /// The version would be a tag under which registries and others keep what is about an image.
    #[error(
        "version `{version}` cannot be a tag: such tags hold what is about an image, signatures among it"
    )]
    Reserved {
        /// The version.
        version: String,
    },
    /// The engine cannot be used.
    #[error("images cannot be built")]
    Engine {
        /// The reason.
        #[source]
        source: EngineError,
    },
    /// A build failed.
    #[error("the image of service `{service}` was not built")]
    Build {
        /// The service.
        service: ServiceName,
        /// The reason.
        #[source]
        source: BuildError,
    },
    /// An image without a Dockerfile was not put together.
    #[error("the image of service `{service}` was not built")]
    Assemble {
        /// The service.
        service: ServiceName,
        /// The reason.
        #[source]
        source: NativeError,
    },
    /// Nobody could tell what the base of an image without a Dockerfile is now.
    #[error("the base `{base}` of service `{service}` was not found")]
    BaseTag {
        /// The service.
        service: ServiceName,
        /// The base, which has a tag.
        base: Box<ImageRef>,
        /// The reason.
        #[source]
        source: Box<ConfirmError>,
    },
    /// The base of an image without a Dockerfile was not pulled.
    #[error("the base `{base}` of service `{service}` was not pulled")]
    Base {
        /// The service.
        service: ServiceName,
        /// The base.
        base: Box<ImageRef>,
        /// The reason.
        #[source]
        source: Box<PullError>,
    },
    /// An image layout is wanted, and the engine does not give one.
    #[error("service `{service}` is built from a Dockerfile, which cannot go into an image layout")]
    NoLayout {
        /// The service.
        service: ServiceName,
    },
    /// An image without a Dockerfile was not pushed.
    #[error("the image of service `{service}` was not pushed")]
    Upload {
        /// The service.
        service: ServiceName,
        /// The reason.
        #[source]
        source: Box<release_registry::PushError>,
    },
    /// A push failed.
    #[error("the image of service `{service}` was not pushed")]
    Push {
        /// The service.
        service: ServiceName,
        /// The reason.
        #[source]
        source: Box<PushError>,
    },
    /// Docker's configuration cannot be read.
    #[error("credentials for registry {registry} cannot be had")]
    Credentials {
        /// The registry.
        registry: String,
        /// The reason.
        #[source]
        source: CredentialsError,
    },
    /// The registry does not confirm an image.
    #[error("the registry does not confirm the image of service `{service}`")]
    Confirm {
        /// The service.
        service: ServiceName,
        /// The reason.
        #[source]
        source: ConfirmError,
    },
    /// An image was pushed and not signed, or not described.
    #[error("the image of service `{service}` was pushed and not signed")]
    Supply {
        /// The service.
        service: ServiceName,
        /// The reason.
        #[source]
        source: Box<SupplyError>,
    },
    /// No registry client can be set up.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// The tag of an image whose version nobody knows.
const NO_VERSION: &str = "latest";

/// The fewest digits behind which a digest is suspected: those of a 128 bit hash. Versions of git are shorter behind `sha-`.
const SHORTEST_HEX: usize = 32;

impl Preparation<'_> {
    /// Builds what is built and, up to [`Until::Pushed`], pushes it and has every image confirmed.
    ///
    /// # Errors
    /// [`PrepareError`]; images of earlier services may have been pushed, which harms nobody.
    pub async fn run(
        &self,
        until: Until,
        tell: &mut (dyn FnMut(Event) + Send),
    ) -> Result<Prepared, PrepareError> {
        self.version_is_free()?;
        self.layout_fits()?;
        let mut prepared = Prepared::default();
        let mut kit = Kit::default();
        if let (Until::Pushed, Some(registry)) = (until, &self.registry) {
            kit.prepare_for(registry)?;
        }
        self.check(&mut kit, until).await?;
        for (service, source) in &self.services {
            let mut tell = |event| tell(Event::Image { service: service.clone(), event });
            let image = match source {
                ImageSource::Pinned(image) => {
                    prepared.built.insert(service.clone(), image.to_string());
                    image.clone()
                }
                ImageSource::Dockerfile(build) => {
                    let tag = self.tag(service, until)?;
                    let id = self.build(&mut kit, service, build, &tag, &mut tell).await?;
                    prepared.built.insert(service.clone(), id);
                    if until == Until::Built {
                        continue;
                    }
                    kit.push(service, &tag, &mut tell).await?
                }
                ImageSource::Native(build) => {
                    let tag = self.tag(service, until)?;
                    let assembled = self.assemble(&mut kit, service, build, &tag, &mut tell).await?;
                    prepared.built.insert(service.clone(), assembled.pinned(&tag).to_string());
                    if until == Until::Pushed {
                        let image = kit.upload(service, &assembled, &tag, &mut tell).await?;
                        self.attach(&mut kit, service, source, &image, Some(&assembled), &mut tell).await?;
                        prepared.pinned.insert(service.clone(), image);
                    }
                    continue;
                }
            };
            if until == Until::Pushed {
                kit.confirm(service, &image, &mut tell).await?;
                if source.is_built() {
                    self.attach(&mut kit, service, source, &image, None, &mut tell).await?;
                }
                prepared.pinned.insert(service.clone(), image);
            }
        }
        Ok(prepared)
    }

    /// Signs an image that was built here and is in the registry now.
    async fn attach(
        &self,
        kit: &mut Kit,
        service: &ServiceName,
        source: &ImageSource,
        image: &PinnedImage,
        assembled: Option<&Assembled>,
        tell: &mut (dyn FnMut(ImageEvent) + Send),
    ) -> Result<(), PrepareError> {
        let Some(attest) = &self.attest else { return Ok(()) };
        let credentials = kit.credentials(image.repository.registry()).await?;
        let created = (self.created > 0).then_some(self.created);
        let target = Target {
            root: self.root,
            service,
            source,
            image,
            created,
            layout: assembled.map(Assembled::layout_dir),
            base: assembled.and_then(Assembled::base),
        };
        attest
            .attach(&kit.registry()?, credentials.as_ref(), &target, tell)
            .await
            .map_err(|source| PrepareError::Supply { service: service.clone(), source: Box::new(source) })
    }

    /// Whether the version is no tag that has a meaning of its own.
    fn version_is_free(&self) -> Result<(), PrepareError> {
        match &self.version {
            Some(version) if is_reserved(version) => Err(PrepareError::Reserved { version: version.clone() }),
            _ => Ok(()),
        }
    }

    /// Whether everything that is built can be where it is wanted, before anything is built.
    fn layout_fits(&self) -> Result<(), PrepareError> {
        let dockerfile = |source: &ImageSource| matches!(source, ImageSource::Dockerfile(_));
        match (&self.images, self.services.iter().find(|(_, source)| dockerfile(source))) {
            (Images::Layout(_), Some((service, _))) => {
                Err(PrepareError::NoLayout { service: service.clone() })
            }
            _ => Ok(()),
        }
    }

    /// `registry/service:version`. Without a registry an image can be built, not pushed.
    fn tag(&self, service: &ServiceName, until: Until) -> Result<ImageRef, PrepareError> {
        let fail = |source| PrepareError::Name { service: service.clone(), source };
        let repository = match (&self.registry, until) {
            (Some(registry), _) => registry.join(service.as_str()).map_err(fail)?,
            (None, Until::Built) => format!("localhost/{}/{service}", self.project).parse().map_err(fail)?,
            (None, Until::Pushed) => return Err(PrepareError::NoRegistry { service: service.clone() }),
        };
        let version = self.version.as_deref().unwrap_or(NO_VERSION);
        format!("{repository}:{version}").parse().map_err(fail)
    }

    /// What can be known before anything is built: a mistake in the last service must not cost the builds of the others.
    async fn check(&self, kit: &mut Kit, until: Until) -> Result<(), PrepareError> {
        for (service, source) in &self.services {
            match source {
                ImageSource::Dockerfile(build) => {
                    let build = self.dockerfile(service, build, &self.tag(service, until)?);
                    build
                        .check()
                        .map_err(|source| PrepareError::Build { service: service.clone(), source })?;
                }
                ImageSource::Pinned(image) if until == Until::Pushed => {
                    kit.confirm(service, image, &mut |_| {}).await?;
                }
                ImageSource::Pinned(_) | ImageSource::Native(_) => {}
            }
        }
        Ok(())
    }

    fn dockerfile(&self, service: &ServiceName, build: &DockerBuild, tag: &ImageRef) -> DockerfileBuild {
        DockerfileBuild {
            context: self.root.join(&build.context),
            dockerfile: self.root.join(&build.dockerfile),
            target: build.target.clone(),
            args: build.args.clone(),
            platform: build.platform.clone(),
            labels: self.labels(service),
            tag: tag.clone(),
            no_cache: self.no_cache,
            inputs: self.inputs(build),
        }
    }

    /// What the build is given besides its context. Paths that are absolute stay so.
    fn inputs(&self, build: &DockerBuild) -> BuildInputs {
        let secret = |(id, from): (&String, &DockerSecret)| BuildSecret {
            id: id.clone(),
            from: match from {
                DockerSecret::File(path) => SecretSource::File(self.root.join(path)),
                DockerSecret::Env(name) => SecretSource::Variable(name.clone()),
            },
        };
        let agent = |(id, socket): (&String, &Option<String>)| BuildAgent {
            id: id.clone(),
            socket: socket.as_ref().map(|socket| self.root.join(socket)),
        };
        let cache = |cache: &DockerCache| match cache {
            DockerCache::Inline => BuildCache::Inline,
            DockerCache::Registry { image, all_stages } => {
                BuildCache::Registry { image: image.clone(), all_stages: *all_stages }
            }
            DockerCache::Folder { path, all_stages } => {
                BuildCache::Folder { path: self.root.join(path), all_stages: *all_stages }
            }
        };
        let context = |(name, context): (&String, &DockerContext)| {
            let context = match context {
                DockerContext::Address(address) => BuildContext::Address(address.clone()),
                DockerContext::Folder(path) => BuildContext::Folder(self.root.join(path)),
            };
            (name.clone(), context)
        };
        let source = |source: &DockerCacheSource| match source {
            DockerCacheSource::Image(image) => CacheSource::Image(image.clone()),
            DockerCacheSource::Folder(path) => CacheSource::Folder(self.root.join(path)),
        };
        BuildInputs {
            secrets: build.secrets.iter().map(secret).collect(),
            agents: build.ssh.iter().map(agent).collect(),
            contexts: build.contexts.iter().map(context).collect(),
            cache_from: build.cache_from.iter().map(source).collect(),
            cache_to: build.cache_to.iter().map(cache).collect(),
        }
    }

    async fn build(
        &self,
        kit: &mut Kit,
        service: &ServiceName,
        build: &DockerBuild,
        tag: &ImageRef,
        tell: &mut (dyn FnMut(ImageEvent) + Send),
    ) -> Result<String, PrepareError> {
        tell(ImageEvent::BuildBegan { dockerfile: build.dockerfile.clone() });
        let name = build.dockerfile.clone();
        let build = self.dockerfile(service, build, tag);
        let lints =
            build.lint().map_err(|source| PrepareError::Build { service: service.clone(), source })?;
        for lint in lints {
            tell(ImageEvent::Notice {
                message: format!("{name}:{}: {} ({})", lint.line, lint.message, lint.rule.name()),
            });
        }
        let mut forward = |event| {
            tell(match event {
                BuildEvent::Step { name, cached } => ImageEvent::Step { name, cached },
                BuildEvent::Output { line } => ImageEvent::Output { line },
                BuildEvent::Notice { message } => ImageEvent::Notice { message },
            });
        };
        let fail = |source| PrepareError::Build { service: service.clone(), source };
        let mut credentials = BTreeMap::new();
        for image in build.images().map_err(fail)? {
            let registry = image.repository.registry();
            if let Some(own) = kit.credentials(registry).await? {
                credentials.insert(registry.to_owned(), own);
            }
        }
        let engine = kit.engine().await?;
        let image = engine.build(&build, &credentials, &mut forward).await.map_err(fail)?;
        tell(ImageEvent::Built { id: image.id.clone() });
        Ok(image.id)
    }

    /// Labels of the OCI image specification. No times, and no version of the whole project: an unchanged service must build an
    /// unchanged image.
    fn labels(&self, service: &ServiceName) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::from([
            ("org.opencontainers.image.title".to_owned(), service.to_string()),
            ("org.opencontainers.image.vendor".to_owned(), self.project.to_string()),
        ]);
        if let Some(revision) = self.revisions.get(service) {
            labels.insert("org.opencontainers.image.revision".to_owned(), revision.clone());
        }
        labels
    }
}

/// Whether a tag is made of a digest: what the
/// [specification](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#unavailable-referrers-api) keeps lists of
/// referrers under (`sha256-HEX`), and cosign signatures and more (`sha256-HEX.sig`).
fn is_reserved(tag: &str) -> bool {
    let rest = tag.strip_prefix("sha").map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
    let hex = |rest: &str| rest.bytes().take_while(u8::is_ascii_hexdigit).count();
    rest.and_then(|rest| rest.strip_prefix('-')).is_some_and(|rest| hex(rest) >= SHORTEST_HEX)
}

#[cfg(test)]
mod tests {
    use super::is_reserved;

    #[test]
    fn tags_that_are_made_of_digests_are_no_versions() {
        let hex = "0123456789abcdef".repeat(4);
        for tag in [format!("sha256-{hex}"), format!("sha256-{hex}.sig"), format!("sha512-{hex}.att")] {
            assert!(is_reserved(&tag), "{tag}");
        }
        for tag in ["v1", "sha256-abc", "sha-0123456789ab", &hex, &format!("v1-{hex}"), "shared-1"] {
            assert!(!is_reserved(tag), "{tag}");
        }
    }
}

/// What preparing talks to, connected when it is first needed.
#[derive(Default)]
struct Kit {
    engine: Option<Engine>,
    credentials: Option<CredentialStore>,
    registry: Option<Registry>,
}

impl Kit {
    fn registry(&mut self) -> Result<Registry, PrepareError> {
        let registry = match self.registry.take() {
            Some(registry) => registry,
            None => Registry::new()?,
        };
        Ok(self.registry.insert(registry).clone())
    }

    /// Gets ready on another thread, while images are built, for the registry they will be pushed to.
    fn prepare_for(&mut self, repository: &Repository) -> Result<(), PrepareError> {
        let (registry, host) = (self.registry()?, repository.registry().to_owned());
        // Nobody waits for it: whoever comes first reads the certificates.
        drop(tokio::task::spawn_blocking(move || registry.prepare_for(&host)));
        Ok(())
    }

    async fn engine(&mut self) -> Result<&Engine, PrepareError> {
        let engine = if let Some(engine) = self.engine.take() {
            engine
        } else {
            let connected = match Endpoint::from_env() {
                Ok(endpoint) => Engine::connect(&endpoint).await,
                Err(error) => Err(error),
            };
            connected.map_err(|source| PrepareError::Engine { source })?
        };
        Ok(self.engine.insert(engine))
    }

    async fn credentials(
        &mut self,
        registry: &str,
    ) -> Result<Option<release_core::Credentials>, PrepareError> {
        let fail = |source| PrepareError::Credentials { registry: registry.to_owned(), source };
        let store = match self.credentials.take() {
            Some(store) => store,
            None => CredentialStore::from_env().map_err(fail)?,
        };
        self.credentials.insert(store).get(registry).await.map_err(fail)
    }

    async fn push(
        &mut self,
        service: &ServiceName,
        tag: &ImageRef,
        tell: &mut (dyn FnMut(ImageEvent) + Send),
    ) -> Result<PinnedImage, PrepareError> {
        let credentials = self.credentials(tag.repository.registry()).await?;
        let mut pushing = |event| match event {
            PushEvent::Layer { doing, sent, total } => tell(ImageEvent::Pushing { doing, sent, total }),
        };
        let engine = self.engine().await?;
        let image = engine
            .push(tag, credentials.as_ref(), &mut pushing)
            .await
            .map_err(|source| PrepareError::Push { service: service.clone(), source: Box::new(source) })?;
        tell(ImageEvent::Pushed { reference: image.clone() });
        Ok(image)
    }

    async fn confirm(
        &mut self,
        service: &ServiceName,
        image: &PinnedImage,
        tell: &mut (dyn FnMut(ImageEvent) + Send),
    ) -> Result<(), PrepareError> {
        let credentials = self.credentials(image.repository.registry()).await?;
        self.registry()?
            .confirm(image, credentials.as_ref())
            .await
            .map_err(|source| PrepareError::Confirm { service: service.clone(), source })?;
        tell(ImageEvent::Confirmed { reference: image.clone() });
        Ok(())
    }
}
