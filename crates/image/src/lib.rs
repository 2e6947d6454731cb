//! Container images from Dockerfiles, through a Docker Engine.
//!
//! ```text
//!  DockerfileBuild ─► check ─► walk (.dockerignore) ─► tar ──► Engine::build ─► BuiltImage
//!                     paths     sorted entries         stream                      │
//!                                                           PinnedImage ◄── Engine::push
//! ```
//!
//! * [`Endpoint`] finds the engine the way the `docker` command does.
//! * [`Engine`] builds, with BuildKit where the engine has it, and pushes.
//! * [`Ignore`] decides which files of a context are sent.
//!
//! Not here: credentials are looked up, and digests confirmed, by `release-registry`.

mod build;
mod context;
mod dockerfile;
mod endpoint;
mod engine;
mod ignore;
mod progress;
mod push;

pub use build::{BuildError, BuildEvent, BuiltImage};
pub use context::ContextError;
pub use dockerfile::DockerfileBuild;
pub use endpoint::Endpoint;
pub use engine::{Engine, EngineError, EngineInfo};
pub use ignore::{Ignore, IgnoreError};
pub use push::{PushError, PushEvent};
