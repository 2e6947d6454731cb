//! Bases from registries: what a tag stands for, and the image in a cache that all projects of the user share.
//!
//! A base with a digest that is in the cache costs no request, one with a tag costs one. Blobs in the cache are believed by
//! their size here, because the build hashes what it takes over; one that turns out to be wrong is pulled again.

use std::path::Path;

use release_core::{Digest, ImageRef, PinnedImage, Platform, ServiceName};
use release_image::{Base, LayoutError, NativeError, Origin};
use release_manifest as given;
use release_registry::{Cache, Limits, Pull, PullEvent};

use super::super::{Kit, Preparation, PrepareError};
use super::recipe::platforms;
use crate::event::ImageEvent;

/// The most bytes of bases that are kept: some forty distributions, or ten tool chains.
const MAX_BASES_BYTES: u64 = 8 * 1024 * 1024 * 1024;

/// A base that is in the cache, for every platform.
#[derive(Debug, Clone)]
pub(super) struct PulledBase {
    /// What it stands for: an index, where it is one.
    pub(super) image: PinnedImage,
    /// How the image calls it.
    origin: Origin,
    /// The cache.
    dir: std::path::PathBuf,
    manifests: Vec<(Platform, Digest)>,
}

impl PulledBase {
    /// The base on one platform.
    pub(super) fn on(&self, platform: &Platform) -> Option<Base> {
        let (_, manifest) = self.manifests.iter().find(|(on, _)| on == platform)?;
        let (dir, origin) = (self.dir.clone(), Some(self.origin.clone()));
        Some(Base::Layout { dir, manifest: Some(manifest.clone()), origin })
    }

    /// Whether a build failed because the cache is not what it should be.
    pub(super) fn is_to_blame(&self, error: &NativeError) -> bool {
        let damaged = |path: &Path| path.starts_with(&self.dir);
        match error {
            NativeError::Layout(
                LayoutError::Corrupt { path }
                | LayoutError::Read { path, .. }
                | LayoutError::Form { path, .. },
            ) => damaged(path),
            NativeError::BaseChoice { dir, .. } => damaged(dir),
            _ => false,
        }
    }
}

impl Preparation<'_> {
    /// Brings the base here, if it is one of a registry. What is here already is hashed unless it is believed.
    pub(super) async fn pull_base(
        &self,
        kit: &mut Kit,
        service: &ServiceName,
        build: &given::NativeBuild,
        believe: bool,
        tell: &mut (dyn FnMut(ImageEvent) + Send),
    ) -> Result<Option<PulledBase>, PrepareError> {
        let given::NativeBase::Image(base) = &build.base else { return Ok(None) };
        let platforms =
            platforms(build).map_err(|source| PrepareError::Assemble { service: service.clone(), source })?;
        let credentials = kit.credentials(base.repository.registry()).await?;
        let registry = kit.registry()?;
        let digest = match &base.digest {
            Some(digest) => digest.clone(),
            None => registry.resolve(base, credentials.as_ref()).await.map_err(|source| {
                PrepareError::BaseTag {
                    service: service.clone(),
                    base: Box::new(base.clone()),
                    source: Box::new(source),
                }
            })?,
        };
        let image = base.repository.at(digest);
        let reference =
            ImageRef { repository: image.repository.clone(), tag: None, digest: Some(image.digest.clone()) };
        let cache = Cache { most_bytes: MAX_BASES_BYTES, believe };
        let (mut manifests, mut fetched) = (Vec::new(), 0);
        for platform in platforms {
            let pull = Pull {
                reference: &reference,
                platform: Some(&platform),
                layout: &self.bases,
                limits: Limits::default(),
            };
            let mut pulling = |event| match event {
                PullEvent::Progress { digest, received, total } => {
                    let doing = format!("fetching {}", digest.short());
                    tell(ImageEvent::Pulling { doing, received, total });
                }
                PullEvent::BlobPulled { size, .. } => fetched += size,
                PullEvent::Warning { message } => tell(ImageEvent::Notice { message }),
                PullEvent::BlobExists { .. } | PullEvent::BlobResumed { .. } | PullEvent::Pulled { .. } => {}
            };
            let pulled = registry.pull_cached(&pull, cache, credentials.as_ref(), &mut pulling).await;
            let pulled = pulled.map_err(|source| PrepareError::Base {
                service: service.clone(),
                base: Box::new(base.clone()),
                source: Box::new(source),
            })?;
            manifests.push((platform, pulled.manifest));
        }
        tell(ImageEvent::BasePulled { base: base.clone(), reference: image.clone(), fetched });
        let origin = Origin { name: base.to_string(), digest: image.digest.clone() };
        Ok(Some(PulledBase { image, origin, dir: self.bases.clone(), manifests }))
    }
}
