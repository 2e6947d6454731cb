//! What a current cluster does that an old one did not, and what needs several objects: custom kinds, budgets, quotas,
//! garbage, strict fields.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use jiff::Timestamp;
use release_sim::{
    Answer, ApiServer, By, DeleteOptions, Propagation, Reply, Request, Seed, resource, respond,
};
use serde_json::{Value, json};

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

struct Cluster(ApiServer);

impl Cluster {
    fn new() -> Self {
        Self(ApiServer::new(now(), &Seed::default()))
    }

    fn send(&mut self, method: &Method, path: &str, kind: &str, body: &Value) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(kind).unwrap());
        headers.insert(header::USER_AGENT, HeaderValue::from_static("test/1"));
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        let request = Request { method, path, query, headers: &headers, body: &body };
        match respond(&mut self.0, now(), request) {
            Reply::Answer(answer) => answer,
            Reply::Watch(_) => unreachable!("nobody watches here"),
        }
    }

    /// The code and the body.
    fn ask(&mut self, method: &Method, path: &str, body: &Value) -> (u16, Value) {
        let answer = self.send(method, path, "application/json", body);
        (answer.status.as_u16(), serde_json::from_slice(&answer.body).unwrap())
    }

    fn post(&mut self, path: &str, body: &Value) -> (u16, Value) {
        self.ask(&Method::POST, path, body)
    }

    fn get(&mut self, path: &str) -> (u16, Value) {
        self.ask(&Method::GET, path, &Value::Null)
    }

    fn patch(&mut self, path: &str, kind: &str, body: &Value) -> (u16, Value) {
        let answer = self.send(&Method::PATCH, path, &format!("application/{kind}"), body);
        (answer.status.as_u16(), serde_json::from_slice(&answer.body).unwrap())
    }
}

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
const PODS: &str = "/api/v1/namespaces/default/pods";

fn deployment(name: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {
        "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "web", "image": "web:1"}]}}}})
}

fn pod(name: &str) -> Value {
    json!({"metadata": {"name": name, "labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "web:1"}]}})
}

#[test]
fn unknown_fields_are_told_or_refused() {
    let mut cluster = Cluster::new();
    let mut body = deployment("web");
    body["spec"]["replicaCount"] = json!(3);
    let strict = format!("{DEPLOYMENTS}?fieldValidation=Strict");
    let (code, status) = cluster.post(&strict, &body);
    assert_eq!(code, 400);
    assert_eq!(
        status["message"],
        "Deployment in version \"v1\" cannot be handled as a Deployment: strict decoding error: unknown field \"spec.replicaCount\""
    );
    let answer = cluster.send(&Method::POST, DEPLOYMENTS, "application/json", &body);
    assert_eq!(answer.status.as_u16(), 201);
    assert_eq!(answer.warnings, ["unknown field \"spec.replicaCount\""]);
    let made: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(made["spec"].get("replicaCount"), None);
}

#[test]
fn a_new_deployment_looks_as_in_a_real_cluster() {
    let mut cluster = Cluster::new();
    let (_, mut made) = cluster.post(DEPLOYMENTS, &deployment("web"));
    made["metadata"].as_object_mut().unwrap().retain(|key, _| key != "uid" && key != "resourceVersion");
    insta::assert_json_snapshot!(made);
}

#[test]
fn a_new_pod_looks_as_in_a_real_cluster() {
    let mut cluster = Cluster::new();
    let (_, mut made) = cluster.post(PODS, &pod("web"));
    made["metadata"].as_object_mut().unwrap().retain(|key, _| key != "uid" && key != "resourceVersion");
    insta::assert_json_snapshot!(made);
}

#[test]
fn an_apply_leaves_the_replicas_to_the_autoscaler() {
    let mut cluster = Cluster::new();
    let path = format!("{DEPLOYMENTS}/web?fieldManager=release");
    let (code, _) = cluster.patch(&path, "apply-patch+yaml", &deployment("web"));
    assert_eq!(code, 201);
    let (code, _) = cluster.patch(
        &format!("{DEPLOYMENTS}/web/scale"),
        "merge-patch+json",
        &json!({"spec": {"replicas": 5}}),
    );
    assert_eq!(code, 200);
    let (_, before) = cluster.get(&format!("{DEPLOYMENTS}/web"));
    let (code, after) = cluster.patch(&path, "apply-patch+yaml", &deployment("web"));
    assert_eq!((code, &after["spec"]["replicas"]), (200, &json!(5)));
    assert_eq!(after["metadata"]["resourceVersion"], before["metadata"]["resourceVersion"]);
    let managers: Vec<_> = after["metadata"]["managedFields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| format!("{} {} {}", m["manager"], m["operation"], m["subresource"]))
        .collect();
    assert_eq!(managers, ["\"release\" \"Apply\" null", "\"test\" \"Update\" \"scale\""]);
    let mut wants = deployment("web");
    wants["spec"]["replicas"] = json!(2);
    let (code, status) = cluster.patch(&path, "apply-patch+yaml", &wants);
    assert_eq!(code, 409);
    assert_eq!(
        status["message"],
        "Apply failed with 1 conflict: conflict with \"test\" with subresource \"scale\" using apps/v1: .spec.replicas"
    );
}

fn foos() -> Value {
    json!({"metadata": {"name": "foos.example.com"}, "spec": {"group": "example.com", "scope": "Namespaced",
        "names": {"plural": "foos", "kind": "Foo"}, "versions": [{"name": "v1", "served": true, "storage": true,
            "subresources": {"status": {}},
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                "spec": {"type": "object", "required": ["size"], "properties": {
                    "size": {"type": "integer", "minimum": 1},
                    "mode": {"type": "string", "default": "calm"},
                    "parts": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"],
                        "items": {"type": "object", "required": ["id"],
                            "properties": {"id": {"type": "string"}, "v": {"type": "string"}}}}}},
                "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}}}]}})
}

#[test]
fn custom_kinds_are_served_applied_and_gone() {
    let mut cluster = Cluster::new();
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    assert_eq!(cluster.post(definitions, &foos()).0, 201);
    let path = "/apis/example.com/v1/namespaces/default/foos";
    let foo = |parts: Value| {
        json!({"apiVersion": "example.com/v1", "kind": "Foo", "metadata": {"name": "a"},
            "spec": {"size": 1, "parts": parts}})
    };
    let apply = |manager: &str| format!("{path}/a?fieldManager={manager}");
    let one = json!([{"id": "1", "v": "x"}]);
    let (code, made) = cluster.patch(&apply("one"), "apply-patch+yaml", &foo(one.clone()));
    assert_eq!((code, &made["spec"]["mode"]), (201, &json!("calm")));
    let (_, both) = cluster.patch(&apply("two"), "apply-patch+yaml", &foo(json!([{"id": "2"}])));
    assert_eq!(both["spec"]["parts"], json!([{"id": "1", "v": "x"}, {"id": "2"}]));
    let (_, left) = cluster.patch(&apply("two"), "apply-patch+yaml", &foo(json!([])));
    assert_eq!(left["spec"]["parts"], one);
    let (code, status) = cluster.post(
        path,
        &json!({"apiVersion": "example.com/v1", "kind": "Foo",
        "metadata": {"name": "b"}, "spec": {"size": 0}}),
    );
    assert_eq!(code, 422);
    assert_eq!(
        status["message"],
        "Foo.example.com \"b\" is invalid: spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1"
    );
    assert_eq!(
        cluster.patch(&format!("{path}/a/status"), "merge-patch+json", &json!({"status": {"x": 1}})).0,
        200
    );
    let (_, got) = cluster.get(&format!("{path}/a"));
    assert_eq!((&got["status"]["x"], &got["metadata"]["generation"]), (&json!(1), &json!(3)));
    cluster.ask(&Method::DELETE, &format!("{definitions}/foos.example.com"), &Value::Null);
    assert_eq!(cluster.send(&Method::GET, path, "", &Value::Null).status.as_u16(), 404);
}

#[test]
fn a_budget_says_no() {
    let mut cluster = Cluster::new();
    cluster.post(PODS, &pod("web"));
    let budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
    cluster.post(
        budgets,
        &json!({"metadata": {"name": "b"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}}),
    );
    let status = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
    cluster.patch(&format!("{PODS}/web/status"), "merge-patch+json", &status);
    let counts = |allowed: u32| {
        json!({"status": {"observedGeneration": 1, "disruptionsAllowed": allowed, "currentHealthy": 1,
            "desiredHealthy": 1, "expectedPods": 1}})
    };
    cluster.patch(&format!("{budgets}/b/status"), "merge-patch+json", &counts(0));
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "web"}});
    let (code, refusal) = cluster.post(&format!("{PODS}/web/eviction"), &eviction);
    assert_eq!(code, 429);
    assert_eq!(
        refusal["details"]["causes"][0],
        json!({"reason": "DisruptionBudget",
        "message": "The disruption budget b needs 1 healthy pods and has 1 currently"})
    );
    cluster.patch(&format!("{budgets}/b/status"), "merge-patch+json", &counts(1));
    assert_eq!(cluster.post(&format!("{PODS}/web/eviction"), &eviction).0, 201);
    let (_, budget) = cluster.get(&format!("{budgets}/b"));
    assert_eq!(budget["status"]["disruptionsAllowed"], 0);
}

#[test]
fn a_quota_is_held() {
    let mut cluster = Cluster::new();
    cluster.post(
        "/api/v1/namespaces/default/resourcequotas",
        &json!({"metadata": {"name": "q"},
        "spec": {"hard": {"pods": "1", "requests.cpu": "1"}}}),
    );
    let (_, refusal) = cluster.post(PODS, &pod("a"));
    assert_eq!(
        refusal["message"],
        "pods \"a\" is forbidden: failed quota: q: must specify requests.cpu for: web"
    );
    let mut asks = pod("a");
    asks["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "600m"}});
    assert_eq!(cluster.post(PODS, &asks).0, 201);
    asks["metadata"]["name"] = json!("b");
    let (code, refusal) = cluster.post(PODS, &asks);
    assert_eq!(code, 403);
    assert_eq!(
        refusal["message"],
        "pods \"b\" is forbidden: exceeded quota: q, requested: pods=1,requests.cpu=600m, used: pods=1,requests.cpu=600m, limited: pods=1,requests.cpu=1"
    );
}

#[test]
fn garbage_is_collected_as_asked() {
    let check = |policy: Propagation, child_stays: bool, rounds: usize| {
        let mut server = ApiServer::new(now(), &Seed::default());
        let by = By::nobody();
        let maps = &resource::CONFIG_MAPS;
        let owner =
            server.create(now(), maps, "default", json!({"metadata": {"name": "owner"}}), &by).unwrap();
        let reference = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.uid(),
            "blockOwnerDeletion": true}]);
        let child = json!({"metadata": {"name": "child", "ownerReferences": reference}});
        server.create(now(), maps, "default", child, &by).unwrap();
        let options = DeleteOptions { propagation: Some(policy), ..DeleteOptions::default() };
        server.delete(now(), maps, "default", "owner", &options, &by).unwrap();
        let mut needed = 0;
        while server.collect_garbage(now()) > 0 {
            needed += 1;
        }
        assert!(server.get(maps, "default", "owner").is_err());
        assert_eq!(server.get(maps, "default", "child").is_ok(), child_stays, "{policy:?}");
        assert!(needed <= rounds, "{policy:?} took {needed}");
    };
    check(Propagation::Background, false, 1);
    check(Propagation::Foreground, false, 2);
    check(Propagation::Orphan, true, 1);
}

#[test]
fn a_namespace_ends_when_it_is_empty() {
    let mut cluster = Cluster::new();
    cluster.post("/api/v1/namespaces", &json!({"metadata": {"name": "shop"}}));
    cluster.ask(&Method::DELETE, "/api/v1/namespaces/shop", &Value::Null);
    let (code, refusal) =
        cluster.post("/api/v1/namespaces/shop/configmaps", &json!({"metadata": {"name": "late"}}));
    assert_eq!(code, 403);
    assert_eq!(refusal["details"]["causes"][0]["reason"], "NamespaceTerminating");
    cluster.0.finalize_namespace(now(), "shop").unwrap();
    assert_eq!(cluster.get("/api/v1/namespaces/shop").0, 404);
}

#[test]
fn discovery_and_documents_hang_together() {
    let mut cluster = Cluster::new();
    let (_, groups) = cluster.get("/apis");
    for group in groups["groups"].as_array().unwrap() {
        for version in group["versions"].as_array().unwrap() {
            let path = format!("/apis/{}", version["groupVersion"].as_str().unwrap());
            assert_eq!(cluster.get(&path).0, 200, "{path}");
            let path = format!("/openapi/v3{path}");
            assert_eq!(cluster.get(&path).0, 200, "{path}");
        }
    }
    let (_, document) = cluster.get("/openapi/v3/apis/apps/v1");
    let schemas = &document["components"]["schemas"];
    let spec = &schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
    assert_eq!(spec["x-kubernetes-patch-merge-key"], "name");
    let text = document.to_string();
    for (at, _) in text.match_indices("#/components/schemas/") {
        let name = text[at + 21..].split('"').next().unwrap();
        assert!(schemas.get(name).is_some(), "{name} is referred to and not there");
    }
}

#[test]
fn the_same_requests_give_the_same_bytes() {
    let run = || {
        let mut cluster = Cluster::new();
        cluster.post(DEPLOYMENTS, &deployment("web"));
        cluster.post(PODS, &json!({"metadata": {"generateName": "web-"}, "spec": pod("x")["spec"]}));
        let answer = cluster.send(&Method::GET, PODS, "", &Value::Null);
        answer.body
    };
    assert_eq!(run(), run());
}
