//! The Service, and the Ingress when one is asked for.

use serde_json::{Map, Value, json};

use super::{Names, put};

pub(super) fn service(names: &Names<'_>) -> Option<Value> {
    let port = names.service.port?;
    let body = json!({"spec": {
        "selector": names.selector(),
        "ports": [{"name": "http", "port": port, "targetPort": "http", "protocol": "TCP"}],
    }});
    Some(names.object("v1", "Service", names.service.name.as_str(), body))
}

pub(super) fn ingress(names: &Names<'_>) -> Option<Value> {
    let (ingress, _) = names.service.ingress.as_ref().zip(names.service.port)?;
    let name = names.service.name.as_str();
    let mut spec = Map::new();
    put(&mut spec, "ingressClassName", ingress.class.as_deref().map_or(Value::Null, Value::from));
    spec.insert(
        "rules".to_owned(),
        json!([{"host": ingress.host, "http": {"paths": [{
            "path": ingress.path,
            "pathType": "Prefix",
            "backend": {"service": {"name": name, "port": {"name": "http"}}},
        }]}}]),
    );
    if let Some(secret) = &ingress.tls {
        spec.insert("tls".to_owned(), json!([{"hosts": [ingress.host], "secretName": secret}]));
    }
    let mut object = names.object("networking.k8s.io/v1", "Ingress", name, json!({ "spec": spec }));
    if let Some(metadata) = object["metadata"].as_object_mut() {
        put(metadata, "annotations", json!(ingress.annotations));
    }
    Some(object)
}
