//! Requests that are refused, late or lost, and watches that end early.

use std::io;
use std::time::Duration;

use http::Method;
use http_body_util::BodyExt as _;
use release_sim::{SimService, Simulation};

use crate::by_hand::{MAP, MAPS, ask, code, notes, start};

/// What a watch ends with, and after how many seconds.
async fn end_of_watch(service: &SimService<Simulation>) -> (Option<io::ErrorKind>, i64) {
    let began = service.now();
    let path = format!("{MAPS}?watch=true&timeoutSeconds=60");
    let mut body = ask(service, Method::GET, &path, "").await.expect("an answer").into_body();
    let error = loop {
        match body.frame().await {
            None => break None,
            Some(Err(error)) => break Some(error.kind()),
            Some(Ok(_)) => {}
        }
    };
    (error, service.now().duration_since(began).as_secs())
}

#[tokio::test(start_paused = true)]
async fn errors_before_the_effect() {
    for (fault, want) in [
        ("{fault: {api-error: {status: 500}}, target: {verb: create}}", 500),
        ("{fault: {api-error: {status: 503}}, target: {verb: create}}", 503),
        ("{fault: {too-many-requests: {retry_after_seconds: 3}}, target: {verb: create}}", 429),
        ("{fault: {denied: {status: 403}}, target: {verb: create}}", 403),
        ("{fault: {denied: {status: 401}}, target: {verb: create}}", 401),
    ] {
        let service = start(fault);
        let answer = ask(&service, Method::POST, MAPS, MAP).await.expect("an answer");
        assert_eq!(answer.status().as_u16(), want, "{fault}");
        let wait = answer.headers().get("retry-after").and_then(|value| value.to_str().ok());
        assert_eq!(wait, (want == 429).then_some("3"), "{fault}");
        assert_eq!(code(&service, Method::GET, &format!("{MAPS}/a"), "").await, 404, "{fault}");
        assert_eq!(notes(&service).len(), 1, "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_one_of_a_request_that_was_carried_out() {
    let service = start("{fault: answer-lost, target: {verb: create}}");
    let error = ask(&service, Method::POST, MAPS, MAP).await.map(drop).expect_err("it is lost");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(code(&service, Method::GET, &format!("{MAPS}/a"), "").await, 200);
}

#[tokio::test(start_paused = true)]
async fn conflicts_are_for_those_who_update() {
    let service = start("{fault: conflict}");
    assert_eq!(code(&service, Method::POST, MAPS, MAP).await, 201);
    assert_eq!(code(&service, Method::PUT, &format!("{MAPS}/a"), MAP).await, 409);
}

#[tokio::test(start_paused = true)]
async fn slow_answers_are_late_and_not_lost() {
    let service = start("{fault: {slow-api: {by: 3s}}}");
    let began = service.now();
    assert_eq!(code(&service, Method::POST, MAPS, MAP).await, 201);
    assert_eq!(service.now().duration_since(began).as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn watches_end_early() {
    let closes = start("{fault: {watch-closes: {after: 5s}}}");
    assert_eq!(end_of_watch(&closes).await, (None, 5));
    let resets = start("{fault: {watch-resets: {after: 5s}}}");
    assert_eq!(end_of_watch(&resets).await, (Some(io::ErrorKind::ConnectionReset), 5));
    let expires = start("{fault: watch-expires}");
    assert_eq!(code(&expires, Method::GET, &format!("{MAPS}?watch=true"), "").await, 410);
    let pages = start("{fault: list-expires}");
    assert_eq!(code(&pages, Method::GET, MAPS, "").await, 200);
    assert_eq!(code(&pages, Method::GET, &format!("{MAPS}?limit=1&continue=x"), "").await, 410);
}

#[tokio::test(start_paused = true)]
async fn an_outage_refuses_connections_and_resets_watches() {
    let service = start("{fault: outage, from: 10s, until: 30s}");
    assert_eq!(end_of_watch(&service).await, (Some(io::ErrorKind::ConnectionReset), 10));
    let error = ask(&service, Method::GET, MAPS, "").await.map(drop).expect_err("nobody listens");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(code(&service, Method::GET, MAPS, "").await, 200);
}
