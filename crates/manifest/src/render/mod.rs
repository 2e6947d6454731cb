//! A [`Service`] becomes Kubernetes objects.
//!
//! Two rules hold for everything here. What did not change renders to the same bytes, so nothing that is different
//! in every run (a release's number, a git revision, a time) is written into an object: a pod template that differs
//! in a label alone would restart every pod. And only fields with a meaning are written, because server-side
//! apply makes us the owner of what we write: no `null`, no empty map, no status, and no `replicas` where an
//! autoscaler owns them.

mod config;
mod deployment;
mod network;
mod scale;

use std::collections::BTreeMap;

use release_core::{EnvironmentName, PinnedImage, ProjectName, ServiceName};
use serde_json::{Map, Value, json};

use crate::{Object, Service, apply_order};

pub use config::MAX_CONFIG_BYTES;
pub(crate) use config::is_config_key;

/// Label with the service's name. Part of selectors.
pub const LABEL_NAME: &str = "app.kubernetes.io/name";
/// Label with the project's name. Part of selectors.
pub const LABEL_PART_OF: &str = "app.kubernetes.io/part-of";
/// Label with the environment's name.
pub const LABEL_INSTANCE: &str = "app.kubernetes.io/instance";
/// Label that says who looks after the object.
pub const LABEL_MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The value of [`LABEL_MANAGED_BY`].
pub const MANAGED_BY: &str = "release";

/// What rendering needs to know besides the service and its image.
#[derive(Debug, Clone)]
pub struct RenderContext<'a> {
    /// The project.
    pub project: &'a ProjectName,
    /// The environment.
    pub environment: &'a EnvironmentName,
    /// The namespace, which exists already.
    pub namespace: &'a str,
    /// Secrets in the namespace with which nodes pull images.
    pub pull_secrets: &'a [String],
    /// The files of the service's [`crate::Config::files`] folder by name.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// Why a service cannot be rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// The files of a service do not fit into a ConfigMap.
    #[error(
        "the config files of service `{service}` have {bytes} bytes; a ConfigMap takes {MAX_CONFIG_BYTES}: leave large files to the image or a volume"
    )]
    ConfigTooLarge {
        /// The service.
        service: ServiceName,
        /// Names and contents together.
        bytes: usize,
    },
    /// A file's name cannot be a key of a ConfigMap.
    #[error(
        "the config file `{file}` of service `{service}` needs a name of letters, digits, `-`, `_` and `.`"
    )]
    ConfigName {
        /// The service.
        service: ServiceName,
        /// The file.
        file: String,
    },
    /// There are no files.
    #[error("service `{service}` has a config, and there are no files in it")]
    ConfigEmpty {
        /// The service.
        service: ServiceName,
    },
    /// Two volumes of a service have the same place in the container.
    #[error(
        "service `{service}` mounts `{path}` twice: config and writable folders need places of their own"
    )]
    MountedTwice {
        /// The service.
        service: ServiceName,
        /// The place.
        path: String,
    },
}

/// The objects of a service in the order of application, all in the namespace of `context`.
///
/// Deterministic: equal arguments give equal objects. The namespace itself is not among them.
///
/// # Errors
/// When the service's config is empty or does not fit, or volumes get into each other's way.
pub fn render(
    service: &Service,
    image: &PinnedImage,
    context: &RenderContext<'_>,
) -> Result<Vec<Object>, RenderError> {
    let names = Names { service, context };
    let config = config::config_map(&names)?;
    let config_name = config.as_ref().map(|(name, _)| name.as_str());
    let mut values = vec![names.service_account()];
    values.push(deployment::deployment(&names, image, config_name)?);
    values.extend(config.map(|(_, value)| value));
    values.extend(network::service(&names));
    values.extend(network::ingress(&names));
    values.extend(scale::disruption_budget(&names));
    values.extend(scale::autoscaler(&names));
    let mut objects: Vec<_> = values.into_iter().filter_map(|value| Object::new(value).ok()).collect();
    objects.sort_by_cached_key(|object| (apply_order(&object.object_ref()), object.object_ref()));
    Ok(objects)
}

/// What the objects of one service have in common.
struct Names<'a> {
    service: &'a Service,
    context: &'a RenderContext<'a>,
}

impl Names<'_> {
    /// Never to change: a Deployment's selector is immutable.
    fn selector(&self) -> Value {
        json!({LABEL_NAME: self.service.name, LABEL_PART_OF: self.context.project})
    }

    fn labels(&self) -> Value {
        json!({
            LABEL_NAME: self.service.name,
            LABEL_PART_OF: self.context.project,
            LABEL_INSTANCE: self.context.environment,
            LABEL_MANAGED_BY: MANAGED_BY,
        })
    }

    fn object(&self, api_version: &str, kind: &str, name: &str, body: Value) -> Value {
        let mut object = json!({
            "apiVersion": api_version,
            "kind": kind,
            "metadata": {"name": name, "namespace": self.context.namespace, "labels": self.labels()},
        });
        if let (Some(object), Value::Object(body)) = (object.as_object_mut(), body) {
            object.extend(body);
        }
        object
    }

    fn service_account(&self) -> Value {
        // A service that talks to the cluster is rare, and a token that is not mounted cannot be stolen.
        let mut body = Map::new();
        body.insert("automountServiceAccountToken".to_owned(), false.into());
        let secrets: Vec<_> = self.context.pull_secrets.iter().map(|name| json!({"name": name})).collect();
        put(&mut body, "imagePullSecrets", secrets.into());
        self.object("v1", "ServiceAccount", self.service.name.as_str(), body.into())
    }
}

/// Inserts what is not null or empty.
fn put(map: &mut Map<String, Value>, key: &str, value: Value) {
    let empty = match &value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    };
    if !empty {
        map.insert(key.to_owned(), value);
    }
}
