//! What of a container's spec a kubelet acts on, read once.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::image;
use super::probe::Probe;
use crate::apps::{Apps, Script};
use crate::object::Object;
use crate::quantity::Quantity;
use crate::section::Section;

/// Which containers are started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Restart {
    Always,
    OnFailure,
    Never,
}

/// When an image is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PullPolicy {
    Always,
    IfNotPresent,
    Never,
}

/// One container.
#[derive(Debug, Clone)]
pub(super) struct Spec {
    pub(super) name: Arc<str>,
    pub(super) image: String,
    /// Why the image's name cannot be read.
    pub(super) invalid_image: Option<String>,
    pub(super) script: Arc<Script>,
    /// Its place in events, as in `spec.containers{app}`.
    pub(super) field: Arc<str>,
    pub(super) init: bool,
    /// An init container that keeps running.
    pub(super) sidecar: bool,
    pub(super) restart: Restart,
    pub(super) pull: PullPolicy,
    pub(super) read_only_root: bool,
    pub(super) memory_limit: Option<u64>,
    pub(super) pre_stop: Duration,
    pub(super) startup: Option<Probe>,
    pub(super) readiness: Option<Probe>,
    pub(super) liveness: Option<Probe>,
    /// Parts of the status that never change.
    pub(super) resources: Value,
    pub(super) allocated: Value,
    pub(super) mounts: Value,
}

/// What of a pod's spec a kubelet acts on. Pods of one template share it.
#[derive(Debug, Clone)]
pub(super) struct PodSpec {
    pub(super) containers: Vec<Arc<Spec>>,
    /// What its containers want together, as in its status.
    pub(super) resources: Option<Arc<Value>>,
    pub(super) allocated: Option<Arc<Value>>,
}

impl PodSpec {
    fn read(pod: &Object, apps: &Apps) -> Self {
        let containers = containers(pod, apps);
        let sum = |part: &str| {
            let of_main = containers.iter().filter(|c| !c.init || c.sidecar);
            sum(of_main.map(|c| &c.resources[part]))
        };
        let (allocated, limits) = (sum("requests"), sum("limits"));
        let resources: Map<_, _> = [("requests", &allocated), ("limits", &limits)]
            .into_iter()
            .filter_map(|(part, sum)| Some((part.to_owned(), sum.clone()?)))
            .collect();
        let resources = (!resources.is_empty()).then(|| Arc::new(Value::Object(resources)));
        Self { containers, resources, allocated: allocated.map(Arc::new) }
    }
}

/// How many specs are remembered.
const REMEMBERED: usize = 256;

/// The specs that were read lately. They hold as long as scripts stay what they are.
#[derive(Debug, Default)]
pub(super) struct Recent {
    read: VecDeque<(Section, PodSpec)>,
}

impl Recent {
    /// What a kubelet acts on of a pod. What changes in a spec, as the node, is beside its base.
    pub(super) fn of(&mut self, pod: &Object, apps: &Apps) -> PodSpec {
        let base = pod.section("spec").map(Section::base);
        if let Some((_, known)) = self.read.iter().find(|(read, _)| base.is_some_and(|base| base.is(read))) {
            return known.clone();
        }
        let read = PodSpec::read(pod, apps);
        if let Some(base) = base {
            self.read.push_front((base.clone(), read.clone()));
            self.read.truncate(REMEMBERED);
        }
        read
    }
}

/// The containers of a pod: init containers, then the others by name, as in its status.
fn containers(pod: &Object, apps: &Apps) -> Vec<Arc<Spec>> {
    let policy = match pod.field("spec", "restartPolicy").as_str() {
        Some("Never") => Restart::Never,
        Some("OnFailure") => Restart::OnFailure,
        _ => Restart::Always,
    };
    let read = |list: &str, init: bool| -> Vec<Spec> {
        let list = pod.field("spec", list).as_array().into_iter().flatten();
        list.map(|container| read_one(container, init, policy, apps)).collect()
    };
    let mut all = read("initContainers", true);
    let mut others = read("containers", false);
    others.sort_by(|a, b| a.name.cmp(&b.name));
    all.append(&mut others);
    all.into_iter().map(Arc::new).collect()
}

fn read_one(container: &Value, init: bool, policy: Restart, apps: &Apps) -> Spec {
    let text = |field: &str| container[field].as_str().unwrap_or_default().to_owned();
    let (name, image) = (text("name"), text("image"));
    let sidecar = init && container["restartPolicy"] == "Always";
    let restart = match policy {
        _ if sidecar => Restart::Always,
        Restart::Always if init => Restart::OnFailure,
        policy => policy,
    };
    let list = if init { "initContainers" } else { "containers" };
    Spec {
        field: format!("spec.{list}{{{name}}}").into(),
        script: Arc::clone(if restart == Restart::Always {
            apps.script(&image, &name)
        } else {
            apps.brief_script(&image, &name)
        }),
        init,
        sidecar,
        restart,
        pull: pull_policy(container, &image),
        read_only_root: container["securityContext"]["readOnlyRootFilesystem"] == true,
        memory_limit: container["resources"]["limits"]["memory"].as_str().and_then(bytes),
        pre_stop: pre_stop(&container["lifecycle"]["preStop"]),
        startup: Probe::read(&container["startupProbe"], container),
        readiness: Probe::read(&container["readinessProbe"], container),
        liveness: Probe::read(&container["livenessProbe"], container),
        resources: container["resources"].clone(),
        allocated: container["resources"]["requests"].clone(),
        mounts: mounts(container),
        name: name.into(),
        invalid_image: image::invalid(&image),
        image,
    }
}

fn pull_policy(container: &Value, image: &str) -> PullPolicy {
    match container["imagePullPolicy"].as_str() {
        Some("Always") => PullPolicy::Always,
        Some("Never") => PullPolicy::Never,
        None if !image.contains('@') && (image.ends_with(":latest") || !tagged(image)) => PullPolicy::Always,
        _ => PullPolicy::IfNotPresent,
    }
}

fn tagged(image: &str) -> bool {
    image.rsplit('/').next().is_some_and(|last| last.contains(':'))
}

fn mounts(container: &Value) -> Value {
    let mounts = container["volumeMounts"].as_array().into_iter().flatten();
    mounts
        .map(|mount| {
            let mut shown = json!({"name": mount["name"], "mountPath": mount["mountPath"]});
            if mount["readOnly"] == true {
                shown["readOnly"] = json!(true);
                shown["recursiveReadOnly"] = json!("Disabled");
            }
            shown
        })
        .collect()
}

/// How long a preStop hook takes: what it says it sleeps.
fn pre_stop(hook: &Value) -> Duration {
    if let Some(seconds) = hook["sleep"]["seconds"].as_u64() {
        return Duration::from_secs(seconds);
    }
    let words = hook["exec"]["command"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut words = words.flat_map(str::split_whitespace).skip_while(|word| !word.ends_with("sleep")).skip(1);
    let seconds = words.next().and_then(|word| word.trim_end_matches([';', 's']).parse().ok());
    seconds.map_or(Duration::ZERO, Duration::from_secs)
}

/// A quantity of memory in bytes.
fn bytes(quantity: &str) -> Option<u64> {
    u64::try_from(Quantity::parse(quantity)?.units()).ok()
}

/// The sum of what containers want, by resource; None if none of them says anything.
fn sum<'a>(parts: impl Iterator<Item = &'a Value>) -> Option<Value> {
    let mut sums: BTreeMap<&str, Quantity> = BTreeMap::new();
    for (name, amount) in parts.filter_map(Value::as_object).flatten() {
        let Some(amount) = amount.as_str().and_then(Quantity::parse) else { continue };
        let sum = sums.get(name.as_str()).map_or(amount, |sum| sum.plus(amount));
        sums.insert(name, sum);
    }
    let map: Map<_, _> =
        sums.into_iter().map(|(name, sum)| (name.to_owned(), json!(sum.to_string()))).collect();
    (!map.is_empty()).then_some(Value::Object(map))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_say_how_long_they_take() {
        for (hook, seconds) in [
            (json!({"sleep": {"seconds": 5}}), 5),
            (json!({"exec": {"command": ["sleep", "7"]}}), 7),
            (json!({"exec": {"command": ["/bin/sh", "-c", "nginx -s quit; /bin/sleep 9"]}}), 9),
            (json!({"httpGet": {"path": "/stop"}}), 0),
        ] {
            assert_eq!(pre_stop(&hook), Duration::from_secs(seconds), "{hook}");
        }
    }

    #[test]
    fn memory_is_read() {
        for (text, want) in
            [("16Mi", Some(16 << 20)), ("1G", Some(1_000_000_000)), ("5", Some(5)), ("x", None)]
        {
            assert_eq!(bytes(text), want, "{text}");
        }
    }
}
