//! Several API servers: caches that are behind, late and repeated events, bookmarks that do not come, history that goes.

use std::time::Duration;

use http::Method;
use release_sim::{SimService, Simulation};

use crate::by_hand::{MAPS, answer, code, events, make, names, notes, revision, start};

const STALE: &str = "{fault: {stale-reads: {servers: 1, by: 5s}}}";

/// A cluster whose other API servers are five seconds behind, a second later.
async fn start_stale() -> SimService<Simulation> {
    let service = start(STALE);
    sleep(1).await;
    service
}

async fn sleep(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

/// What a second later is made, a second later.
async fn make_later(service: &SimService<Simulation>, name: &str) {
    sleep(1).await;
    make(service, name).await;
}

#[tokio::test(start_paused = true)]
async fn a_stale_server_shows_the_past_to_those_who_take_anything() {
    let service = start_stale().await;
    make(&service, "a").await;
    assert_eq!(names(&service, &format!("{MAPS}?resourceVersion=0")).await.0, ["kube-root-ca.crt"]);
    // Who asks for no revision gets what is newest.
    assert_eq!(names(&service, MAPS).await.0, ["a", "kube-root-ca.crt"]);
    assert_eq!(code(&service, Method::GET, &format!("{MAPS}/a"), "").await, 200);
    assert_eq!(code(&service, Method::GET, &format!("{MAPS}/a?resourceVersion=0"), "").await, 404);
    sleep(6).await;
    let (found, behind) = names(&service, &format!("{MAPS}?resourceVersion=0")).await;
    assert_eq!(found, ["a", "kube-root-ca.crt"]);
    let newest = make(&service, "b").await;
    assert!(behind < newest);
    assert_eq!(
        names(&service, &format!("{MAPS}?resourceVersion=0")).await,
        (found, behind),
        "it stays there"
    );
    let told = notes(&service);
    assert!(told[0].starts_with("F12 stale-reads list "), "{told:?}");
    assert!(!told.iter().any(|note| note.ends_with("configmaps/a") && note.contains(" create ")), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stale_server_waits_for_a_revision_and_gives_up_after_three_seconds() {
    let service = start_stale().await;
    let made = make(&service, "a").await;
    let path = format!("{MAPS}?resourceVersion={made}");
    let (status, body) = answer(&service, Method::GET, &path, "").await;
    assert_eq!((status, &body["details"]["causes"][0]["reason"]), (504, &"ResourceVersionTooLarge".into()));
    assert_eq!(body["reason"], "Timeout");
    // Three seconds have passed with that; two more, and the cache is there.
    let began = service.now();
    let (found, revision) = names(&service, &path).await;
    assert_eq!((found.len(), revision), (2, made));
    assert_eq!(service.now().duration_since(began).as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_server_with_a_defect_is_stale_to_all() {
    let service = start("{fault: {stale-reads: {servers: 1, by: 5s, unset_too: true}}}");
    sleep(1).await;
    make(&service, "a").await;
    assert_eq!(names(&service, MAPS).await.0, ["kube-root-ca.crt"]);
    assert_eq!(code(&service, Method::GET, &format!("{MAPS}/a"), "").await, 404);
}

#[tokio::test(start_paused = true)]
async fn several_servers_are_behind_by_different_times_and_reads_go_back_in_time() {
    let service = start("{fault: {stale-reads: {servers: 3, by: 1s..40s}}, rate: 0.7}");
    let mut shown = Vec::new();
    for n in 0..40 {
        make(&service, &format!("m-{n}")).await;
        sleep(1).await;
        shown.push(names(&service, &format!("{MAPS}?resourceVersion=0")).await.1);
    }
    assert!(shown.windows(2).any(|pair| pair[1] < pair[0]), "{shown:?}");
    assert!(shown.windows(2).any(|pair| pair[1] > pair[0]), "{shown:?}");
}

#[tokio::test(start_paused = true)]
async fn caches_are_up_to_date_before_and_after_the_window() {
    let service = start("{fault: {stale-reads: {servers: 1, by: 1h}}, from: 10s, until: 20s}");
    make(&service, "a").await;
    let path = format!("{MAPS}?resourceVersion=0");
    assert_eq!(names(&service, &path).await.0.len(), 2);
    sleep(15).await;
    make(&service, "b").await;
    assert_eq!(names(&service, &path).await.0.len(), 2);
    sleep(10).await;
    assert_eq!(names(&service, &path).await.0.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_watch_at_a_stale_server_begins_in_the_past_and_tells_everything_later() {
    let service = start_stale().await;
    make(&service, "a").await;
    let path = format!("{MAPS}?watch=true&resourceVersion=0&timeoutSeconds=10");
    let seen = events(&service, &path, make_later(&service, "b")).await;
    let want = [(0, "ADDED kube-root-ca.crt"), (5, "ADDED a"), (6, "ADDED b")];
    assert_eq!(seen, want.map(|(age, what)| (age, what.to_owned())));
}

#[tokio::test(start_paused = true)]
async fn a_list_as_a_watch_waits_until_the_cache_is_where_the_store_was() {
    let service = start_stale().await;
    make(&service, "a").await;
    let path = format!(
        "{MAPS}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=10"
    );
    let seen = events(&service, &path, make_later(&service, "b")).await;
    let want =
        [(5, "ADDED a"), (5, "ADDED kube-root-ca.crt"), (5, "BOOKMARK"), (6, "ADDED b"), (10, "BOOKMARK")];
    assert_eq!(seen, want.map(|(age, what)| (age, what.to_owned())));
}

#[tokio::test(start_paused = true)]
async fn a_slow_watch_tells_events_late_and_in_their_order() {
    let service = start("{fault: {slow-watch: {by: 4s}}}");
    let from = make(&service, "a").await;
    let path = format!("{MAPS}?watch=true&resourceVersion={from}&timeoutSeconds=20");
    let changes = async {
        make_later(&service, "b").await;
        make_later(&service, "c").await;
        sleep(1).await;
        assert_eq!(code(&service, Method::DELETE, &format!("{MAPS}/b"), "").await, 200);
    };
    let seen = events(&service, &path, changes).await;
    let want = [(5, "ADDED b"), (6, "ADDED c"), (7, "DELETED b")];
    assert_eq!(seen, want.map(|(age, what)| (age, what.to_owned())));
    assert_eq!(notes(&service), ["F13 slow-watch watch /api/v1/namespaces/default/configmaps"]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_goes_on_tells_events_again() {
    let service = start("{fault: {repeated-events: {events: 2}}}");
    make(&service, "a").await;
    make(&service, "b").await;
    let from = make(&service, "c").await;
    let path = format!("{MAPS}?watch=true&resourceVersion={from}&timeoutSeconds=1");
    let seen = events(&service, &path, async {}).await;
    assert_eq!(seen, [(0, "ADDED b".to_owned()), (0, "ADDED c".to_owned())]);
    assert_eq!(notes(&service).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn bookmarks_do_not_come_or_come_late() {
    let path = format!(
        "{MAPS}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=100"
    );
    let marks = |seen: Vec<(i64, String)>| -> Vec<i64> {
        seen.into_iter().filter(|(_, what)| what == "BOOKMARK").map(|(age, _)| age).collect()
    };
    let well = start("");
    assert_eq!(marks(events(&well, &path, async {}).await), [0, 60, 100]);
    let none = start("{fault: no-bookmarks}");
    assert_eq!(marks(events(&none, &path, async {}).await).len(), 0);
    assert!(notes(&none)[0].starts_with("F11 no-bookmarks watch "));
    let late = start("{fault: {late-initial-end: {by: 7s}}}");
    assert_eq!(marks(events(&late, &path, async {}).await)[..1], [7]);
    assert!(notes(&late)[0].starts_with("F11 late-initial-end watch "));
}

#[tokio::test(start_paused = true)]
async fn a_revision_is_too_large_for_those_who_name_one() {
    let service = start("{fault: revision-too-large}");
    let made = make(&service, "a").await;
    let (status, body) = answer(&service, Method::GET, &format!("{MAPS}?resourceVersion={made}"), "").await;
    assert_eq!((status, &body["details"]["causes"][0]["reason"]), (504, &"ResourceVersionTooLarge".into()));
    assert_eq!(code(&service, Method::GET, &format!("{MAPS}?resourceVersion=0"), "").await, 200);
    assert_eq!(code(&service, Method::GET, MAPS, "").await, 200);
    assert_eq!(notes(&service), ["F5 revision-too-large list /api/v1/namespaces/default/configmaps"]);
}

#[tokio::test(start_paused = true)]
async fn history_is_forgotten_between_the_pages_of_a_list() {
    let service = start("{fault: compaction}");
    make(&service, "a").await;
    let (_, first) = answer(&service, Method::GET, &format!("{MAPS}?limit=1"), "").await;
    let token = first["metadata"]["continue"].as_str().expect("there is more").to_owned();
    make(&service, "b").await;
    let (status, body) = answer(&service, Method::GET, &format!("{MAPS}?limit=9&continue={token}"), "").await;
    assert_eq!((status, &body["reason"]), (410, &"Expired".into()));
    let token = body["metadata"]["continue"].as_str().expect("a token that goes on");
    let (rest, _) = names(&service, &format!("{MAPS}?limit=9&continue={token}")).await;
    assert_eq!(rest, ["b", "kube-root-ca.crt"], "what came meanwhile is among it");
    let from = revision(&first);
    let path = format!("{MAPS}?watch=true&resourceVersion={from}&timeoutSeconds=5");
    assert_eq!(events(&service, &path, async {}).await, [(0, "ERROR".to_owned())]);
    assert!(notes(&service).iter().all(|note| note.starts_with("F15 compaction ")));
}

#[tokio::test(start_paused = true)]
async fn watches_that_have_seen_everything_survive_a_compaction() {
    let service = start("{fault: compaction}");
    let from = make(&service, "a").await;
    let path = format!("{MAPS}?watch=true&timeoutSeconds=10");
    let changes = async {
        sleep(1).await;
        make(&service, "b").await;
        sleep(1).await;
        let other = format!("{MAPS}?watch=true&resourceVersion={from}&timeoutSeconds=1");
        assert_eq!(events(&service, &other, async {}).await, [(0, "ERROR".to_owned())]);
        make(&service, "c").await;
    };
    let seen: Vec<_> = events(&service, &path, changes).await.into_iter().map(|(_, what)| what).collect();
    assert_eq!(seen, ["ADDED a", "ADDED kube-root-ca.crt", "ADDED b", "ADDED c"]);
}
