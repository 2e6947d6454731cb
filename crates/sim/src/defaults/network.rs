//! Services and what is behind them.

use serde_json::{Value, json};

use super::{each, set};
use crate::profile::ApiProfile;

pub(super) fn service(object: &mut Value, profile: &ApiProfile) {
    let spec = &mut object["spec"];
    set(spec, "sessionAffinity", "None");
    set(spec, "type", "ClusterIP");
    if spec["sessionAffinity"] == "ClientIP" {
        set(&mut spec["sessionAffinityConfig"]["clientIP"], "timeoutSeconds", 10_800);
    }
    if spec["sessionAffinity"] == "None"
        && let Some(map) = spec.as_object_mut()
    {
        map.remove("sessionAffinityConfig");
    }
    for port in spec.get_mut("ports").into_iter().flat_map(each) {
        set(port, "protocol", "TCP");
        let number = port["port"].clone();
        set(port, "targetPort", number);
    }
    let kind = spec["type"].as_str().unwrap_or_default().to_owned();
    if kind == "ExternalName" {
        return;
    }
    if profile.internal_traffic_policy {
        set(spec, "internalTrafficPolicy", "Cluster");
    }
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
        set(spec, "externalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" && profile.internal_traffic_policy {
        set(spec, "allocateLoadBalancerNodePorts", true);
    }
}

pub(super) fn endpoints(object: &mut Value) {
    for subset in object.get_mut("subsets").into_iter().flat_map(each) {
        for port in subset.get_mut("ports").into_iter().flat_map(each) {
            set(port, "protocol", "TCP");
        }
    }
}

pub(super) fn endpoint_slice(object: &mut Value) {
    for port in object.get_mut("ports").into_iter().flat_map(each) {
        set(port, "name", "");
        set(port, "protocol", "TCP");
    }
}

pub(super) fn policy(object: &mut Value) {
    let spec = &mut object["spec"];
    let types = if spec["egress"].as_array().is_some_and(|e| !e.is_empty()) {
        json!(["Ingress", "Egress"])
    } else {
        json!(["Ingress"])
    };
    if let Some(map) = spec.as_object_mut() {
        map.retain(|_, value| !value.is_null());
    }
    set(spec, "policyTypes", types);
    for direction in ["ingress", "egress"] {
        for rule in spec.get_mut(direction).into_iter().flat_map(each) {
            for port in rule.get_mut("ports").into_iter().flat_map(each) {
                set(port, "protocol", "TCP");
            }
        }
    }
}
