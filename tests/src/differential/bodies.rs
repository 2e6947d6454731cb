//! Objects to be made: valid ones, and ones that are wrong in one way.

use fastrand::Rng;
use serde_json::{Value, json};

use super::sorts::Sort;

/// One of a few.
pub(super) fn pick<'a, T>(rng: &mut Rng, of: &'a [T]) -> &'a T {
    &of[rng.usize(..of.len())]
}

/// Whether it happens, so many times of a hundred.
pub(super) fn chance(rng: &mut Rng, percent: u32) -> bool {
    rng.u32(..100) < percent
}

/// Puts a value at a JSON pointer, if the place is there.
pub(super) fn put(value: &mut Value, pointer: &str, new: Value) {
    let (parent, field) = pointer.rsplit_once('/').unwrap_or_default();
    match value.pointer_mut(parent) {
        Some(Value::Object(map)) => drop(map.insert(field.replace("~1", "/"), new)),
        Some(place @ Value::Null) => *place = json!({field: new}),
        _ => {}
    }
}

/// Labels of an object.
pub(super) fn labels(rng: &mut Rng) -> Value {
    match rng.u32(..5) {
        0 => json!({"app": "web"}),
        1 => json!({"app": "web", "tier": "front"}),
        2 => json!({"app": "db", "example.com/team": "one"}),
        3 => json!({"app": "db", "tier": "back"}),
        _ => json!({"tier": ""}),
    }
}

fn container(rng: &mut Rng, name: &str) -> Value {
    let mut out = json!({"name": name, "image": *pick(rng, &["web:1", "web:2", "registry.example/web", "db@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "web:latest"])});
    if chance(rng, 40) {
        out["ports"] = match rng.u32(..3) {
            0 => json!([{"containerPort": 8080}]),
            1 => {
                json!([{"name": "http", "containerPort": 8080}, {"name": "metrics", "containerPort": 9090, "protocol": "TCP"}])
            }
            _ => json!([{"containerPort": 53, "protocol": "UDP", "name": "dns"}]),
        };
    }
    if chance(rng, 40) {
        out["env"] = match rng.u32(..3) {
            0 => json!([{"name": "A", "value": "1"}]),
            1 => json!([{"name": "A", "value": "1"}, {"name": "B", "value": "2"}, {"name": "EMPTY"}]),
            _ => {
                json!([{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}, {"name": "KEY", "valueFrom": {"configMapKeyRef": {"name": "a", "key": "k"}}}])
            }
        };
    }
    if chance(rng, 40) {
        out["resources"] = match rng.u32(..4) {
            0 => json!({"requests": {"cpu": "0.1", "memory": "64Mi"}}),
            1 => json!({"limits": {"cpu": 1, "memory": "1024Mi"}}),
            2 => json!({"requests": {"cpu": "100m"}, "limits": {"cpu": "0.5", "memory": "128Mi"}}),
            _ => json!({}),
        };
    }
    if chance(rng, 25) {
        let probe = pick(rng, &["livenessProbe", "readinessProbe", "startupProbe"]);
        out[*probe] = match rng.u32(..3) {
            0 => json!({"httpGet": {"path": "/healthz", "port": 8080}}),
            1 => json!({"tcpSocket": {"port": "http"}, "periodSeconds": 5}),
            _ => json!({"exec": {"command": ["true"]}, "failureThreshold": 5, "timeoutSeconds": 2}),
        };
    }
    if chance(rng, 15) {
        out["lifecycle"] = json!({"preStop": {"exec": {"command": ["sleep", "1"]}}});
    }
    if chance(rng, 15) {
        out["securityContext"] = json!({"runAsNonRoot": true, "capabilities": {"drop": ["ALL"]}});
    }
    if chance(rng, 20) {
        out["args"] = json!(["--flag", "x"]);
    }
    out
}

/// The spec of a pod.
pub(super) fn pod_spec(rng: &mut Rng) -> Value {
    let mut containers = vec![container(rng, "app")];
    if chance(rng, 30) {
        containers.push(container(rng, "side"));
    }
    let mut spec = json!({"containers": containers});
    if chance(rng, 15) {
        spec["initContainers"] = json!([container(rng, "init")]);
    }
    if chance(rng, 25) {
        spec["volumes"] = match rng.u32(..3) {
            0 => json!([{"name": "v", "emptyDir": {}}]),
            1 => {
                json!([{"name": "v", "configMap": {"name": "a"}}, {"name": "s", "secret": {"secretName": "b"}}])
            }
            _ => {
                json!([{"name": "v"}, {"name": "p", "projected": {"sources": [{"downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]}}]}}])
            }
        };
        spec["containers"][0]["volumeMounts"] = json!([{"name": "v", "mountPath": "/data"}]);
    }
    if chance(rng, 20) {
        spec["terminationGracePeriodSeconds"] = json!(*pick(rng, &[0, 5, 60]));
    }
    if chance(rng, 10) {
        spec["securityContext"] = json!({"runAsUser": 1000, "fsGroup": 2000});
    }
    if chance(rng, 10) {
        spec["nodeSelector"] = json!({"disk": "ssd"});
    }
    if chance(rng, 10) {
        spec["tolerations"] = json!([{"key": "gpu", "operator": "Exists"}]);
    }
    if chance(rng, 10) {
        spec["affinity"] = json!({"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": {"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": "kubernetes.io/hostname"}}]}});
    }
    if chance(rng, 10) {
        spec["topologySpreadConstraints"] = json!([{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {"matchLabels": {"app": "web"}}}]);
    }
    if chance(rng, 8) {
        spec["serviceAccountName"] = json!("default");
    }
    if chance(rng, 8) {
        spec["imagePullSecrets"] = json!([{"name": "pull"}]);
    }
    if chance(rng, 5) {
        spec["hostAliases"] = json!([{"ip": "10.0.0.1", "hostnames": ["a.example"]}]);
    }
    spec
}

fn template(rng: &mut Rng, restart: Option<&str>) -> Value {
    let mut spec = pod_spec(rng);
    if let Some(policy) = restart {
        spec["restartPolicy"] = json!(policy);
    }
    json!({"metadata": {"labels": {"app": "web"}}, "spec": spec})
}

/// A valid object.
pub(super) fn valid(rng: &mut Rng, sort: &Sort, name: &str) -> Value {
    let mut out = match sort.plural {
        "configmaps" => config_map(rng),
        "secrets" => secret(rng),
        "services" => service(rng),
        "serviceaccounts" => match rng.u32(..3) {
            0 => json!({}),
            1 => json!({"imagePullSecrets": [{"name": "pull"}]}),
            _ => json!({"automountServiceAccountToken": false, "secrets": [{"name": "a"}]}),
        },
        "pods" => json!({"spec": pod_spec(rng)}),
        "podtemplates" => json!({"template": template(rng, None)}),
        "deployments" => deployment(rng),
        "replicasets" => workload(rng),
        "statefulsets" => stateful_set(rng),
        "jobs" => job(rng),
        "ingresses" => ingress(rng),
        "roles" => json!({"rules": *pick(rng, &[
            json!([]),
            json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]),
            json!([{"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["a"], "verbs": ["*"]}, {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]),
        ])}),
        "leases" => json!({"spec": *pick(rng, &[
            json!({}),
            json!({"holderIdentity": "one", "leaseDurationSeconds": 15}),
            json!({"holderIdentity": "two", "leaseTransitions": 3, "acquireTime": "2026-01-01T00:00:00.000000Z", "renewTime": "2026-01-01T00:00:10.123456Z"}),
        ])}),
        _ => json!({}),
    };
    out["apiVersion"] = json!(sort.version);
    out["kind"] = json!(sort.kind);
    out["metadata"] = json!({"name": name});
    // A job without labels gets its pods' whenever it is read, and is written once more by the next write of nothing.
    if sort.plural == "jobs" || chance(rng, 70) {
        out["metadata"]["labels"] = labels(rng);
    }
    if chance(rng, 25) {
        out["metadata"]["annotations"] = json!({"example.com/note": *pick(rng, &["a", "b", ""])});
    }
    if chance(rng, 10) {
        out["metadata"]["finalizers"] = json!(["example.com/hold"]);
    }
    if chance(rng, 5) {
        out["metadata"]["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "3f1c8a52-0000-4000-8000-0000000000aa"}]);
    }
    if chance(rng, 5) {
        out["status"] = json!({"replicas": 3});
        if !sort.has_scale {
            out["status"] = json!({});
        }
    }
    out
}

fn config_map(rng: &mut Rng) -> Value {
    match rng.u32(..5) {
        0 => json!({}),
        1 => json!({"data": {"k": "v"}}),
        2 => json!({"data": {"k": "v", "j": "w", "l.m": ""}}),
        3 => json!({"data": {"k": "v"}, "binaryData": {"b": "AAEC"}}),
        _ => json!({"data": {"k": "v"}, "immutable": true}),
    }
}

fn secret(rng: &mut Rng) -> Value {
    match rng.u32(..5) {
        0 => json!({"data": {"k": "djE="}}),
        1 => json!({"stringData": {"k": "v1", "j": "w"}}),
        2 => json!({"data": {"k": "djE="}, "stringData": {"k": "other"}, "type": "Opaque"}),
        3 => json!({"type": "kubernetes.io/tls", "data": {"tls.crt": "YQ==", "tls.key": "Yg=="}}),
        _ => json!({"type": "example.com/own", "immutable": true}),
    }
}

fn service(rng: &mut Rng) -> Value {
    let ports = match rng.u32(..4) {
        0 => json!([{"port": 80}]),
        1 => json!([{"port": 80, "targetPort": 8080, "protocol": "TCP"}]),
        2 => json!([{"name": "http", "port": 80, "targetPort": "http"}, {"name": "metrics", "port": 9090}]),
        _ => json!([{"name": "tcp", "port": 53}, {"name": "udp", "port": 53, "protocol": "UDP"}]),
    };
    let selector = json!({"app": "web"});
    match rng.u32(..7) {
        0 => json!({"spec": {"clusterIP": "None", "selector": selector, "ports": ports}}),
        1 => json!({"spec": {"type": "NodePort", "selector": selector, "ports": ports}}),
        2 => json!({"spec": {"type": "ExternalName", "externalName": "example.com"}}),
        3 => json!({"spec": {"type": "LoadBalancer", "selector": selector, "ports": ports}}),
        4 => {
            json!({"spec": {"ports": ports, "sessionAffinity": "ClientIP", "publishNotReadyAddresses": true}})
        }
        _ => json!({"spec": {"selector": selector, "ports": ports}}),
    }
}

fn workload(rng: &mut Rng) -> Value {
    let mut spec = json!({"selector": {"matchLabels": {"app": "web"}}, "template": template(rng, None)});
    if chance(rng, 60) {
        spec["replicas"] = json!(rng.u32(..4));
    }
    if chance(rng, 20) {
        spec["minReadySeconds"] = json!(5);
    }
    json!({"spec": spec})
}

fn deployment(rng: &mut Rng) -> Value {
    let mut out = workload(rng);
    let spec = &mut out["spec"];
    if chance(rng, 40) {
        spec["strategy"] = match rng.u32(..4) {
            0 => json!({"type": "Recreate"}),
            1 => json!({"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}),
            2 => json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "50%"}}),
            _ => json!({"type": "RollingUpdate"}),
        };
    }
    if chance(rng, 20) {
        spec["progressDeadlineSeconds"] = json!(60);
    }
    if chance(rng, 20) {
        spec["revisionHistoryLimit"] = json!(*pick(rng, &[0, 2]));
    }
    if chance(rng, 10) {
        spec["paused"] = json!(true);
    }
    out
}

fn stateful_set(rng: &mut Rng) -> Value {
    let mut out = workload(rng);
    let spec = &mut out["spec"];
    spec.as_object_mut().map(|s| s.remove("minReadySeconds"));
    if chance(rng, 70) {
        spec["serviceName"] = json!("web");
    }
    if chance(rng, 30) {
        spec["podManagementPolicy"] = json!("Parallel");
    }
    if chance(rng, 30) {
        spec["updateStrategy"] = pick(
            rng,
            &[
                json!({"type": "OnDelete"}),
                json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}),
            ],
        )
        .clone();
    }
    if chance(rng, 30) {
        spec["volumeClaimTemplates"] = json!([{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}]);
    }
    out
}

fn job(rng: &mut Rng) -> Value {
    let policy = pick(rng, &["Never", "OnFailure"]);
    let mut spec = json!({"template": {"spec": template(rng, Some(policy))["spec"].clone()}});
    if chance(rng, 30) {
        spec["template"]["metadata"] = json!({"labels": {"app": "job"}});
    }
    if chance(rng, 40) {
        spec["completions"] = json!(3);
    }
    if chance(rng, 40) {
        spec["parallelism"] = json!(2);
    }
    if chance(rng, 30) {
        spec["backoffLimit"] = json!(0);
    }
    if chance(rng, 20) {
        spec["activeDeadlineSeconds"] = json!(100);
    }
    json!({"spec": spec})
}

fn ingress(rng: &mut Rng) -> Value {
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    match rng.u32(..4) {
        0 => json!({"spec": {"defaultBackend": backend}}),
        1 => {
            json!({"spec": {"rules": [{"host": "a.example", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]}})
        }
        2 => {
            json!({"spec": {"ingressClassName": "nginx", "tls": [{"hosts": ["a.example"], "secretName": "b"}], "rules": [{"http": {"paths": [{"path": "/x", "pathType": "Exact", "backend": {"service": {"name": "web", "port": {"name": "http"}}}}]}}]}})
        }
        _ => {
            json!({"spec": {"rules": [{"host": "b.example"}, {"host": "*.example", "http": {"paths": [{"pathType": "ImplementationSpecific", "backend": backend}]}}], "defaultBackend": backend}})
        }
    }
}

/// Makes an object wrong, or gives it something the type does not know.
pub(super) fn spoil(rng: &mut Rng, sort: &Sort, object: &mut Value) {
    let general = [
        ("/metadata/name", json!("Not_A_Name")),
        ("/metadata/name", json!("")),
        ("/metadata/labels", json!({"a b": "c"})),
        ("/metadata/labels", json!({"app": "not valid!"})),
        ("/metadata/labels", json!({"app": 5})),
        ("/metadata/labels", json!(["x"])),
        ("/metadata/annotations", json!({"bad key!": "x"})),
        ("/metadata/namespace", json!("elsewhere")),
        ("/metadata/resourceVersion", json!("5")),
        ("/metadata/uid", json!("11111111-2222-4333-8444-555555555555")),
        ("/metadata/finalizers", json!(["notqualified"])),
        ("/metadata/ownerReferences", json!([{"kind": "ConfigMap"}])),
        ("/metadata/unknownField", json!(1)),
        ("/unknownField", json!({"a": 1})),
        ("/spec/unknownField", json!("x")),
        ("/kind", json!("Wrong")),
        ("/apiVersion", json!("v2")),
        ("/apiVersion", json!("")),
        ("/metadata/creationTimestamp", json!("2020-01-01T00:00:00Z")),
        ("/metadata/managedFields", json!([{"manager": "x", "operation": "Update"}])),
    ];
    let own = super::changes::wrong(sort);
    if own.is_empty() || chance(rng, 40) {
        let (pointer, value) = pick(rng, &general);
        put(object, pointer, value.clone());
    } else {
        let (pointer, value) = pick(rng, &own);
        put(object, pointer, value.clone());
    }
}
