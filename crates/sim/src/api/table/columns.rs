//! The columns of each kind.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::cells::{
    age, age_of, containers, human, images, keys, labels_text, list, number, or_na, or_none, or_unknown,
    pod_status, restarts, selector, text_or_empty,
};

use crate::api::path::Place;
use crate::object::Object;

type Cell = fn(&Object, Timestamp) -> Value;

/// One column.
pub(super) struct Column {
    name: String,
    kind: String,
    format: &'static str,
    priority: i64,
    cell: Source,
}

enum Source {
    Code(Cell),
    /// A path in a custom object, as in `.spec.size`.
    Path(String),
}

impl Column {
    pub(super) fn describe(&self) -> Value {
        json!({"name": self.name, "type": self.kind, "format": self.format, "description": "",
            "priority": self.priority})
    }

    pub(super) fn cell(&self, now: Timestamp, object: &Object) -> Value {
        match &self.cell {
            Source::Code(cell) => cell(object, now),
            Source::Path(path) => {
                let found = at_path(object, path);
                match (self.kind.as_str(), found) {
                    ("date", Value::String(at)) => json!(age_of(&at, now)),
                    (_, found) => found,
                }
            }
        }
    }
}

fn at_path(object: &Object, path: &str) -> Value {
    let whole = object.to_value();
    let mut place = &whole;
    for part in path.trim_start_matches('.').replace(['[', ']'], ".").split('.').filter(|p| !p.is_empty()) {
        place = match part.parse::<usize>() {
            Ok(index) => &place[index],
            Err(_) => &place[part.trim_matches(['\'', '"'])],
        };
    }
    place.clone()
}

/// The columns of the kind at a place.
pub(super) fn of(place: &Place) -> Vec<Column> {
    let name = |object: &Object, _: Timestamp| json!(object.name());
    let code = |name: &str, kind: &str, priority: i64, cell: Cell| Column {
        name: name.to_owned(),
        kind: kind.to_owned(),
        format: if name == "Name" { "name" } else { "" },
        priority,
        cell: Source::Code(cell),
    };
    let mut columns = vec![code("Name", "string", 0, name)];
    let custom = place.served().map_or(&[][..], |s| &s.columns);
    if !custom.is_empty() {
        columns.extend(custom.iter().map(|column| Column {
            name: column["name"].as_str().unwrap_or_default().to_owned(),
            kind: column["type"].as_str().unwrap_or("string").to_owned(),
            format: "",
            priority: column["priority"].as_i64().unwrap_or(0),
            cell: Source::Path(column["jsonPath"].as_str().unwrap_or_default().to_owned()),
        }));
        return columns;
    }
    if place.is_events() || place.resource.plural == "events" {
        columns.clear();
    }
    let special: &[(&str, &str, i64, Cell)] = match &*place.resource.plural {
        "pods" => PODS,
        "deployments" => DEPLOYMENTS,
        "replicasets" | "replicationcontrollers" => REPLICA_SETS,
        "statefulsets" => STATEFUL_SETS,
        "daemonsets" => DAEMON_SETS,
        "jobs" => JOBS,
        "cronjobs" => CRON_JOBS,
        "services" => SERVICES,
        "endpoints" => ENDPOINTS,
        "configmaps" => CONFIG_MAPS,
        "secrets" => SECRETS,
        "namespaces" => NAMESPACES,
        "nodes" => NODES,
        "events" => EVENTS,
        "ingresses" => INGRESSES,
        "horizontalpodautoscalers" => AUTOSCALERS,
        "poddisruptionbudgets" => BUDGETS,
        "persistentvolumeclaims" => CLAIMS,
        "serviceaccounts" => ACCOUNTS,
        "leases" => LEASES,
        "customresourcedefinitions" => DEFINITIONS,
        "endpointslices" => ENDPOINT_SLICES,
        "persistentvolumes" => VOLUMES,
        "storageclasses" => STORAGE_CLASSES,
        "priorityclasses" => PRIORITY_CLASSES,
        "networkpolicies" => NETWORK_POLICIES,
        "rolebindings" | "clusterrolebindings" => ROLE_BINDINGS,
        "controllerrevisions" => REVISIONS,
        "ingressclasses" => INGRESS_CLASSES,
        _ => &[],
    };
    if special.is_empty() {
        let label = if place.kind.custom { "Age" } else { "Created At" };
        let cell: Cell =
            if place.kind.custom { age } else { |o, _| o["metadata"]["creationTimestamp"].clone() };
        columns.push(code(label, "date", 0, cell));
    }
    columns.extend(special.iter().map(|(name, kind, priority, cell)| code(name, kind, *priority, *cell)));
    columns
}

fn access_modes(modes: &Value) -> String {
    let short = |mode: &Value| match mode.as_str().unwrap_or_default() {
        "ReadWriteOnce" => "RWO",
        "ReadOnlyMany" => "ROX",
        "ReadWriteMany" => "RWX",
        _ => "RWOP",
    };
    list(modes).map(short).collect::<Vec<_>>().join(",")
}

/// A text or a number as it is shown in a cell.
fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The first three, and how many more there are; `<unset>` for none.
fn first_three(all: impl Iterator<Item = String>) -> String {
    let all: Vec<_> = all.collect();
    match all.len() {
        0 => "<unset>".to_owned(),
        1..=3 => all.join(","),
        more => format!("{} + {} more...", all[..3].join(","), more - 3),
    }
}

type Columns = &'static [(&'static str, &'static str, i64, Cell)];

const PODS: Columns = &[
    ("Ready", "string", 0, |o, _| {
        let statuses = list(&o["status"]["containerStatuses"]);
        let ready = statuses.filter(|s| s["ready"] == true).count();
        json!(format!("{ready}/{}", list(&o["spec"]["containers"]).count()))
    }),
    ("Status", "string", 0, |o, _| json!(pod_status(o))),
    ("Restarts", "string", 0, |o, now| json!(restarts(o, now))),
    ("Age", "string", 0, age),
    ("IP", "string", 1, |o, _| or_none(&o["status"]["podIP"])),
    ("Node", "string", 1, |o, _| or_none(&o["spec"]["nodeName"])),
    ("Nominated Node", "string", 1, |o, _| or_none(&o["status"]["nominatedNodeName"])),
    ("Readiness Gates", "string", 1, |_, _| json!("<none>")),
];

const DEPLOYMENTS: Columns = &[
    ("Ready", "string", 0, |o, _| {
        json!(format!("{}/{}", number(&o["status"]["readyReplicas"]), number(&o["spec"]["replicas"])))
    }),
    ("Up-to-date", "string", 0, |o, _| json!(number(&o["status"]["updatedReplicas"]))),
    ("Available", "string", 0, |o, _| json!(number(&o["status"]["availableReplicas"]))),
    ("Age", "string", 0, age),
    ("Containers", "string", 1, containers),
    ("Images", "string", 1, images),
    ("Selector", "string", 1, selector),
];

const REPLICA_SETS: Columns = &[
    ("Desired", "integer", 0, |o, _| json!(number(&o["spec"]["replicas"]))),
    ("Current", "integer", 0, |o, _| json!(number(&o["status"]["replicas"]))),
    ("Ready", "integer", 0, |o, _| json!(number(&o["status"]["readyReplicas"]))),
    ("Age", "string", 0, age),
    ("Containers", "string", 1, containers),
    ("Images", "string", 1, images),
    ("Selector", "string", 1, selector),
];

const STATEFUL_SETS: Columns = &[
    ("Ready", "string", 0, |o, _| {
        json!(format!("{}/{}", number(&o["status"]["readyReplicas"]), number(&o["spec"]["replicas"])))
    }),
    ("Age", "string", 0, age),
    ("Containers", "string", 1, containers),
    ("Images", "string", 1, images),
];

const DAEMON_SETS: Columns = &[
    ("Desired", "integer", 0, |o, _| json!(number(&o["status"]["desiredNumberScheduled"]))),
    ("Current", "integer", 0, |o, _| json!(number(&o["status"]["currentNumberScheduled"]))),
    ("Ready", "integer", 0, |o, _| json!(number(&o["status"]["numberReady"]))),
    ("Up-to-date", "integer", 0, |o, _| json!(number(&o["status"]["updatedNumberScheduled"]))),
    ("Available", "integer", 0, |o, _| json!(number(&o["status"]["numberAvailable"]))),
    ("Node Selector", "string", 0, |o, _| json!(labels_text(&o["spec"]["template"]["spec"]["nodeSelector"]))),
    ("Age", "string", 0, age),
    ("Containers", "string", 1, containers),
    ("Images", "string", 1, images),
    ("Selector", "string", 1, selector),
];

const JOBS: Columns = &[
    ("Status", "string", 0, |o, _| {
        let is =
            |kind: &str| list(&o["status"]["conditions"]).any(|c| c["type"] == kind && c["status"] == "True");
        let status =
            ["Complete", "Failed", "Suspended", "FailureTarget", "SuccessCriteriaMet"].iter().find(|k| is(k));
        json!(match status {
            _ if o.is_terminating() => "Terminating",
            Some(status) => status,
            None => "Running",
        })
    }),
    ("Completions", "string", 0, |o, _| {
        let done = number(&o["status"]["succeeded"]);
        match o["spec"]["completions"].as_i64() {
            Some(wanted) => json!(format!("{done}/{wanted}")),
            None => json!(format!("{done}/1")),
        }
    }),
    ("Duration", "string", 0, |o, now| {
        let at = |value: &Value| value.as_str().and_then(crate::time::parse);
        match at(&o["status"]["startTime"]) {
            Some(start) => {
                let end = at(&o["status"]["completionTime"]).unwrap_or(now);
                json!(human(end.duration_since(start).unsigned_abs()))
            }
            None => json!(""),
        }
    }),
    ("Age", "string", 0, age),
    ("Containers", "string", 1, containers),
    ("Images", "string", 1, images),
    ("Selector", "string", 1, selector),
];

const CRON_JOBS: Columns = &[
    ("Schedule", "string", 0, |o, _| o["spec"]["schedule"].clone()),
    ("Timezone", "string", 0, |o, _| or_none(&o["spec"]["timeZone"])),
    ("Suspend", "string", 0, |o, _| json!(if o["spec"]["suspend"] == true { "True" } else { "False" })),
    ("Active", "integer", 0, |o, _| json!(list(&o["status"]["active"]).count())),
    ("Last Schedule", "string", 0, |o, now| match o["status"]["lastScheduleTime"].as_str() {
        Some(at) => json!(age_of(at, now)),
        None => json!("<none>"),
    }),
    ("Age", "string", 0, age),
];

const SERVICES: Columns = &[
    ("Type", "string", 0, |o, _| o["spec"]["type"].clone()),
    ("Cluster-IP", "string", 0, |o, _| or_none(&o["spec"]["clusterIP"])),
    ("External-IP", "string", 0, |o, _| {
        json!(match o["spec"]["type"].as_str() {
            Some("ExternalName") => o["spec"]["externalName"].as_str().unwrap_or_default(),
            Some("LoadBalancer") => {
                o["status"]["loadBalancer"]["ingress"][0]["ip"].as_str().unwrap_or("<pending>")
            }
            _ => "<none>",
        })
    }),
    ("Port(s)", "string", 0, |o, _| {
        let ports: Vec<String> = list(&o["spec"]["ports"])
            .map(|p| match p["nodePort"].as_i64() {
                Some(node) => format!("{}:{node}/{}", p["port"], p["protocol"].as_str().unwrap_or_default()),
                None => format!("{}/{}", p["port"], p["protocol"].as_str().unwrap_or_default()),
            })
            .collect();
        json!(if ports.is_empty() { "<none>".to_owned() } else { ports.join(",") })
    }),
    ("Age", "string", 0, age),
    ("Selector", "string", 1, |o, _| json!(labels_text(&o["spec"]["selector"]))),
];

const ENDPOINTS: Columns = &[
    ("Endpoints", "string", 0, |o, _| {
        let mut all = Vec::new();
        for subset in list(&o["subsets"]) {
            for port in list(&subset["ports"]) {
                let ips = list(&subset["addresses"]).filter_map(|a| a["ip"].as_str());
                all.extend(ips.map(|ip| format!("{ip}:{}", port["port"])));
            }
        }
        let more = all.len().saturating_sub(3);
        all.truncate(3);
        json!(match (all.is_empty(), more) {
            (true, _) => "<none>".to_owned(),
            (_, 0) => all.join(","),
            (_, more) => format!("{} + {more} more...", all.join(",")),
        })
    }),
    ("Age", "string", 0, age),
];

const CONFIG_MAPS: Columns = &[
    ("Data", "string", 0, |o, _| json!(keys(&o["data"]) + keys(&o["binaryData"]))),
    ("Age", "string", 0, age),
];

const SECRETS: Columns = &[
    ("Type", "string", 0, |o, _| o["type"].clone()),
    ("Data", "string", 0, |o, _| json!(keys(&o["data"]))),
    ("Age", "string", 0, age),
];

const NAMESPACES: Columns =
    &[("Status", "string", 0, |o, _| o["status"]["phase"].clone()), ("Age", "string", 0, age)];

const NODES: Columns = &[
    ("Status", "string", 0, |o, _| {
        let ready = list(&o["status"]["conditions"]).find(|c| c["type"] == "Ready");
        let mut text = match ready.and_then(|c| c["status"].as_str()) {
            Some("True") => "Ready".to_owned(),
            Some(_) => "NotReady".to_owned(),
            None => "Unknown".to_owned(),
        };
        if o["spec"]["unschedulable"] == true {
            text.push_str(",SchedulingDisabled");
        }
        json!(text)
    }),
    ("Roles", "string", 0, |o, _| {
        let labels = o["metadata"]["labels"].as_object();
        let keys = labels.into_iter().flat_map(|m| m.keys());
        let roles: Vec<&str> = keys.filter_map(|k| k.strip_prefix("node-role.kubernetes.io/")).collect();
        json!(if roles.is_empty() { "<none>".to_owned() } else { roles.join(",") })
    }),
    ("Age", "string", 0, age),
    ("Version", "string", 0, |o, _| o["status"]["nodeInfo"]["kubeletVersion"].clone()),
    ("Internal-IP", "string", 1, |o, _| {
        let address = list(&o["status"]["addresses"]).find(|a| a["type"] == "InternalIP");
        address.map_or(json!("<none>"), |a| a["address"].clone())
    }),
    ("External-IP", "string", 1, |_, _| json!("<none>")),
    ("OS-Image", "string", 1, |o, _| or_unknown(&o["status"]["nodeInfo"]["osImage"])),
    ("Kernel-Version", "string", 1, |o, _| or_unknown(&o["status"]["nodeInfo"]["kernelVersion"])),
    ("Container-Runtime", "string", 1, |o, _| {
        or_unknown(&o["status"]["nodeInfo"]["containerRuntimeVersion"])
    }),
];

const EVENTS: Columns = &[
    ("Last Seen", "string", 0, |o, now| {
        let times = ["lastTimestamp", "firstTimestamp", "eventTime"];
        let at = times.iter().find_map(|field| o[*field].as_str());
        json!(at.map_or("<unknown>".to_owned(), |at| age_of(at, now)))
    }),
    ("Type", "string", 0, |o, _| o["type"].clone()),
    ("Reason", "string", 0, |o, _| o["reason"].clone()),
    ("Object", "string", 0, |o, _| {
        let of = &o["involvedObject"];
        let kind = of["kind"].as_str().unwrap_or_default().to_lowercase();
        json!(format!("{kind}/{}", of["name"].as_str().unwrap_or_default()))
    }),
    ("Subobject", "string", 1, |o, _| text_or_empty(&o["involvedObject"]["fieldPath"])),
    ("Source", "string", 1, |o, _| {
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let (component, host) = (text(&o["source"]["component"]), text(&o["source"]["host"]));
        json!(if host.is_empty() { component } else { format!("{component}, {host}") })
    }),
    ("Message", "string", 0, |o, _| json!(o["message"].as_str().unwrap_or_default().trim())),
    ("First Seen", "string", 1, |o, now| {
        let at = o["firstTimestamp"].as_str().or(o["eventTime"].as_str());
        json!(at.map_or("<unknown>".to_owned(), |at| age_of(at, now)))
    }),
    ("Count", "string", 1, |o, _| json!(o["count"].as_i64().unwrap_or(1))),
    ("Name", "string", 1, |o, _| json!(o.name())),
];

const INGRESSES: Columns = &[
    ("Class", "string", 0, |o, _| or_none(&o["spec"]["ingressClassName"])),
    ("Hosts", "string", 0, |o, _| {
        let hosts: Vec<&str> = list(&o["spec"]["rules"]).filter_map(|r| r["host"].as_str()).collect();
        json!(if hosts.is_empty() { "*".to_owned() } else { hosts.join(",") })
    }),
    ("Address", "string", 0, |o, _| {
        let at = list(&o["status"]["loadBalancer"]["ingress"]);
        let names = at.filter_map(|i| i["ip"].as_str().or(i["hostname"].as_str()));
        json!(names.collect::<Vec<_>>().join(","))
    }),
    ("Ports", "string", 0, |o, _| json!(if o["spec"]["tls"].is_array() { "80, 443" } else { "80" })),
    ("Age", "string", 0, age),
];

const AUTOSCALERS: Columns = &[
    ("Reference", "string", 0, |o, _| {
        let of = &o["spec"]["scaleTargetRef"];
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        json!(format!("{}/{}", text(&of["kind"]), text(&of["name"])))
    }),
    ("Targets", "string", 0, |o, _| {
        let metric = &o["spec"]["metrics"][0]["resource"];
        let target = metric["target"]["averageUtilization"].as_i64();
        let current = o["status"]["currentMetrics"][0]["resource"]["current"]["averageUtilization"].as_i64();
        let name = metric["name"].as_str().unwrap_or("cpu");
        let shown = current.map_or("<unknown>".to_owned(), |n| format!("{n}%"));
        json!(target.map_or("<unknown>".to_owned(), |t| format!("{name}: {shown}/{t}%")))
    }),
    ("MinPods", "string", 0, |o, _| json!(o["spec"]["minReplicas"].to_string())),
    ("MaxPods", "string", 0, |o, _| json!(o["spec"]["maxReplicas"].to_string())),
    ("Replicas", "string", 0, |o, _| json!(number(&o["status"]["currentReplicas"]).to_string())),
    ("Age", "string", 0, age),
];

const BUDGETS: Columns = &[
    ("Min Available", "string", 0, |o, _| or_na(&o["spec"]["minAvailable"])),
    ("Max Unavailable", "string", 0, |o, _| or_na(&o["spec"]["maxUnavailable"])),
    ("Allowed Disruptions", "integer", 0, |o, _| json!(number(&o["status"]["disruptionsAllowed"]))),
    ("Age", "string", 0, age),
];

const CLAIMS: Columns = &[
    ("Status", "string", 0, |o, _| {
        if o.is_terminating() { json!("Terminating") } else { o["status"]["phase"].clone() }
    }),
    ("Volume", "string", 0, |o, _| text_or_empty(&o["spec"]["volumeName"])),
    ("Capacity", "string", 0, |o, _| text_or_empty(&o["status"]["capacity"]["storage"])),
    ("Access Modes", "string", 0, |o, _| json!(access_modes(&o["status"]["accessModes"]))),
    ("StorageClass", "string", 0, |o, _| text_or_empty(&o["spec"]["storageClassName"])),
    ("VolumeAttributesClass", "string", 0, |_, _| json!("<unset>")),
    ("Age", "string", 0, age),
    ("VolumeMode", "string", 1, |o, _| o["spec"]["volumeMode"].clone()),
];

const ACCOUNTS: Columns = &[
    ("Secrets", "string", 0, |o, _| json!(list(&o["secrets"]).count().to_string())),
    ("Age", "string", 0, age),
];

const LEASES: Columns =
    &[("Holder", "string", 0, |o, _| text_or_empty(&o["spec"]["holderIdentity"])), ("Age", "string", 0, age)];

const DEFINITIONS: Columns = &[("Created At", "date", 0, |o, _| o["metadata"]["creationTimestamp"].clone())];

const ENDPOINT_SLICES: Columns = &[
    ("AddressType", "string", 0, |o, _| o["addressType"].clone()),
    ("Ports", "string", 0, |o, _| json!(first_three(list(&o["ports"]).map(|port| shown(&port["port"]))))),
    ("Endpoints", "string", 0, |o, _| {
        let addresses = list(&o["endpoints"]).flat_map(|endpoint| list(&endpoint["addresses"]));
        json!(first_three(addresses.map(shown)))
    }),
    ("Age", "string", 0, age),
];

const VOLUMES: Columns = &[
    ("Capacity", "string", 0, |o, _| text_or_empty(&o["spec"]["capacity"]["storage"])),
    ("Access Modes", "string", 0, |o, _| json!(access_modes(&o["spec"]["accessModes"]))),
    ("Reclaim Policy", "string", 0, |o, _| text_or_empty(&o["spec"]["persistentVolumeReclaimPolicy"])),
    ("Status", "string", 0, |o, _| text_or_empty(&o["status"]["phase"])),
    ("Claim", "string", 0, |o, _| {
        let claim = &o["spec"]["claimRef"];
        let parts = (claim["namespace"].as_str(), claim["name"].as_str());
        json!(if let (Some(namespace), Some(name)) = parts {
            format!("{namespace}/{name}")
        } else {
            String::new()
        })
    }),
    ("StorageClass", "string", 0, |o, _| text_or_empty(&o["spec"]["storageClassName"])),
    ("VolumeAttributesClass", "string", 0, |_, _| json!("<unset>")),
    ("Reason", "string", 0, |o, _| text_or_empty(&o["status"]["reason"])),
    ("Age", "string", 0, age),
    ("VolumeMode", "string", 1, |o, _| text_or_empty(&o["spec"]["volumeMode"])),
];

const STORAGE_CLASSES: Columns = &[
    ("Provisioner", "string", 0, |o, _| o["provisioner"].clone()),
    ("ReclaimPolicy", "string", 0, |o, _| text_or_empty(&o["reclaimPolicy"])),
    ("VolumeBindingMode", "string", 0, |o, _| text_or_empty(&o["volumeBindingMode"])),
    ("AllowVolumeExpansion", "string", 0, |o, _| json!(o["allowVolumeExpansion"] == true)),
    ("Age", "string", 0, age),
];

const PRIORITY_CLASSES: Columns = &[
    ("Value", "integer", 0, |o, _| json!(number(&o["value"]))),
    ("Global-Default", "boolean", 0, |o, _| json!(o["globalDefault"] == true)),
    ("Age", "string", 0, age),
    ("PreemptionPolicy", "string", 0, |o, _| text_or_empty(&o["preemptionPolicy"])),
];

const NETWORK_POLICIES: Columns = &[
    ("Pod-Selector", "string", 0, |o, _| json!(labels_text(&o["spec"]["podSelector"]["matchLabels"]))),
    ("Age", "string", 0, age),
];

const ROLE_BINDINGS: Columns = &[
    ("Role", "string", 0, |o, _| {
        json!(format!("{}/{}", shown(&o["roleRef"]["kind"]), shown(&o["roleRef"]["name"])))
    }),
    ("Age", "string", 0, age),
];

const REVISIONS: Columns = &[
    ("Controller", "string", 0, |o, _| {
        let owner = o.owners().find(|owner| owner["controller"] == true);
        json!(owner.map_or_else(
            || "<none>".to_owned(),
            |owner| {
                let version = shown(&owner["apiVersion"]);
                let group = version.split_once('/').map(|(group, _)| format!(".{group}")).unwrap_or_default();
                format!("{}{group}/{}", shown(&owner["kind"]).to_lowercase(), shown(&owner["name"]))
            }
        ))
    }),
    ("Revision", "string", 0, |o, _| json!(number(&o["revision"]))),
    ("Age", "string", 0, age),
];

const INGRESS_CLASSES: Columns = &[
    ("Controller", "string", 0, |o, _| text_or_empty(&o["spec"]["controller"])),
    ("Parameters", "string", 0, |_, _| json!("<none>")),
    ("Age", "string", 0, age),
];
