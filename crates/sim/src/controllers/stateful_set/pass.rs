//! One look at one StatefulSet.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::controllers::events::{Recorder, Tone};
use crate::controllers::key::Key;
use crate::controllers::pods::{self, Availability};
use crate::controllers::queue::Outcome;
use crate::controllers::read::{count, int, items, text};
use crate::controllers::revisions::{self, OF_POD};
use crate::controllers::write::{self, Refused, unless_zero};
use crate::object::Object;
use crate::resource::{PERSISTENT_VOLUME_CLAIMS, PODS};
use crate::server::{ApiServer, By};

pub(super) struct Pass<'a> {
    server: &'a mut ApiServer,
    events: &'a mut Recorder,
    now: Timestamp,
    set: Arc<Object>,
    /// The revision pods had before the update, and the one they are to have.
    current: Arc<Object>,
    update: Arc<Object>,
    /// One pod at a time.
    ordered: bool,
    again: Option<Timestamp>,
}

/// Whether to go on to the next pod.
enum Next {
    GoOn,
    Wait,
}

impl<'a> Pass<'a> {
    pub(super) fn run(
        server: &'a mut ApiServer,
        events: &'a mut Recorder,
        now: Timestamp,
        set: Arc<Object>,
    ) -> Outcome {
        let all = revisions::record(server, now, &set);
        let Some(update) = all.last().cloned() else { return Outcome::Failed };
        let named = |name: &Value| all.iter().find(|r| *name == r.name()).cloned();
        let current = named(&set["status"]["currentRevision"]).unwrap_or_else(|| Arc::clone(&update));
        let ordered = set["spec"]["podManagementPolicy"] != "Parallel";
        let mut pass = Self { server, events, now, set, current, update, ordered, again: None };
        let result = pass.act();
        pass.write_status();
        let (current, update) = (pass.current.name(), pass.update.name());
        let (store, uid) = (pass.server.store(), pass.set.uid());
        let used: Vec<String> = pods::controlled_by(store, uid)
            .filter_map(|pod| pod.label(OF_POD).map(str::to_owned))
            .chain([current.to_owned(), update.to_owned()])
            .collect();
        revisions::truncate(pass.server, now, &pass.set, &all, |r| used.iter().any(|u| u == r.name()));
        if result.is_err() { Outcome::Failed } else { Outcome::at(pass.again) }
    }

    fn first(&self) -> i64 {
        count(&self.set["spec"]["ordinals"]["start"])
    }

    fn wanted(&self) -> i64 {
        int(&self.set["spec"]["replicas"], 1)
    }

    /// The pods by ordinal.
    fn pods(&self) -> BTreeMap<i64, Arc<Object>> {
        pods::controlled_by(self.server.store(), self.set.uid())
            .filter_map(|pod| {
                let ordinal = pod.name().strip_prefix(self.set.name())?.strip_prefix('-')?;
                Some((ordinal.parse().ok()?, Arc::clone(pod)))
            })
            .collect()
    }

    fn is_healthy(&mut self, pod: &Object) -> bool {
        if pod.is_terminating() || pods::phase(pod) != "Running" {
            return false;
        }
        match pods::availability(pod, count(&self.set["spec"]["minReadySeconds"]), self.now) {
            Availability::Yes => true,
            Availability::No => false,
            Availability::At(at) => {
                self.again = Some(self.again.map_or(at, |a| a.min(at)));
                false
            }
        }
    }

    fn act(&mut self) -> Result<(), Refused> {
        let there = self.pods();
        let range = self.first()..self.first() + self.wanted();
        for ordinal in range.clone() {
            if let Next::Wait = self.provide(ordinal, there.get(&ordinal))? {
                return Ok(());
            }
        }
        let first_unhealthy = there.iter().find(|(_, pod)| !pods::is_ready(pod) || pod.is_terminating());
        let first_unhealthy = first_unhealthy.map(|(ordinal, _)| *ordinal);
        for (ordinal, pod) in there.iter().rev().filter(|(ordinal, _)| !range.contains(ordinal)) {
            if pod.is_terminating() {
                if self.ordered {
                    return Ok(());
                }
                continue;
            }
            if self.ordered && !self.is_healthy(pod) && first_unhealthy != Some(*ordinal) {
                return Ok(());
            }
            self.delete(pod)?;
            if self.ordered {
                return Ok(());
            }
        }
        self.replace(&there)
    }

    /// Makes the pod of an ordinal, or waits for it.
    fn provide(&mut self, ordinal: i64, pod: Option<&Arc<Object>>) -> Result<Next, Refused> {
        let wait = if self.ordered { Next::Wait } else { Next::GoOn };
        let Some(pod) = pod else {
            self.create(ordinal)?;
            return Ok(wait);
        };
        if pods::is_finished(pod) && !pod.is_terminating() {
            let message = format!(
                "StatefulSet {}/{} is recreating failed Pod {}",
                self.set.namespace(),
                self.set.name(),
                pod.name()
            );
            let set = Arc::clone(&self.set);
            self.events.record(self.server, self.now, &set, Tone::Warning, "RecreatingFailedPod", &message);
            write::delete(self.server, self.now, &PODS, &Key::of(pod))?;
            return Ok(wait);
        }
        Ok(if self.is_healthy(pod) { Next::GoOn } else { wait })
    }

    /// Deletes one pod of an older revision, the highest ordinal first.
    fn replace(&mut self, there: &BTreeMap<i64, Arc<Object>>) -> Result<(), Refused> {
        let strategy = &self.set["spec"]["updateStrategy"];
        if strategy["type"] == "OnDelete" {
            return Ok(());
        }
        let from = self.first() + count(&strategy["rollingUpdate"]["partition"]);
        let most = int(&strategy["rollingUpdate"]["maxUnavailable"], 1).max(1);
        let mut unavailable = 0;
        let wanted = self.first()..self.first() + self.wanted();
        for pod in wanted.clone().filter_map(|ordinal| there.get(&ordinal)) {
            unavailable += i64::from(!self.is_healthy(pod));
        }
        let up_to_date = self.update.name().to_owned();
        for (_, pod) in there.range(from..wanted.end.max(from)).rev() {
            if pod.label(OF_POD) != Some(&up_to_date) && !pod.is_terminating() {
                let is_healthy = self.is_healthy(pod);
                if is_healthy && unavailable >= most {
                    return Ok(());
                }
                self.delete(pod)?;
                unavailable += i64::from(is_healthy);
                if unavailable >= most {
                    return Ok(());
                }
            } else if !self.is_healthy(pod) && unavailable >= most {
                return Ok(());
            }
        }
        Ok(())
    }

    fn create(&mut self, ordinal: i64) -> Result<(), Refused> {
        let set = Arc::clone(&self.set);
        let name = format!("{}-{ordinal}", set.name());
        let rolling = &set["spec"]["updateStrategy"]["rollingUpdate"];
        let is_held_back = ordinal < self.first() + count(&rolling["partition"]);
        let revision = if is_held_back { Arc::clone(&self.current) } else { Arc::clone(&self.update) };
        let mut pod = write::pod_from_template(&set, &revisions::template(&revision));
        pod["metadata"]["name"] = json!(name);
        pod["metadata"]["labels"][OF_POD] = json!(revision.name());
        pod["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"] = json!(name);
        pod["metadata"]["labels"]["apps.kubernetes.io/pod-index"] = json!(ordinal.to_string());
        pod["spec"]["hostname"] = json!(name);
        if !text(&set["spec"]["serviceName"]).is_empty() {
            pod["spec"]["subdomain"] = set["spec"]["serviceName"].clone();
        }
        self.claim(&name, &mut pod);
        match write::create_pod(self.server, self.now, &set, pod) {
            Ok(_) => {
                let message = format!("Create Pod {name} in StatefulSet {} successful", set.name());
                self.events.record(self.server, self.now, &set, Tone::Normal, "SuccessfulCreate", &message);
                Ok(())
            }
            Err(why) => {
                let message = format!("Create Pod {name} in StatefulSet {} failed error: {why}", set.name());
                self.events.record(self.server, self.now, &set, Tone::Warning, "FailedCreate", &message);
                Err(why.into())
            }
        }
    }

    /// Makes the claims of a pod, and points its volumes to them.
    fn claim(&mut self, pod_name: &str, pod: &mut Value) {
        let set = Arc::clone(&self.set);
        let mut volumes: Vec<Value> = items(&pod["spec"]["volumes"]).cloned().collect();
        for template in items(&set["spec"]["volumeClaimTemplates"]) {
            let volume = text(&template["metadata"]["name"]);
            let name = format!("{volume}-{pod_name}");
            volumes.retain(|v| v["name"] != volume);
            volumes.push(json!({"name": volume, "persistentVolumeClaim": {"claimName": name}}));
            if self.server.store().get(&PERSISTENT_VOLUME_CLAIMS, set.namespace(), &name).is_some() {
                continue;
            }
            let labels = set["spec"]["selector"]["matchLabels"].clone();
            let body = json!({"metadata": {"name": name, "labels": labels}, "spec": template["spec"]});
            let by = By::nobody();
            let made = self.server.create(self.now, &PERSISTENT_VOLUME_CLAIMS, set.namespace(), body, &by);
            if made.is_ok() {
                let set_name = set.name();
                let message = format!("Create Claim {name} Pod {pod_name} in StatefulSet {set_name} success");
                self.events.record(self.server, self.now, &set, Tone::Normal, "SuccessfulCreate", &message);
            }
        }
        if !volumes.is_empty() {
            pod["spec"]["volumes"] = Value::Array(volumes);
        }
    }

    fn delete(&mut self, pod: &Object) -> Result<(), Refused> {
        write::delete(self.server, self.now, &PODS, &Key::of(pod))?;
        let set = Arc::clone(&self.set);
        let message = format!("Delete Pod {} in StatefulSet {} successful", pod.name(), set.name());
        self.events.record(self.server, self.now, &set, Tone::Normal, "SuccessfulDelete", &message);
        Ok(())
    }

    fn write_status(&mut self) {
        let min_ready = count(&self.set["spec"]["minReadySeconds"]);
        let (mut replicas, mut ready, mut available, mut current, mut updated) = (0, 0, 0, 0, 0);
        for pod in self.pods().values() {
            replicas += 1;
            if pods::phase(pod) == "Running" && pods::is_ready(pod) {
                ready += 1;
                let availability = pods::availability(pod, min_ready, self.now);
                available += i64::from(availability == Availability::Yes);
            }
            if !pod.is_terminating() {
                current += i64::from(pod.label(OF_POD) == Some(self.current.name()));
                updated += i64::from(pod.label(OF_POD) == Some(self.update.name()));
            }
        }
        let is_rolling = self.set["spec"]["updateStrategy"]["type"] != "OnDelete";
        if is_rolling && updated == replicas && ready == replicas {
            self.current = Arc::clone(&self.update);
            current = updated;
        }
        let status = json!({
            "observedGeneration": self.set.generation(),
            "replicas": replicas,
            "readyReplicas": unless_zero(ready),
            "availableReplicas": available,
            "currentReplicas": unless_zero(current),
            "updatedReplicas": unless_zero(updated),
            "currentRevision": self.current.name(),
            "updateRevision": self.update.name(),
            "collisionCount": count(&self.set["status"]["collisionCount"]),
        });
        write::status(self.server, self.now, &self.set, status);
    }
}
