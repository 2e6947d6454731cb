//! One release at a time: taking, waiting, renewing, losing, giving back.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::fake::{Act, Fake};
use super::record::NAME;
use crate::{Lock, LockError, TTL};

const LEASE: &str = "leases/l";

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

async fn lock(fake: &Fake, holder: &str, patience: Duration) -> Result<Lock, LockError> {
    fake.cluster().lock("l", holder, patience, |_| {}).await
}

async fn taken(fake: &Fake, holder: &str) -> Lock {
    lock(fake, holder, seconds(60)).await.expect("the lock")
}

async fn taken_for_release(fake: &Fake) -> Lock {
    fake.cluster().lock(NAME, "ada", seconds(60), |_| {}).await.expect("the lock")
}

fn lease(holder: &str, renewed: &str, fence: u64) -> Value {
    json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l", "namespace": "radio"},
        "spec": {"holderIdentity": holder, "renewTime": renewed, "leaseTransitions": fence,
            "leaseDurationSeconds": 15}})
}

fn spec(fake: &Fake) -> Value {
    fake.object(LEASE).expect("the Lease")["spec"].clone()
}

/// How many seconds `future` takes.
async fn time<T>(fake: &Fake, future: impl Future<Output = T>) -> (T, f64) {
    let clock = fake.api().clock;
    let began = clock.now();
    let output = future.await;
    (output, clock.now().since(began).as_secs_f64())
}

#[tokio::test(start_paused = true)]
async fn a_lock_nobody_holds_is_taken_at_once() {
    let fake = Fake::new();
    let (lock, took) = time(&fake, taken(&fake, "ada")).await;
    assert_eq!((lock.fence(), took), (1, 0.0));
    assert_eq!(spec(&fake)["holderIdentity"], "ada");
    assert_eq!(fake.log(), ["GET leases/l", "GET configmaps/l.journal", "POST leases"]);
}

#[tokio::test(start_paused = true)]
async fn the_fence_grows_with_every_acquisition() {
    let fake = Fake::new();
    for fence in 1..=4 {
        let lock = taken(&fake, &format!("holder {fence}")).await;
        assert_eq!(lock.fence(), fence);
        lock.unlock().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_somebody_deleted_does_not_begin_to_count_again() {
    let fake = Fake::new();
    for fence in 1..=3 {
        let lock = taken_for_release(&fake).await;
        assert_eq!(lock.fence(), fence);
        super::record::store(&fake).journal(fence).await.expect("the journal");
        lock.unlock().await;
        fake.delete(&format!("leases/{NAME}"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_vanished_is_respected_for_a_whole_time_to_live_whatever_its_clock_said() {
    for clock in ["1970-01-01T00:00:00.000000Z", "2199-01-01T00:00:00.000000Z", ""] {
        let fake = Fake::new();
        fake.put(lease("eve", clock, 7));
        let (lock, took) = time(&fake, taken(&fake, "ada")).await;
        assert_eq!(lock.fence(), 8);
        assert!((15.0..15.1).contains(&took), "{took} s with {clock:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewal_while_we_watch_starts_the_time_to_live_again() {
    let fake = Fake::new();
    fake.put(lease("eve", "a", 1));
    let other = fake.clone();
    tokio::spawn(async move {
        sleep(seconds(10)).await;
        other.put(lease("eve", "b", 1));
    });
    let (_, took) = time(&fake, taken(&fake, "ada")).await;
    assert!((25.0..25.1).contains(&took), "{took}");
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_renews_is_waited_for_and_then_named() {
    let fake = Fake::new();
    let _held = taken(&fake, "eve").await;
    let mut told = Vec::new();
    let answer = fake.cluster().lock("l", "ada", seconds(100), |holder| told.push(holder.to_owned())).await;
    match answer.err() {
        Some(LockError::Held { holder, held_for }) => {
            assert_eq!((holder.as_str(), held_for), ("eve", seconds(100)));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(told, ["eve"], "told once, not with every renewal");
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_is_given_back_is_taken_at_once() {
    let fake = Fake::new();
    let held = taken(&fake, "eve").await;
    tokio::spawn(async move {
        sleep(seconds(7)).await;
        held.unlock().await;
    });
    let (lock, took) = time(&fake, taken(&fake, "ada")).await;
    assert_eq!(lock.fence(), 2);
    assert!((7.0..7.1).contains(&took), "{took}");
}

#[tokio::test(start_paused = true)]
async fn a_lock_given_back_between_a_read_and_the_watch_is_noticed() {
    let fake = Fake::new();
    fake.put(lease("eve", "a", 1));
    let other = fake.clone();
    // The first read is answered late; before the watch begins, the Lease is free.
    fake.on("GET leases/l", 1, Act::Slow(seconds(2)));
    tokio::spawn(async move {
        sleep(seconds(1)).await;
        other.put(lease("", "a", 1));
    });
    let (_, took) = time(&fake, taken(&fake, "ada")).await;
    assert!(took < 3.0, "{took}");
}

#[tokio::test(start_paused = true)]
async fn an_account_that_may_not_watch_looks_every_second() {
    let fake = Fake::new();
    fake.on("GET fieldSelector", usize::MAX, Act::status(403, "Forbidden", "may not list"));
    fake.put(lease("eve", "a", 1));
    let other = fake.clone();
    tokio::spawn(async move {
        sleep(seconds(4)).await;
        other.put(lease("", "a", 1));
    });
    let (_, took) = time(&fake, taken(&fake, "ada")).await;
    assert!((4.0..6.0).contains(&took), "{took}");
}

#[tokio::test(start_paused = true)]
async fn a_take_whose_answer_was_lost_is_found_and_taken_again() {
    for act in [Act::DieAfter, Act::DieBefore] {
        let fake = Fake::new();
        let fences = if matches!(act, Act::DieAfter) { 2 } else { 1 };
        fake.on("POST leases", 1, act);
        assert_eq!(taken(&fake, "ada").await.fence(), fences);
        assert_eq!(spec(&fake)["leaseTransitions"], fences);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_no_writes_is_not_asked_for_ever() {
    let fake = Fake::new();
    fake.on("POST leases", usize::MAX, Act::status(503, "ServiceUnavailable", "no leader"));
    let (answer, took) = time(&fake, timeout(seconds(600), lock(&fake, "ada", seconds(60)))).await;
    assert!(matches!(answer, Ok(Err(LockError::Api { .. }))));
    assert!((45.0..50.0).contains(&took), "{took}");
    assert!(fake.log().len() < 300, "{} requests", fake.log().len());
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_does_not_exist_is_told_at_once() {
    let fake = Fake::new();
    let mut gone = super::fake::status(404, "NotFound", "namespaces \"radio\" not found");
    gone["details"] = json!({"kind": "namespaces", "name": "radio"});
    fake.on("POST leases", usize::MAX, Act::Answer(404, gone.to_string()));
    let (answer, took) = time(&fake, lock(&fake, "ada", seconds(60))).await;
    assert!(matches!(answer.err(), Some(LockError::Api { .. })));
    assert!(took < 1.0, "{took}");
}

#[tokio::test(start_paused = true)]
async fn somebody_who_was_quicker_is_waited_for() {
    let fake = Fake::new();
    fake.put(lease("", "", 3));
    let other = fake.clone();
    fake.on("GET leases/l", 1, Act::Slow(seconds(1)));
    tokio::spawn(async move {
        sleep(Duration::from_millis(500)).await;
        other.put(lease("eve", "a", 4));
    });
    let (lock, took) = time(&fake, taken(&fake, "ada")).await;
    assert_eq!(lock.fence(), 5);
    assert!((16.0..17.0).contains(&took), "{took}");
}

#[tokio::test(start_paused = true)]
async fn a_lock_is_renewed_every_third_of_its_time_to_live() {
    let fake = Fake::new();
    let mut lock = taken(&fake, "ada").await;
    assert!(timeout(seconds(61), lock.lost()).await.is_err());
    let renewals: Vec<u64> = fake.times("PUT leases/l").iter().map(Duration::as_secs).collect();
    assert_eq!(renewals, (1..=12).map(|n| n * 5).collect::<Vec<_>>());
    assert_eq!(renewals[0] * 3, TTL.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_meets_another_writer_is_tried_again() {
    let fake = Fake::new();
    let mut lock = taken(&fake, "ada").await;
    let mut annotated = fake.object(LEASE).expect("the Lease");
    annotated["metadata"]["annotations"] = json!({"seen": "by somebody"});
    fake.put(annotated);
    assert!(timeout(seconds(60), lock.lost()).await.is_err());
    assert_eq!(fake.object(LEASE).expect("the Lease")["metadata"]["annotations"]["seen"], "by somebody");
}

#[tokio::test(start_paused = true)]
async fn renewals_whose_answers_are_lost_count() {
    let fake = Fake::new();
    let mut lock = taken(&fake, "ada").await;
    fake.on("PUT leases/l", usize::MAX, Act::DieAfter);
    assert!(timeout(seconds(120), lock.lost()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn one_renewal_without_an_answer_does_not_lose_the_lock() {
    let fake = Fake::new();
    let mut lock = taken(&fake, "ada").await;
    fake.on("PUT leases/l", 1, Act::Hang);
    assert!(timeout(seconds(60), lock.lost()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_cannot_be_renewed_is_lost_before_others_may_take_it() {
    let unavailable = Act::status(503, "ServiceUnavailable", "no");
    for (put, get) in [
        (Act::Hang, Act::Hang),
        (Act::Refuse, Act::Refuse),
        (Act::DieBefore, Act::Hang),
        (unavailable.clone(), unavailable),
        (Act::Slow(seconds(20)), Act::Slow(seconds(20))),
    ] {
        let fake = Fake::new();
        let mut lock = taken(&fake, "ada").await;
        fake.on("PUT leases/l", usize::MAX, put);
        fake.on("GET leases/l", usize::MAX, get);
        let (lost, took) = time(&fake, timeout(seconds(60), lock.lost())).await;
        assert!(lost.is_ok());
        assert!(took < TTL.as_secs_f64() - 3.0, "{took}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_counts_from_when_the_take_was_sent() {
    let fake = Fake::new();
    fake.on("POST leases", 1, Act::Slow(seconds(9)));
    let mut lock = taken(&fake, "ada").await;
    fake.on("PUT leases/l", usize::MAX, Act::Hang);
    fake.on("GET leases/l", usize::MAX, Act::Hang);
    let ((), took) = time(&fake, lock.lost()).await;
    assert!(took + 9.0 < TTL.as_secs_f64(), "{took}");
}

#[tokio::test(start_paused = true)]
async fn a_lock_somebody_took_or_deleted_is_lost_at_the_next_renewal() {
    for broken in [Some(lease("eve", "x", 2)), Some(lease("ada", "x", 2)), None] {
        let fake = Fake::new();
        let mut lock = taken(&fake, "ada").await;
        match broken {
            Some(other) => fake.put(other),
            None => fake.delete(LEASE),
        }
        let (lost, took) = time(&fake, timeout(seconds(60), lock.lost())).await;
        assert!(lost.is_ok());
        assert!(took < 5.1, "{took}");
    }
}

#[tokio::test(start_paused = true)]
async fn unlocking_leaves_the_fence_and_frees_the_holder() {
    for act in [None, Some(Act::DieAfter), Some(Act::DieBefore)] {
        let fake = Fake::new();
        let lock = taken(&fake, "ada").await;
        if let Some(act) = act {
            fake.on("PUT leases/l", 1, act);
        }
        lock.unlock().await;
        assert_eq!(
            (&spec(&fake)["holderIdentity"], &spec(&fake)["leaseTransitions"]),
            (&json!(""), &json!(1))
        );
        sleep(seconds(60)).await;
        assert_eq!(spec(&fake)["holderIdentity"], "", "renewed after it was given back");
    }
}

#[tokio::test(start_paused = true)]
async fn unlocking_does_not_take_the_lock_from_a_successor() {
    let fake = Fake::new();
    let lock = taken(&fake, "ada").await;
    fake.put(lease("eve", "x", 2));
    lock.unlock().await;
    assert_eq!(spec(&fake)["holderIdentity"], "eve");
}

#[tokio::test(start_paused = true)]
async fn unlocking_a_server_that_does_not_answer_is_given_up() {
    let fake = Fake::new();
    let lock = taken(&fake, "ada").await;
    fake.on("GET leases/l", usize::MAX, Act::Hang);
    let ((), took) = time(&fake, lock.unlock()).await;
    assert!(took < 6.0, "{took}");
}
