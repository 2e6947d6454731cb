//! Changes of objects: what is set by updates and patches, right and wrong.

use fastrand::Rng;
use serde_json::{Value, json};

use super::bodies::{chance, labels, pick};
use super::sorts::Sort;

type Edits = Vec<(String, Value)>;

/// What makes an object of the kind wrong, or a change of it forbidden.
#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn wrong(sort: &Sort) -> Vec<(String, Value)> {
    let own: &[(&str, Value)] = &match sort.plural {
        "configmaps" => vec![
            ("/data", json!({"bad key": "x"})),
            ("/data", json!({"k": 1})),
            ("/data", json!("text")),
            ("/binaryData", json!({"k": "not base64!"})),
            ("/immutable", json!("yes")),
        ],
        "secrets" => vec![
            ("/data", json!({"k": "not base64!"})),
            ("/data", json!({"bad key": "YQ=="})),
            ("/type", json!("kubernetes.io/tls")),
            ("/type", json!("kubernetes.io/dockerconfigjson")),
            ("/stringData", json!({"k": 1})),
        ],
        "services" => vec![
            ("/spec/ports", json!([])),
            ("/spec/ports", json!([{"port": 0}])),
            ("/spec/ports", json!([{"port": 80}, {"port": 81}])),
            ("/spec/ports", json!([{"name": "a", "port": 80}, {"name": "a", "port": 81}])),
            ("/spec/ports", json!([{"name": "a", "port": 80}, {"name": "b", "port": 80}])),
            ("/spec/ports", json!([{"port": "eighty"}])),
            ("/spec/type", json!("Wrong")),
            ("/spec/sessionAffinity", json!("Wrong")),
            ("/spec/selector", json!({"a b": "c"})),
            ("/metadata/name", json!("1abc")),
        ],
        "serviceaccounts" => {
            vec![("/secrets", json!({"name": "a"})), ("/imagePullSecrets", json!([{"wrong": "x"}]))]
        }
        "podtemplates" => vec![
            ("/template/spec/containers", json!([])),
            ("/template/spec/restartPolicy", json!("Wrong")),
            ("/template/metadata/labels", json!({"a b": "c"})),
        ],
        "jobs" => vec![
            ("/spec/template/spec/restartPolicy", json!("Always")),
            ("/spec/parallelism", json!(-1)),
            ("/spec/completions", json!(-1)),
            ("/spec/backoffLimit", json!(-5)),
            ("/spec/template/spec/containers", json!([])),
        ],
        "ingresses" => vec![
            ("/spec", json!({})),
            (
                "/spec/rules",
                json!([{"http": {"paths": [{"path": "/", "backend": {"service": {"name": "web", "port": {"number": 80}}}}]}}]),
            ),
            (
                "/spec/rules",
                json!([{"http": {"paths": [{"path": "x", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 80}}}}]}}]),
            ),
            ("/spec/rules", json!([{"host": "Not A Host"}])),
            ("/spec/defaultBackend", json!({"service": {"name": "web"}})),
        ],
        "roles" => vec![
            ("/rules", json!([{"apiGroups": [""], "resources": ["pods"]}])),
            ("/rules", json!([{"verbs": ["get"]}])),
            ("/rules", json!({"verbs": []})),
            ("/metadata/name", json!("with/slash")),
        ],
        "leases" => vec![
            ("/spec/leaseDurationSeconds", json!(0)),
            ("/spec/leaseTransitions", json!(-1)),
            ("/spec/acquireTime", json!("yesterday")),
        ],
        "namespaces" => vec![("/metadata/name", json!("a.b")), ("/spec/finalizers", json!(["x"]))],
        _ => Vec::new(),
    };
    let mut out: Edits = own.iter().map(|(pointer, value)| ((*pointer).to_owned(), value.clone())).collect();
    if sort.has_scale {
        for (pointer, value) in [
            ("/spec/replicas", json!(-1)),
            ("/spec/replicas", json!("three")),
            ("/spec/replicas", json!(1.5)),
            ("/spec/selector", json!({"matchLabels": {"app": "other"}})),
            ("/spec/selector", Value::Null),
            ("/spec/selector", json!({})),
            ("/spec/minReadySeconds", json!(-1)),
            ("/spec/template/metadata/labels", json!({"app": "other"})),
        ] {
            out.push((pointer.to_owned(), value));
        }
    }
    if sort.plural == "deployments" {
        for (pointer, value) in [
            ("/spec/strategy", json!({"type": "Wrong"})),
            ("/spec/strategy", json!({"type": "Recreate", "rollingUpdate": {"maxSurge": 1}})),
            ("/spec/strategy", json!({"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}})),
            ("/spec/strategy", json!({"rollingUpdate": {"maxSurge": "x%"}})),
            ("/spec/progressDeadlineSeconds", json!(0)),
            ("/spec/revisionHistoryLimit", json!(-1)),
        ] {
            out.push((pointer.to_owned(), value));
        }
    }
    if let Some(template) = sort.template {
        for (field, value) in [
            ("containers", json!([{"name": "app"}])),
            ("containers", json!([{"name": "Bad_Name", "image": "x"}])),
            ("containers", json!([{"name": "a", "image": "x"}, {"name": "a", "image": "y"}])),
            ("containers", json!([{"name": "a", "image": "x", "imagePullPolicy": "Sometimes"}])),
            ("containers", json!([{"name": "a", "image": "x", "ports": [{"containerPort": 0}]}])),
            ("containers", json!([{"name": "a", "image": "x", "ports": [{"containerPort": 70000}]}])),
            (
                "containers",
                json!([{"name": "a", "image": "x", "ports": [{"name": "p", "containerPort": 1}, {"name": "p", "containerPort": 2}]}]),
            ),
            (
                "containers",
                json!([{"name": "a", "image": "x", "volumeMounts": [{"name": "missing", "mountPath": "/x"}]}]),
            ),
            (
                "containers",
                json!([{"name": "a", "image": "x", "resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}]),
            ),
            ("containers", json!([{"name": "a", "image": "x", "resources": {"requests": {"cpu": "lots"}}}])),
            ("containers", json!([{"name": "a", "image": "x", "resources": {"requests": {"cpu": "-1"}}}])),
            ("containers", json!([{"name": "a", "image": "x", "livenessProbe": {}}])),
            (
                "containers",
                json!([{"name": "a", "image": "x", "livenessProbe": {"httpGet": {"port": 80}, "successThreshold": 2}}]),
            ),
            ("containers", json!([{"name": "a", "image": "x", "env": [{"name": "A=B", "value": "1"}]}])),
            ("containers", json!([{"name": "a", "image": "x", "env": [{"value": "1"}]}])),
            ("containers", json!([{"name": "a", "image": "x", "unknown": 1}])),
            ("containers", json!({"name": "a"})),
            ("volumes", json!([{"name": "Bad_Name", "emptyDir": {}}])),
            ("volumes", json!([{"name": "a"}, {"name": "a"}])),
            ("restartPolicy", json!("Wrong")),
            ("dnsPolicy", json!("Wrong")),
            ("terminationGracePeriodSeconds", json!(-1)),
            ("activeDeadlineSeconds", json!(0)),
            ("nodeSelector", json!({"a b": "c"})),
            ("serviceAccountName", json!("missing")),
            ("priorityClassName", json!("missing")),
            ("hostNetwork", json!("yes")),
        ] {
            out.push((format!("{template}/spec/{field}"), value));
        }
    }
    out
}

/// Changes that are mostly fine.
pub(super) fn right(rng: &mut Rng, sort: &Sort) -> Edits {
    let mut out: Edits = Vec::new();
    let mut put = |pointer: &str, value: Value| out.push((pointer.to_owned(), value));
    match rng.u32(..6) {
        0 => put("/metadata/labels", labels(rng)),
        1 => put("/metadata/labels/added", json!(*pick(rng, &["1", "2"]))),
        2 => put("/metadata/annotations/note", json!(*pick(rng, &["x", "y"]))),
        3 if sort.plural != "jobs" => put("/metadata/labels", Value::Null),
        _ => {}
    }
    match sort.plural {
        "configmaps" => match rng.u32(..5) {
            0 => put("/data/k", json!("changed")),
            1 => put("/data/new", json!("n")),
            2 => put("/data", Value::Null),
            3 => put("/immutable", json!(true)),
            _ => put("/data/k", Value::Null),
        },
        "secrets" => match rng.u32(..4) {
            0 => put("/data/k", json!("djI=")),
            1 => put("/stringData/s", json!("text")),
            2 => put("/immutable", json!(true)),
            _ => put("/type", json!("example.com/other")),
        },
        "services" => service(rng, &mut put),
        "leases" => put("/spec/holderIdentity", json!(*pick(rng, &["one", "two", "three"]))),
        "roles" => put("/rules", json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["watch"]}])),
        "ingresses" => put("/spec/ingressClassName", json!(*pick(rng, &["nginx", "traefik"]))),
        "jobs" => match rng.u32(..3) {
            0 => put("/spec/parallelism", json!(rng.u32(..5))),
            1 => put("/spec/completions", json!(4)),
            _ => put("/spec/backoffLimit", json!(2)),
        },
        _ => {}
    }
    if sort.has_scale {
        match rng.u32(..4) {
            0 => put("/spec/replicas", json!(rng.u32(..5))),
            1 => put("/spec/minReadySeconds", json!(rng.u32(..3))),
            2 => put("/spec/replicas", Value::Null),
            _ => {}
        }
    }
    if let Some(template) = sort.template {
        let place = |field: &str| format!("{template}/spec/{field}");
        match rng.u32(..8) {
            0 | 1 => put(&place("containers/0/image"), json!(*pick(rng, &["web:3", "web:4"]))),
            2 => put(
                &place("containers/0/env"),
                json!([{"name": "B", "value": "9"}, {"name": "A", "value": "1"}]),
            ),
            3 => put(&place("containers/0/resources"), json!({"limits": {"cpu": "2"}})),
            4 => put(&place("activeDeadlineSeconds"), json!(*pick(rng, &[30, 60]))),
            5 => put(&place("terminationGracePeriodSeconds"), json!(7)),
            6 => put(&place("tolerations"), json!([{"key": "a", "operator": "Exists"}])),
            _ => {}
        }
    }
    out
}

fn service(rng: &mut Rng, put: &mut impl FnMut(&str, Value)) {
    match rng.u32(..8) {
        0 => put("/spec/type", json!(*pick(rng, &["ClusterIP", "NodePort", "LoadBalancer"]))),
        1 => put("/spec/ports", json!([{"port": 81}])),
        2 => put("/spec/selector", json!({"app": "db"})),
        3 => put("/spec/clusterIP", json!("10.96.200.200")),
        4 => put("/spec/ports/0/port", json!(82)),
        5 => put("/spec/sessionAffinity", json!(*pick(rng, &["ClientIP", "None"]))),
        6 => put("/spec/publishNotReadyAddresses", json!(true)),
        _ => put("/spec/ports/0/targetPort", json!(9000)),
    }
}

/// What a controller would say of an object.
pub(super) fn status(rng: &mut Rng, sort: &Sort) -> Edits {
    let mut out: Edits = Vec::new();
    let mut put = |pointer: &str, value: Value| out.push((pointer.to_owned(), value));
    let now = "2026-01-01T00:00:00Z";
    match sort.plural {
        "pods" => match rng.u32(..4) {
            0 => put("/status/phase", json!(*pick(rng, &["Running", "Succeeded", "Failed"]))),
            1 => put(
                "/status/conditions",
                json!([{"type": "Ready", "status": "True", "lastTransitionTime": now}]),
            ),
            2 => put("/status/podIP", json!("172.17.0.9")),
            _ => put(
                "/status/containerStatuses",
                json!([{"name": "app", "ready": true, "restartCount": 0, "image": "web:1", "imageID": "x", "state": {"running": {"startedAt": now}}}]),
            ),
        },
        "services" | "ingresses" => put("/status/loadBalancer", json!({"ingress": [{"ip": "192.0.2.1"}]})),
        "jobs" => match rng.u32(..3) {
            0 => put("/status/active", json!(1)),
            1 => put("/status/succeeded", json!(1)),
            _ => put(
                "/status/conditions",
                json!([{"type": "Complete", "status": "True", "lastTransitionTime": now}]),
            ),
        },
        "namespaces" => put(
            "/status/conditions",
            json!([{"type": "NamespaceContentRemaining", "status": "False", "lastTransitionTime": now, "reason": "x", "message": "y"}]),
        ),
        _ => match rng.u32(..4) {
            0 => put("/status/replicas", json!(rng.u32(..4))),
            1 => put("/status/observedGeneration", json!(1)),
            2 => put(
                "/status/conditions",
                json!([{"type": "Available", "status": "True", "lastTransitionTime": now, "lastUpdateTime": now, "reason": "r", "message": "m"}]),
            ),
            _ => put("/status/readyReplicas", json!(*pick(rng, &[-1, 1, 9]))),
        },
    }
    if chance(rng, 30) {
        put("/metadata/labels/from-status", json!("1"));
    }
    if chance(rng, 20) {
        put("/metadata/annotations/from-status", json!("1"));
    }
    if chance(rng, 20) && sort.has_scale {
        put("/spec/replicas", json!(7));
    }
    out
}

/// A patch of lists with keys.
pub(super) fn strategic(rng: &mut Rng, sort: &Sort) -> Value {
    if let Some(template) = sort.template.filter(|_| chance(rng, 70)) {
        let mut spec = match rng.u32(..12) {
            0 => json!({"containers": [{"name": "app", "image": "web:5"}]}),
            1 => json!({"containers": [{"name": "new", "image": "new:1"}]}),
            2 => json!({"containers": [{"name": "side", "$patch": "delete"}]}),
            3 => {
                json!({"containers": [{"name": "app", "env": [{"name": "A", "value": "5"}, {"name": "C", "value": "3"}]}]})
            }
            4 => {
                json!({"containers": [{"name": "app", "ports": [{"containerPort": 8080, "name": "renamed"}]}]})
            }
            5 => {
                json!({"$setElementOrder/containers": [{"name": "side"}, {"name": "app"}], "containers": [{"name": "side", "image": "side:2"}, {"name": "app", "image": "web:6"}]})
            }
            6 => json!({"containers": [{"name": "only", "image": "only:1"}, {"$patch": "replace"}]}),
            7 => json!({"containers": [{"name": "app", "$deleteFromPrimitiveList/args": ["x"]}]}),
            8 => {
                json!({"volumes": [{"name": "v", "$patch": "delete"}, {"name": "w", "emptyDir": {"medium": "Memory"}}]})
            }
            9 => json!({"tolerations": [{"key": "x", "operator": "Exists"}]}),
            10 => {
                json!({"imagePullSecrets": [{"name": "second"}], "nodeSelector": {"disk": null, "zone": "a"}})
            }
            _ => {
                json!({"containers": [{"name": "app", "resources": {"$patch": "replace", "limits": {"cpu": "3"}}}]})
            }
        };
        for field in template.split('/').skip(1).collect::<Vec<_>>().into_iter().rev().fold(
            vec!["spec"],
            |mut all, f| {
                all.push(f);
                all
            },
        ) {
            if field.is_empty() {
                continue;
            }
            spec = json!({field: spec});
        }
        return spec;
    }
    match (sort.plural, rng.u32(..3)) {
        ("services", 0) => json!({"spec": {"ports": [{"port": 80, "name": "renamed"}]}}),
        ("services", 1) => json!({"spec": {"ports": [{"port": 8443, "name": "https"}]}}),
        ("services", _) => {
            json!({"spec": {"ports": [{"port": 80, "$patch": "delete"}, {"port": 81, "name": "x"}]}})
        }
        ("serviceaccounts", _) => {
            json!({"secrets": [{"name": "b"}], "imagePullSecrets": [{"name": "pull", "$patch": "delete"}]})
        }
        ("deployments", _) => json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}),
        ("configmaps", 0) => json!({"data": {"$patch": "replace", "z": "1"}}),
        ("configmaps", 1) => json!({"data": {"k": null, "y": "2"}}),
        (_, 0) => json!({"metadata": {"finalizers": ["example.com/second"]}}),
        (_, 1) => json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["example.com/hold"]}}),
        _ => json!({"metadata": {"labels": {"$patch": "replace", "only": "this"}}}),
    }
}

/// A merge patch.
pub(super) fn merge(rng: &mut Rng, sort: &Sort) -> Value {
    let mut out = json!({});
    let edits = if chance(rng, 25) { vec![pick(rng, &wrong_or(sort)).clone()] } else { right(rng, sort) };
    for (pointer, value) in edits {
        let mut place = &mut out;
        let steps: Vec<&str> = pointer.split('/').skip(1).collect();
        // Lists cannot be entered by a merge patch.
        if steps.iter().any(|s| s.parse::<usize>().is_ok()) {
            continue;
        }
        for step in steps {
            place = &mut place[step];
        }
        *place = value;
    }
    if sort.plural != "services" && chance(rng, 10) {
        out["metadata"]["resourceVersion"] = json!("1");
    }
    out
}

fn wrong_or(sort: &Sort) -> Edits {
    let mut all = wrong(sort);
    all.push(("/metadata/name".to_owned(), json!("other")));
    all.push(("/metadata/labels".to_owned(), json!({"app": 5})));
    all.push(("/unknownField".to_owned(), json!(1)));
    all
}

/// A JSON patch.
pub(super) fn json_patch(rng: &mut Rng, sort: &Sort) -> Value {
    let one = match rng.u32(..10) {
        0 => json!({"op": "add", "path": "/metadata/labels", "value": {"app": "patched"}}),
        1 => json!({"op": "remove", "path": "/metadata/labels/app"}),
        2 => json!({"op": "replace", "path": "/metadata/labels/app", "value": "replaced"}),
        3 => json!({"op": "test", "path": "/metadata/labels/app", "value": "web"}),
        4 => json!({"op": "add", "path": "/metadata/annotations", "value": {"a": "b"}}),
        5 => json!({"op": "remove", "path": "/metadata/finalizers"}),
        6 => json!({"op": "copy", "from": "/metadata/labels", "path": "/metadata/annotations"}),
        7 => json!({"op": "move", "from": "/metadata/annotations", "path": "/metadata/labels"}),
        8 => json!({"op": "remove", "path": "/metadata/nothing/here"}),
        _ => match sort.template {
            Some(template) => {
                json!({"op": "replace", "path": format!("{template}/spec/containers/0/image"), "value": "patched:1"})
            }
            None => json!({"op": "add", "path": "/metadata/finalizers", "value": ["example.com/hold"]}),
        },
    };
    let mut all = vec![one];
    if chance(rng, 30) {
        let (pointer, value) = pick(rng, &wrong_or(sort)).clone();
        all.push(json!({"op": "add", "path": pointer, "value": value}));
    }
    if chance(rng, 30) {
        all.push(json!({"op": "add", "path": "/metadata/labels", "value": {"second": "yes"}}));
    }
    json!(all)
}
