//! The smallest ready capacity of each service, measured whenever anything in the cluster changes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use release_sim::resource::{DEPLOYMENTS, PODS};
use release_sim::{Actor, ApiServer, Object};

/// Wanted pods, and the fewest that were ready.
pub(crate) type Reading = BTreeMap<String, (u64, u64)>;

/// Somebody in the cluster who only counts.
#[derive(Debug, Clone)]
pub(crate) struct Gauge {
    namespace: String,
    /// Deployments, by service.
    workloads: Vec<(String, String)>,
    seen: u64,
    shared: Arc<Mutex<Option<Reading>>>,
}

impl Gauge {
    pub(crate) fn new(namespace: &str, workloads: Vec<(String, String)>) -> Self {
        Self { namespace: namespace.to_owned(), workloads, seen: 0, shared: Arc::default() }
    }

    /// Begins to measure with what is there now.
    pub(crate) fn begin(&self, server: &ApiServer) {
        let mut reading = Reading::new();
        self.read(server, &mut reading);
        *self.shared.lock().unwrap_or_else(PoisonError::into_inner) = Some(reading);
    }

    /// What was measured since.
    pub(crate) fn reading(&self) -> Reading {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default()
    }

    fn read(&self, server: &ApiServer, reading: &mut Reading) {
        let store = server.store();
        for (service, name) in &self.workloads {
            let Some(deployment) = store.get(&DEPLOYMENTS, &self.namespace, name) else { continue };
            let wanted = deployment.field("spec", "replicas").as_u64().unwrap_or(1);
            let labels: Vec<(&str, &str)> = deployment.field("spec", "selector")["matchLabels"]
                .as_object()
                .into_iter()
                .flatten()
                .filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
                .collect();
            let is_of_it =
                |pod: &&Arc<Object>| labels.iter().all(|(key, value)| pod.label(key) == Some(*value));
            let is_up = |pod: &&Arc<Object>| pod.is_ready() && !pod.is_terminating();
            let namespace = Some(self.namespace.as_str());
            let count = store.list(&PODS, namespace).filter(is_of_it).filter(is_up).count();
            let ready = u64::try_from(count).unwrap_or(0);
            let (last_wanted, least) = reading.entry(service.clone()).or_insert((wanted, ready));
            *last_wanted = wanted;
            *least = ready.min(*least);
        }
    }
}

impl Actor for Gauge {
    fn act(&mut self, server: &mut ApiServer, _: Timestamp) -> Option<Timestamp> {
        let revision = server.store().revision();
        if std::mem::replace(&mut self.seen, revision) != revision {
            let shared = Arc::clone(&self.shared);
            if let Some(reading) = shared.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
                self.read(server, reading);
            }
        }
        None
    }
}
