//! What a release will do, worked out before anything is written: the desired objects, what the server says applying them
//! would change, and the machine's plan.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use release_cluster::{Change, Cluster, Conflicts, Header, Objects, ServiceRecord, State, is_ours};
use release_core::{Cause, CauseKind, Certainty, EnvironmentName, ObjectRef, ProjectName, ServiceName};
use release_manifest::{LABEL_INSTANCE, LABEL_MANAGED_BY, LABEL_PART_OF, MANAGED_BY};
use release_rollout::{Check, ReleasePlan, RollingPlan, ServicePlan, Strategy};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Releases whose objects are kept for a rollback.
pub const KEEP: usize = 10;

/// Services on their way at the same time. More would only compete for the same nodes and image pulls.
const CONCURRENCY: usize = 8;

/// What a rollback has beyond the time in which its service becomes ready, because it has to succeed with the cluster it finds:
/// a node that is lost keeps its pods for 40 to 50 s until the control plane notices (`node-monitor-grace-period`) and for 300 s
/// more (the default toleration of `not-ready` and `unreachable`) before others take their place.
const NODE_LOST: Duration = Duration::from_secs(360);

/// One service as it shall be.
#[derive(Debug, Clone, PartialEq)]
pub struct DesiredService {
    /// What goes into the record.
    pub record: ServiceRecord,
    /// Its objects, in the order in which they are applied.
    pub objects: Vec<(ObjectRef, Value)>,
}

/// The whole project as it shall be.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Desired {
    /// Every service.
    pub services: BTreeMap<ServiceName, DesiredService>,
}

/// What applying one object will do, for people and for the event stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedChange {
    /// The service.
    pub service: ServiceName,
    /// The object.
    pub object: ObjectRef,
    /// What will be done with it.
    pub verb: Verb,
    /// Paths of fields that change, at most [`FIELDS_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
}

/// What is done with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// It does not exist yet.
    Create,
    /// It exists and changes.
    Update,
    /// It is not needed any more.
    Delete,
}

/// More fields than this tell a reader nothing.
pub const FIELDS_MAX: usize = 12;

/// Everything that will be done.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The project as it shall be.
    pub desired: Desired,
    /// A hash over it: equal for equal content.
    pub content: String,
    /// The release a rollback returns to.
    pub baseline: Option<u64>,
    /// Its objects, and those that were found in their place.
    pub previous: Objects,
    /// Objects that were found and are in no verified release, as they were.
    pub adopted: Objects,
    /// What applying will change.
    pub changes: Vec<PlannedChange>,
    /// Services that stay as they are.
    pub unchanged: Vec<ServiceName>,
    /// The machine's plan.
    pub release: ReleasePlan,
}

/// Why there is no plan. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The API server would refuse objects.
    #[error("{}", refusals(.causes))]
    Refused {
        /// What it said about each.
        causes: Vec<Cause>,
    },
    /// The API server cannot be asked.
    #[error(transparent)]
    Api(#[from] release_cluster::ApiError),
}

fn refusals(causes: &[Cause]) -> String {
    match causes {
        [one] => format!("the cluster would refuse this release: {}", one.summary),
        many => {
            let lines: Vec<_> = many.iter().map(|cause| format!("\n    {}", cause.summary)).collect();
            format!("the cluster would refuse this release:{}", lines.concat())
        }
    }
}

impl Desired {
    /// A hash over all objects, needs and checks: equal for equal content.
    pub fn content(&self) -> String {
        let mut hasher = Sha256::new();
        for (name, service) in &self.services {
            hasher.update(name.as_str());
            hasher.update(serde_json::to_vec(&service.record).unwrap_or_default());
            for (_, body) in &service.objects {
                hasher.update(serde_json::to_vec(&sorted(body)).unwrap_or_default());
            }
        }
        release_core::Digest::from_sha256(hasher.finalize().into()).hex().to_owned()
    }

    /// The bodies, by service, as the record keeps them.
    pub fn objects(&self) -> Objects {
        let bodies =
            |service: &DesiredService| service.objects.iter().map(|(_, body)| body.clone()).collect();
        self.services.iter().map(|(name, service)| (name.clone(), bodies(service))).collect()
    }
}

/// The same value with keys in order, whatever map type the build has chosen.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let ordered: BTreeMap<_, _> =
                map.iter().map(|(key, value)| (key.clone(), sorted(value))).collect();
            ordered.into_iter().collect()
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

/// The name of an object's body.
pub(crate) fn ref_of(body: &Value) -> ObjectRef {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    ObjectRef {
        api_version: text(&body["apiVersion"]),
        kind: text(&body["kind"]),
        namespace: body["metadata"]["namespace"].as_str().map(str::to_owned),
        name: text(&body["metadata"]["name"]),
    }
}

/// Whose objects are ours.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whose<'a> {
    pub(crate) project: &'a ProjectName,
    pub(crate) environment: &'a EnvironmentName,
}

/// Works out what releasing `desired` would do. `touched` are the services that may change; the others stay as recorded.
///
/// # Errors
/// When the server would refuse an object, or an object belongs to another project or environment.
pub(crate) async fn plan(
    cluster: &Cluster,
    whose: Whose<'_>,
    desired: Desired,
    headers: &[Header],
    mut previous: Objects,
    touched: &BTreeSet<ServiceName>,
    conflicts: Conflicts,
) -> Result<Plan, PlanError> {
    let baseline = headers.iter().rev().find(|header| header.state == State::Verified);
    let mut changes = Vec::new();
    let mut unchanged = Vec::new();
    let mut causes = Vec::new();
    let mut services = BTreeMap::new();
    let mut taken = Objects::new();
    for (name, service) in &desired.services {
        if !touched.contains(name) {
            unchanged.push(name.clone());
            continue;
        }
        let preview = cluster.preview(&service.objects, conflicts).await?;
        causes.extend(refused(whose, &service.objects, &preview));
        let before = changes.len();
        changes.extend(
            service
                .objects
                .iter()
                .zip(&preview)
                .filter_map(|((object, _), change)| described(name, object, change)),
        );
        let recorded = baseline.and_then(|header| header.services.get(name));
        let same_record = recorded == Some(&service.record) && previous.get(name) == Some(&bodies(service));
        if changes.len() == before && same_record {
            unchanged.push(name.clone());
        } else {
            let recorded: Vec<ObjectRef> = previous.get(name).into_iter().flatten().map(ref_of).collect();
            let found = adopted(service, &preview, &recorded, headers);
            if !found.is_empty() {
                previous.entry(name.clone()).or_default().extend(found.iter().cloned());
                taken.insert(name.clone(), found);
            }
            services.insert(name.clone(), service_plan(name, service, &preview, &previous));
        }
    }
    if !causes.is_empty() {
        return Err(PlanError::Refused { causes });
    }
    let prune = superfluous(cluster, whose.project, &desired, headers).await?;
    changes.extend(prune.iter().map(|(service, object)| PlannedChange {
        service: service.clone(),
        object: object.clone(),
        verb: Verb::Delete,
        fields: Vec::new(),
    }));
    let release = ReleasePlan { services, concurrency: CONCURRENCY, prune };
    let content = desired.content();
    Ok(Plan {
        desired,
        content,
        baseline: baseline.map(|header| header.number),
        previous,
        adopted: taken,
        changes,
        unchanged,
        release,
    })
}

fn bodies(service: &DesiredService) -> Vec<Value> {
    service.objects.iter().map(|(_, body)| body.clone()).collect()
}

fn refused<'a>(
    whose: Whose<'a>,
    objects: &'a [(ObjectRef, Value)],
    preview: &'a [Change],
) -> impl Iterator<Item = Cause> + 'a {
    objects.iter().zip(preview).filter_map(move |((object, _), change)| match change {
        Change::Refused(cause) => Some((**cause).clone()),
        Change::Create => None,
        Change::Update { live, .. } | Change::Nothing { live } => foreign(whose, object, live),
    })
}

/// An object another project of ours, or another environment of this one, has applied: server-side apply would not notice, the
/// field manager is the same.
fn foreign(whose: Whose<'_>, object: &ObjectRef, live: &Value) -> Option<Cause> {
    let labels = &live["metadata"]["labels"];
    let owner = labels[LABEL_PART_OF].as_str()?;
    if labels[LABEL_MANAGED_BY] != MANAGED_BY {
        return None;
    }
    let instance = labels[LABEL_INSTANCE].as_str();
    let summary = if owner != whose.project.as_str() {
        format!(
            "{object} belongs to project `{owner}`; two projects in one namespace need different service names"
        )
    } else if let Some(other) = instance.filter(|instance| *instance != whose.environment.as_str()) {
        format!("{object} belongs to environment `{other}`; two environments cannot share a namespace")
    } else {
        return None;
    };
    Some(Cause {
        kind: CauseKind::Refused,
        certainty: Certainty::Terminal,
        object: object.clone(),
        summary,
        evidence: Vec::new(),
    })
}

/// What is there and in no verified release: made by somebody else, or its record is gone. A rollback has to bring it back as it
/// was, so its body is kept. An object that an unfinished release of ours made is not among these: that is removed.
fn adopted(
    service: &DesiredService,
    preview: &[Change],
    recorded: &[ObjectRef],
    headers: &[Header],
) -> Vec<Value> {
    let earlier = |object: &ObjectRef| {
        headers
            .iter()
            .rev()
            .flat_map(|header| header.adopted.values().flatten())
            .find(|body| ref_of(body) == *object)
    };
    let made =
        |object: &ObjectRef| headers.iter().flat_map(Header::inventory).any(|(_, other)| other == object);
    let unknown = service.objects.iter().zip(preview).filter(|((object, _), _)| !recorded.contains(object));
    unknown
        .filter_map(|((object, _), change)| {
            let live = change.live()?;
            earlier(object).cloned().or_else(|| (!made(object)).then(|| as_it_was(live)))
        })
        .collect()
}

/// What the API server allocates. It stays without being asked for; whoever asks for it once cannot stop to, because then it
/// would be taken away, which is forbidden.
const ALLOCATED: &[&str] =
    &["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "healthCheckNodePort", "nodePort"];

/// A live object as something that can be applied again: without what the server and the controllers keep in it.
fn as_it_was(live: &Value) -> Value {
    let mut body = live.clone();
    if let Some(map) = body.as_object_mut() {
        map.remove("status");
        // Those of a ServiceAccount are its controller's.
        map.remove("secrets");
    }
    if body["kind"] == "Service" {
        let spec = &mut body["spec"];
        let ports = spec["ports"].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut);
        ports.for_each(|port| port.retain(|key, _| !ALLOCATED.contains(&key.as_str())));
        if let Some(spec) = spec.as_object_mut() {
            spec.retain(|key, _| !ALLOCATED.contains(&key.as_str()));
        }
    }
    if let Some(metadata) = body["metadata"].as_object_mut() {
        metadata.retain(|key, _| ["name", "namespace", "labels", "annotations"].contains(&key.as_str()));
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.retain(|key, _| !key.starts_with("deployment.kubernetes.io/"));
        }
    }
    body
}

fn described(service: &ServiceName, object: &ObjectRef, change: &Change) -> Option<PlannedChange> {
    let (verb, fields) = match change {
        Change::Create => (Verb::Create, Vec::new()),
        Change::Update { live, would_be } => (Verb::Update, changed_fields(live, would_be)),
        Change::Nothing { .. } | Change::Refused(_) => return None,
    };
    Some(PlannedChange { service: service.clone(), object: object.clone(), verb, fields })
}

/// Paths of the fields in which two objects differ, without the server's bookkeeping.
fn changed_fields(live: &Value, would_be: &Value) -> Vec<String> {
    let mut fields = Vec::new();
    for key in ["metadata.labels", "metadata.annotations", "spec", "data", "binaryData", "immutable"] {
        let at = |object: &Value| key.split('.').fold(object.clone(), |value, key| value[key].clone());
        diff(key, &at(live), &at(would_be), &mut fields);
    }
    fields.truncate(FIELDS_MAX);
    fields
}

fn diff(path: &str, a: &Value, b: &Value, fields: &mut Vec<String>) {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<_> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let null = Value::Null;
                diff(
                    &format!("{path}.{key}"),
                    a.get(key).unwrap_or(&null),
                    b.get(key).unwrap_or(&null),
                    fields,
                );
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                diff(&format!("{path}[{index}]"), a, b, fields);
            }
        }
        (a, b) if a != b => fields.push(path.to_owned()),
        _ => {}
    }
}

fn workloads<'a>(objects: impl Iterator<Item = &'a ObjectRef>) -> Vec<ObjectRef> {
    objects.filter(|object| object.kind == "Deployment").cloned().collect()
}

fn service_plan(
    name: &ServiceName,
    service: &DesiredService,
    preview: &[Change],
    previous: &Objects,
) -> ServicePlan {
    let restore: Vec<ObjectRef> = previous.get(name).into_iter().flatten().map(ref_of).collect();
    let remove = service
        .objects
        .iter()
        .zip(preview)
        .map(|((object, _), change)| (object, change))
        .filter(|(object, change)| !restore.contains(object) && change.live().is_none_or(is_ours))
        .map(|(object, _)| object.clone())
        .rev()
        .collect();
    let apply: Vec<ObjectRef> = service.objects.iter().map(|(object, _)| object.clone()).collect();
    let record = &service.record;
    ServicePlan {
        needs: record.needs.clone(),
        strategy: Strategy::Rolling(RollingPlan {
            workloads: workloads(apply.iter()),
            restore_workloads: workloads(restore.iter()),
            apply,
            restore,
            remove,
            deadline: record.deadline,
            rollback_deadline: record.deadline + NODE_LOST,
            soak: record.soak,
            checks: record.checks.values().map(|check| check.timing.clone()).collect::<Vec<Check>>(),
        }),
    }
}

/// Objects of earlier releases that nothing needs any more: in a record of ours, not in the new release, not wanted by one
/// of the last [`KEEP`] verified releases for a rollback, and still ours.
async fn superfluous(
    cluster: &Cluster,
    project: &ProjectName,
    desired: &Desired,
    headers: &[Header],
) -> Result<Vec<(ServiceName, ObjectRef)>, PlanError> {
    let wanted: BTreeSet<&ObjectRef> = desired
        .services
        .values()
        .flat_map(|service| service.objects.iter().map(|(object, _)| object))
        .collect();
    let kept: BTreeSet<&ObjectRef> = headers
        .iter()
        .rev()
        .filter(|header| header.state == State::Verified)
        // The new release will be one of the kept ones.
        .take(KEEP - 1)
        .flat_map(|header| header.inventory().map(|(_, object)| object))
        .filter(|object| object.kind == "ConfigMap")
        .collect();
    let candidates: BTreeSet<(ServiceName, ObjectRef)> = headers
        .iter()
        .flat_map(Header::inventory)
        .filter(|(_, object)| !wanted.contains(object) && !kept.contains(object))
        .map(|(service, object)| (service.clone(), object.clone()))
        .collect();
    let mut prune = Vec::new();
    let mut seen = BTreeSet::new();
    for (service, object) in candidates {
        if !seen.insert(object.clone()) {
            continue;
        }
        if let Some(live) = cluster.live(&object).await?
            && is_ours(&live)
            && live["metadata"]["labels"][LABEL_PART_OF] == project.as_str()
        {
            prune.push((service, object));
        }
    }
    Ok(prune)
}

#[cfg(test)]
mod tests;
