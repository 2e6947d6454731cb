//! What a container's next step may look at and do: the server, the time, the node's images, the pod's events.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::config::NodeConfig;
use super::event::{Recorder, Say};
use super::spec::Spec;
use crate::apps::{Dice, PullError};
use crate::object::Object;
use crate::resource::{CONFIG_MAPS, SECRETS};
use crate::server::ApiServer;

/// Everything around one step of one pod.
pub(super) struct Desk<'a> {
    pub(super) server: &'a mut ApiServer,
    pub(super) now: Timestamp,
    pub(super) pod: &'a Object,
    pub(super) node: &'a Arc<str>,
    pub(super) ip: &'a str,
    pub(super) events: &'a mut Recorder,
    pub(super) images: &'a mut BTreeSet<(Box<str>, Box<str>)>,
    pub(super) config: &'a NodeConfig,
    pub(super) pull_fault: Option<PullError>,
    /// Whether the pod is being deleted.
    pub(super) stopping: bool,
}

/// How long a pod's containers may take to end.
pub(super) fn grace(pod: &Object) -> Duration {
    let metadata = pod.field("metadata", "deletionGracePeriodSeconds");
    let own = pod.field("spec", "terminationGracePeriodSeconds");
    Duration::from_secs(metadata.as_u64().or_else(|| own.as_u64()).unwrap_or(30))
}

impl Desk<'_> {
    pub(super) fn say(&mut self, say: &Say<'_>) {
        if self.config.events {
            self.events.record(self.server, self.now, self.pod, self.node, say);
        }
    }

    pub(super) fn events_have_room(&self) -> bool {
        self.config.events && self.events.has_room(self.now)
    }

    pub(super) fn has_image(&self, image: &str) -> bool {
        self.config.images_present && self.pull_fault.is_none()
            || self.images.contains(&((**self.node).into(), image.into()))
    }

    pub(super) fn keep_image(&mut self, image: &str) {
        self.images.insert(((**self.node).into(), image.into()));
    }

    pub(super) fn start_takes(&self, dice: Dice, n: u64) -> Duration {
        self.config.start.draw(dice.of("create"), n)
    }

    /// The container's own spec.
    fn container(&self, spec: &Spec) -> &Value {
        let list = if spec.init { "initContainers" } else { "containers" };
        let containers = self.pod.field("spec", list).as_array().into_iter().flatten();
        containers.into_iter().find(|c| c["name"] == *spec.name).unwrap_or(&Value::Null)
    }

    /// The ConfigMap, Secret or key that its environment needs and that is not there.
    pub(super) fn missing_config(&self, spec: &Spec) -> Option<String> {
        let container = self.container(spec);
        let from = container["envFrom"].as_array().into_iter().flatten();
        let whole = from.flat_map(|from| {
            [(&from["configMapRef"], false), (&from["secretRef"], true)]
                .map(|(of, secret)| (of, secret, None))
        });
        let env = container["env"].as_array().into_iter().flatten().map(|env| &env["valueFrom"]);
        let keys = env.flat_map(|from| {
            [(&from["configMapKeyRef"], false), (&from["secretKeyRef"], true)]
                .map(|(of, secret)| (of, secret, of["key"].as_str()))
        });
        whole.chain(keys).find_map(|(of, secret, key)| self.missing(of, secret, key))
    }

    fn missing(&self, of: &Value, secret: bool, key: Option<&str>) -> Option<String> {
        let name = of["name"].as_str()?;
        if of["optional"] == true {
            return None;
        }
        let resource = if secret { &SECRETS } else { &CONFIG_MAPS };
        let namespace = self.pod.namespace();
        let Some(found) = self.server.store().get(resource, namespace, name) else {
            let kind = if secret { "secret" } else { "configmap" };
            return Some(format!("{kind} \"{name}\" not found"));
        };
        let has = |key: &str| ["data", "binaryData"].iter().any(|part| found[part].get(key).is_some());
        let kind = if secret { "Secret" } else { "ConfigMap" };
        key.filter(|key| !has(key)).map(|key| format!("couldn't find key {key} in {kind} {namespace}/{name}"))
    }

    /// Whether a variable the script needs is set by nothing in the container's spec.
    pub(super) fn lacks_env(&self, spec: &Spec) -> bool {
        let container = self.container(spec);
        let set = |name: &str| {
            let mut env = container["env"].as_array().into_iter().flatten();
            env.any(|env| env["name"] == name) || self.env_from(container, name)
        };
        spec.script.needs_env.iter().any(|name| !set(name))
    }

    fn env_from(&self, container: &Value, name: &str) -> bool {
        let mut from = container["envFrom"].as_array().into_iter().flatten();
        from.any(|from| {
            let prefix = from["prefix"].as_str().unwrap_or_default();
            let Some(key) = name.strip_prefix(prefix) else { return false };
            [("configMapRef", &CONFIG_MAPS), ("secretRef", &SECRETS)].iter().any(|(field, resource)| {
                let name = from[field]["name"].as_str().unwrap_or_default();
                let found = self.server.store().get(resource, self.pod.namespace(), name);
                found.is_some_and(|found| found["data"].get(key).is_some())
            })
        })
    }
}
