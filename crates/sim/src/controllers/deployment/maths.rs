//! How many pods each ReplicaSet of a Deployment may have, as numbers only.

use serde_json::Value;

use crate::controllers::read::share;

/// What matters of a ReplicaSet for these decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Count {
    /// `spec.replicas`.
    pub(crate) spec: i64,
    /// `status.availableReplicas`.
    pub(crate) available: i64,
}

/// How far a rolling update may leave the wanted number of pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    /// So many more.
    pub(crate) surge: i64,
    /// So many fewer.
    pub(crate) unavailable: i64,
}

/// `maxSurge` rounded up, `maxUnavailable` rounded down; if both come to nothing, one may be unavailable.
pub(crate) fn fenceposts(surge: &Value, unavailable: &Value, desired: i64) -> Room {
    let surge = share(surge, desired, true).max(0);
    let mut unavailable = share(unavailable, desired, false).max(0);
    if surge == 0 && unavailable == 0 {
        unavailable = 1;
    }
    Room { surge, unavailable }
}

/// How many replicas a new ReplicaSet gets at this moment of a rolling update.
pub(crate) fn size_of_new(desired: i64, surge: i64, total: i64, new: i64) -> i64 {
    let room = desired + surge - total;
    if room <= 0 { new } else { new + room.min(desired - new) }
}

/// Which old ReplicaSets (oldest first) become smaller: their places and new sizes, in the order of the writes.
/// Pods that are not available go first, then as many available ones as `unavailable` permits.
pub(crate) fn shrink_old(desired: i64, unavailable: i64, old: &[Count], new: Count) -> Vec<(usize, i64)> {
    let mut sizes: Vec<i64> = old.iter().map(|c| c.spec).collect();
    let total = sizes.iter().sum::<i64>() + new.spec;
    let least = desired - unavailable;
    let most = total - least - (new.spec - new.available);
    let mut steps = Vec::new();
    if sizes.iter().sum::<i64>() == 0 || most <= 0 {
        return steps;
    }
    let mut gone = 0;
    for (at, count) in old.iter().enumerate() {
        if gone >= most {
            break;
        }
        let unhealthy = (count.spec - count.available).min(most - gone);
        if unhealthy > 0 {
            sizes[at] -= unhealthy;
            gone += unhealthy;
            steps.push((at, sizes[at]));
        }
    }
    let available = old.iter().map(|c| c.available).sum::<i64>() + new.available;
    let spare = available - least;
    let mut gone = 0;
    for (at, size) in sizes.iter_mut().enumerate() {
        if gone >= spare {
            break;
        }
        let down = (*size).min(spare - gone);
        if down > 0 {
            *size -= down;
            gone += down;
            steps.push((at, *size));
        }
    }
    steps
}

/// A ReplicaSet when a Deployment is scaled while it has several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    /// `spec.replicas`.
    pub(crate) spec: i64,
    /// The annotation `max-replicas`, zero if absent.
    pub(crate) max_before: i64,
}

/// The sizes of active ReplicaSets (largest first, see the caller) after scaling in proportion; what rounding leaves
/// over goes to the first.
pub(crate) fn in_proportion(desired: i64, surge: i64, replicas_before: i64, parts: &[Part]) -> Vec<i64> {
    let total: i64 = parts.iter().map(|p| p.spec).sum();
    let allowed = if desired > 0 { desired + surge } else { 0 };
    let to_add = allowed - total;
    let mut added = 0;
    let mut sizes = Vec::with_capacity(parts.len());
    for part in parts {
        let share = if part.spec == 0 || to_add == 0 || to_add == added {
            0
        } else {
            let fraction = fraction(desired, surge, replicas_before, *part);
            let left = to_add - added;
            if to_add > 0 { fraction.min(left) } else { fraction.max(left) }
        };
        sizes.push(part.spec + share);
        added += share;
    }
    if let Some(first) = sizes.first_mut().filter(|_| to_add != 0) {
        *first = (*first + to_add - added).max(0);
    }
    sizes
}

fn fraction(desired: i64, surge: i64, replicas_before: i64, part: Part) -> i64 {
    if desired == 0 {
        return -part.spec;
    }
    let before = if part.max_before == 0 { replicas_before } else { part.max_before };
    if before == 0 {
        return 0;
    }
    let product = 2 * part.spec * (desired + surge) + before;
    product.div_euclid(2 * before) - part.spec
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(n: i64, surge: &Value, unavailable: &Value, want: (i64, i64)) {
        let room = fenceposts(surge, unavailable, n);
        assert_eq!((room.surge, room.unavailable.min(n)), want, "{n} {surge} {unavailable}");
    }

    #[test]
    fn fenceposts_as_published() {
        let quarter = json!("25%");
        for (n, want) in [(1, (1, 0)), (2, (1, 0)), (3, (1, 0)), (4, (1, 1)), (10, (3, 2))] {
            check(n, &quarter, &quarter, want);
        }
        check(10, &json!(3), &json!(2), (3, 2));
        check(2, &json!(0), &json!("1%"), (0, 1));
        check(100, &json!("1%"), &json!("1%"), (1, 1));
        check(1, &json!(0), &json!("25%"), (0, 1));
        check(5, &json!("100%"), &json!(0), (5, 0));
    }

    /// The same numbers by counting instead of dividing.
    #[test]
    fn fenceposts_by_counting() {
        for n in 0..=50_i64 {
            for s in 0..=100_i64 {
                let up = (0..=n).find(|k| k * 100 >= n * s).unwrap_or(n);
                for u in (0..=100_i64).step_by(5) {
                    let down = (0..=n).rev().find(|k| k * 100 <= n * u).unwrap_or(0);
                    let down = if up == 0 && down == 0 { 1.min(n) } else { down };
                    check(n, &json!(format!("{s}%")), &json!(format!("{u}%")), (up, down));
                }
            }
        }
    }

    #[test]
    fn new_replica_sets_grow_into_the_room_there_is() {
        for (desired, surge, total, new, want) in [
            (3, 1, 0, 0, 3),
            (3, 1, 3, 0, 1),
            (3, 1, 4, 1, 1),
            (3, 1, 3, 1, 2),
            (10, 3, 10, 0, 3),
            (2, 5, 2, 0, 2),
        ] {
            assert_eq!(size_of_new(desired, surge, total, new), want, "{desired} {surge} {total} {new}");
        }
    }

    #[test]
    fn unhealthy_pods_go_first() {
        let old = [Count { spec: 3, available: 1 }, Count { spec: 2, available: 2 }];
        let steps = shrink_old(4, 1, &old, Count { spec: 1, available: 0 });
        assert_eq!(steps, [(0, 1)], "two of six may go, and two are not available");
        let steps = shrink_old(4, 1, &old, Count { spec: 1, available: 1 });
        assert_eq!(steps, [(0, 1), (0, 0)], "one more, because four are available and three suffice");
    }

    #[test]
    fn scaling_in_proportion() {
        let part = |spec, max_before| Part { spec, max_before };
        assert_eq!(in_proportion(20, 5, 13, &[part(8, 13), part(5, 13)]), [15, 10]);
        assert_eq!(in_proportion(0, 0, 13, &[part(8, 13), part(5, 13)]), [0, 0]);
        assert_eq!(in_proportion(5, 2, 13, &[part(8, 13), part(5, 13)]), [4, 3]);
        assert_eq!(in_proportion(10, 3, 13, &[part(8, 13), part(5, 13)]), [8, 5]);
    }
}
