//! Whatever is sent, there is an answer, and the cluster goes on.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use proptest::prelude::*;
use release_sim::{ApiServer, Reply, Request, Seed, respond};
use serde_json::{Map, Value, json};

const KEYS: &[&str] = &[
    "metadata",
    "spec",
    "status",
    "name",
    "labels",
    "template",
    "containers",
    "selector",
    "ports",
    "finalizers",
    "ownerReferences",
    "managedFields",
    "apiVersion",
    "kind",
    "data",
    "replicas",
    "$patch",
    "op",
    "path",
    "value",
    "matchLabels",
    "names",
    "versions",
    "strategy",
    "resourceVersion",
    "annotations",
    "rules",
    "port",
];

const WORDS: &[&str] = &[
    "",
    "a",
    "web",
    "v1",
    "apps/v1",
    "Deployment",
    "replace",
    "delete",
    "/spec",
    "/metadata/name",
    "25%",
    "1Gi",
];

const PATHS: &[&str] = &[
    "/api/v1/namespaces/default/configmaps",
    "/api/v1/namespaces/default/pods",
    "/api/v1/namespaces/default/services",
    "/apis/apps/v1/namespaces/default/deployments",
    "/apis/batch/v1/namespaces/default/jobs",
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers",
    "/apis/events.k8s.io/v1/namespaces/default/events",
    "/api/v1/namespaces/default/resourcequotas",
    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
    "/api/v1/namespaces/default/limitranges",
];

const SUFFIXES: &[&str] = &[
    "",
    "/web",
    "/web/status",
    "/web/scale",
    "/web/eviction",
    "/web/binding",
    "/web/log",
    "/web?fieldManager=x&force=true",
];

const TYPES: &[&str] = &[
    "application/json",
    "application/merge-patch+json",
    "application/json-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
    "application/yaml",
];

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        prop::sample::select(WORDS).prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(KEYS), inner), 0..6).prop_map(|pairs| {
                Value::Object(pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<Map<_, _>>())
            }),
        ]
    })
}

/// Something that at least says who it is, so that it comes further than the first check.
fn named(mut value: Value, path: &str) -> Value {
    if !value.is_object() {
        return value;
    }
    if !value["metadata"].is_object() {
        value["metadata"] = json!({});
    }
    value["metadata"]["name"] = json!("web");
    let kind = if path.contains("deployments") { ("apps/v1", "Deployment") } else { ("v1", "ConfigMap") };
    if path.contains("deployments") || path.contains("configmaps") {
        value["apiVersion"] = json!(kind.0);
        value["kind"] = json!(kind.1);
    } else if let Some(map) = value.as_object_mut() {
        map.remove("apiVersion");
        map.remove("kind");
    }
    value
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_request_has_an_answer(requests in prop::collection::vec(
        (prop::sample::select(PATHS), prop::sample::select(SUFFIXES), prop::sample::select(TYPES), 0..4_usize, value(), any::<bool>()),
        1..40,
    )) {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut server = ApiServer::new(now, &Seed::default());
        for (path, suffix, kind, method, body, is_named) in requests {
            let method = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE][method].clone();
            let suffix = if method == Method::POST && !suffix.contains("/web/") { "" } else { suffix };
            let whole = format!("{path}{suffix}");
            let (place, query) = whole.split_once('?').unwrap_or((&whole, ""));
            let body = if is_named { named(body, path) } else { body };
            let body = Bytes::from(body.to_string());
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            let before = server.store().revision();
            let request = Request { method: &method, path: place, query, headers: &headers, body: &body };
            if let Reply::Answer(answer) = respond(&mut server, now, request) {
                let is_refused = answer.status.is_client_error() || answer.status.is_server_error();
                prop_assert!(!is_refused || server.store().revision() == before, "a refusal wrote something");
            }
        }
    }
}
