//! Volumes whose sources are not there: the pod waits, and the kubelet says for what.

use std::time::Duration;

use serde_json::Value;

use crate::object::Object;
use crate::resource::{CONFIG_MAPS, PERSISTENT_VOLUME_CLAIMS, SECRETS};
use crate::server::ApiServer;

/// How long after the n-th failure a mount is tried again: half a second, doubled each time, at most 122 s.
pub(super) fn pause(failures: u32) -> Duration {
    const FIRST: Duration = Duration::from_millis(500);
    const LONGEST: Duration = Duration::from_secs(122);
    FIRST.saturating_mul(1 << failures.min(10)).min(LONGEST)
}

/// The first volume that cannot be mounted, in the words of the event.
pub(super) fn missing(pod: &Object, server: &ApiServer) -> Option<String> {
    let volumes = pod.field("spec", "volumes").as_array().into_iter().flatten();
    volumes.into_iter().find_map(|volume| missing_source(pod, server, volume))
}

fn missing_source(pod: &Object, server: &ApiServer, volume: &Value) -> Option<String> {
    let (name, namespace) = (volume["name"].as_str()?, pod.namespace());
    let set_up = |why: String| format!("MountVolume.SetUp failed for volume \"{name}\" : {why}");
    if let Some(claim) = volume["persistentVolumeClaim"]["claimName"].as_str() {
        server.store().get(&PERSISTENT_VOLUME_CLAIMS, namespace, claim).is_none().then(|| {
            format!(
                "Unable to attach or mount volumes: unmounted volumes=[{name}], unattached volumes=[], failed to \
                 process volumes=[{name}]: error processing PVC {namespace}/{claim}: failed to fetch PVC from API \
                 server: persistentvolumeclaims \"{claim}\" not found"
            )
        })
    } else if let Some(map) = volume.get("configMap") {
        of_map(server, namespace, map, "name", false).map(set_up)
    } else if let Some(secret) = volume.get("secret") {
        of_map(server, namespace, secret, "secretName", true).map(set_up)
    } else {
        None
    }
}

fn of_map(server: &ApiServer, namespace: &str, of: &Value, field: &str, secret: bool) -> Option<String> {
    let name = of[field].as_str()?;
    if of["optional"] == true {
        return None;
    }
    let (resource, kind) = if secret { (&SECRETS, "secret") } else { (&CONFIG_MAPS, "configmap") };
    let Some(found) = server.store().get(resource, namespace, name) else {
        return Some(format!("{kind} \"{name}\" not found"));
    };
    let has = |key: &str| ["data", "binaryData"].iter().any(|part| found[part].get(key).is_some());
    let mut keys = of["items"].as_array().into_iter().flatten().filter_map(|item| item["key"].as_str());
    keys.find(|key| !has(key)).map(|key| {
        let kind = if secret { "secret" } else { "config" };
        format!("references non-existent {kind} key: {key}")
    })
}
