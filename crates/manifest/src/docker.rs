//! An image that is built from a Dockerfile: the build, and what it is given besides its context.

use std::collections::BTreeMap;

use release_core::ImageRef;

/// What a Dockerfile build needs. Paths are relative to the folder of `release.yaml`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DockerBuild {
    /// The Dockerfile.
    pub dockerfile: String,
    /// The folder that is sent to the builder.
    pub context: String,
    /// The stage to build; the last one when `None`.
    pub target: Option<String>,
    /// Build arguments. They end up in the image's history: never secrets.
    pub args: BTreeMap<String, String>,
    /// `linux/amd64`; the builder's own when `None`.
    pub platform: Option<String>,
    /// The `Cargo.lock` that lists what is in the image; looked for when `None`.
    pub lockfile: Option<String>,
    /// Secrets by the id that the Dockerfile has for them. Only where they are is known here.
    pub secrets: BTreeMap<String, DockerSecret>,
    /// SSH agents by the id that the Dockerfile has for them: a socket, or that of `SSH_AUTH_SOCK` when `None`.
    pub ssh: BTreeMap<String, Option<String>>,
    /// Further contexts by name.
    pub contexts: BTreeMap<String, DockerContext>,
    /// Whose results can be used instead of running steps.
    pub cache_from: Vec<DockerCacheSource>,
    /// Where the results of steps are left for later builds.
    pub cache_to: Vec<DockerCache>,
}

/// Where a secret of a build is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DockerSecret {
    /// In a file.
    File(String),
    /// In an environment variable of this name.
    Env(String),
}

/// Where a further context of a build is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DockerContext {
    /// `docker-image://…`, or an `https://` address.
    Address(String),
    /// A folder.
    Folder(String),
}

/// Where the results of steps are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DockerCacheSource {
    /// In an image, or beside one in a registry.
    Image(ImageRef),
    /// In a folder.
    Folder(String),
}

/// Where the results of steps are left for later builds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DockerCache {
    /// In the image.
    Inline,
    /// In an image of its own.
    Registry {
        /// The image.
        image: ImageRef,
        /// Whether the steps of all stages are kept (`mode=max`).
        all_stages: bool,
    },
    /// In a folder.
    Folder {
        /// The folder.
        path: String,
        /// As with a registry.
        all_stages: bool,
    },
}
