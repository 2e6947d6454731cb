//! A service model becomes Kubernetes objects: `release.yaml`, environments, safe defaults, deterministic YAML.
//!
//! Pure: no clock, no network, no environment, and no files except in the module `sources` (feature `sources`). What did not
//! change renders to the same bytes.
//!
//! ```text
//! release.yaml ─► Project ─► Environment ─► Service ─┐
//!                        your own code ─► Service ─┴─► render(+ PinnedImage) ─► Vec<Object> ─► to_yaml
//! ```
//!
//! | noun | what it is |
//! |---|---|
//! | [`Source`], [`Set`], [`Project`] | a `release.yaml`, overrides, and what has been read |
//! | [`ProjectError`], [`Problem`], [`Place`] | what is wrong, where, and what to do |
//! | [`Environment`], [`Images`] | the project in one environment; what can be built without one |
//! | [`Supply`], [`Signed`] | who signs images, and what an environment wants signed |
//! | [`Service`] and its parts | one service, every default filled in |
//! | [`render`], [`RenderContext`], [`Object`] | the Kubernetes objects, in the order of [`apply_order`] |
//! | [`to_yaml`], [`Object::content_hash`] | their text; their identity |
//! | [`schema`] | the JSON Schema of `release.yaml` |
//! | [`init`] | a first `release.yaml` from what a repository has |
//!
//! # From a file
//!
//! ```
//! use std::collections::BTreeMap;
//! use release_manifest::{Color, Project, Source, render, to_yaml};
//!
//! let text = "
//! project: radio
//! services:
//!   web: {image: {ref: 'registry.example.com/radio/web@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef'}, port: 8080}
//! environments:
//!   dev: {namespace: radio-dev}
//! ";
//! let project = Project::parse(&Source::new("release.yaml", text), &|name| std::env::var(name).ok(), &[])
//!     .map_err(|error| error.render(Color::Never))?;
//! let dev = project.environment("dev").map_err(|error| error.render(Color::Never))?;
//! for service in dev.services.values() {
//!     let release_manifest::ImageSource::Pinned(image) = &service.image else { continue };
//!     let objects = render(service, image, &dev.render_context(BTreeMap::new()))?;
//!     assert!(to_yaml(&objects).contains("kind: Deployment"));
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # From code
//!
//! A [`Service`] is a plain value: start from [`Service::new`], set what differs, and keep the result of
//! [`to_yaml`] as a snapshot test. `examples/snapshot.rs` is such a program.
//!
//! ```
//! use std::collections::BTreeMap;
//! use release_manifest::{Health, ImageSource, RenderContext, Service, render};
//!
//! let image: release_core::PinnedImage =
//!     "registry.example.com/radio/web@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef".parse()?;
//! let mut web = Service::new("web".parse()?, ImageSource::Pinned(image.clone()));
//! web.port = Some(8080);
//! web.health = Health { http: Some("/healthz".to_owned()), ..Health::default() };
//!
//! let context = RenderContext {
//!     project: &"radio".parse()?,
//!     environment: &"dev".parse()?,
//!     namespace: "radio-dev",
//!     pull_secrets: &[],
//!     files: BTreeMap::new(),
//! };
//! let kinds: Vec<_> = render(&web, &image, &context)?.iter().map(|object| object.kind().to_owned()).collect();
//! assert_eq!(kinds, ["ServiceAccount", "Service", "Deployment"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod docker;
mod environment;
pub mod init;
mod native;
mod object;
mod problem;
mod project;
mod quantity;
mod render;
mod service;
mod source;
#[cfg(feature = "sources")]
pub mod sources;
mod supply;
mod yaml;

pub use docker::{DockerBuild, DockerCache, DockerCacheSource, DockerContext, DockerSecret};
pub use environment::{Environment, Gate, Images};
pub use native::{
    ByPlatform, ExposedPort, NativeBase, NativeBuild, NativeCompression, NativeFormat, NativeHealthcheck,
    NativeLayer, PortProtocol, RustProgram,
};
pub use object::{Object, ObjectError, apply_order};
pub use problem::{Color, Problem, ProblemKind, ProjectError, closest};
pub use project::{LOCAL, Project, Set, SetError, schema};
pub use quantity::{Quantity, QuantityError};
pub use render::{
    LABEL_INSTANCE, LABEL_MANAGED_BY, LABEL_NAME, LABEL_PART_OF, MANAGED_BY, MAX_CONFIG_BYTES, RenderContext,
    RenderError, render,
};
pub use service::{
    Amount, Autoscale, CheckTarget, Config, Disruption, Health, HttpCheck, ImageSource, Ingress, Need,
    Resources, Rolling, Security, Service, Shutdown,
};
pub use source::{Place, Source};
pub use supply::{KeyPlace, Said, Signed, Supply};
pub use yaml::{to_yaml, value_to_yaml};
