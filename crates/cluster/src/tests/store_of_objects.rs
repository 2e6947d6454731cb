//! The objects of one namespace: compare-and-swap on `resourceVersion`, server-side apply by one manager, and a history
//! for watches. Deployments become complete when they are told to; no pods exist.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::fake::status;

/// The progress deadline Kubernetes gives a Deployment that names none.
const DEADLINE: std::time::Duration = std::time::Duration::from_secs(600);

/// By `configmaps/x`.
#[derive(Default)]
pub(super) struct Objects {
    all: BTreeMap<String, Value>,
    version: u64,
    history: Vec<(u64, String, Value)>,
}

fn key(object: &Value) -> String {
    let kind = object["kind"].as_str().expect("a kind");
    format!("{}/{}", crate::kind::plural(kind), object["metadata"]["name"].as_str().expect("a name"))
}

fn not_found(what: &str) -> (u16, Value) {
    (404, status(404, "NotFound", &format!("{what} not found")))
}

impl Objects {
    pub(super) fn get(&self, path: &str) -> Option<Value> {
        self.all.get(path).cloned()
    }

    /// Stores an object under the next version.
    pub(super) fn put(&mut self, mut object: Value) -> Value {
        self.version += 1;
        let key = key(&object);
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        if object["metadata"]["uid"].is_null() {
            object["metadata"]["uid"] = json!(format!("uid-{}", self.version));
        }
        let kind = if self.all.contains_key(&key) { "MODIFIED" } else { "ADDED" };
        self.history.push((self.version, key.clone(), json!({"type": kind, "object": object})));
        self.all.insert(key, object.clone());
        object
    }

    pub(super) fn delete(&mut self, path: &str) -> Option<Value> {
        let mut object = self.all.remove(path)?;
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.history.push((self.version, path.to_owned(), json!({"type": "DELETED", "object": object})));
        Some(object)
    }

    /// Carries out a request. The last part is the Deployment whose pods are to be replaced.
    pub(super) fn request(
        &mut self,
        method: &str,
        path: &str,
        body: &Value,
        now: &str,
    ) -> (u16, Value, Option<String>) {
        let (bare, query) = path.split_once('?').unwrap_or((path, ""));
        let Some((_, what)) = bare.split_once("/namespaces/radio/") else {
            let (code, answer) = elsewhere(bare);
            return (code, answer, None);
        };
        let before = self.version;
        let (code, answer) = match method {
            "GET" if what.contains('/') => {
                self.get(what).map_or_else(|| not_found(what), |found| (200, found))
            }
            "GET" => (200, self.list(what, query)),
            "POST" => self.create(body),
            "PUT" => self.replace(what, body),
            "PATCH" => (200, self.apply(body, now, query.contains("dryRun=All"))),
            "DELETE" => self.delete(what).map_or_else(|| not_found(what), |gone| (200, gone)),
            other => panic!("nobody sends {other}"),
        };
        if self.version == before {
            return (code, answer, None);
        }
        let written = if method == "POST" { key(body) } else { what.to_owned() };
        let rolls_out = method == "PATCH" && written.starts_with("deployments/");
        (code, answer, rolls_out.then_some(written))
    }

    fn list(&self, plural: &str, query: &str) -> Value {
        let items: Vec<&Value> = self
            .all
            .iter()
            .filter(|(key, object)| is_in(key, plural) && is_selected(object, query))
            .map(|(_, object)| object)
            .collect();
        json!({"apiVersion": "v1", "kind": "List", "items": items,
            "metadata": {"resourceVersion": self.version.to_string()}})
    }

    fn create(&mut self, body: &Value) -> (u16, Value) {
        if self.all.contains_key(&key(body)) {
            return (409, status(409, "AlreadyExists", &format!("{} already exists", key(body))));
        }
        (201, self.put(body.clone()))
    }

    fn replace(&mut self, what: &str, body: &Value) -> (u16, Value) {
        let Some(live) = self.all.get(what) else { return not_found(what) };
        let version = &body["metadata"]["resourceVersion"];
        if !version.is_null() && *version != live["metadata"]["resourceVersion"] {
            let words = "the object has been modified; please apply your changes to the latest version";
            return (409, status(409, "Conflict", words));
        }
        (200, self.put(body.clone()))
    }

    fn apply(&mut self, body: &Value, now: &str, dry: bool) -> Value {
        let mut new = body.clone();
        let live = self.get(&key(body));
        let generation = live.as_ref().map_or(0, |live| live["metadata"]["generation"].as_i64().unwrap_or(0));
        if let Some(live) = &live {
            for server_side in ["uid", "resourceVersion", "generation", "managedFields"] {
                new["metadata"][server_side] = live["metadata"][server_side].clone();
            }
            // Who leaves the number of pods out leaves it to somebody else.
            if new["spec"]["replicas"].is_null() && !live["spec"]["replicas"].is_null() {
                new["spec"]["replicas"] = live["spec"]["replicas"].clone();
            }
            if !live["status"].is_null() {
                new["status"] = live["status"].clone();
            }
            if new == *live {
                return new;
            }
        }
        new["metadata"]["managedFields"] = json!([{"manager": "release", "operation": "Apply", "time": now}]);
        if live.is_none_or(|live| live["spec"] != new["spec"]) {
            new["metadata"]["generation"] = json!(generation + 1);
        }
        if dry { new } else { self.put(new) }
    }

    /// The Deployment's controller has done its work: complete, or stuck when the image is bad.
    pub(super) fn roll_out(&mut self, path: &str, now: &str) {
        let Some(mut live) = self.get(path) else { return };
        let wanted = live["spec"]["replicas"].clone();
        let generation = live["metadata"]["generation"].clone();
        let image = live["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap_or_default();
        live["status"] = if image.contains("bad") {
            // A controller says so when its whole deadline is over, and not before.
            let at =
                now.parse::<jiff::Timestamp>().map(|now| (now + DEADLINE).to_string()).unwrap_or_default();
            json!({"observedGeneration": generation, "replicas": wanted, "updatedReplicas": wanted,
                "unavailableReplicas": wanted, "conditions": [{"type": "Progressing", "status": "False",
                    "reason": "ProgressDeadlineExceeded", "message": "timed out", "lastUpdateTime": at,
                    "lastTransitionTime": at}]})
        } else {
            json!({"observedGeneration": generation, "replicas": wanted, "updatedReplicas": wanted,
                "readyReplicas": wanted, "availableReplicas": wanted})
        };
        self.put(live);
    }

    /// Every state of every object, oldest first.
    pub(super) fn history(&self) -> Vec<(String, Value)> {
        self.history.iter().map(|(_, key, event)| (key.clone(), event["object"].clone())).collect()
    }

    /// The next watch event after a version, for a watch with this path and query.
    pub(super) fn event_after(&self, path: &str, version: u64) -> Option<(u64, Value)> {
        let (bare, query) = path.split_once('?').unwrap_or((path, ""));
        let (_, plural) = bare.split_once("/namespaces/radio/")?;
        self.history
            .iter()
            .find(|(at, key, event)| {
                *at > version && is_in(key, plural) && is_selected(&event["object"], query)
            })
            .map(|(at, _, event)| (*at, event.clone()))
    }
}

fn is_in(key: &str, plural: &str) -> bool {
    key.split_once('/').is_some_and(|(of, _)| of == plural)
}

/// Whether an object has the labels and the name a query selects.
fn is_selected(object: &Value, query: &str) -> bool {
    let decoded = query.replace("%3D", "=").replace("%2C", ",").replace("%2F", "/");
    decoded.split('&').all(|pair| match pair.split_once('=') {
        Some(("labelSelector", labels)) => labels.split(',').all(|label| {
            let (name, value) = label.split_once('=').expect("an equality");
            object["metadata"]["labels"][name] == value
        }),
        Some(("fieldSelector", field)) => {
            object["metadata"]["name"] == field.trim_start_matches("metadata.name=")
        }
        _ => true,
    })
}

/// What lies outside the namespace.
fn elsewhere(path: &str) -> (u16, Value) {
    match path {
        "/version" => (200, json!({"gitVersion": "v1.36.1"})),
        "/api/v1/namespaces/radio" => (200, json!({"metadata": {"name": "radio", "uid": "uid-of-radio"}})),
        "/api/v1/namespaces/kube-system" => {
            (200, json!({"metadata": {"name": "kube-system", "uid": "uid-of-the-cluster"}}))
        }
        other => not_found(other),
    }
}
