//! Watches: what is known of a namespace when watches end, expire, fall silent or are refused.

use std::time::Duration;

use release_core::ObjectRef;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::fake::{Act, Fake, status};
use crate::watch::Watches;

const LABELS: &str = "app.kubernetes.io/part-of=radio";

fn deployment(name: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "radio",
        "labels": {"app.kubernetes.io/part-of": "radio"}}, "spec": {"replicas": 1}})
}

/// A server with two Deployments, of which the list is answered a second after it was made; meanwhile one is deleted.
fn with_a_late_list() -> Fake {
    let fake = Fake::new();
    fake.put(deployment("a"));
    fake.put(deployment("b"));
    fake.on("GET deployments", 1, Act::Slow(Duration::from_secs(1)));
    let other = fake.clone();
    tokio::spawn(async move {
        sleep(Duration::from_millis(500)).await;
        other.delete("deployments/b");
    });
    fake
}

fn knows(watches: &Watches, name: &str) -> bool {
    let object = ObjectRef::new("apps/v1", "Deployment", "radio", name);
    watches.known().snapshot(&object).workload.is_some()
}

/// Waits, not for ever, until something is true of what is known.
async fn until(watches: &Watches, mut is_true: impl FnMut() -> bool) {
    let wait = async {
        while !is_true() {
            watches.changed().await;
        }
    };
    timeout(Duration::from_secs(600), wait).await.expect("it never came true");
}

async fn opened(fake: &Fake) -> Watches {
    let watches = Watches::open(&fake.cluster(), LABELS);
    until(&watches, || watches.listed()).await;
    watches
}

fn seconds_of(fake: &Fake, line: &str) -> Vec<f64> {
    fake.times(line).iter().map(Duration::as_secs_f64).collect()
}

#[tokio::test(start_paused = true)]
async fn objects_come_change_and_go() {
    let fake = Fake::new();
    fake.put(deployment("a"));
    let watches = opened(&fake).await;
    assert!(knows(&watches, "a") && !knows(&watches, "b"));
    fake.put(deployment("b"));
    until(&watches, || knows(&watches, "b")).await;
    fake.delete("deployments/a");
    until(&watches, || !knows(&watches, "a")).await;
    assert_eq!(fake.times("GET deployments").len(), 1, "listed once");
}

#[tokio::test(start_paused = true)]
async fn objects_of_other_projects_are_not_seen() {
    let fake = Fake::new();
    let mut other = deployment("a");
    other["metadata"]["labels"] = json!({"app.kubernetes.io/part-of": "tv"});
    fake.put(other);
    assert!(!knows(&opened(&fake).await, "a"));
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_expired_is_listed_again_and_what_is_gone_is_gone() {
    let fake = with_a_late_list();
    let gone = json!({"type": "ERROR", "object": status(410, "Expired", "too old resource version: 2 (9)")});
    fake.on("WATCH deployments", 1, Act::Watch { lines: vec![gone], ends: true });
    let watches = opened(&fake).await;
    assert!(knows(&watches, "b"), "the list was made before");
    until(&watches, || !knows(&watches, "b")).await;
    assert!(knows(&watches, "a"));
    assert_eq!(fake.times("GET deployments").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_cannot_begin_where_the_last_one_ended_is_listed_again() {
    let fake = with_a_late_list();
    fake.on("WATCH resourceVersion=2", usize::MAX, Act::status(410, "Gone", "too old resource version"));
    let watches = opened(&fake).await;
    assert!(knows(&watches, "b"), "the list was made before");
    until(&watches, || !knows(&watches, "b")).await;
    assert!(knows(&watches, "a"));
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_was_dropped_goes_on_where_it_stood() {
    let trouble = json!({"type": "ERROR", "object": status(500, "InternalError", "etcd")});
    for act in [
        Act::Watch { lines: Vec::new(), ends: true },
        Act::Watch { lines: vec![trouble], ends: true },
        Act::DieBefore,
        Act::Refuse,
        Act::status(503, "ServiceUnavailable", "no"),
    ] {
        let fake = with_a_late_list();
        fake.on("WATCH deployments", 3, act);
        let watches = opened(&fake).await;
        until(&watches, || !knows(&watches, "b")).await;
        assert_eq!(fake.times("GET deployments").len(), 1, "listed once");
        assert_eq!(fake.times("WATCH deployments").len(), 4);
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_watch_is_opened_again_within_a_minute() {
    let fake = with_a_late_list();
    fake.on("WATCH deployments", 1, Act::Watch { lines: Vec::new(), ends: false });
    let watches = opened(&fake).await;
    until(&watches, || !knows(&watches, "b")).await;
    let opened = seconds_of(&fake, "WATCH deployments");
    assert!(opened[1] - opened[0] <= 60.0, "{opened:?}");
}

#[tokio::test(start_paused = true)]
async fn a_list_that_fails_is_made_again_at_a_slowing_pace() {
    let fake = Fake::new();
    fake.put(deployment("a"));
    fake.on("GET deployments", 12, Act::status(503, "ServiceUnavailable", "no"));
    let watches = opened(&fake).await;
    assert!(knows(&watches, "a"));
    assert!(watches.trouble().is_none());
    let lists = seconds_of(&fake, "GET deployments");
    let pauses: Vec<f64> = lists.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses[0] >= 0.2 && pauses.iter().all(|pause| *pause <= 5.1), "{pauses:?}");
    assert!(pauses.is_sorted(), "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_may_not_be_listed_is_told() {
    let fake = Fake::new();
    fake.on("GET events", usize::MAX, Act::status(403, "Forbidden", "events is forbidden"));
    let watches = Watches::open(&fake.cluster(), LABELS);
    until(&watches, || watches.trouble().is_some()).await;
    assert!(!watches.listed());
    assert!(watches.trouble().expect("trouble").contains("events is forbidden"));
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_works_no_more_is_told_after_a_while_and_not_before() {
    let unavailable = Act::status(503, "ServiceUnavailable", "no");
    let denied = Act::status(403, "Forbidden", "deployments is forbidden");
    for (act, words) in [(unavailable, "503"), (denied, "deployments is forbidden"), (Act::Refuse, "is gone")]
    {
        let fake = Fake::new();
        let watches = opened(&fake).await;
        // The watch that runs ends after its 50 s; those that follow cannot begin.
        fake.on("WATCH deployments", usize::MAX, act);
        sleep(Duration::from_secs(58)).await;
        assert_eq!(watches.trouble(), None, "once is not told");
        sleep(Duration::from_secs(20)).await;
        assert!(watches.listed());
        let trouble = watches.trouble().expect("trouble");
        assert!(trouble.contains(words), "{trouble}");
        fake.heal();
        fake.put(deployment("late"));
        until(&watches, || knows(&watches, "late")).await;
        assert_eq!(watches.trouble(), None, "it works again");
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_dropped_now_and_then_is_not_told() {
    let fake = Fake::new();
    let watches = opened(&fake).await;
    for _ in 0..10 {
        fake.on("WATCH pods", 1, Act::DieBefore);
        sleep(Duration::from_secs(60)).await;
        assert_eq!(watches.trouble(), None);
    }
    assert!(fake.times("WATCH pods").len() > 15, "{:?}", fake.times("WATCH pods"));
}

#[tokio::test(start_paused = true)]
async fn a_survey_says_why_it_sees_nothing() {
    let fake = Fake::new();
    fake.on("GET pods", usize::MAX, Act::status(403, "Forbidden", "pods is forbidden"));
    let error = fake.cluster().survey(LABELS, &[]).await.expect_err("pods may not be listed");
    assert!(error.to_string().contains("pods is forbidden"), "{error}");
    assert!(fake.api().clock.now().since_origin() <= Duration::from_secs(21));
}

#[tokio::test(start_paused = true)]
async fn a_survey_sees_the_images_that_run_and_what_is_missing() {
    let fake = Fake::new();
    let mut body = deployment("web");
    body["spec"]["template"]["spec"]["containers"] = json!([{"image": "web:mine"}, {"image": "proxy:1"}]);
    fake.put(body);
    let object = |kind, name: &str| ObjectRef::new("apps/v1", kind, "radio", name);
    let asked = ["web", "gone"].map(|name| (object("Deployment", name), Vec::new()));
    let seen = fake.cluster().survey(LABELS, &asked).await.expect("a look");
    let images: Vec<_> = seen.iter().map(|seen| seen.images.clone()).collect();
    assert_eq!(images, [vec!["web:mine".to_owned(), "proxy:1".to_owned()], Vec::new()]);

    let asked: Vec<_> = asked.into_iter().map(|(object, _)| object).collect();
    assert_eq!(fake.cluster().missing(&asked).await.expect("a look"), [object("Deployment", "gone")]);
    fake.on("GET deployments/gone", usize::MAX, Act::status(403, "Forbidden", "no"));
    assert!(fake.cluster().missing(&asked).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_after_watches_are_closed() {
    let fake = Fake::new();
    drop(opened(&fake).await);
    fake.forget_log();
    sleep(Duration::from_secs(300)).await;
    assert!(fake.log().is_empty(), "{:?}", fake.log());
}
