//! The PodDisruptionBudget and the HorizontalPodAutoscaler, when they are asked for.

use serde_json::{Value, json};

use super::Names;
use super::deployment::amount;
use crate::Disruption;

pub(super) fn disruption_budget(names: &Names<'_>) -> Option<Value> {
    let (key, share) = match names.service.disruption? {
        Disruption::MaxUnavailable(share) => ("maxUnavailable", share),
        Disruption::MinAvailable(share) => ("minAvailable", share),
    };
    let body = json!({"spec": {key: amount(share), "selector": {"matchLabels": names.selector()}}});
    Some(names.object("policy/v1", "PodDisruptionBudget", names.service.name.as_str(), body))
}

pub(super) fn autoscaler(names: &Names<'_>) -> Option<Value> {
    let scale = names.service.autoscale.as_ref()?;
    let name = names.service.name.as_str();
    let metric = |(resource, percent): (&str, Option<u32>)| {
        percent.map(|percent| {
            json!({"type": "Resource", "resource": {
                "name": resource,
                "target": {"type": "Utilization", "averageUtilization": percent},
            }})
        })
    };
    let metrics: Vec<_> = [("cpu", scale.cpu_percent), ("memory", scale.memory_percent)]
        .into_iter()
        .filter_map(metric)
        .collect();
    let body = json!({"spec": {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        "minReplicas": scale.min,
        "maxReplicas": scale.max,
        "metrics": metrics,
    }});
    Some(names.object("autoscaling/v2", "HorizontalPodAutoscaler", name, body))
}
