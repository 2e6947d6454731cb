//! PodDisruptionBudgets: how many pods of an application may be evicted now.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::conditions;
use super::cursor::{Cursor, never_had};
use super::key::Key;
use super::pods;
use super::queue::{Outcome, Queue};
use super::read::{int, len, moment, share};
use super::selected::Selected;
use super::write;
use crate::actor::Actor;
use crate::controllers::turns::Watcher;
use crate::object::Object;
use crate::resource::{DEPLOYMENTS, POD_DISRUPTION_BUDGETS, PODS, Resources};
use crate::selector::LabelSelector;
use crate::server::ApiServer;
use crate::store::{Store, What};
use crate::time;

/// An evicted pod that is still there after this time was not deleted after all.
const EVICTION_TAKES: Duration = Duration::from_secs(120);

/// The controller of PodDisruptionBudgets.
#[derive(Debug, Clone, Default)]
pub struct DisruptionBudgets {
    cursor: Cursor,
    queue: Queue<Key>,
    selected: Selected,
}

impl Actor for DisruptionBudgets {
    fn act(&mut self, server: &mut ApiServer, now: Timestamp) -> Option<Timestamp> {
        if never_had(server.store(), &POD_DISRUPTION_BUDGETS) {
            return None;
        }
        self.watch(server.store());
        while let Some(key) = self.queue.pop(now) {
            let budget = server.store().get(&POD_DISRUPTION_BUDGETS, &key.namespace, &key.name).cloned();
            let outcome = match budget {
                Some(budget) => {
                    let pods: Vec<Arc<Object>> = self.selected.pods(server.store(), &key).cloned().collect();
                    reconcile(server, now, &budget, &pods)
                }
                None => Outcome::Done,
            };
            self.queue.settle(key, now, outcome);
        }
        self.queue.next_at()
    }
}

impl Watcher for DisruptionBudgets {
    fn watched(&self) -> Resources {
        const { Resources::of(&[&POD_DISRUPTION_BUDGETS, &DEPLOYMENTS, &PODS]) }
    }

    fn cursor(&mut self) -> &mut Cursor {
        &mut self.cursor
    }
}

impl DisruptionBudgets {
    fn watch(&mut self, store: &Store) {
        if self.cursor.is_lost(store) {
            self.selected = Selected::default();
        }
        let Self { cursor, queue, selected } = self;
        cursor.look(store, &[&POD_DISRUPTION_BUDGETS, &DEPLOYMENTS, &PODS], |news| {
            let key = Key::of(news.object);
            if *news.object.resource() == PODS {
                selected.note(news, |budget| queue.add(budget.clone()));
            } else if *news.object.resource() == DEPLOYMENTS {
                if news.changed("spec") {
                    let here = store.list(&POD_DISRUPTION_BUDGETS, Some(news.object.namespace()));
                    here.for_each(|budget| queue.add(Key::of(budget)));
                }
            } else if news.what == What::Deleted {
                selected.remove(&key);
            } else {
                if !news.is_only_status() {
                    let selector = &news.object["spec"]["selector"];
                    if selector.is_object() {
                        let rules = LabelSelector::of(selector);
                        selected.insert(store, key.clone(), rules, &selector["matchLabels"]);
                    } else {
                        selected.remove(&key);
                    }
                }
                queue.add(key);
            }
        });
    }
}

/// What a budget comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sums {
    expected: i64,
    desired: i64,
    allowed: i64,
}

/// `scale` is what the pods' controllers are to have, `pods` how many there are.
fn sums(spec: &Value, scale: i64, pods: i64, healthy: i64) -> Sums {
    let (expected, desired) = if spec["maxUnavailable"].is_null() {
        match &spec["minAvailable"] {
            Value::String(_) => (scale, share(&spec["minAvailable"], scale, true)),
            least => (pods, int(least, 0)),
        }
    } else {
        (scale, (scale - share(&spec["maxUnavailable"], scale, true)).max(0))
    };
    let allowed = if expected <= 0 { 0 } else { (healthy - desired).max(0) };
    Sums { expected, desired, allowed }
}

fn reconcile(server: &mut ApiServer, now: Timestamp, budget: &Object, pods: &[Arc<Object>]) -> Outcome {
    let mut again: Option<Timestamp> = None;
    let mut disrupted = Map::new();
    for (name, at) in budget["status"]["disruptedPods"].as_object().into_iter().flatten() {
        let is_there = pods.iter().any(|pod| pod.name() == name && !pod.is_terminating());
        let until = moment(at).map(|at| at + EVICTION_TAKES);
        if let Some(until) = until.filter(|until| is_there && *until > now) {
            disrupted.insert(name.clone(), at.clone());
            again = Some(again.map_or(until, |a| a.min(until)));
        }
    }
    let healthy = pods
        .iter()
        .filter(|pod| !pod.is_terminating() && !disrupted.contains_key(pod.name()) && pods::is_ready(pod))
        .count();
    let healthy = len(healthy);
    let sums = sums(&budget["spec"], scale(server.store(), pods), len(pods.len()), healthy);
    let mut list = conditions::of(&budget["status"]);
    let (status, reason) =
        if sums.allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    let since = conditions::find(&list, "DisruptionAllowed")
        .filter(|c| c["status"] == status)
        .map_or_else(|| json!(time::seconds(now)), |c| c["lastTransitionTime"].clone());
    conditions::remove(&mut list, "DisruptionAllowed");
    list.push(json!({
        "type": "DisruptionAllowed",
        "status": status,
        "reason": reason,
        "message": "",
        "observedGeneration": budget.generation(),
        "lastTransitionTime": since,
    }));
    let disrupted = if disrupted.is_empty() { Value::Null } else { Value::Object(disrupted) };
    let next = json!({
        "observedGeneration": budget.generation(),
        "currentHealthy": healthy,
        "desiredHealthy": sums.desired,
        "expectedPods": sums.expected,
        "disruptionsAllowed": sums.allowed,
        "disruptedPods": disrupted,
        "conditions": list,
    });
    write::status(server, now, budget, next);
    Outcome::at(again)
}

/// How many pods the controllers of these pods are to have.
fn scale(store: &Store, pods: &[Arc<Object>]) -> i64 {
    let mut owners: BTreeMap<&str, i64> = BTreeMap::new();
    for uid in pods.iter().filter_map(|pod| pod.controller()) {
        let Some(owner) = store.by_uid(uid) else { continue };
        let above = owner.controller().and_then(|uid| store.by_uid(uid));
        let top = above.filter(|top| !top["spec"]["replicas"].is_null()).unwrap_or(owner);
        owners.insert(top.uid(), int(&top["spec"]["replicas"], 1));
    }
    owners.values().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_come_to() {
        for (spec, scale, pods, healthy, want) in [
            (json!({"minAvailable": 2}), 3, 3, 3, (3, 2, 1)),
            (json!({"minAvailable": "50%"}), 5, 5, 4, (5, 3, 1)),
            (json!({"maxUnavailable": 1}), 3, 2, 2, (3, 2, 0)),
            (json!({"maxUnavailable": "30%"}), 5, 5, 5, (5, 3, 2)),
            (json!({"minAvailable": 0}), 0, 0, 0, (0, 0, 0)),
            (json!({"minAvailable": 9}), 3, 3, 3, (3, 9, 0)),
        ] {
            let got = sums(&spec, scale, pods, healthy);
            assert_eq!((got.expected, got.desired, got.allowed), want, "{spec}");
        }
    }
}
