//! OpenAPI documents made from the table of types: what clients need to validate, explain and patch.

use std::collections::BTreeSet;

use http::{HeaderMap, header};
use serde_json::{Map, Value, json};

use super::Answer;
use crate::kind::Kind;
use crate::schema::builtin::{Code, Field, Leaf, Type, type_at, type_named};
use crate::schema::{Items, Keys, Shape, words};
use crate::server::ApiServer;
use crate::status::Status;

/// How the old document is called in protobuf.
const V2_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

const V2: &str = "#/definitions/";
const V3: &str = "#/components/schemas/";

/// The old document, of everything. In protobuf it is an empty one: who can read version 3, as every `kubectl` since 1.27 does, looks here
/// for what is not there.
pub(super) fn v2(server: &ApiServer, headers: &HeaderMap) -> Answer {
    let wanted = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if wanted.starts_with("application/com.github.proto-openapi.spec.v2") {
        return Answer { content_type: V2_PROTOBUF, ..Answer::json(200, Vec::new()) };
    }
    let mut definitions = Map::new();
    let mut paths = Map::new();
    for kind in server.kinds().iter() {
        for served in &kind.served {
            schemas(kind, &served.version, &served.shape, V2, &mut definitions);
            add_paths(kind, &served.version, &mut paths);
        }
    }
    Answer::value(
        200,
        &json!({"swagger": "2.0", "info": {"title": "Kubernetes", "version": server.profile().git_version},
            "paths": paths, "definitions": definitions}),
    )
}

/// Which documents there are.
pub(super) fn v3_index(server: &ApiServer) -> Answer {
    let mut places = BTreeSet::new();
    for kind in server.kinds().iter() {
        for served in &kind.served {
            places.insert(group_path(&kind.resource.group, &served.version));
        }
    }
    let paths: Map<String, Value> = places
        .into_iter()
        .map(|place| {
            // The hash changes with what is served, so that clients ask again when they have to.
            let url = format!("/openapi/v3/{place}?hash={:016X}", hash(server, &place));
            (place, json!({"serverRelativeURL": url}))
        })
        .collect();
    Answer::value(200, &json!({"paths": paths}))
}

fn hash(server: &ApiServer, place: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |text: &str| {
        for byte in text.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    add(server.profile().git_version);
    for kind in server.kinds().iter() {
        for served in kind.served.iter().filter(|s| group_path(&kind.resource.group, &s.version) == place) {
            add(&kind.kind);
            if let Shape::Custom(schema) = &served.shape {
                add(&schema.to_string());
            }
        }
    }
    hash
}

/// The document of one group and version.
pub(super) fn v3(server: &ApiServer, group: &str, version: &str) -> Result<Answer, Status> {
    let mut definitions = Map::new();
    let mut paths = Map::new();
    for kind in server.kinds().iter().filter(|k| k.resource.group == group) {
        if let Some(served) = kind.served(version) {
            schemas(kind, version, &served.shape, V3, &mut definitions);
            add_paths(kind, version, &mut paths);
        }
    }
    if definitions.is_empty() {
        return Err(Status::no_such_path());
    }
    Ok(Answer::value(
        200,
        &json!({"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": server.profile().git_version},
            "paths": paths, "components": {"schemas": definitions}}),
    ))
}

fn group_path(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

/// The paths of a kind with what each can be asked: clients look for parameters and kinds here.
fn add_paths(kind: &Kind, version: &str, paths: &mut Map<String, Value>) {
    let plural = &kind.resource.plural;
    let base = group_path(&kind.resource.group, version);
    let place = if kind.namespaced { "namespaces/{namespace}/" } else { "" };
    let gvk = json!({"group": kind.resource.group, "version": version, "kind": kind.kind});
    let parameters: Vec<Value> = ["dryRun", "fieldManager", "fieldValidation", "force"]
        .iter()
        .map(|name| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}}))
        .collect();
    let operation = |action: &str, parameters: &[Value]| {
        json!({"x-kubernetes-action": action, "x-kubernetes-group-version-kind": gvk, "parameters": parameters,
            "responses": {"200": {"description": "OK"}}})
    };
    let collection = json!({"get": operation("list", &[]), "post": operation("post", &parameters[..3])});
    paths.insert(format!("/{base}/{place}{plural}"), collection);
    if !kind.review {
        let one = json!({
            "get": operation("get", &[]),
            "put": operation("put", &parameters[..3]),
            "patch": operation("patch", &parameters),
            "delete": operation("delete", &parameters[..1]),
        });
        paths.insert(format!("/{base}/{place}{plural}/{{name}}"), one);
    }
}

/// The schema of a kind and of every type in it.
fn schemas(kind: &Kind, version: &str, shape: &Shape, prefix: &str, out: &mut Map<String, Value>) {
    let gvk = json!([{"group": kind.resource.group, "version": version, "kind": kind.kind}]);
    match shape {
        Shape::Builtin(index) | Shape::Granular(index) => {
            add_type(*index, prefix, out);
            if let Some(schema) = out.get_mut(&long_name(type_at(*index).name)) {
                schema["x-kubernetes-group-version-kind"] = gvk;
                describe_top(schema);
            }
        }
        Shape::Custom(schema) => {
            let mut schema = (**schema).clone();
            if let Some(meta) = type_named("meta.v1.ObjectMeta") {
                add_type(meta, prefix, out);
                let meta = json!({"$ref": format!("{prefix}{}", long_name("meta.v1.ObjectMeta"))});
                if !schema["properties"].is_object() {
                    schema["properties"] = json!({});
                }
                schema["properties"]["metadata"] = meta;
                for field in ["apiVersion", "kind"] {
                    schema["properties"][field] = json!({"type": "string"});
                }
            }
            schema["x-kubernetes-group-version-kind"] = gvk;
            let group: Vec<&str> = kind.resource.group.split('.').rev().collect();
            out.insert(format!("{}.{version}.{}", group.join("."), kind.kind), schema);
        }
    }
}

/// What every kind has at its top.
fn describe_top(schema: &mut Value) {
    for field in ["apiVersion", "kind"] {
        schema["properties"][field] = json!({"type": "string", "description": ""});
    }
    for (field, property) in schema["properties"].as_object_mut().into_iter().flatten() {
        if property["description"] == "" {
            property["description"] = json!(words::of_every(field));
        }
    }
}

fn add_type(index: usize, prefix: &str, out: &mut Map<String, Value>) {
    let of: &Type = type_at(index);
    let name = long_name(of.name);
    if out.contains_key(&name) {
        return;
    }
    out.insert(name.clone(), Value::Null);
    let mut properties = Map::new();
    for field in &of.fields {
        properties.insert(field.name.to_owned(), field_schema(of.name, field, prefix));
        if let Leaf::Type(inner) = field.code.leaf {
            add_type(inner, prefix, out);
        }
    }
    let required: Vec<&str> =
        of.fields.iter().filter(|f| f.required && f.name != "metadata").map(|f| f.name).collect();
    let mut schema =
        json!({"type": "object", "description": words::of_type(of.name), "properties": properties});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    if of.atomic {
        schema["x-kubernetes-map-type"] = json!("atomic");
    }
    out.insert(name, schema);
}

fn field_schema(of: &str, field: &Field, prefix: &str) -> Value {
    let mut schema = code_schema(field.code, prefix);
    if !schema["$ref"].is_null() && prefix == V3 {
        schema = json!({"allOf": [schema]});
    }
    schema["description"] = json!(words::of_field(of, field.name));
    if field.code.is_list() {
        match field.code.items() {
            Items::Atomic => schema["x-kubernetes-list-type"] = json!("atomic"),
            Items::Set => schema["x-kubernetes-list-type"] = json!("set"),
            Items::Map(keys) => {
                schema["x-kubernetes-list-type"] = json!("map");
                if let Keys::Builtin(keys) = keys {
                    schema["x-kubernetes-list-map-keys"] = json!(keys);
                }
            }
        }
    }
    let keeps = if field.code.keeps() { "retainKeys" } else { "" };
    if let Some(key) = field.code.patch_key() {
        schema["x-kubernetes-patch-merge-key"] = json!(key);
        schema["x-kubernetes-patch-strategy"] =
            json!(if keeps.is_empty() { "merge".to_owned() } else { format!("merge,{keeps}") });
    } else if field.code.is_set() {
        schema["x-kubernetes-patch-strategy"] = json!("merge");
    } else if !keeps.is_empty() {
        schema["x-kubernetes-patch-strategy"] = json!(keeps);
    }
    schema
}

fn code_schema(code: Code, prefix: &str) -> Value {
    if code.is_list() {
        return json!({"type": "array", "items": code_schema(code.item(), prefix)});
    }
    if code.is_map() {
        return json!({"type": "object", "additionalProperties": code_schema(code.item(), prefix)});
    }
    match code.leaf {
        Leaf::Text | Leaf::Quantity => json!({"type": "string"}),
        Leaf::Bool => json!({"type": "boolean"}),
        Leaf::Int => json!({"type": "integer"}),
        Leaf::Number => json!({"type": "number", "format": "double"}),
        Leaf::Bytes => json!({"type": "string", "format": "byte"}),
        Leaf::Time | Leaf::MicroTime => json!({"type": "string", "format": "date-time"}),
        Leaf::IntOrText => json!({"type": "string", "format": "int-or-string"}),
        Leaf::Any => json!({"type": "object"}),
        Leaf::Type(index) => json!({"$ref": format!("{prefix}{}", long_name(type_at(index).name))}),
    }
}

/// The name of a type in documents.
fn long_name(name: &str) -> String {
    let group = name.split('.').next().unwrap_or_default();
    match group {
        "meta" => format!("io.k8s.apimachinery.pkg.apis.{name}"),
        "apiextensions" => format!("io.k8s.apiextensions-apiserver.pkg.apis.{name}"),
        "apiregistration" => format!("io.k8s.kube-aggregator.pkg.apis.{name}"),
        _ => format!("io.k8s.api.{name}"),
    }
}
