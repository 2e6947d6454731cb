//! What a pod asks of a node, and what a node has.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::controllers::read::items;
use crate::object::Object;
use crate::quantity::Quantity;
use crate::section::Section;

/// Amounts of resources in thousandths, by name.
pub(crate) type Amounts = BTreeMap<String, i128>;

/// What a pod requests: the sum of its containers, or the largest of its init containers if that is more.
pub(crate) fn requests(pod: &Object) -> Amounts {
    let field = |name: &str| pod.field("spec", name);
    let mut total = Amounts::new();
    for container in items(field("containers")) {
        for (name, amount) in amounts(&container["resources"]["requests"]) {
            *total.entry(name).or_default() += amount;
        }
    }
    for container in items(field("initContainers")) {
        let stays = container["restartPolicy"] == "Always";
        for (name, amount) in amounts(&container["resources"]["requests"]) {
            let sum = total.entry(name).or_default();
            *sum = if stays { *sum + amount } else { amount.max(*sum) };
        }
    }
    for (name, amount) in amounts(field("overhead")) {
        *total.entry(name).or_default() += amount;
    }
    total
}

/// What pods of the spec that was asked for last request. What changes in a spec while a pod lives, as its node, does not count.
#[derive(Debug, Clone, Default)]
pub(super) struct Requests {
    last: Option<(Section, Arc<Amounts>)>,
}

impl Requests {
    /// As [`requests`].
    pub(super) fn of(&mut self, pod: &Object) -> Arc<Amounts> {
        let base = pod.section("spec").map(Section::base);
        let known = self.last.as_ref().filter(|(spec, _)| base.is_some_and(|base| base.is(spec)));
        if let Some((_, amounts)) = known {
            return Arc::clone(amounts);
        }
        let amounts = Arc::new(requests(pod));
        self.last = base.map(|base| (base.clone(), Arc::clone(&amounts)));
        amounts
    }
}

/// A map of quantities.
pub(crate) fn amounts(map: &Value) -> impl Iterator<Item = (String, i128)> + '_ {
    let entries = map.as_object().into_iter().flatten();
    entries.filter_map(|(name, amount)| Some((name.clone(), millis(amount)?)))
}

/// Thousandths of the unit; nothing if it cannot be read.
pub(crate) fn millis(amount: &Value) -> Option<i128> {
    let quantity = match amount {
        Value::String(text) => Quantity::parse(text),
        other => other.as_i64().map(Quantity::whole),
    };
    quantity.map(|q| i128::from(q.millis()))
}
