//! Configurations to be applied: some of the fields of a kind, overlapping between managers.

use fastrand::Rng;
use serde_json::{Value, json};

use super::bodies::{chance, pick};
use super::sorts::Sort;

/// Something to apply.
pub(super) fn config(rng: &mut Rng, sort: &Sort, name: &str) -> Value {
    let mut out = match sort.plural {
        "configmaps" => json!({"data": some(rng, &[("k", "v"), ("k", "w"), ("j", "x"), ("l", "y")])}),
        "secrets" => match rng.u32(..3) {
            0 => json!({"stringData": some(rng, &[("k", "v"), ("j", "x")])}),
            _ => json!({"data": some(rng, &[("k", "djE="), ("k", "djI="), ("j", "djM=")])}),
        },
        "services" => service(rng),
        "serviceaccounts" => match rng.u32(..3) {
            0 => json!({"secrets": [{"name": "a"}]}),
            1 => json!({"secrets": [{"name": "b"}], "imagePullSecrets": [{"name": "pull"}]}),
            _ => json!({"automountServiceAccountToken": false}),
        },
        "pods" => json!({"spec": pod_spec(rng)}),
        "podtemplates" => json!({"template": template(rng)}),
        "deployments" | "replicasets" => workload(rng),
        "statefulsets" => {
            let mut out = workload(rng);
            out["spec"]["serviceName"] = json!("web");
            out["spec"].as_object_mut().map(|s| s.remove("minReadySeconds"));
            out
        }
        "jobs" => {
            let mut out = json!({"spec": {"template": {"spec": pod_spec(rng)}}});
            out["spec"]["template"]["spec"]["restartPolicy"] = json!("Never");
            if chance(rng, 50) {
                out["spec"]["parallelism"] = json!(rng.u32(1..3));
            }
            out
        }
        "ingresses" => ingress(rng),
        "roles" => {
            json!({"rules": [{"apiGroups": [""], "resources": [*pick(rng, &["pods", "secrets"])], "verbs": ["get"]}]})
        }
        "leases" => json!({"spec": {"holderIdentity": *pick(rng, &["one", "two"])}}),
        _ => json!({}),
    };
    out["apiVersion"] = json!(sort.version);
    out["kind"] = json!(sort.kind);
    out["metadata"] = json!({"name": name});
    if sort.plural == "jobs" {
        out["metadata"]["labels"] = json!({"app": "db"});
    } else if chance(rng, 50) {
        out["metadata"]["labels"] =
            some(rng, &[("app", "web"), ("app", "db"), ("tier", "front"), ("team", "one")]);
    }
    if chance(rng, 20) {
        out["metadata"]["annotations"] = some(rng, &[("note", "a"), ("note", "b"), ("example.com/x", "c")]);
    }
    if chance(rng, 8) {
        out["metadata"]["finalizers"] = json!([*pick(rng, &["example.com/hold", "example.com/second"])]);
    }
    match rng.u32(..40) {
        0 => out["metadata"]["managedFields"] = json!([{"manager": "x", "operation": "Apply"}]),
        1 => out["metadata"]["resourceVersion"] = json!(format!("<rv:{}>", sort.object(name))),
        2 => out["metadata"]["resourceVersion"] = json!(format!("<old:{}>", sort.object(name))),
        3 if sort.plural != "services" => out["unknownField"] = json!(1),
        4 => out["kind"] = json!("Wrong"),
        8 => out["status"] = json!({"replicas": 3}),
        9 => out["metadata"]["labels"] = json!({"app": null}),
        _ => {}
    }
    out
}

fn some(rng: &mut Rng, pairs: &[(&str, &str)]) -> Value {
    let mut out = json!({});
    for (key, value) in pairs {
        if chance(rng, 50) {
            out[*key] = json!(*value);
        }
    }
    out
}

fn service(rng: &mut Rng) -> Value {
    let mut spec = json!({"ports": match rng.u32(..4) {
        0 => json!([{"port": 80}]),
        1 => json!([{"port": 80, "protocol": "TCP", "name": "http"}]),
        2 => json!([{"port": 80, "protocol": "TCP", "targetPort": 8080}]),
        _ => json!([{"port": 443, "protocol": "TCP", "name": "https"}]),
    }});
    if chance(rng, 50) {
        spec["selector"] = json!({"app": *pick(rng, &["web", "db"])});
    }
    if chance(rng, 20) {
        spec["type"] = json!(*pick(rng, &["ClusterIP", "NodePort"]));
    }
    json!({"spec": spec})
}

fn pod_spec(rng: &mut Rng) -> Value {
    let mut app = json!({"name": "app", "image": *pick(rng, &["web:1", "web:2"])});
    if chance(rng, 50) {
        app["env"] = match rng.u32(..4) {
            0 => json!([{"name": "A", "value": "1"}]),
            1 => json!([{"name": "B", "value": "2"}, {"name": "A", "value": "3"}]),
            2 => json!([{"name": "C", "value": "4"}]),
            _ => json!([{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]),
        };
    }
    if chance(rng, 40) {
        app["ports"] = match rng.u32(..3) {
            0 => json!([{"containerPort": 8080, "protocol": "TCP"}]),
            1 => {
                json!([{"containerPort": 8080, "protocol": "TCP", "name": "http"}, {"containerPort": 9090, "protocol": "TCP"}])
            }
            _ => json!([{"containerPort": 8080}]),
        };
    }
    if chance(rng, 30) {
        app["resources"] = json!({"requests": {"cpu": *pick(rng, &["100m", "0.2"])}});
    }
    if chance(rng, 20) {
        app["readinessProbe"] = json!({"httpGet": {"path": "/", "port": 8080}});
    }
    let mut containers = vec![app];
    if chance(rng, 25) {
        containers.push(json!({"name": "side", "image": "side:1"}));
    }
    let mut spec = json!({"containers": containers});
    if chance(rng, 15) {
        spec["volumes"] = json!([{"name": "v", "emptyDir": {}}]);
    }
    if chance(rng, 10) {
        spec["nodeSelector"] = json!({"disk": "ssd"});
    }
    if chance(rng, 10) {
        spec["tolerations"] = json!([{"key": "x", "operator": "Exists"}]);
    }
    spec
}

fn template(rng: &mut Rng) -> Value {
    json!({"metadata": {"labels": {"app": "web"}}, "spec": pod_spec(rng)})
}

fn workload(rng: &mut Rng) -> Value {
    let mut spec = json!({"selector": {"matchLabels": {"app": "web"}}, "template": template(rng)});
    if chance(rng, 50) {
        spec["replicas"] = json!(rng.u32(..3));
    }
    if chance(rng, 20) {
        spec["minReadySeconds"] = json!(1);
    }
    if chance(rng, 15) {
        // A manager that only wants the replicas.
        return json!({"spec": {"replicas": rng.u32(..4)}});
    }
    json!({"spec": spec})
}

fn ingress(rng: &mut Rng) -> Value {
    let backend = json!({"service": {"name": *pick(rng, &["web", "db"]), "port": {"number": 80}}});
    match rng.u32(..2) {
        0 => json!({"spec": {"defaultBackend": backend}}),
        _ => {
            json!({"spec": {"rules": [{"host": "a.example", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]}})
        }
    }
}
