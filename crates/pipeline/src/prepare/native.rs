//! Images without a Dockerfile: put together in an image layout, and pushed from there. With several platforms it is an image
//! for each and an index of them.
//!
//! The layout is a cache of the user's, one a project: what did not change has its blobs there, and a broken push goes on
//! from them. It is not in the project's folder, where the next `from: .` or build context would pick it up.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use release_core::{Digest, ImageRef, PinnedImage, ServiceName};
use release_image::{
    BuildOptions, Descriptor, Layout, LayoutError, NativeBuild, NativeError, NativeEvent, NativeImage,
};
use release_registry::{MountFrom, Push, PushEvent};

use super::{Kit, Preparation, PrepareError};
use crate::event::ImageEvent;
use base::PulledBase;

mod base;
mod recipe;
#[cfg(test)]
mod tests;

/// Where native images are put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Images {
    /// A cache: what no service needs any more is removed.
    Cache(PathBuf),
    /// A layout somebody wants to have: nothing is removed.
    Layout(PathBuf),
}

impl Images {
    /// The folder.
    pub fn dir(&self) -> &Path {
        match self {
            Self::Cache(dir) | Self::Layout(dir) => dir,
        }
    }
}

/// An image in the layout, which stays locked until the image is pushed.
pub(super) struct Assembled {
    /// The manifest, or the index.
    manifest: Descriptor,
    /// What an engine calls the image: the digest of its configuration, or of the index.
    id: Digest,
    layout: Layout,
    /// The base, if it is one of a registry.
    base: Option<OnBase>,
}

/// What an image has of a base.
struct OnBase {
    image: PinnedImage,
    layers: Vec<Digest>,
}

impl OnBase {
    /// Where the registry has these layers already, if it is the one the image goes to.
    fn mount(&self) -> MountFrom {
        MountFrom { repository: self.image.repository.clone(), blobs: self.layers.clone() }
    }
}

impl Assembled {
    /// The layout's folder.
    pub(super) fn layout_dir(&self) -> &Path {
        self.layout.dir()
    }

    /// The base, if it is one of a registry.
    pub(super) fn base(&self) -> Option<&PinnedImage> {
        self.base.as_ref().map(|base| &base.image)
    }

    /// The image as it will be known in a repository.
    pub(super) fn pinned(&self, tag: &ImageRef) -> PinnedImage {
        tag.repository.at(self.manifest.digest.clone())
    }
}

/// What the thread that puts images together tells.
enum Working {
    /// It waits for another process.
    Waits,
    /// The cache was damaged, and has forgotten what was.
    Mends,
    Native(NativeEvent),
}

/// Ends a build when nobody waits for it any more.
struct EndOnDrop(Arc<AtomicBool>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Preparation<'_> {
    /// Puts the image together.
    pub(super) async fn assemble(
        &self,
        kit: &mut Kit,
        service: &ServiceName,
        build: &release_manifest::NativeBuild,
        tag: &ImageRef,
        tell: &mut (dyn FnMut(ImageEvent) + Send),
    ) -> Result<Assembled, PrepareError> {
        let failed = |source| PrepareError::Assemble { service: service.clone(), source };
        let platforms = recipe::platforms(build).map_err(failed)?.len();
        tell(ImageEvent::AssemblyBegan { layers: (platforms * build.layer_count()) as u64 });
        let mut base = self.pull_base(kit, service, build, true, tell).await?;
        let mut assembled = self.put_together(service, build, base.as_ref(), tag, tell).await;
        if let (Err(error), Some(doubtful)) = (&assembled, &base)
            && doubtful.is_to_blame(error)
        {
            tell(ImageEvent::Notice {
                message: format!("the copy of `{}` is damaged and is repaired", doubtful.image),
            });
            base = self.pull_base(kit, service, build, false, tell).await?;
            assembled = self.put_together(service, build, base.as_ref(), tag, tell).await;
        }
        let assembled = assembled.map_err(failed)?;
        tell(ImageEvent::Built { id: assembled.id.to_string() });
        Ok(assembled)
    }

    /// Writes the layers and documents, on a thread of its own.
    async fn put_together(
        &self,
        service: &ServiceName,
        build: &release_manifest::NativeBuild,
        base: Option<&PulledBase>,
        tag: &ImageRef,
        tell: &mut (dyn FnMut(ImageEvent) + Send),
    ) -> Result<Assembled, NativeError> {
        let builds = self.recipes(service, build, base)?;
        let (images, name, reference) = (self.images.clone(), service.to_string(), tag.clone());
        let options = BuildOptions {
            records: Some(self.records.clone()),
            anew: self.no_cache,
            ..BuildOptions::default()
        };
        let _end = EndOnDrop(options.cancel.clone());
        let (sender, mut events) = tokio::sync::mpsc::unbounded_channel();
        let work = tokio::task::spawn_blocking(move || {
            let layout = Layout::create_or_wait(images.dir(), || {
                let _ = sender.send(Working::Waits);
            })?;
            if matches!(images, Images::Cache(_)) && layout.forget_damaged()? {
                let _ = sender.send(Working::Mends);
            }
            let mut images_of = Vec::new();
            for build in &builds {
                // At most an event a layer; nobody listens any more when the build was ended.
                images_of.push(build.build(&layout, &options, &mut |event| {
                    let _ = sender.send(Working::Native(event));
                })?);
            }
            let (manifest, id) = name_all(&layout, &builds, &images_of, &name, &reference)?;
            if let Images::Cache(_) = images {
                layout.sweep()?;
            }
            Ok::<_, NativeError>((manifest, id, layout))
        });
        let mut layers = Vec::new();
        while let Some(event) = events.recv().await {
            tell(match event {
                Working::Waits => ImageEvent::Notice {
                    message: format!(
                        "another run builds or pushes in `{}`: waiting until it has ended",
                        self.images.dir().display()
                    ),
                },
                Working::Mends => ImageEvent::Notice {
                    message: format!(
                        "the cache `{}` is damaged: what is missing is built again",
                        self.images.dir().display()
                    ),
                },
                Working::Native(NativeEvent::Layer { from, entries, blob, reused, .. }) => {
                    ImageEvent::LayerBuilt {
                        from,
                        entries: entries as u64,
                        digest: blob.digest,
                        size: blob.size,
                        reused,
                    }
                }
                Working::Native(NativeEvent::BaseLayer { blob }) => {
                    layers.push(blob.digest.clone());
                    ImageEvent::BlobExists { digest: blob.digest, size: blob.size }
                }
            });
        }
        let (manifest, id, layout) = match work.await {
            Ok(result) => result?,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        let base = base.map(|base| OnBase { image: base.image.clone(), layers });
        Ok(Assembled { manifest, id, layout, base })
    }
}

/// Names the image, or an index of the images. Its descriptor, and what an engine calls it.
fn name_all(
    layout: &Layout,
    builds: &[NativeBuild],
    images: &[NativeImage],
    name: &str,
    reference: &ImageRef,
) -> Result<(Descriptor, Digest), LayoutError> {
    if let ([build], [image]) = (builds, images) {
        layout.name(image, &build.platform, name, Some(reference))?;
        return Ok((image.manifest.clone(), image.config.digest.clone()));
    }
    let format = builds.first().map(|build| build.format).unwrap_or_default();
    let all =
        images.iter().zip(builds).map(|(image, build)| (image.manifest.clone(), build.platform.clone()));
    let index = layout.index(&all.collect::<Vec<_>>(), format)?;
    layout.name_index(&index, name, Some(reference))?;
    Ok((index.clone(), index.digest))
}

impl Kit {
    /// Pushes the image from its layout. The registry has confirmed it then.
    pub(super) async fn upload(
        &mut self,
        service: &ServiceName,
        assembled: &Assembled,
        tag: &ImageRef,
        tell: &mut (dyn FnMut(ImageEvent) + Send),
    ) -> Result<PinnedImage, PrepareError> {
        let credentials = self.credentials(tag.repository.registry()).await?;
        let tags: Vec<String> = tag.tag.iter().cloned().collect();
        let mounts: Vec<MountFrom> = assembled.base.iter().map(OnBase::mount).collect();
        let push = Push {
            layout: assembled.layout.dir(),
            manifest: &assembled.manifest.digest,
            repository: &tag.repository,
            tags: &tags,
            mount_from: mounts.as_slice(),
        };
        let mut pushing = |event| {
            if let Some(event) = told(event) {
                tell(event);
            }
        };
        let image =
            self.registry()?.push(&push, credentials.as_ref(), &mut pushing).await.map_err(|source| {
                PrepareError::Upload { service: service.clone(), source: Box::new(source) }
            })?;
        tell(ImageEvent::Pushed { reference: image.clone() });
        tell(ImageEvent::Confirmed { reference: image.clone() });
        Ok(image)
    }
}

/// A push's event as the pipeline tells it.
fn told(event: PushEvent) -> Option<ImageEvent> {
    Some(match event {
        PushEvent::BlobExists { digest, size } => ImageEvent::BlobExists { digest, size },
        PushEvent::BlobMounted { digest, from } => ImageEvent::BlobMounted { digest, from },
        PushEvent::BlobUploaded { digest, size } => ImageEvent::BlobUploaded { digest, size },
        PushEvent::BlobResumed { digest, at } => ImageEvent::BlobResumed { digest, offset: at },
        PushEvent::Progress { digest, sent, total } => {
            ImageEvent::Pushing { doing: format!("uploading {}", digest.short()), sent, total: Some(total) }
        }
        PushEvent::Warning { message } => ImageEvent::Notice { message },
        // The end of the push says the same once for all.
        PushEvent::ManifestExists { .. } | PushEvent::ManifestPushed { .. } | PushEvent::Confirmed { .. } => {
            return None;
        }
    })
}
