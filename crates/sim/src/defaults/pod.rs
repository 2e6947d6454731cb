//! Pods and templates of pods.

use serde_json::{Value, json};

use super::{each, set};

/// A pod.
pub(super) fn pod(object: &mut Value) {
    spec(&mut object["spec"]);
    set(&mut object["spec"], "enableServiceLinks", true);
    addresses(object);
    for list in ["containers", "initContainers"] {
        for container in each(&mut object["spec"][list]) {
            requests_from_limits(container);
        }
    }
}

/// A pod's first address stands in two places.
fn addresses(object: &mut Value) {
    let status = &object["status"];
    if let Some(ip) = status["podIP"].as_str().filter(|ip| !ip.is_empty())
        && status["podIPs"].is_null()
    {
        object["status"]["podIPs"] = json!([{ "ip": ip }]);
    }
}

/// What is limited and not asked for is asked for.
fn requests_from_limits(container: &mut Value) {
    let limits = container["resources"]["limits"].as_object().cloned().unwrap_or_default();
    for (resource, amount) in limits {
        set(&mut container["resources"], "requests", json!({}));
        set(&mut container["resources"]["requests"], &resource, amount);
    }
}

/// A template of pods.
pub(super) fn template(template: &mut Value) {
    if template.is_object() {
        spec(&mut template["spec"]);
    }
}

fn spec(spec: &mut Value) {
    if !spec.is_object() {
        return;
    }
    set(spec, "restartPolicy", "Always");
    set(spec, "dnsPolicy", "ClusterFirst");
    set(spec, "schedulerName", "default-scheduler");
    set(spec, "terminationGracePeriodSeconds", 30);
    set(spec, "securityContext", json!({}));
    for (from, to) in [("serviceAccountName", "serviceAccount"), ("serviceAccount", "serviceAccountName")] {
        if spec[from].is_string() {
            let name = spec[from].clone();
            set(spec, to, name);
        }
    }
    let host_network = spec["hostNetwork"] == true;
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        for one in each(&mut spec[list]) {
            container(one, host_network);
        }
        // Looking at an absent list made it a null.
        if spec[list].is_null()
            && let Some(map) = spec.as_object_mut()
        {
            map.remove(list);
        }
    }
    for one in spec.get_mut("volumes").into_iter().flat_map(each) {
        volume(one);
    }
}

fn container(container: &mut Value, host_network: bool) {
    set(container, "terminationMessagePath", "/dev/termination-log");
    set(container, "terminationMessagePolicy", "File");
    let policy = image_pull_policy(container["image"].as_str().unwrap_or_default());
    set(container, "imagePullPolicy", policy);
    for port in container.get_mut("ports").into_iter().flat_map(each) {
        set(port, "protocol", "TCP");
        if host_network {
            let number = port["containerPort"].clone();
            set(port, "hostPort", number);
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = container.get_mut(name).filter(|p| p.is_object()) {
            set(probe, "timeoutSeconds", 1);
            set(probe, "periodSeconds", 10);
            set(probe, "successThreshold", 1);
            set(probe, "failureThreshold", 3);
            handler(probe);
        }
    }
    if let Some(lifecycle) = container.get_mut("lifecycle") {
        for name in ["postStart", "preStop"] {
            lifecycle.get_mut(name).map(handler).unwrap_or_default();
        }
    }
    for variable in container.get_mut("env").into_iter().flat_map(each) {
        if let Some(field) = variable.get_mut("valueFrom").and_then(|f| f.get_mut("fieldRef")) {
            set(field, "apiVersion", "v1");
        }
    }
}

fn handler(probe: &mut Value) {
    if let Some(get) = probe.get_mut("httpGet").filter(|g| g.is_object()) {
        set(get, "path", "/");
        set(get, "scheme", "HTTP");
    }
    if let Some(grpc) = probe.get_mut("grpc").filter(|g| g.is_object()) {
        set(grpc, "service", "");
    }
}

fn volume(volume: &mut Value) {
    let has_source = volume.as_object().is_some_and(|v| v.keys().any(|key| key != "name"));
    if !has_source {
        volume["emptyDir"] = json!({});
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        let Some(source) = volume.get_mut(source).filter(|s| s.is_object()) else { continue };
        set(source, "defaultMode", 420);
        downward(source);
        for inner in source.get_mut("sources").into_iter().flat_map(each) {
            if let Some(token) = inner.get_mut("serviceAccountToken") {
                set(token, "expirationSeconds", 3600);
            }
            inner.get_mut("downwardAPI").map(downward).unwrap_or_default();
        }
    }
    if let Some(path) = volume.get_mut("hostPath").filter(|p| p.is_object()) {
        set(path, "type", "");
    }
    if let Some(claim) = volume.get_mut("ephemeral").and_then(|e| e.get_mut("volumeClaimTemplate")) {
        set(&mut claim["spec"], "volumeMode", "Filesystem");
    }
}

fn downward(source: &mut Value) {
    for item in source.get_mut("items").into_iter().flat_map(each) {
        if let Some(field) = item.get_mut("fieldRef").filter(|f| f.is_object()) {
            set(field, "apiVersion", "v1");
        }
    }
}

/// When an image is pulled if nobody says: always, if its name does not fix a version.
fn image_pull_policy(image: &str) -> &'static str {
    // What is no name of an image has no tag either.
    if image.is_empty() {
        return "IfNotPresent";
    }
    let last = image.rsplit('/').next().unwrap_or_default();
    let is_fixed = last.contains('@') || last.split_once(':').is_some_and(|(_, tag)| tag != "latest");
    if is_fixed { "IfNotPresent" } else { "Always" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_without_a_version_is_always_pulled() {
        for (image, policy) in [
            ("web", "Always"),
            ("web:latest", "Always"),
            ("web:1", "IfNotPresent"),
            ("r:5000/web", "Always"),
            ("r:5000/web:1", "IfNotPresent"),
            ("web@sha256:00", "IfNotPresent"),
        ] {
            assert_eq!(image_pull_policy(image), policy, "{image}");
        }
    }
}
