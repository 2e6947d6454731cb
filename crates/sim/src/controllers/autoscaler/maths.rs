//! How many replicas a measured load asks for, as numbers only.

use std::cmp::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::controllers::read::{int, items, text};

/// A load this near to the target changes nothing: a tenth.
const TOLERANCE: f64 = 0.1;

/// Old recommendations hold scaling down back for so long.
const DOWN_WINDOW: Duration = Duration::from_secs(300);

/// Without rules of its own, a workload may double at once, …
const UP_FACTOR: i64 = 2;

/// … or grow to so many.
const UP_LEAST: i64 = 4;

/// What was measured of a workload's pods, in thousandths of the unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Measured {
    /// The usage of ready pods, together.
    pub(crate) usage: i128,
    /// What those of them that were measured should use, together, at the target.
    pub(crate) target: i128,
    /// How many those are.
    pub(crate) ready: i64,
    /// Pods that are not ready: they count as idle when scaling up.
    pub(crate) unready: i64,
    /// Pods without a measurement: idle when scaling up, at their target when scaling down.
    pub(crate) missing: i64,
}

#[expect(clippy::cast_precision_loss, reason = "loads are far below 2^52")]
fn ratio(usage: i128, target: i128) -> f64 {
    if target <= 0 { 1.0 } else { usage as f64 / target as f64 }
}

#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "replicas are few")]
fn scaled(ratio: f64, replicas: i64) -> i64 {
    // What is a whole number in exact arithmetic must not become the next one.
    (ratio * replicas as f64 - 1e-9).ceil() as i64
}

fn is_near(ratio: f64) -> bool {
    (1.0 - TOLERANCE..=1.0 + TOLERANCE).contains(&ratio)
}

/// The replicas that would bring each pod to its target.
pub(crate) fn replicas(current: i64, measured: Measured) -> i64 {
    let Measured { usage, target, ready, unready, missing } = measured;
    if ready == 0 {
        return current;
    }
    let first = ratio(usage, target);
    let with_unready = unready > 0 && first > 1.0;
    if missing == 0 && !with_unready {
        return if is_near(first) { current } else { scaled(first, ready) };
    }
    let one = target / i128::from(ready);
    let idle = if with_unready { unready } else { 0 } + if first > 1.0 { missing } else { 0 };
    let busy = if first < 1.0 { missing } else { 0 };
    let again = ratio(usage + one * i128::from(busy), target + one * i128::from(idle + busy));
    let changed_side = (first < 1.0) != (again < 1.0);
    if is_near(again) || changed_side {
        return current;
    }
    let next = scaled(again, ready + idle + busy);
    let contradicts = (again < 1.0 && next > current) || (again > 1.0 && next < current);
    if contradicts { current } else { next }
}

/// A recommendation made some time ago, or a change that was made.
pub(crate) type Dated = (Timestamp, i64);

/// What becomes of a recommendation, and the reason that is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounded {
    pub(crate) replicas: i64,
    /// Older recommendations were higher.
    pub(crate) stabilized: bool,
    /// As in the condition `ScalingLimited`.
    pub(crate) limit: Option<(&'static str, &'static str)>,
}

/// What bounds a recommendation.
pub(crate) struct Bounds<'a> {
    pub(crate) now: Timestamp,
    pub(crate) current: i64,
    pub(crate) min: i64,
    pub(crate) max: i64,
    /// `spec.behavior`.
    pub(crate) behavior: &'a Value,
    /// Recommendations so far.
    pub(crate) recommended: &'a [Dated],
    /// Changes so far: how many replicas came, or went if below zero.
    pub(crate) changed: &'a [Dated],
}

impl Bounds<'_> {
    /// Keeps a recommendation within the window, the rates and the limits.
    pub(crate) fn apply(&self, wanted: i64) -> Bounded {
        let steady = self.stabilize(wanted);
        let stabilized = steady != wanted;
        let (replicas, limit) = self.limit(steady);
        Bounded { replicas, stabilized, limit }
    }

    fn window(&self, direction: &str, otherwise: Duration) -> Duration {
        let own = self.behavior[direction]["stabilizationWindowSeconds"].as_u64();
        own.map_or(otherwise, Duration::from_secs)
    }

    fn stabilize(&self, wanted: i64) -> i64 {
        let within = |window: Duration| {
            self.recommended.iter().filter(move |(at, _)| *at + window > self.now).map(|(_, n)| *n)
        };
        let most = within(self.window("scaleDown", DOWN_WINDOW)).max().unwrap_or(wanted).max(wanted);
        let least = within(self.window("scaleUp", Duration::ZERO)).min().unwrap_or(wanted).min(wanted);
        match wanted.cmp(&self.current) {
            Ordering::Less => most.min(self.current),
            Ordering::Greater => least.max(self.current),
            Ordering::Equal => wanted,
        }
    }

    fn limit(&self, wanted: i64) -> (i64, Option<(&'static str, &'static str)>) {
        let fast =
            ("ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate");
        let slow =
            ("ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate");
        let many = ("TooManyReplicas", "the desired replica count is more than the maximum replica count");
        let few = ("TooFewReplicas", "the desired replica count is less than the minimum replica count");
        let highest = self.highest();
        let lowest = self.lowest();
        if wanted > highest.min(self.max) {
            return if self.max <= highest { (self.max, Some(many)) } else { (highest, Some(fast)) };
        }
        if wanted < lowest.max(self.min) {
            return if self.min >= lowest { (self.min, Some(few)) } else { (lowest, Some(slow)) };
        }
        (wanted, None)
    }

    /// How far up it may go at once.
    fn highest(&self) -> i64 {
        let rules = &self.behavior["scaleUp"];
        let default = (UP_FACTOR * self.current).max(UP_LEAST);
        if rules["selectPolicy"] == "Disabled" {
            return self.current;
        }
        let limits = items(&rules["policies"]).map(|policy| {
            let start = self.current - self.changes_within(policy).filter(|n| *n > 0).sum::<i64>();
            let value = int(&policy["value"], 0);
            if policy["type"] == "Percent" {
                start + (start * value + 99).div_euclid(100)
            } else {
                start + value
            }
        });
        let least = text(&rules["selectPolicy"]) == "Min";
        let limit = if least { limits.min() } else { limits.max() };
        limit.map_or(default, |limit| limit.max(self.current))
    }

    /// How far down it may go at once.
    fn lowest(&self) -> i64 {
        let rules = &self.behavior["scaleDown"];
        if rules["selectPolicy"] == "Disabled" {
            return self.current;
        }
        let limits = items(&rules["policies"]).map(|policy| {
            let start = self.current - self.changes_within(policy).filter(|n| *n < 0).sum::<i64>();
            let value = int(&policy["value"], 0);
            if policy["type"] == "Percent" { (start * (100 - value)).div_euclid(100) } else { start - value }
        });
        // The policy that changes most is the one that goes lowest.
        let least = text(&rules["selectPolicy"]) == "Min";
        let limit = if least { limits.max() } else { limits.min() };
        limit.map_or(0, |limit| limit.clamp(0, self.current))
    }

    fn changes_within<'a>(&'a self, policy: &'a Value) -> impl Iterator<Item = i64> + 'a {
        let period = Duration::from_secs(policy["periodSeconds"].as_u64().unwrap_or(15));
        self.changed.iter().filter(move |(at, _)| *at + period > self.now).map(|(_, n)| *n)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Pods ask for 1000 and should use 500 each.
    fn check(current: i64, usages: &[i128], unready: i64, missing: i64, want: i64) {
        let ready = i64::try_from(usages.len()).unwrap();
        let measured =
            Measured { usage: usages.iter().sum(), target: 500 * i128::from(ready), ready, unready, missing };
        assert_eq!(replicas(current, measured), want, "{current} {usages:?} {unready} {missing}");
    }

    #[test]
    fn loads_ask_for_replicas() {
        check(3, &[500, 500, 500], 0, 0, 3);
        check(3, &[550, 550, 550], 0, 0, 3);
        check(3, &[560, 560, 560], 0, 0, 4);
        check(3, &[1000, 1000, 1000], 0, 0, 6);
        check(3, &[450, 450, 450], 0, 0, 3);
        check(3, &[440, 440, 440], 0, 0, 3);
        check(3, &[250, 250, 250], 0, 0, 2);
        check(5, &[500], 0, 0, 5);
        check(10, &[300; 10], 0, 0, 6);
        check(4, &[], 4, 0, 4);
    }

    #[test]
    fn pods_that_are_not_ready_or_unknown_are_cautiously_counted() {
        check(3, &[1000, 1000], 1, 0, 4);
        check(3, &[600, 600], 1, 0, 3);
        check(3, &[1000, 1000], 0, 1, 4);
        check(4, &[250, 250, 250], 0, 1, 3);
        check(4, &[100, 100], 0, 2, 3);
    }

    fn bounds<'a>(
        current: i64,
        behavior: &'a Value,
        recommended: &'a [Dated],
        changed: &'a [Dated],
    ) -> Bounds<'a> {
        let now = "2026-01-01T01:00:00Z".parse().unwrap();
        Bounds { now, current, min: 2, max: 20, behavior, recommended, changed }
    }

    #[test]
    fn growth_is_bounded() {
        let none = Value::Null;
        for (current, wanted, want) in
            [(1, 10, 4), (2, 10, 4), (3, 10, 6), (15, 40, 20), (5, 1, 2), (5, 3, 3)]
        {
            assert_eq!(bounds(current, &none, &[], &[]).apply(wanted).replicas, want, "{current} {wanted}");
        }
        let limited = bounds(1, &none, &[], &[]).apply(10);
        assert_eq!(limited.limit.map(|l| l.0), Some("ScaleUpLimit"));
    }

    #[test]
    fn older_recommendations_hold_back() {
        let none = Value::Null;
        let at = |minutes: i64| Timestamp::from_second(1_767_229_200 - 60 * minutes).unwrap();
        let old = [(at(4), 9), (at(6), 15)];
        let bounded = bounds(10, &none, &old, &[]).apply(3);
        assert_eq!((bounded.replicas, bounded.stabilized), (9, true));
    }

    #[test]
    fn policies_bound_the_rate() {
        let rules = json!({
            "scaleUp": {"policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}]},
            "scaleDown": {"policies": [{"type": "Percent", "value": 50, "periodSeconds": 60}],
                "stabilizationWindowSeconds": 0},
        });
        assert_eq!(bounds(5, &rules, &[], &[]).apply(20).replicas, 7);
        assert_eq!(bounds(10, &rules, &[], &[]).apply(2).replicas, 5);
        let now = "2026-01-01T00:59:30Z".parse().unwrap();
        assert_eq!(bounds(5, &rules, &[], &[(now, 1)]).apply(20).replicas, 6, "one of two came just now");
        let off = json!({"scaleDown": {"selectPolicy": "Disabled"}});
        assert_eq!(bounds(10, &off, &[], &[]).apply(2).replicas, 10);
    }
}
