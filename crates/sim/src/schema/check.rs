//! From what somebody sent to a value of the type: unknown fields go and are told, nulls go, quantities get their
//! shortest form, what cannot be of the type is refused. And the fields Go always writes appear.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::builtin::{Code, Field, Leaf};
use super::{Node, Shape, Sort};
use crate::quantity::Quantity;

/// What was noticed on the way.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Paths of unknown fields, as in `spec.foo`.
    pub(crate) unknown: Vec<String>,
    /// What cannot be of the type, in the words of Go's decoder.
    pub(crate) mistyped: Option<String>,
}

/// Makes a value one of the type.
pub(crate) fn conform(shape: &Shape, value: &mut Value) -> Findings {
    let mut findings = Findings::default();
    walk(shape.root(), value, &mut String::new(), "", &mut findings);
    findings
}

fn walk(node: Node<'_>, value: &mut Value, path: &mut String, field: &str, out: &mut Findings) {
    match value {
        Value::Object(map) => match node.sort() {
            Sort::Struct { .. } | Sort::Map { .. } => walk_map(node, map, path, out),
            Sort::Scalar | Sort::List => mistyped(node, "object", path, field, out),
            Sort::Any => {}
        },
        Value::Array(items) => match node.sort() {
            Sort::List => {
                for (index, item) in items.iter_mut().enumerate() {
                    let length = path.len();
                    let _ = write!(path, "[{index}]");
                    walk(node.item(), item, path, field, out);
                    path.truncate(length);
                }
            }
            Sort::Any => {}
            _ => mistyped(node, "array", path, field, out),
        },
        Value::Null => {}
        scalar => {
            if let Node::Builtin(code) = node {
                walk_scalar(code, scalar, path, field, out);
            }
        }
    }
}

fn walk_map(node: Node<'_>, map: &mut Map<String, Value>, path: &mut String, out: &mut Findings) {
    let mut gone = Vec::new();
    for (key, inner) in map.iter_mut() {
        let length = path.len();
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(key);
        match node.field(key) {
            None => {
                out.unknown.push(path.clone());
                gone.push(key.clone());
            }
            // In Go, a null in a map is the zero of its type.
            Some(_) if inner.is_null() && is_text_map(node) => *inner = json!(""),
            Some(_) if inner.is_null() && !is_nullable(node, key) => gone.push(key.clone()),
            Some(field) => walk(field, inner, path, key, out),
        }
        path.truncate(length);
    }
    for key in gone {
        map.remove(&key);
    }
}

fn is_text_map(node: Node<'_>) -> bool {
    let Node::Builtin(code) = node else { return false };
    code.is_map() && !code.item().is_list() && !code.item().is_map() && code.leaf == Leaf::Text
}

fn is_nullable(node: Node<'_>, key: &str) -> bool {
    match node {
        Node::Builtin(_) => false,
        Node::Any => true,
        Node::Custom(schema) | Node::Root(schema) => {
            let field = &schema["properties"][key];
            field.is_null() || field["nullable"] == true
        }
    }
}

fn walk_scalar(code: Code, value: &mut Value, path: &str, field: &str, out: &mut Findings) {
    let found = match value {
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        _ => "string",
    };
    if code.is_list() || code.is_map() {
        return mistyped(Node::Builtin(code), found, path, field, out);
    }
    let fits = match code.leaf {
        Leaf::Text => value.is_string(),
        Leaf::Bytes => value.as_str().is_some_and(is_base64),
        Leaf::Time | Leaf::MicroTime => value.as_str().is_some_and(|t| t.parse::<Timestamp>().is_ok()),
        Leaf::Bool => value.is_boolean(),
        Leaf::Int => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|n| n.fract() == 0.0),
        Leaf::Number => value.is_number(),
        Leaf::IntOrText => value.is_string() || value.is_number(),
        Leaf::Quantity => {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            if let Some(quantity) = Quantity::parse(&text) {
                *value = json!(quantity.to_string());
                true
            } else {
                out.mistyped.get_or_insert_with(|| {
                    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
                        .to_owned()
                });
                true
            }
        }
        Leaf::Any => true,
        Leaf::Type(_) => false,
    };
    if !fits {
        mistyped(Node::Builtin(code), found, path, field, out);
    }
}

fn is_base64(text: &str) -> bool {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).is_ok()
}

fn mistyped(node: Node<'_>, found: &str, path: &str, _field: &str, out: &mut Findings) {
    let Node::Builtin(code) = node else { return };
    let wanted = if code.is_list() {
        "[]".to_owned() + leaf_name(code.leaf)
    } else if code.is_map() {
        "map[string]".to_owned() + leaf_name(code.leaf)
    } else {
        leaf_name(code.leaf).to_owned()
    };
    out.mistyped.get_or_insert_with(|| {
        format!(
            "json: cannot unmarshal {found} into Go struct field .{} of type {wanted}",
            without_indices(path)
        )
    });
}

fn without_indices(path: &str) -> String {
    let mut depth = 0;
    path.chars()
        .filter(|c| {
            depth += i32::from(*c == '[');
            let keep = depth == 0;
            depth -= i32::from(*c == ']');
            keep
        })
        .collect()
}

fn leaf_name(leaf: Leaf) -> &'static str {
    match leaf {
        Leaf::Text | Leaf::Quantity => "string",
        Leaf::Bool => "bool",
        Leaf::Int => "int32",
        Leaf::Number => "float64",
        Leaf::Bytes => "[]uint8",
        Leaf::Time => "v1.Time",
        Leaf::MicroTime => "v1.MicroTime",
        Leaf::IntOrText => "intstr.IntOrString",
        Leaf::Any => "interface {}",
        Leaf::Type(index) => {
            let name = super::builtin::type_at(index).name;
            let short = name.match_indices('.').rev().nth(1).map_or(0, |(at, _)| at + 1);
            &name[short..]
        }
    }
}

/// Fields that are written even when nobody set them, because Go has no way to leave a struct or a number out.
const ALWAYS: &[(&str, &[(&str, &str)])] = &[
    ("core.v1.Pod", &[("spec", "{}"), ("status", "{}")]),
    ("core.v1.Service", &[("spec", "{}"), ("status", "{}")]),
    ("core.v1.ServiceStatus", &[("loadBalancer", "{}")]),
    ("core.v1.Namespace", &[("spec", "{}"), ("status", "{}")]),
    ("core.v1.Node", &[("spec", "{}"), ("status", "{}")]),
    ("core.v1.NodeStatus", &[("daemonEndpoints", "{}"), ("nodeInfo", "{}")]),
    ("core.v1.DaemonEndpoint", &[]),
    ("core.v1.NodeDaemonEndpoints", &[("kubeletEndpoint", r#"{"Port":0}"#)]),
    ("core.v1.PersistentVolumeClaim", &[("spec", "{}"), ("status", "{}")]),
    ("core.v1.PersistentVolumeClaimSpec", &[("resources", "{}")]),
    ("core.v1.PersistentVolumeClaimTemplate", &[("metadata", "{}"), ("spec", "{}")]),
    ("core.v1.PersistentVolume", &[("spec", "{}"), ("status", "{}")]),
    ("core.v1.PodTemplate", &[("template", "{}")]),
    ("core.v1.HTTPGetAction", &[("port", "0")]),
    ("core.v1.TCPSocketAction", &[("port", "0")]),
    ("core.v1.PodTemplateSpec", &[("metadata", "{}"), ("spec", "{}")]),
    ("core.v1.PodSpec", &[("containers", "null")]),
    ("core.v1.Container", &[("resources", "{}")]),
    ("core.v1.EphemeralContainer", &[("resources", "{}")]),
    ("core.v1.ResourceQuota", &[("spec", "{}"), ("status", "{}")]),
    ("core.v1.LimitRange", &[("spec", "{}")]),
    ("core.v1.ReplicationController", &[("spec", "{}"), ("status", "{}")]),
    ("core.v1.ReplicationControllerStatus", &[("replicas", "0")]),
    ("core.v1.ResourceFieldSelector", &[("divisor", "\"0\"")]),
    ("core.v1.PodCondition", &[("lastProbeTime", "null"), ("lastTransitionTime", "null")]),
    ("core.v1.NamespaceCondition", &[("lastTransitionTime", "null")]),
    ("batch.v1.JobCondition", &[("lastProbeTime", "null"), ("lastTransitionTime", "null")]),
    ("apps.v1.DeploymentCondition", &[("lastUpdateTime", "null"), ("lastTransitionTime", "null")]),
    ("apps.v1.ReplicaSetCondition", &[("lastTransitionTime", "null")]),
    ("apps.v1.StatefulSetCondition", &[("lastTransitionTime", "null")]),
    ("core.v1.ContainerStatus", &[("state", "{}"), ("lastState", "{}")]),
    (
        "core.v1.Event",
        &[
            ("involvedObject", "{}"),
            ("source", "{}"),
            ("firstTimestamp", "null"),
            ("lastTimestamp", "null"),
            ("eventTime", "null"),
            ("reportingComponent", "\"\""),
            ("reportingInstance", "\"\""),
        ],
    ),
    ("apps.v1.Deployment", &[("spec", "{}"), ("status", "{}")]),
    ("apps.v1.DeploymentSpec", &[("strategy", "{}"), ("template", "{}")]),
    ("apps.v1.ReplicaSet", &[("spec", "{}"), ("status", "{}")]),
    ("apps.v1.ReplicaSetSpec", &[("template", "{}")]),
    ("apps.v1.ReplicaSetStatus", &[("replicas", "0")]),
    ("apps.v1.StatefulSet", &[("spec", "{}"), ("status", "{}")]),
    ("apps.v1.StatefulSetSpec", &[("updateStrategy", "{}"), ("template", "{}"), ("serviceName", "\"\"")]),
    ("apps.v1.StatefulSetStatus", &[("replicas", "0"), ("availableReplicas", "0")]),
    ("apps.v1.DaemonSet", &[("spec", "{}"), ("status", "{}")]),
    ("apps.v1.DaemonSetSpec", &[("updateStrategy", "{}"), ("template", "{}")]),
    (
        "apps.v1.DaemonSetStatus",
        &[
            ("currentNumberScheduled", "0"),
            ("numberMisscheduled", "0"),
            ("desiredNumberScheduled", "0"),
            ("numberReady", "0"),
        ],
    ),
    ("batch.v1.Job", &[("spec", "{}"), ("status", "{}")]),
    ("batch.v1.JobSpec", &[("template", "{}")]),
    ("batch.v1.CronJob", &[("spec", "{}"), ("status", "{}")]),
    ("batch.v1.CronJobSpec", &[("jobTemplate", "{}")]),
    ("batch.v1.JobTemplateSpec", &[("metadata", "{}"), ("spec", "{}")]),
    ("autoscaling.v2.HorizontalPodAutoscaler", &[("spec", "{}"), ("status", "{}")]),
    ("autoscaling.v2.HorizontalPodAutoscalerSpec", &[("scaleTargetRef", "{}"), ("maxReplicas", "0")]),
    ("autoscaling.v2.HorizontalPodAutoscalerStatus", &[("desiredReplicas", "0"), ("currentMetrics", "null")]),
    ("policy.v1.PodDisruptionBudget", &[("spec", "{}"), ("status", "{}")]),
    (
        "policy.v1.PodDisruptionBudgetStatus",
        &[
            ("disruptionsAllowed", "0"),
            ("currentHealthy", "0"),
            ("desiredHealthy", "0"),
            ("expectedPods", "0"),
        ],
    ),
    ("networking.v1.Ingress", &[("spec", "{}"), ("status", "{}")]),
    ("networking.v1.IngressStatus", &[("loadBalancer", "{}")]),
    ("networking.v1.IngressServiceBackend", &[("port", "{}")]),
    ("networking.v1.NetworkPolicy", &[("spec", "{}")]),
    ("networking.v1.NetworkPolicySpec", &[("podSelector", "{}")]),
    ("rbac.v1.RoleBinding", &[("roleRef", "{}")]),
    ("rbac.v1.ClusterRoleBinding", &[("roleRef", "{}")]),
    ("coordination.v1.Lease", &[("spec", "{}")]),
    ("discovery.v1.Endpoint", &[("conditions", "{}")]),
    ("apiextensions.v1.CustomResourceDefinition", &[("spec", "{}"), ("status", "{}")]),
    ("apiextensions.v1.CustomResourceDefinitionSpec", &[("names", "{}")]),
];

/// Writes the fields that are always there.
pub(crate) fn complete(shape: &Shape, value: &mut Value) {
    if let Node::Builtin(code) = shape.root() {
        complete_at(code, value);
    }
}

/// Takes out nulls, which mean nothing in built-in types.
pub(crate) fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map.values().any(Value::is_null) {
                map.retain(|_, inner| !inner.is_null());
            }
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// Fields whose zero is the same as nothing: in Go they are no pointers, and left out when they are zero.
const ZEROS: &[(&str, &[&str])] = &[
    ("apps.v1.DeploymentSpec", &["minReadySeconds", "paused"]),
    ("apps.v1.ReplicaSetSpec", &["minReadySeconds"]),
    ("apps.v1.StatefulSetSpec", &["minReadySeconds"]),
    (
        "apps.v1.DeploymentStatus",
        &[
            "replicas",
            "updatedReplicas",
            "readyReplicas",
            "availableReplicas",
            "unavailableReplicas",
            "observedGeneration",
        ],
    ),
    (
        "apps.v1.ReplicaSetStatus",
        &["fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration"],
    ),
    (
        "apps.v1.StatefulSetStatus",
        &["readyReplicas", "currentReplicas", "updatedReplicas", "observedGeneration"],
    ),
    ("batch.v1.JobStatus", &["active", "succeeded", "failed"]),
    ("core.v1.PodSpec", &["hostNetwork", "hostPID", "hostIPC", "nodeName", "hostname", "subdomain"]),
    ("core.v1.ServiceSpec", &["publishNotReadyAddresses", "loadBalancerIP", "externalName"]),
    ("core.v1.EnvVar", &["value"]),
];

fn is_zero(code: Code, field: &str, value: &Value) -> bool {
    let has_field = |of: &&super::builtin::Type| {
        ZEROS.iter().any(|(name, fields)| *name == of.name && fields.contains(&field))
    };
    (*value == 0 || *value == false || *value == "") && code.struct_type().as_ref().is_some_and(has_field)
}

/// Takes out empty lists and maps, which Go leaves out. Structs stay: they are something that was set.
pub(crate) fn drop_empty(shape: &Shape, value: &mut Value) {
    if let Node::Builtin(code) = shape.root() {
        drop_empty_at(code, value);
    }
}

fn drop_empty_at(code: Code, value: &mut Value) {
    match value {
        Value::Array(items) if code.is_list() => items.iter_mut().for_each(|i| drop_empty_at(code.item(), i)),
        Value::Object(map) => {
            let mut is_full = true;
            for (key, inner) in map.iter_mut() {
                let Some(field) = code.field(key) else { continue };
                drop_empty_at(field.code, inner);
                is_full &= !says_nothing(code, &field, key, inner);
            }
            if !is_full {
                map.retain(|key, inner| {
                    code.field(key).is_none_or(|field| !says_nothing(code, &field, key, inner))
                });
            }
        }
        _ => {}
    }
}

/// Whether a field may be left out as it is.
fn says_nothing(code: Code, field: &Field, key: &str, value: &Value) -> bool {
    let is_empty = match value {
        Value::Number(_) | Value::Bool(_) | Value::String(_) => is_zero(code, key, value),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => field.code.is_map() && map.is_empty(),
        Value::Null => false,
    };
    // What has to be said is said even if it is nothing.
    let is_role = || {
        code.struct_type().is_some_and(|t| matches!(t.name, "rbac.v1.Role" | "rbac.v1.ClusterRole"))
            && key == "rules"
    };
    is_empty && !field.required && !code.is_map() && !is_role()
}

/// The least an object of the type is.
pub(crate) fn least(shape: &Shape) -> Value {
    let mut value = json!({"metadata": {}});
    complete(shape, &mut value);
    value
}

fn complete_at(code: Code, value: &mut Value) {
    match value {
        Value::Array(items) if code.is_list() => {
            for item in items {
                complete_at(code.item(), item);
            }
        }
        Value::Object(map) => {
            let always = code.struct_type().and_then(|of| ALWAYS.iter().find(|(name, _)| *name == of.name));
            for (field, text) in always.into_iter().flat_map(|(_, fields)| fields.iter()) {
                // Optional before it became a number that is always written.
                let is_new = code.is_granular() && *field == "availableReplicas";
                if !map.contains_key(*field) && !is_new {
                    map.insert((*field).to_owned(), serde_json::from_str(text).unwrap_or(Value::Null));
                }
            }
            for (key, inner) in map.iter_mut() {
                if (inner.is_object() || inner.is_array())
                    && let Some(field) = code.field(key)
                {
                    complete_at(field.code, inner);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::builtin::type_named;

    #[test]
    fn what_is_unknown_goes_and_is_told() {
        let shape = Shape::Builtin(type_named("apps.v1.Deployment").unwrap());
        let mut value = json!({"spec": {"replicas": 1, "foo": 1, "paused": null, "template": {"spec": {"containers": [
            {"name": "a", "bar": {}, "resources": {"limits": {"cpu": "0.5", "memory": 1024}}}]}}}});
        let findings = conform(&shape, &mut value);
        assert_eq!(findings.unknown, ["spec.foo", "spec.template.spec.containers[0].bar"]);
        assert_eq!(findings.mistyped, None);
        let container = &value["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(
            *container,
            json!({"name": "a", "resources": {"limits": {"cpu": "500m", "memory": "1024"}}})
        );
        assert_eq!(value["spec"].get("paused"), None);
        let mut value = json!({"spec": {"replicas": "three"}});
        let words = "json: cannot unmarshal string into Go struct field .spec.replicas of type int32";
        assert_eq!(conform(&shape, &mut value).mistyped.as_deref(), Some(words));
    }

    #[test]
    fn what_go_always_writes_appears() {
        let shape = Shape::Builtin(type_named("apps.v1.Deployment").unwrap());
        assert_eq!(
            least(&shape),
            json!({"metadata": {}, "spec": {"strategy": {}, "template": {"metadata": {}, "spec": {"containers": null}}}, "status": {}})
        );
    }
}
