//! Where the API server keeps the objects of a kind.

use release_core::ObjectRef;

/// The kinds this crate writes or reads, with their plural names. A kind that is not listed gets the plural
/// by the rule kubectl's own guess follows.
const PLURALS: &[(&str, &str)] =
    &[("Ingress", "ingresses"), ("NetworkPolicy", "networkpolicies"), ("Endpoints", "endpoints")];

/// The resource name of a kind: `deployments`.
pub(crate) fn plural(kind: &str) -> String {
    if let Some((_, plural)) = PLURALS.iter().find(|(known, _)| *known == kind) {
        return (*plural).to_owned();
    }
    let lower = kind.to_lowercase();
    if lower.ends_with('s') || lower.ends_with('x') || lower.ends_with("ch") {
        format!("{lower}es")
    } else if let Some(stem) = lower.strip_suffix('y')
        && !stem.ends_with(['a', 'e', 'i', 'o', 'u'])
    {
        format!("{stem}ies")
    } else {
        format!("{lower}s")
    }
}

/// The path of a collection: `/apis/apps/v1/namespaces/radio/deployments`.
pub(crate) fn collection(api_version: &str, kind: &str, namespace: Option<&str>) -> String {
    let root = if api_version.contains('/') { "apis" } else { "api" };
    let plural = plural(kind);
    match namespace {
        Some(namespace) => format!("/{root}/{api_version}/namespaces/{namespace}/{plural}"),
        None => format!("/{root}/{api_version}/{plural}"),
    }
}

/// The path of one object.
pub(crate) fn path(object: &ObjectRef) -> String {
    let collection = collection(&object.api_version, &object.kind, object.namespace.as_deref());
    format!("{collection}/{}", object.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_api() {
        for (api_version, kind, expected) in [
            ("v1", "Service", "/api/v1/namespaces/ns/services/x"),
            ("v1", "ConfigMap", "/api/v1/namespaces/ns/configmaps/x"),
            ("apps/v1", "Deployment", "/apis/apps/v1/namespaces/ns/deployments/x"),
            ("policy/v1", "PodDisruptionBudget", "/apis/policy/v1/namespaces/ns/poddisruptionbudgets/x"),
            ("networking.k8s.io/v1", "Ingress", "/apis/networking.k8s.io/v1/namespaces/ns/ingresses/x"),
            (
                "networking.k8s.io/v1",
                "NetworkPolicy",
                "/apis/networking.k8s.io/v1/namespaces/ns/networkpolicies/x",
            ),
            (
                "gateway.networking.k8s.io/v1",
                "Gateway",
                "/apis/gateway.networking.k8s.io/v1/namespaces/ns/gateways/x",
            ),
        ] {
            assert_eq!(path(&ObjectRef::new(api_version, kind, "ns", "x")), expected);
        }
        let cluster = ObjectRef { namespace: None, ..ObjectRef::new("v1", "Namespace", "", "radio") };
        assert_eq!(path(&cluster), "/api/v1/namespaces/radio");
    }
}
