//! A service model becomes Kubernetes objects.
#![warn(missing_docs)]

mod environment;
mod object;
mod problem;
mod project;
mod quantity;
mod render;
mod service;
mod source;
mod yaml;

pub use environment::{Environment, Gate, Images};
pub use object::{Object, ObjectError, apply_order};
pub use problem::{Color, Problem, ProblemKind, ProjectError};
pub use project::{Project, Set, SetError, schema};
pub use quantity::{Quantity, QuantityError};
pub use render::{
    LABEL_INSTANCE, LABEL_MANAGED_BY, LABEL_NAME, LABEL_PART_OF, MANAGED_BY, MAX_CONFIG_BYTES, RenderContext,
    RenderError, render,
};
pub use service::{
    Amount, Autoscale, CheckTarget, Config, Disruption, DockerBuild, Health, HttpCheck, ImageSource, Ingress,
    Need, Resources, Rolling, Security, Service, Shutdown,
};
pub use source::{Place, Source};
pub use yaml::to_yaml;
