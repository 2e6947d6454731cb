//! Which pods go first when there are too many.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::controllers::pods;
use crate::controllers::read::moment;
use crate::object::Object;

/// What an annotation says a pod's end costs.
const COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// The order of ends: the smallest goes first. Ages count by orders of magnitude, so that pods of about the same age
/// are picked by their uid, which is as good as chance.
type Rank<'a> = (bool, u8, bool, i64, Reverse<usize>, i64, Reverse<i64>, i64, &'a str);

/// The pods in the order they are to go. `crowd` says how many pods of the same application each node has.
pub(super) fn in_order<'a>(
    pods: &[&'a Arc<Object>],
    crowd: &BTreeMap<String, usize>,
    now: Timestamp,
) -> Vec<&'a Arc<Object>> {
    let mut order = pods.to_vec();
    order.sort_by_cached_key(|pod| owned(rank(pod, crowd, now)));
    order
}

fn rank<'a>(pod: &'a Object, crowd: &BTreeMap<String, usize>, now: Timestamp) -> Rank<'a> {
    let node = pod.node_name();
    let phase = match pods::phase(pod) {
        "Running" => 2,
        "Unknown" => 1,
        _ => 0,
    };
    let is_ready = pods::is_ready(pod);
    let cost = pod.field("metadata", "annotations")[COST].as_str().and_then(|c| c.parse().ok()).unwrap_or(0);
    let ready = if is_ready { pods::ready_since(pod).map_or(0, |at| magnitude(at, now)) } else { 0 };
    let made = moment(pod.field("metadata", "creationTimestamp")).map_or(0, |at| magnitude(at, now));
    (
        !node.is_empty(),
        phase,
        is_ready,
        cost,
        Reverse(crowd.get(node).copied().unwrap_or(0)),
        ready,
        Reverse(pods::restarts(pod)),
        made,
        pod.uid(),
    )
}

fn owned(rank: Rank<'_>) -> impl Ord + use<> {
    let (assigned, phase, ready, cost, crowd, since, restarts, made, uid) = rank;
    (assigned, phase, ready, cost, crowd, since, restarts, made, uid.to_owned())
}

/// The binary logarithm of an age in nanoseconds; -1 for no age.
fn magnitude(at: Timestamp, now: Timestamp) -> i64 {
    let age = now.as_nanosecond() - at.as_nanosecond();
    if age <= 0 { -1 } else { i64::from(age.ilog2()) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::kind::Kinds;
    use crate::resource::PODS;

    fn pod(name: &str, extra: &Value) -> Arc<Object> {
        let mut body = json!({
            "metadata": {"name": name, "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"nodeName": "n"},
            "status": {"phase": "Running", "conditions": [
                {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:10Z"}]},
        });
        for (path, value) in extra.as_object().unwrap() {
            *body.pointer_mut(path).unwrap() = value.clone();
        }
        Arc::new(Object::new(Arc::clone(Kinds::builtin().get(&PODS).unwrap()), body))
    }

    #[test]
    fn the_least_useful_goes_first() {
        let young = json!("2026-01-01T00:59:59Z");
        let pods = [
            pod("old", &json!({})),
            pod("young-ready", &json!({"/status/conditions/0/lastTransitionTime": young})),
            pod("not-ready", &json!({"/status/conditions/0/status": "False"})),
            pod("pending", &json!({"/status/phase": "Pending", "/status/conditions/0/status": "False"})),
            pod("nowhere", &json!({"/spec/nodeName": "", "/status/conditions/0/status": "False"})),
            pod("dear", &json!({"/metadata": {"name": "dear", "uid": "dear", "annotations": {COST: "7"}}})),
        ];
        let crowd = BTreeMap::from([("n".to_owned(), 5)]);
        let now = "2026-01-01T01:00:00Z".parse().unwrap();
        let names: Vec<_> =
            in_order(&pods.iter().collect::<Vec<_>>(), &crowd, now).iter().map(|p| p.name()).collect();
        assert_eq!(names, ["nowhere", "pending", "not-ready", "young-ready", "old", "dear"]);
    }
}
