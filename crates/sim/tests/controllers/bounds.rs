//! Whatever is done to a Deployment, it keeps to its bounds as long as ready pods stay ready.

use proptest::prelude::*;
use release_sim::resource::{DEPLOYMENTS, PODS, REPLICA_SETS};
use serde_json::{Value, json};

use crate::cluster::{Cluster, deployment};

/// What somebody does to a Deployment.
#[derive(Debug, Clone)]
enum Act {
    Image(u8),
    Bad,
    Pause(bool),
    Wait(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        (0..4_u8).prop_map(Act::Image),
        Just(Act::Bad),
        any::<bool>().prop_map(Act::Pause),
        (1..15_u64).prop_map(Act::Wait),
    ]
}

fn share() -> impl Strategy<Value = Value> {
    prop_oneof![(0..4_i64).prop_map(|n| json!(n)), (0..=100_i64).prop_map(|n| json!(format!("{n}%")))]
}

fn resolve(value: &Value, n: i64, up: bool) -> i64 {
    if let Some(number) = value.as_i64() {
        return number;
    }
    let percent: i64 = value.as_str().unwrap().trim_end_matches('%').parse().unwrap();
    let exact = percent * n;
    if up { (exact + 99) / 100 } else { exact / 100 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn capacity_and_size_stay_within_their_bounds(
        n in 1..9_i64,
        surge in share(),
        unavailable in share(),
        acts in prop::collection::vec(act(), 1..12),
    ) {
        let (most, mut least) = (n + resolve(&surge, n, true), resolve(&unavailable, n, false).min(n));
        // Both nothing is refused for numbers, and becomes one unavailable for shares.
        prop_assume!(surge != json!(0) || unavailable != json!(0));
        prop_assume!(!(is_nothing(&surge) && is_nothing(&unavailable)));
        if most == n && least == 0 {
            least = 1;
        }
        let mut cluster = Cluster::new();
        let mut body = deployment(n, "v0");
        body["spec"]["strategy"]["rollingUpdate"] = json!({"maxSurge": surge, "maxUnavailable": unavailable});
        cluster.create(&DEPLOYMENTS, body);
        cluster.pass(20);
        for act in acts.into_iter().chain([Act::Pause(false), Act::Image(9), Act::Wait(200)]) {
            let image = |cluster: &mut Cluster, image: String| {
                cluster.edit(&DEPLOYMENTS, "web", |d| {
                    d["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
                });
            };
            let seconds = match act {
                Act::Image(v) => { image(&mut cluster, format!("v{v}")); 1 }
                Act::Bad => { image(&mut cluster, "bad".to_owned()); 1 }
                Act::Pause(paused) => {
                    cluster.edit(&DEPLOYMENTS, "web", |d| d["spec"]["paused"] = json!(paused));
                    1
                }
                Act::Wait(seconds) => seconds,
            };
            for _ in 0..seconds {
                cluster.pass(1);
                let total: i64 =
                    cluster.list(&REPLICA_SETS).iter().map(|s| s["spec"]["replicas"].as_i64().unwrap()).sum();
                prop_assert!(total <= most, "{total} pods wanted, {most} allowed");
                let available = cluster
                    .list(&PODS)
                    .iter()
                    .filter(|p| !p.is_terminating() && p["status"]["containerStatuses"][0]["ready"] == true)
                    .count();
                let available = i64::try_from(available).unwrap();
                prop_assert!(available >= n - least, "{available} of {n} available, {least} may be missing");
            }
        }
        let status = cluster.get(&DEPLOYMENTS, "web")["status"].clone();
        prop_assert_eq!(&status["updatedReplicas"], &json!(n));
        prop_assert_eq!(&status["replicas"], &json!(n));
        prop_assert_eq!(&status["availableReplicas"], &json!(n));
    }
}

fn is_nothing(value: &Value) -> bool {
    *value == json!(0) || *value == json!("0%")
}
