//! Container images: built here, or from Dockerfiles through a Docker Engine.
//!
//! ```text
//!  NativeBuild ─► check ─► walk (.dockerignore) ─► plan ─► tar ─► gzip ─► blobs ─► Layout
//!                          found                   entries  one layer after the other  │
//!                                                                    NativeImage ◄─────┘
//!
//!  DockerfileBuild ─► check ─► walk (.dockerignore) ─► tar ──► Engine::build ─► BuiltImage
//!                     paths     sorted entries         stream                      │
//!                                                           PinnedImage ◄── Engine::push
//! ```
//!
//! * [`NativeBuild`] puts files and a configuration together: no daemon, no network, the same bytes everywhere.
//! * [`Layout`] is the folder it writes into, an OCI image layout.
//! * [`Endpoint`] finds the engine the way the `docker` command does.
//! * [`lint`] warns of what in a Dockerfile hurts releases.
//! * [`Engine`] builds, with BuildKit where the engine has it, and pushes.
//! * [`Ignore`] decides which files of a context are sent.
//! * [`Contents`] is what is in an image, read layer by layer; [`changes`] is what two images differ in.
//! * [`Sbom`], [`Provenance`] and [`SimpleSignature`] are what is said about an image, by whoever has a [`SigningKey`].
//!
//! Everything about the engine is behind the feature `docker`, documents and keys are behind `supply`; both are on by default.
//! Native builds need neither, and no runtime.
//!
//! Not here: layouts are pushed, credentials looked up, and digests confirmed by `release-registry`.

mod ignore;
mod inspect;
mod native;
#[cfg(feature = "supply")]
mod supply;

#[cfg(feature = "docker")]
mod build;
#[cfg(feature = "docker")]
mod buildkit;
#[cfg(feature = "docker")]
mod context;
#[cfg(feature = "docker")]
mod dockerfile;
#[cfg(feature = "docker")]
mod endpoint;
#[cfg(feature = "docker")]
mod engine;
#[cfg(feature = "docker")]
mod lint;
#[cfg(feature = "docker")]
mod progress;
#[cfg(feature = "docker")]
mod push;

pub use ignore::{Ignore, IgnoreError};
pub use inspect::{
    ArchiveError, Change, Contents, Difference, EntryKind, ImageIndex, ImageManifest, LayerContents,
    LayerEntry, LayerError, Listed, ManifestError, Stored, StoredError, StoredImage, Wanted, Wasted, changes,
};
pub use native::{
    Base, BuildOptions, Compression, Descriptor, Format, Healthcheck, Layer, Layout, LayoutError,
    NativeBuild, NativeError, NativeEvent, NativeImage, Origin, Port, ProgramError, Protocol, RunConfig,
    Work,
};

#[cfg(feature = "supply")]
pub use supply::{
    Attachment, BUNDLE, BuildType, BundleError, Distribution, KeyError, Kind, LockfileError,
    MAX_BUNDLE_BYTES, MAX_LOCK_BYTES, MAX_PAYLOAD_BYTES, Material, Package, Proven, Provenance, SIGNED, Sbom,
    SignedLayer, SigningKey, SimpleSignature, Statement, VerifyingKey, cargo_packages, distribution_packages,
    is_package_database, sign, signature_tag, store_signatures, verify,
};

#[cfg(feature = "docker")]
pub use build::{BuildError, BuildEvent, BuiltImage};
#[cfg(feature = "docker")]
pub use buildkit::{
    BuildAgent, BuildCache, BuildContext, BuildInputs, BuildSecret, CacheSource, InputError, SecretSource,
    WireError,
};
#[cfg(feature = "docker")]
pub use context::ContextError;
#[cfg(feature = "docker")]
pub use dockerfile::DockerfileBuild;
#[cfg(feature = "docker")]
pub use endpoint::Endpoint;
#[cfg(feature = "docker")]
pub use engine::{Engine, EngineError, EngineInfo};
#[cfg(feature = "docker")]
pub use lint::{Lint, LintRule, bases, lint};
#[cfg(feature = "docker")]
pub use push::{PushError, PushEvent};
