//! ResourceQuotas: what a namespace may have, and has.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{ApiServer, By};
use crate::kind::Kind;
use crate::object::Object;
use crate::quantity::Quantity;
use crate::resource::{PODS, RESOURCE_QUOTAS, Resource};
use crate::status::Status;

type Amounts = BTreeMap<String, Quantity>;

/// Resources of pods a quota can demand to be said.
const COMPUTE: &[&str] = &["cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"];

impl ApiServer {
    /// Whether the namespace may have one more, and if so, that it has.
    pub(super) fn check_quota(
        &mut self,
        now: Timestamp,
        kind: &Kind,
        body: &Value,
        by: &By,
    ) -> Result<(), Status> {
        let namespace = body["metadata"]["namespace"].as_str().unwrap_or_default();
        if !kind.namespaced || self.store.count(&RESOURCE_QUOTAS, Some(namespace)) == 0 {
            return Ok(());
        }
        let name = super::create::name_of(body);
        let quotas: Vec<Arc<Object>> = self.store.list(&RESOURCE_QUOTAS, Some(namespace)).cloned().collect();
        let wanted = usage_of(&kind.resource, body);
        let mut writes = Vec::new();
        for quota in quotas.iter().filter(|quota| in_scope(quota, kind, body)) {
            let hard = amounts(&quota["spec"]["hard"]);
            if kind.resource == PODS {
                demand(quota, &hard, body, &name)?;
            }
            let asked: Amounts = wanted
                .iter()
                .filter(|(key, _)| hard.contains_key(*key))
                .map(|(k, v)| (k.clone(), *v))
                .collect();
            if asked.is_empty() {
                continue;
            }
            let used = self.usage(namespace, quota);
            exceeded(kind, &name, quota, &hard, &asked, &used)?;
            let mut after = used;
            for (key, amount) in &asked {
                let sum = after.get(key).copied().unwrap_or(Quantity::ZERO).plus(*amount);
                after.insert(key.clone(), sum);
            }
            writes.push((quota.name().to_owned(), status_of(&quota["spec"]["hard"], &after)));
        }
        if !by.dry_run {
            let namespace = namespace.to_owned();
            for (name, status) in writes {
                self.update_status(now, &RESOURCE_QUOTAS, &namespace, &name, status, &By::nobody())?;
            }
        }
        Ok(())
    }

    /// Counts again what the namespace's quotas say is used, as the quota controller does after deletions.
    pub fn refresh_quotas(&mut self, now: Timestamp, namespace: &str) {
        let quotas: Vec<Arc<Object>> = self.store.list(&RESOURCE_QUOTAS, Some(namespace)).cloned().collect();
        for quota in quotas {
            let status = status_of(&quota["spec"]["hard"], &self.usage(namespace, &quota));
            // A quota that went meanwhile needs no numbers.
            let _ = self.update_status(now, &RESOURCE_QUOTAS, namespace, quota.name(), status, &By::nobody());
        }
    }

    fn usage(&self, namespace: &str, quota: &Object) -> Amounts {
        let hard = amounts(&quota["spec"]["hard"]);
        let mut used: Amounts = hard.keys().map(|key| (key.clone(), Quantity::ZERO)).collect();
        for kind in self.kinds.iter().filter(|k| k.namespaced && is_counted(&k.resource, &hard)) {
            for object in self.store.list(&kind.resource, Some(namespace)) {
                let value = json!({"spec": object["spec"], "status": object["status"]});
                if !in_scope(quota, kind, &value) {
                    continue;
                }
                for (key, amount) in usage_of(&kind.resource, &value) {
                    if let Some(sum) = used.get_mut(&key) {
                        *sum = sum.plus(amount);
                    }
                }
            }
        }
        used
    }
}

fn is_counted(resource: &Resource, hard: &Amounts) -> bool {
    let plural = &*resource.plural;
    let by_count = if resource.group.is_empty() {
        format!("count/{plural}")
    } else {
        format!("count/{plural}.{}", resource.group)
    };
    hard.keys().any(|key| match key.as_str() {
        "services.nodeports" | "services.loadbalancers" => plural == "services",
        "requests.storage" => plural == "persistentvolumeclaims",
        key if COMPUTE.contains(&key) => plural == "pods",
        key => key == plural || key == by_count,
    })
}

fn amounts(value: &Value) -> Amounts {
    let read = |(key, value): (&String, &Value)| Some((key.clone(), Quantity::parse(value.as_str()?)?));
    value.as_object().into_iter().flatten().filter_map(read).collect()
}

fn status_of(hard: &Value, used: &Amounts) -> Value {
    let used: Map<String, Value> = used.iter().map(|(k, v)| (k.clone(), json!(v.to_string()))).collect();
    json!({"hard": hard, "used": used})
}

/// What one object takes of everything a quota can count.
fn usage_of(resource: &Resource, body: &Value) -> Amounts {
    let mut out = Amounts::new();
    let plural = &*resource.plural;
    let one = Quantity::whole(1);
    let count = if resource.group.is_empty() {
        format!("count/{plural}")
    } else {
        format!("count/{plural}.{}", resource.group)
    };
    out.insert(count, one);
    match plural {
        "pods" => {
            if matches!(body["status"]["phase"].as_str(), Some("Succeeded" | "Failed")) {
                return Amounts::new();
            }
            out.insert("pods".to_owned(), one);
            for (kind, resource, keys) in [
                ("requests", "cpu", &["cpu", "requests.cpu"][..]),
                ("requests", "memory", &["memory", "requests.memory"]),
                ("limits", "cpu", &["limits.cpu"]),
                ("limits", "memory", &["limits.memory"]),
            ] {
                let amount = pod_amount(body, kind, resource);
                for key in keys {
                    out.insert((*key).to_owned(), amount);
                }
            }
        }
        "services" => {
            out.insert(plural.to_owned(), one);
            let kind = body["spec"]["type"].as_str().unwrap_or_default();
            if kind == "LoadBalancer" {
                out.insert("services.loadbalancers".to_owned(), one);
            }
            if matches!(kind, "NodePort" | "LoadBalancer") {
                let ports = body["spec"]["ports"].as_array().map_or(0, Vec::len);
                out.insert(
                    "services.nodeports".to_owned(),
                    Quantity::whole(i64::try_from(ports).unwrap_or(0)),
                );
            }
        }
        "persistentvolumeclaims" => {
            out.insert(plural.to_owned(), one);
            let asked = body["spec"]["resources"]["requests"]["storage"].as_str().and_then(Quantity::parse);
            out.insert("requests.storage".to_owned(), asked.unwrap_or(Quantity::ZERO));
        }
        "configmaps" | "secrets" | "replicationcontrollers" | "resourcequotas" => {
            out.insert(plural.to_owned(), one);
        }
        _ => {}
    }
    out
}

/// What a pod asks for: the sum of its containers, or the largest of those that run before them.
fn pod_amount(body: &Value, kind: &str, resource: &str) -> Quantity {
    let read = |c: &Value| c["resources"][kind][resource].as_str().and_then(Quantity::parse);
    let list = |name: &str| body["spec"][name].as_array().cloned().unwrap_or_default();
    let sum = list("containers").iter().filter_map(read).fold(Quantity::ZERO, Quantity::plus);
    let largest = list("initContainers").iter().filter_map(read).max().unwrap_or(Quantity::ZERO);
    sum.max(largest)
}

fn in_scope(quota: &Object, kind: &Kind, body: &Value) -> bool {
    let scopes = quota["spec"]["scopes"].as_array().map_or(&[][..], Vec::as_slice);
    if scopes.is_empty() {
        return true;
    }
    let is_best_effort = body["status"]["qosClass"] == "BestEffort";
    let ends = body["spec"]["activeDeadlineSeconds"].is_i64();
    kind.resource == PODS
        && scopes.iter().all(|scope| match scope.as_str() {
            Some("BestEffort") => is_best_effort,
            Some("NotBestEffort") => !is_best_effort,
            Some("Terminating") => ends,
            Some("NotTerminating") => !ends,
            _ => true,
        })
}

/// A quota of CPUs or memory demands that every container says how much it takes.
fn demand(quota: &Object, hard: &Amounts, body: &Value, name: &str) -> Result<(), Status> {
    let mut missing = Vec::new();
    for key in hard.keys().filter(|key| COMPUTE.contains(&key.as_str())) {
        let (kind, resource) = key.split_once('.').unwrap_or(("requests", key));
        let silent: Vec<&str> = body["spec"]["containers"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|c| c["resources"][kind][resource].is_null())
            .filter_map(|c| c["name"].as_str())
            .collect();
        if !silent.is_empty() {
            missing.push(format!("{key} for: {}", silent.join(",")));
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let why = format!("failed quota: {}: must specify {}", quota.name(), missing.join("; "));
    Err(Status::forbidden(&PODS, name, &why))
}

fn exceeded(
    kind: &Kind,
    name: &str,
    quota: &Object,
    hard: &Amounts,
    asked: &Amounts,
    used: &Amounts,
) -> Result<(), Status> {
    let now = |key: &str| used.get(key).copied().unwrap_or(Quantity::ZERO);
    let over: Vec<&String> =
        asked.iter().filter(|(k, v)| now(k).plus(**v) > hard[*k]).map(|(k, _)| k).collect();
    if over.is_empty() {
        return Ok(());
    }
    let list = |amount: &dyn Fn(&str) -> Quantity| {
        let words: Vec<String> = over.iter().map(|key| format!("{key}={}", amount(key))).collect();
        words.join(",")
    };
    let why = format!(
        "exceeded quota: {}, requested: {}, used: {}, limited: {}",
        quota.name(),
        list(&|key| asked[key]),
        list(&now),
        list(&|key| hard[key])
    );
    Err(Status::forbidden(&kind.resource, name, &why))
}
