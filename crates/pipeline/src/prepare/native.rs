//! Images without a Dockerfile: put together in an image layout, and pushed from there.
//!
//! The layout is a cache of the user's, one a project: what did not change has its blobs there, and a broken push goes on
//! from them. It is not in the project's folder, where the next `from: .` or build context would pick it up.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use release_core::{ImageRef, PinnedImage, ServiceName};
use release_image::{
    Base, BuildOptions, Layer, Layout, NativeBuild, NativeError, NativeEvent, NativeImage, Platform,
    RunConfig,
};
use release_registry::{Push, PushEvent};

use super::{Kit, Preparation, PrepareError};
use crate::event::ImageEvent;

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
    image: NativeImage,
    layout: Layout,
}

impl Assembled {
    /// The image as it will be known in a repository.
    pub(super) fn pinned(&self, tag: &ImageRef) -> PinnedImage {
        tag.repository.at(self.image.manifest.digest.clone())
    }
}

/// Ends a build when nobody waits for it any more.
struct EndOnDrop(Arc<AtomicBool>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Preparation<'_> {
    /// Puts the image together, on a thread of its own.
    pub(super) async fn assemble(
        &self,
        service: &ServiceName,
        build: &release_manifest::NativeBuild,
        tag: &ImageRef,
        tell: &mut (dyn FnMut(ImageEvent) + Send),
    ) -> Result<Assembled, PrepareError> {
        tell(ImageEvent::AssemblyBegan { layers: build.layers.len() as u64 });
        let failed = |source| PrepareError::Assemble { service: service.clone(), source };
        let build = self.native(service, build).map_err(failed)?;
        let (images, name, reference) = (self.images.clone(), service.to_string(), tag.to_string());
        let options = BuildOptions::default();
        let _end = EndOnDrop(options.cancel.clone());
        let (sender, mut events) = tokio::sync::mpsc::unbounded_channel();
        let work = tokio::task::spawn_blocking(move || {
            let layout = Layout::create(images.dir())?;
            // At most an event a layer; nobody listens any more when the build was ended.
            let image = build.build(&layout, &options, &mut |event| {
                let _ = sender.send(event);
            })?;
            layout.name(&image, &build.platform, &name, Some(&reference))?;
            if let Images::Cache(_) = images {
                layout.sweep()?;
            }
            Ok(Assembled { image, layout })
        });
        while let Some(event) = events.recv().await {
            tell(match event {
                NativeEvent::Layer { from, entries, blob, reused } => ImageEvent::LayerBuilt {
                    from,
                    entries: entries as u64,
                    digest: blob.digest,
                    size: blob.size,
                    reused,
                },
                NativeEvent::BaseLayer { blob } => {
                    ImageEvent::BlobExists { digest: blob.digest, size: blob.size }
                }
            });
        }
        let assembled: Assembled = match work.await {
            Ok(result) => result.map_err(failed)?,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        tell(ImageEvent::Built { id: assembled.image.config.digest.to_string() });
        Ok(assembled)
    }

    fn native(
        &self,
        service: &ServiceName,
        build: &release_manifest::NativeBuild,
    ) -> Result<NativeBuild, NativeError> {
        let words = |words: &[String]| (!words.is_empty()).then(|| words.to_vec());
        let mut labels = self.labels(service);
        labels.extend(build.labels.clone());
        let platform = match build.platform.as_deref() {
            None => Platform::default(),
            Some(text) => text.parse().map_err(|_| NativeError::Config {
                what: "platform",
                text: text.to_owned(),
                why: "write `linux/amd64` or `linux/arm64`",
            })?,
        };
        let here = self.root.as_os_str().is_empty();
        Ok(NativeBuild {
            root: if here { PathBuf::from(".") } else { self.root.to_owned() },
            base: Base::Scratch,
            layers: build
                .layers
                .iter()
                .map(|layer| Layer { from: layer.from.clone(), to: layer.to.clone() })
                .collect(),
            platform,
            config: RunConfig {
                entrypoint: words(&build.entrypoint),
                cmd: words(&build.cmd),
                env: build.env.clone(),
                user: build.user.clone(),
                workdir: build.workdir.clone(),
                labels,
                ..RunConfig::default()
            },
            created: self.created,
        })
    }
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
        let push = Push {
            layout: assembled.layout.dir(),
            manifest: &assembled.image.manifest.digest,
            repository: &tag.repository,
            tags: &tags,
            mount_from: &[],
        };
        let mut pushing = |event| {
            if let Some(event) = told(event) {
                tell(event);
            }
        };
        let image =
            self.registry.push(&push, credentials.as_ref(), &mut pushing).await.map_err(|source| {
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
