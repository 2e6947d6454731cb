//! A cluster of one node whose kubelet does what an image's name says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use release_sim::controllers::Controllers;
use release_sim::{Actor, ApiServer, By, DeleteOptions, Object, Resource, Seed, resource, time};
use serde_json::{Value, json};

/// The namespace of all stories.
pub(crate) const NS: &str = "default";

/// Everything a story needs.
pub(crate) struct Cluster {
    pub(crate) server: ApiServer,
    pub(crate) controllers: Controllers,
    pub(crate) now: Timestamp,
    pub(crate) kubelet: Kubelet,
    /// Called after every write of a story.
    pub(crate) check: fn(&ApiServer),
}

/// Starts and ends pods.
pub(crate) struct Kubelet {
    pub(crate) starts_in: Duration,
    pub(crate) ends_in: Duration,
    /// What becomes of a pod, in the words of [`run`].
    pub(crate) fate: fn(&Object) -> &str,
    due: BTreeMap<(String, String), Timestamp>,
    seen: u64,
}

impl Cluster {
    pub(crate) fn new() -> Self {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let server = ApiServer::new(now, &Seed::default());
        let kubelet = Kubelet {
            starts_in: Duration::from_secs(2),
            ends_in: Duration::from_secs(1),
            fate: |pod| pod["spec"]["containers"][0]["image"].as_str().unwrap_or_default(),
            due: BTreeMap::new(),
            seen: 0,
        };
        let mut cluster = Self { server, controllers: Controllers::default(), now, kubelet, check: |_| {} };
        cluster.node("node1", &json!({"cpu": "4", "memory": "8Gi", "pods": "110"}));
        cluster
    }

    pub(crate) fn node(&mut self, name: &str, allocatable: &Value) {
        let body = json!({"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}});
        self.server.create(self.now, &resource::NODES, "", body, &By::nobody()).unwrap();
        let status = json!({"allocatable": allocatable, "capacity": allocatable});
        self.server.update_status(self.now, &resource::NODES, "", name, status, &By::nobody()).unwrap();
    }

    pub(crate) fn create(&mut self, resource: &Resource, body: Value) -> Arc<Object> {
        self.server.create(self.now, resource, NS, body, &By::manager("test")).unwrap()
    }

    pub(crate) fn edit(&mut self, resource: &Resource, name: &str, change: impl FnOnce(&mut Value)) {
        self.server.edit(self.now, resource, NS, name, &By::manager("test"), change).unwrap();
    }

    pub(crate) fn delete(&mut self, resource: &Resource, name: &str, options: &DeleteOptions) {
        self.server.delete(self.now, resource, NS, name, options, &By::manager("test")).unwrap();
    }

    pub(crate) fn get(&self, resource: &Resource, name: &str) -> Arc<Object> {
        Arc::clone(self.server.get(resource, NS, name).unwrap())
    }

    pub(crate) fn list(&self, resource: &Resource) -> Vec<Arc<Object>> {
        self.server.store().list(resource, Some(NS)).cloned().collect()
    }

    /// The messages of all events of a reason, by time.
    pub(crate) fn told(&self, reason: &str) -> Vec<String> {
        let mut events: Vec<_> =
            self.list(&resource::EVENTS).into_iter().filter(|e| e["reason"] == reason).collect();
        events.sort_by_key(|e| e.revision());
        let plain = |text: &str| text.split(' ').map(without_hash).collect::<Vec<_>>().join(" ");
        events.iter().map(|e| plain(e["message"].as_str().unwrap())).collect()
    }

    pub(crate) fn condition(&self, resource: &Resource, name: &str, kind: &str) -> Option<(String, String)> {
        let object = self.get(resource, name);
        let list = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let found = list.iter().find(|c| c["type"] == kind)?;
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        Some((text(&found["status"]), text(&found["reason"])))
    }

    /// Lets so much time pass, from deadline to deadline.
    pub(crate) fn pass(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        loop {
            let next = self.settle();
            (self.check)(&self.server);
            match next.filter(|at| *at <= end) {
                Some(at) => self.now = at.max(self.now + Duration::from_millis(1)).min(end),
                None if self.now < end => self.now = end,
                None => return,
            }
            if self.now >= end {
                self.settle();
                return;
            }
        }
    }

    /// Everybody acts until nobody has anything to write at this moment.
    fn settle(&mut self) -> Option<Timestamp> {
        loop {
            let before = self.server.store().revision();
            let controllers = self.controllers.act(&mut self.server, self.now);
            let kubelet = self.kubelet.act(&mut self.server, self.now);
            if self.server.store().revision() == before {
                return controllers.into_iter().chain(kubelet).min();
            }
        }
    }
}

impl Actor for Kubelet {
    fn act(&mut self, server: &mut ApiServer, now: Timestamp) -> Option<Timestamp> {
        let changes = server.store().changes(&resource::PODS, self.seen.max(server.store().compacted()));
        for change in changes.unwrap() {
            let pod = &change.object;
            let key = (pod.namespace().to_owned(), pod.name().to_owned());
            if pod.is_terminating() {
                self.due.insert(key, now + self.ends_in);
            } else if pod["spec"]["nodeName"].is_string() && pod["status"]["startTime"].is_null() {
                self.due.entry(key).or_insert(now + self.starts_in);
            }
        }
        self.seen = server.store().revision();
        let due: Vec<_> = self.due.iter().filter(|(_, at)| **at <= now).map(|(key, _)| key.clone()).collect();
        for (namespace, name) in due {
            self.due.remove(&(namespace.clone(), name.clone()));
            if let Some(pod) = server.store().get(&resource::PODS, &namespace, &name).cloned() {
                run(server, now, &pod, (self.fate)(&pod));
            }
        }
        self.due.values().min().copied()
    }
}

/// Images say what becomes of their containers: `bad…` never gets ready, `fails…` ends with 1, `ends…` with 0.
fn run(server: &mut ApiServer, now: Timestamp, pod: &Object, fate: &str) {
    let (namespace, name) = (pod.namespace(), pod.name());
    if pod.is_terminating() {
        server.delete(now, &resource::PODS, namespace, name, &DeleteOptions::now(), &By::nobody()).unwrap();
        return;
    }
    let (phase, ready) = match fate {
        i if i.starts_with("bad") => ("Running", "False"),
        i if i.starts_with("fails") => ("Failed", "False"),
        i if i.starts_with("ends") => ("Succeeded", "False"),
        _ => ("Running", "True"),
    };
    let at = time::seconds(now);
    let mut conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.push(json!({"type": "Ready", "status": ready, "lastTransitionTime": at}));
    let ip = format!("10.0.{}.{}", server.store().revision() / 250 % 250, server.store().revision() % 250);
    let status = json!({
        "phase": phase, "startTime": at, "conditions": conditions, "podIP": ip,
        "podIPs": [{"ip": ip}], "containerStatuses": [{"name": "app", "restartCount": 0, "ready": ready == "True"}],
    });
    server.update_status(now, &resource::PODS, namespace, name, status, &By::nobody()).unwrap();
}

/// `web-5bb8d76996` as `web-#`: hashes depend on every default.
fn without_hash(word: &str) -> String {
    match word.split_once('-') {
        Some((name, hash)) if hash.len() > 7 && hash.contains(|c: char| c.is_ascii_digit()) => {
            format!("{name}-#")
        }
        _ => word.to_owned(),
    }
}

/// A Deployment named `web`.
pub(crate) fn deployment(replicas: i64, image: &str) -> Value {
    json!({
        "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "revisionHistoryLimit": 10,
            "progressDeadlineSeconds": 600,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
            "template": template("web", image),
        },
    })
}

/// The template of a pod with one container.
pub(crate) fn template(app: &str, image: &str) -> Value {
    json!({
        "metadata": {"labels": {"app": app}},
        "spec": {
            "containers": [{"name": "app", "image": image, "ports": [{"name": "http", "containerPort": 8080}],
                "resources": {"requests": {"cpu": "5m", "memory": "8Mi"}}}],
            "terminationGracePeriodSeconds": 2,
        },
    })
}
