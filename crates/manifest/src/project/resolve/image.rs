//! Where an image comes from.

use release_core::{PinnedImage, Platform};

use super::Resolver;
use crate::ImageSource;
use crate::problem::ProblemKind;
use crate::project::spec::ImageSpec;

impl Resolver<'_> {
    /// Where the image comes from. `elsewhere`: the service has manifests of its own and may go without.
    pub(crate) fn image(&mut self, spec: Option<&ImageSpec>, elsewhere: bool) -> Option<ImageSource> {
        const WAYS: &str = "write `image: {dockerfile: Dockerfile}`, `image: {ref: repository@sha256:…}` or `image: {base: scratch, layers: […], entrypoint: […]}`";
        let Some(spec) = spec else {
            if !elsewhere {
                let message = format!("service `{}` has no `image`", self.name);
                self.complain(ProblemKind::MissingKey, &[], message, WAYS);
            }
            return None;
        };
        let native = spec.is_native();
        let build = spec.context.is_some() || spec.target.is_some() || spec.args.is_some() || spec.is_given();
        if let Some(lockfile) = &spec.lockfile {
            self.relative(lockfile, &["image", "lockfile"]);
        }
        match (&spec.dockerfile, &spec.reference) {
            (None, None) if native && build => {
                let message = "`context`, `target`, `args`, `secrets`, `ssh`, `contexts`, `cache_from` and `cache_to` belong to a `dockerfile`, not to `base` and `layers`";
                self.complain(ProblemKind::Conflict, &["image"], message, WAYS);
                None
            }
            (None, None) if native => self.native(spec).map(|build| ImageSource::Native(Box::new(build))),
            (None, None) => {
                self.complain(
                    ProblemKind::MissingKey,
                    &["image"],
                    "`image` says neither `dockerfile` nor `ref` nor `base`",
                    WAYS,
                );
                None
            }
            (Some(_), Some(_)) => {
                self.complain(
                    ProblemKind::Conflict,
                    &["image", "ref"],
                    "`image` has both `dockerfile` and `ref`",
                    WAYS,
                );
                None
            }
            _ if native => {
                let message = "what an image is built of without a Dockerfile (`base`, `layers`, `entrypoint` and the like) does not go together with `dockerfile` or `ref`";
                self.complain(ProblemKind::Conflict, &["image"], message, WAYS);
                None
            }
            (None, Some(_)) if build || spec.platform.is_some() || spec.lockfile.is_some() => {
                let message = "`context`, `target`, `args`, `platform`, `lockfile`, `secrets`, `ssh`, `contexts`, `cache_from` and `cache_to` belong to a `dockerfile`, not to a `ref`";
                self.complain(ProblemKind::Conflict, &["image"], message, WAYS);
                None
            }
            (None, Some(reference)) => match reference.parse::<PinnedImage>() {
                Ok(image) => Some(ImageSource::Pinned(image)),
                Err(error) => {
                    let way = "what runs is always pinned: `docker buildx imagetools inspect IMAGE` shows the digest of a tag";
                    self.complain(ProblemKind::BadValue, &["image", "ref"], error.to_string(), way);
                    None
                }
            },
            (Some(dockerfile), None) => Some(ImageSource::Dockerfile(self.docker(spec, dockerfile))),
        }
    }

    /// Complains about a platform that is none.
    pub(super) fn platform(&mut self, spec: &ImageSpec) {
        if let Some(platform) = &spec.platform {
            self.is_platform(platform, &["image", "platform"]);
        }
    }

    /// Whether it is a platform; complains if it is not.
    pub(super) fn is_platform(&mut self, text: &str, keys: &[&str]) -> bool {
        let Err(error) = text.parse::<Platform>() else { return true };
        let message = format!("`{text}` is not a platform");
        self.complain(ProblemKind::BadValue, keys, message, &error.advice());
        false
    }
}
