//! What the cluster makes of a new object, beyond its own defaults: addresses, accounts, priorities, tolerations.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::ApiServer;
use crate::kind::Kind;
use crate::object::Object;
use crate::quantity::Quantity;
use crate::resource::{
    CUSTOM_RESOURCE_DEFINITIONS, PODS, PRIORITY_CLASSES, Resource, SERVICE_ACCOUNTS, SERVICES,
    STORAGE_CLASSES,
};
use crate::status::Status;

impl ApiServer {
    pub(super) fn admit_create(
        &mut self,
        now: Timestamp,
        kind: &Kind,
        body: &mut Value,
        is_tried: bool,
    ) -> Result<(), Status> {
        if kind.custom {
            return Ok(());
        }
        match &*kind.resource.plural {
            "pods" => self.admit_pod(body),
            "services" if is_tried => {
                // What is only tried takes no address; later versions show one all the same.
                let before = self.addresses.clone();
                let outcome = if self.profile.field_validation {
                    self.admit_service(body)
                } else {
                    if body["spec"]["clusterIP"].is_string() {
                        body["spec"]["clusterIPs"] = json!([body["spec"]["clusterIP"]]);
                    }
                    self.give_node_ports(body, true);
                    Ok(())
                };
                self.addresses.restore(before);
                outcome
            }
            "services" => self.admit_service(body),
            "jobs" => {
                self.admit_job(body);
                Ok(())
            }
            "namespaces" => {
                body["spec"] = json!({"finalizers": ["kubernetes"]});
                Ok(())
            }
            "persistentvolumeclaims" => {
                self.admit_claim(body);
                Ok(())
            }
            "customresourcedefinitions" => {
                super::definition::establish(now, body);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    pub(super) fn admit_update(&mut self, kind: &Kind, before: &Value, body: &mut Value) {
        if kind.resource == PODS {
            admit_tolerations(body);
        }
        if kind.resource == SERVICES {
            self.admit_service_update(before, body);
        }
    }

    /// What has to be known before the object is stored.
    pub(super) fn after_create(
        &mut self,
        kind: &Kind,
        body: &mut Value,
        _now: Timestamp,
    ) -> Result<(), Status> {
        if kind.resource == CUSTOM_RESOURCE_DEFINITIONS {
            return self.define(body);
        }
        Ok(())
    }

    pub(super) fn after_update(&mut self, object: &Object) -> Result<(), Status> {
        if *object.resource() == CUSTOM_RESOURCE_DEFINITIONS {
            return self.define(&object.to_value());
        }
        Ok(())
    }

    pub(super) fn after_delete(&mut self, now: Timestamp, gone: &Object) {
        if *gone.resource() == SERVICES {
            self.release_address(gone);
        } else if *gone.resource() == CUSTOM_RESOURCE_DEFINITIONS {
            self.undefine(now, gone);
        }
    }

    fn admit_pod(&mut self, body: &mut Value) -> Result<(), Status> {
        let name = super::create::name_of(body);
        self.admit_account(body, &name)?;
        self.admit_priority(body, &name)?;
        admit_tolerations(body);
        self.apply_limit_ranges(body, &name)?;
        if body["status"]["phase"].is_null() {
            body["status"]["phase"] = json!("Pending");
        }
        body["status"]["qosClass"] = json!(qos_class(&body["spec"]));
        Ok(())
    }

    /// Gives a pod its account, and the account's token.
    fn admit_account(&mut self, body: &mut Value, name: &str) -> Result<(), Status> {
        let namespace = body["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
        let spec = &mut body["spec"];
        if spec["serviceAccountName"].as_str().is_none_or(str::is_empty) {
            spec["serviceAccountName"] = json!("default");
            spec["serviceAccount"] = json!("default");
        }
        let account = spec["serviceAccountName"].as_str().unwrap_or_default().to_owned();
        let Some(found) = self.store.get(&SERVICE_ACCOUNTS, &namespace, &account).cloned() else {
            let why = format!(
                "error looking up service account {namespace}/{account}: serviceaccount \"{account}\" not found"
            );
            return Err(Status::forbidden(&PODS, name, &why));
        };
        if spec["imagePullSecrets"].is_null() && found["imagePullSecrets"].is_array() {
            spec["imagePullSecrets"] = found["imagePullSecrets"].clone();
        }
        let own = spec["automountServiceAccountToken"].as_bool();
        if own.or(found["automountServiceAccountToken"].as_bool()).unwrap_or(true) {
            let volume = format!("kube-api-access-{}", self.ids.suffix());
            mount_token(spec, &volume);
        }
        if let Some(map) = spec.as_object_mut() {
            map.retain(|_, value| !value.is_null());
        }
        Ok(())
    }

    fn admit_priority(&mut self, body: &mut Value, name: &str) -> Result<(), Status> {
        let spec = &mut body["spec"];
        let (mut value, mut policy) = (0, json!("PreemptLowerPriority"));
        match spec["priorityClassName"].as_str().unwrap_or_default() {
            "" => {
                let default = self.store.list(&PRIORITY_CLASSES, None).find(|c| c["globalDefault"] == true);
                if let Some(class) = default {
                    value = class["value"].as_i64().unwrap_or(0);
                    policy = class["preemptionPolicy"].clone();
                    spec["priorityClassName"] = json!(class.name());
                }
            }
            "system-cluster-critical" => value = 2_000_000_000,
            "system-node-critical" => value = 2_000_001_000,
            class => {
                let Some(class) = self.store.get(&PRIORITY_CLASSES, "", class) else {
                    let why = format!("no PriorityClass with name {class} was found");
                    return Err(Status::forbidden(&PODS, name, &why));
                };
                value = class["value"].as_i64().unwrap_or(0);
                policy = class["preemptionPolicy"].clone();
            }
        }
        spec["priority"] = json!(value);
        spec["preemptionPolicy"] = policy;
        if let Some(map) = spec.as_object_mut() {
            map.retain(|_, value| !value.is_null());
        }
        Ok(())
    }

    /// Gives a job the selector of its own pods.
    fn admit_job(&self, body: &mut Value) {
        if body["spec"]["manualSelector"] == true {
            return;
        }
        let uid = body["metadata"]["uid"].clone();
        let name = body["metadata"]["name"].clone();
        let key =
            if self.profile.job_modes { "batch.kubernetes.io/controller-uid" } else { "controller-uid" };
        // Labels a job took over from its pods are those of its pods from then on.
        let shares = body["metadata"]["labels"] == body["spec"]["template"]["metadata"]["labels"];
        let labels = super::map_mut(&mut body["spec"]["template"]["metadata"], "labels");
        labels.insert("controller-uid".to_owned(), uid.clone());
        labels.insert("job-name".to_owned(), name.clone());
        if self.profile.job_modes {
            labels.insert("batch.kubernetes.io/controller-uid".to_owned(), uid.clone());
            labels.insert("batch.kubernetes.io/job-name".to_owned(), name);
        }
        let own_labels = labels.clone();
        if shares || body["metadata"]["labels"].as_object().is_none_or(serde_json::Map::is_empty) {
            body["metadata"]["labels"] = Value::Object(own_labels);
        }
        body["spec"]["selector"] = json!({"matchLabels": {key: uid}});
    }

    fn admit_claim(&self, body: &mut Value) {
        let spec = &mut body["spec"];
        if spec["storageClassName"].is_null() {
            let marked = |o: &Object| {
                o["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"] == "true"
            };
            match self.store.list(&STORAGE_CLASSES, None).find(|o| marked(o)) {
                Some(class) => spec["storageClassName"] = json!(class.name()),
                None => drop(spec.as_object_mut().map(|s| s.remove("storageClassName"))),
            }
        }
        let finalizer = json!("kubernetes.io/pvc-protection");
        let metadata = &mut body["metadata"];
        match metadata["finalizers"].as_array_mut() {
            Some(list) if !list.contains(&finalizer) => list.push(finalizer),
            Some(_) => {}
            None => metadata["finalizers"] = json!([finalizer]),
        }
    }

    /// Places a pod on a node, as the scheduler's binding does.
    ///
    /// # Errors
    ///
    /// 404, 409 when it is placed already or about to go.
    pub fn bind(
        &mut self,
        now: Timestamp,
        namespace: &str,
        name: &str,
        node: &str,
    ) -> Result<std::sync::Arc<Object>, Status> {
        let old = std::sync::Arc::clone(self.get(&PODS, namespace, name)?);
        let binding = Resource::fixed("", "pods/binding");
        if old.is_terminating() {
            let why = format!("pod {name} is being deleted, cannot be assigned to a host");
            return Err(Status::conflict(&binding, name, &why));
        }
        let other = old.node_name();
        if !other.is_empty() {
            let why = format!("pod {name} is already assigned to node \"{other}\"");
            return Err(Status::conflict(&binding, name, &why));
        }
        let condition = json!({"type": "PodScheduled", "status": "True", "lastProbeTime": null,
            "lastTransitionTime": crate::time::seconds(now)});
        let known = old.field("status", "conditions").as_array().into_iter().flatten();
        let mut list: Vec<Value> = known.filter(|c| c["type"] != "PodScheduled").cloned().collect();
        list.push(condition);
        let placed = old.with_fields("spec", [("nodeName", json!(node))]);
        Ok(self.store.put(now, placed.with_fields("status", [("conditions", Value::Array(list))])))
    }
}

/// A pod stays for a while on a node that is not well.
fn admit_tolerations(body: &mut Value) {
    if body["spec"]["tolerations"].is_null() {
        body["spec"]["tolerations"] = json!([]);
    }
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let Some(list) = body["spec"]["tolerations"].as_array_mut() else { break };
        let is_there = |t: &Value| {
            (t["key"] == key || (t["key"].as_str().is_none_or(str::is_empty) && t["operator"] == "Exists"))
                && (t["effect"] == "NoExecute" || t["effect"].is_null())
        };
        if !list.iter().any(is_there) {
            list.push(
                json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}),
            );
        }
    }
}

fn mount_token(spec: &mut Value, volume: &str) {
    const PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
    let mut used = false;
    for list in ["initContainers", "containers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let mounts = container["volumeMounts"].as_array();
            if mounts.is_some_and(|mounts| mounts.iter().any(|m| m["mountPath"] == PATH)) {
                continue;
            }
            let mount = json!({"name": volume, "mountPath": PATH, "readOnly": true});
            match container["volumeMounts"].as_array_mut() {
                Some(mounts) => mounts.push(mount),
                None => container["volumeMounts"] = Value::Array(vec![mount]),
            }
            used = true;
        }
    }
    if !used {
        return;
    }
    let sources = json!([
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"items": [{"key": "ca.crt", "path": "ca.crt"}], "name": "kube-root-ca.crt"}},
        {"downwardAPI": {"items": [{"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"},
            "path": "namespace"}]}},
    ]);
    let mut volume = json!({"name": volume, "projected": {"defaultMode": 420}});
    // Put in as it is; the macro would copy it.
    volume["projected"]["sources"] = sources;
    match spec["volumes"].as_array_mut() {
        Some(volumes) => volumes.push(volume),
        None => spec["volumes"] = Value::Array(vec![volume]),
    }
}

/// How a pod is treated when memory gets short.
fn qos_class(spec: &Value) -> &'static str {
    let lists = ["containers", "initContainers"];
    let containers: Vec<&Value> =
        lists.iter().flat_map(|list| spec[*list].as_array().into_iter().flatten()).collect();
    let amount = |c: &Value, kind: &str, resource: &str| {
        c["resources"][kind][resource].as_str().and_then(Quantity::parse).filter(|q| !q.is_zero())
    };
    let asks = |c: &&Value| {
        ["cpu", "memory"]
            .iter()
            .any(|r| amount(c, "requests", r).is_some() || amount(c, "limits", r).is_some())
    };
    let guaranteed = |c: &&Value| {
        ["cpu", "memory"].iter().all(|r| {
            let limit = amount(c, "limits", r);
            limit.is_some() && amount(c, "requests", r) == limit
        })
    };
    if !containers.iter().any(asks) {
        "BestEffort"
    } else if containers.iter().all(guaranteed) {
        "Guaranteed"
    } else {
        "Burstable"
    }
}
