//! A cluster at rest, as a value that can be kept: written down by one process, taken up by the next.
//!
//! What is kept is what a real control plane keeps in etcd, and the time. Everybody who works in the cluster begins anew, as
//! after a restart of the machine's processes: controllers look at everything again, kubelets find their containers running
//! and go on with them, and waits that had grown with every crash begin at their shortest.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Simulation, SimulationConfig};
use crate::server::ApiServer;

/// The version of the form in which a cluster is kept.
const VERSION: u32 = 1;

/// Everything that is kept of a cluster.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Snapshot {
    v: u32,
    now: Timestamp,
    revision: u64,
    /// Where the drawing of uids and names stands.
    ids: u64,
    objects: Vec<Kept>,
}

/// One object, with the collection it is in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) group: String,
    pub(crate) plural: String,
    pub(crate) object: Value,
}

/// Why a cluster cannot be taken up again.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Another version of this library wrote it.
    #[error("it was written in version {found} of its form; this is version {VERSION}")]
    Version {
        /// The version it says.
        found: u32,
    },
    /// It has an object of a kind that is not served.
    #[error("it has an object of `{plural}` in group `{group}`, which is not served")]
    Kind {
        /// The group.
        group: String,
        /// The plural.
        plural: String,
    },
    /// Something in it is no object.
    #[error("its entry {index} is no object")]
    Object {
        /// Which entry, from 0.
        index: usize,
    },
}

impl Snapshot {
    /// What time it was in the cluster.
    pub fn now(&self) -> Timestamp {
        self.now
    }
}

impl Simulation {
    /// What there is now. Faults, clients and the trace are no part of it.
    pub fn snapshot(&self) -> Snapshot {
        let store = self.server.store();
        let objects = store.resources().flat_map(|resource| {
            store.list(resource, None).map(|object| Kept {
                group: resource.group.to_string(),
                plural: resource.plural.to_string(),
                object: object.to_value(),
            })
        });
        Snapshot {
            v: VERSION,
            now: self.now,
            revision: store.revision(),
            ids: self.server.ids(),
            objects: objects.collect(),
        }
    }

    /// Takes a whole cluster up again, with its nodes and all controllers. Its time goes on from `config.start` if that is
    /// later than when it was left; nothing happened meanwhile.
    ///
    /// # Errors
    /// When the snapshot is of another version, or damaged.
    pub fn resume(config: SimulationConfig, snapshot: Snapshot) -> Result<Self, SnapshotError> {
        if snapshot.v != VERSION {
            return Err(SnapshotError::Version { found: snapshot.v });
        }
        let server =
            ApiServer::restore(&config.server_seed(), snapshot.ids, snapshot.revision, snapshot.objects)?;
        let start = config.start.max(snapshot.now);
        Ok(Self::around(server, SimulationConfig { start, ..config }).with_controllers())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::By;
    use crate::apps::Apps;
    use crate::resource::{DEPLOYMENTS, PODS};

    fn config() -> SimulationConfig {
        let apps = Apps::read("apps: [{image: crashes, exit: {after: 5s}}]").expect("it can be read");
        SimulationConfig { seed: 3, apps, ..SimulationConfig::default() }
    }

    fn deployment(name: &str, image: &str, replicas: u64) -> Value {
        json!({"metadata": {"name": name}, "spec": {"replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "app", "image": image}]}}}})
    }

    fn pods(simulation: &Simulation) -> Vec<(String, Value, Value)> {
        let store = simulation.server().store();
        let shown = |pod: &Value| (pod["phase"].clone(), pod["containerStatuses"].clone());
        let one = |pod: &std::sync::Arc<crate::Object>| {
            let (phase, containers) = shown(&pod["status"]);
            (pod.name().to_owned(), phase, containers)
        };
        store.list(&PODS, None).map(one).collect()
    }

    #[test]
    fn what_ran_runs_on_untouched_and_goes_on_from_there() {
        let mut before = Simulation::whole(config());
        let now = before.now();
        let by = By::manager("test");
        let made = before.server_mut().create(now, &DEPLOYMENTS, "default", deployment("web", "web", 3), &by);
        made.expect("it is made");
        before.advance(Duration::from_secs(60));
        let text = serde_json::to_string(&before.snapshot()).expect("it can be written");

        let kept = serde_json::from_str(&text).expect("it can be read");
        let mut after = Simulation::resume(config(), kept).expect("it can be taken up");
        assert_eq!(after.now(), before.now());
        after.advance(Duration::from_secs(600));
        assert_eq!(pods(&after), pods(&before), "nobody touched what runs");

        let now = after.now();
        let replicas = |object: &mut Value| object["spec"]["replicas"] = json!(5);
        after.server_mut().edit(now, &DEPLOYMENTS, "default", "web", &by, replicas).expect("it is scaled");
        after.advance(Duration::from_secs(60));
        let web = after.server().store().get(&DEPLOYMENTS, "default", "web").expect("it is there");
        assert_eq!(web["status"]["readyReplicas"], json!(5));
        let addresses: std::collections::BTreeSet<_> =
            after.server().store().list(&PODS, None).map(|pod| pod["status"]["podIP"].to_string()).collect();
        assert_eq!(addresses.len(), 5, "every pod has its own address");
    }

    #[test]
    fn what_crashes_goes_on_crashing_and_what_ends_goes_on_ending() {
        let mut before = Simulation::whole(config());
        let now = before.now();
        let by = By::manager("test");
        for (name, image) in [("bad", "crashes"), ("leaving", "web")] {
            let made =
                before.server_mut().create(now, &DEPLOYMENTS, "default", deployment(name, image, 1), &by);
            made.expect("it is made");
        }
        before.advance(Duration::from_secs(40));
        let now = before.now();
        let gone = before.server_mut().delete(now, &DEPLOYMENTS, "default", "leaving", &<_>::default(), &by);
        gone.expect("it is deleted");
        before.advance(Duration::from_millis(200));

        let mut after = Simulation::resume(config(), before.snapshot()).expect("it can be taken up");
        after.advance(Duration::from_secs(120));
        let left = pods(&after);
        assert_eq!(left.len(), 1, "{left:?}");
        let count = |pods: &[(String, Value, Value)]| pods[0].2[0]["restartCount"].as_u64().unwrap_or(0);
        let bad: Vec<_> = pods(&before).into_iter().filter(|pod| pod.0.starts_with("bad")).collect();
        assert!(count(&left) > count(&bad), "{left:?} {bad:?}");
    }

    #[test]
    fn another_form_is_refused_by_name() {
        let mut snapshot = Simulation::whole(config()).snapshot();
        snapshot.v = 9;
        let error = Simulation::resume(config(), snapshot).expect_err("nobody knows version 9");
        assert_eq!(error.to_string(), "it was written in version 9 of its form; this is version 1");
    }
}
