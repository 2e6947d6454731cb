//! Whether a pod may go to a node, and in which words it may not.

use std::collections::BTreeMap;

use serde_json::Value;

use super::needs::Amounts;
use crate::controllers::read::{items, text};
use crate::object::Object;
use crate::selector::LabelSelector;

/// A node with what is taken of it.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    pub(super) labels: Value,
    pub(super) name: String,
    taints: Vec<Value>,
    has: Amounts,
    pub(super) taken: Amounts,
    pub(super) pods: i128,
    /// How full it would be with what was asked last; None: not known.
    pub(super) known_load: Option<i128>,
}

/// Why a pod cannot go to a node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Refusal {
    pub(super) words: String,
    /// Whether the end of other pods could help.
    pub(super) curable: bool,
}

impl Room {
    pub(crate) fn new(node: &Object) -> Self {
        let mut taints: Vec<Value> = items(&node["spec"]["taints"])
            .filter(|t| matches!(text(&t["effect"]), "NoSchedule" | "NoExecute"))
            .cloned()
            .collect();
        let is_cordoned = node["spec"]["unschedulable"] == true;
        let cordon = "node.kubernetes.io/unschedulable";
        if is_cordoned && !taints.iter().any(|t| t["key"] == cordon) {
            taints.push(serde_json::json!({"key": cordon, "effect": "NoSchedule"}));
        }
        Self {
            labels: node.labels().clone(),
            name: node.name().to_owned(),
            taints,
            has: super::needs::amounts(&node["status"]["allocatable"]).collect(),
            taken: Amounts::new(),
            pods: 0,
            known_load: None,
        }
    }

    /// Why the pod cannot be here; empty if it can.
    pub(super) fn refusals(&self, pod: &Object, needs: &Amounts) -> Vec<Refusal> {
        let refusal = |words: &str, curable| Refusal { words: words.to_owned(), curable };
        let spec = &pod["spec"];
        // A real scheduler asks in this order and stops at the first plugin that refuses.
        let cordon = "node.kubernetes.io/unschedulable";
        if let Some(taint) = self.taints.iter().find(|t| !is_tolerated(spec, t)) {
            let words = if taint["key"] == cordon {
                "node(s) were unschedulable"
            } else {
                "node(s) had untolerated taint(s)"
            };
            return vec![refusal(words, false)];
        }
        if !self.is_chosen_by(spec) {
            return vec![refusal("node(s) didn't match Pod's node affinity/selector", false)];
        }
        let mut refusals = Vec::new();
        if self.pods * 1000 + 1000 > self.has.get("pods").copied().unwrap_or(i128::MAX) {
            refusals.push(refusal("Too many pods", true));
        }
        for (name, need) in needs.iter().filter(|(_, need)| **need > 0) {
            let has = self.has.get(name).copied().unwrap_or(0);
            let taken = self.taken.get(name).copied().unwrap_or(0);
            if taken + need > has {
                refusals.push(refusal(&format!("Insufficient {name}"), *need <= has));
            }
        }
        refusals
    }

    /// Whether the node suits a pod spec, whatever room is left.
    pub(crate) fn suits(&self, spec: &Value) -> bool {
        self.is_chosen_by(spec) && self.taints.iter().all(|taint| is_tolerated(spec, taint))
    }

    fn is_chosen_by(&self, spec: &Value) -> bool {
        if !LabelSelector::of_map(&spec["nodeSelector"]).matches(&self.labels) {
            return false;
        }
        let required = &spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
        let Some(terms) = required["nodeSelectorTerms"].as_array() else { return true };
        terms.iter().any(|term| self.meets(term))
    }

    fn meets(&self, term: &Value) -> bool {
        let labels = items(&term["matchExpressions"]).all(|rule| {
            let label = self.labels[text(&rule["key"])].as_str();
            let number = |v: &str| v.parse::<i64>().ok();
            let bound = text(&rule["values"][0]);
            match text(&rule["operator"]) {
                "Gt" => label.and_then(number) > number(bound),
                "Lt" => label.and_then(number).is_some_and(|l| number(bound).is_some_and(|b| l < b)),
                operator => holds(operator, label, &rule["values"]),
            }
        });
        let fields = items(&term["matchFields"])
            .all(|rule| holds(text(&rule["operator"]), Some(&self.name), &rule["values"]));
        labels && fields && (!term["matchExpressions"].is_null() || !term["matchFields"].is_null())
    }

    /// How full it would be, in millionths: the mean of processor and memory.
    pub(super) fn load(&self, needs: &Amounts) -> i128 {
        let part = |name: &str| {
            let has = self.has.get(name).copied().unwrap_or(0);
            let taken = self.taken.get(name).copied().unwrap_or(0) + needs.get(name).copied().unwrap_or(0);
            if has <= 0 { 0 } else { taken * 1_000_000 / has }
        };
        i128::midpoint(part("cpu"), part("memory"))
    }
}

fn holds(operator: &str, value: Option<&str>, values: &Value) -> bool {
    let is_in = || value.is_some_and(|v| items(values).any(|other| other == v));
    match operator {
        "In" => is_in(),
        "NotIn" => !is_in(),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        _ => false,
    }
}

/// Whether a pod puts up with a taint.
pub(crate) fn is_tolerated(spec: &Value, taint: &Value) -> bool {
    items(&spec["tolerations"]).any(|t| {
        let effect = text(&t["effect"]);
        let key = text(&t["key"]);
        (effect.is_empty() || taint["effect"] == effect)
            && (key.is_empty() || taint["key"] == key)
            && (t["operator"] == "Exists" || (!key.is_empty() && text(&t["value"]) == text(&taint["value"])))
    })
}

/// The message for a pod that fits nowhere, in a real scheduler's words.
pub(super) fn message(nodes: usize, refusals: &[Vec<Refusal>]) -> String {
    if nodes == 0 {
        return "no nodes available to schedule pods".to_owned();
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for refusal in refusals.iter().flatten() {
        *counts.entry(&refusal.words).or_default() += 1;
    }
    let curable = refusals.iter().filter(|r| r.iter().all(|r| r.curable)).count();
    let mut tail: Vec<String> = Vec::new();
    if curable > 0 {
        tail.push(format!("{curable} No preemption victims found for incoming pod"));
    }
    if curable < nodes {
        tail.push(format!("{} Preemption is not helpful for scheduling", nodes - curable));
    }
    tail.sort();
    let mut list: Vec<String> = counts.into_iter().map(|(words, n)| format!("{n} {words}")).collect();
    list.sort();
    format!(
        "0/{nodes} nodes are available: {}. no new claims to deallocate, preemption: 0/{nodes} nodes are available: {}.",
        list.join(", "),
        tail.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn messages_in_the_real_words() {
        let one = |words: &str, curable| vec![Refusal { words: words.to_owned(), curable }];
        assert_eq!(
            message(1, &[one("Insufficient cpu", false)]),
            "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: \
             0/1 nodes are available: 1 Preemption is not helpful for scheduling."
        );
        assert_eq!(
            message(
                3,
                &[
                    one("Insufficient cpu", true),
                    one("node(s) had untolerated taint(s)", false),
                    one("Insufficient cpu", true)
                ]
            ),
            "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu. no new claims to \
             deallocate, preemption: 0/3 nodes are available: 1 Preemption is not helpful for scheduling, \
             2 No preemption victims found for incoming pod."
        );
        assert_eq!(message(0, &[]), "no nodes available to schedule pods");
    }

    #[test]
    fn taints_and_tolerations() {
        let taint = json!({"key": "gpu", "value": "yes", "effect": "NoSchedule"});
        for (toleration, want) in [
            (json!({"operator": "Exists"}), true),
            (json!({"key": "gpu", "operator": "Exists"}), true),
            (json!({"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoSchedule"}), true),
            (json!({"key": "gpu", "value": "no"}), false),
            (json!({"key": "gpu", "operator": "Exists", "effect": "NoExecute"}), false),
        ] {
            assert_eq!(is_tolerated(&json!({"tolerations": [toleration]}), &taint), want, "{toleration}");
        }
        assert!(!is_tolerated(&json!({}), &taint));
    }
}
