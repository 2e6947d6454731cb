//! What a pod asks of a node, and what a node has.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::controllers::read::items;
use crate::object::Object;
use crate::quantity::Quantity;

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
