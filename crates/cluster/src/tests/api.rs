//! One request: what is waited for, what is tried again, what a failure is called.

use std::time::Duration;

use http::Method;
use serde_json::json;

use super::fake::{Act, Fake};
use crate::ApiError;
use crate::api::Call;

fn read() -> Call {
    Call::get("the version", "/version".to_owned())
}

fn write() -> Call {
    let path = "/api/v1/namespaces/radio/configmaps".to_owned();
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
    Call::write("create", "configmap/a".to_owned(), Method::POST, path, &body)
}

/// Sends `call` to a server of which `act` is the first `times` answers; tells how it ended, how many requests came and how
/// many seconds it took.
async fn check(call: Call, times: usize, act: Act) -> (String, usize, f64) {
    let fake = Fake::new();
    fake.on("GET /version", times, act.clone());
    fake.on("POST configmaps", times, act);
    let api = fake.api();
    let answer = api.json(&call).await;
    let ended = match answer {
        Ok(_) => "ok".to_owned(),
        Err(ApiError::Refused { status, .. }) => format!("refused {}", status.code),
        Err(ApiError::Unreachable { .. }) => "unreachable".to_owned(),
        Err(ApiError::Unknown { .. }) => "unknown".to_owned(),
        Err(ApiError::Malformed { .. }) => "malformed".to_owned(),
    };
    (ended, fake.log().len(), api.clock.now().since_origin().as_secs_f64())
}

const ALWAYS: usize = usize::MAX;

#[tokio::test(start_paused = true)]
async fn too_many_requests_are_waited_for_as_long_as_the_server_says() {
    for call in [read(), write()] {
        let (ended, requests, seconds) = check(call, 1, Act::Later(429, "7")).await;
        assert_eq!((ended.as_str(), requests), ("ok", 2));
        assert!((7.0..7.1).contains(&seconds), "{seconds}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_server_makes_us_wait_longer_than_half_a_minute() {
    let (ended, _, seconds) = check(read(), 1, Act::Later(429, "86400")).await;
    assert_eq!(ended, "ok");
    assert!((30.0..30.1).contains(&seconds), "{seconds}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_at_once_is_not_asked_in_a_busy_loop() {
    let (ended, requests, _) = check(read(), ALWAYS, Act::Later(429, "0")).await;
    assert_eq!(ended, "refused 429");
    assert!(requests < 20, "{requests} requests");
}

#[tokio::test(start_paused = true)]
async fn a_server_in_trouble_is_read_again_until_patience_ends() {
    for code in [500, 502, 503, 504] {
        let act = Act::status(code, "", "trouble");
        assert_eq!(check(read(), 3, act.clone()).await.0, "ok");
        let (ended, requests, seconds) = check(read(), ALWAYS, act).await;
        assert_eq!(ended, format!("refused {code}"));
        assert!((5..20).contains(&requests), "{requests} requests");
        assert!((40.0..=45.0).contains(&seconds), "{seconds}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_a_server_in_trouble_got_is_unknown_and_not_repeated() {
    for code in [500, 502, 503, 504] {
        let (ended, requests, seconds) = check(write(), ALWAYS, Act::status(code, "", "trouble")).await;
        assert_eq!((ended.as_str(), requests), ("unknown", 1), "{code}");
        assert!(seconds < 0.1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_may_be_repeated_is() {
    let (ended, requests, _) = check(write().repeatable(), 2, Act::DieBefore).await;
    assert_eq!((ended.as_str(), requests), ("ok", 3));
}

#[tokio::test(start_paused = true)]
async fn a_connection_lost_after_sending_leaves_a_write_unknown() {
    for act in [Act::DieBefore, Act::DieAfter] {
        assert_eq!(check(write(), ALWAYS, act.clone()).await, ("unknown".to_owned(), 1, 0.0));
        assert_eq!(check(read(), 2, act).await.0, "ok");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_connection_is_tried_again_even_for_writes() {
    assert_eq!(check(write(), 3, Act::Refuse).await.0, "ok");
    let (ended, _, seconds) = check(write(), ALWAYS, Act::Refuse).await;
    assert_eq!(ended, "unreachable");
    assert!((40.0..=45.0).contains(&seconds), "{seconds}");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_at_once() {
    for code in [400, 401, 403, 404, 409, 410, 413, 422] {
        for call in [read(), write()] {
            let (ended, requests, _) = check(call, ALWAYS, Act::status(code, "No", "no")).await;
            assert_eq!((ended, requests), (format!("refused {code}"), 1));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn credentials_that_were_good_are_given_time_to_be_renewed() {
    let unauthorized = || Act::status(401, "Unauthorized", "Unauthorized");
    for call in [read(), write()] {
        let fake = Fake::new();
        let api = fake.api();
        api.json(&Call::get("the pods", "/api/v1/namespaces/radio/pods".to_owned()))
            .await
            .expect("it is let in");
        fake.on("GET /version", 3, unauthorized());
        fake.on("POST configmaps", 3, unauthorized());
        api.json(&call).await.expect("it is let in again");
        fake.on("GET /version", ALWAYS, unauthorized());
        fake.on("POST configmaps", ALWAYS, unauthorized());
        let began = api.clock.now();
        let error = api.json(&call).await.expect_err("it never is");
        assert!(error.is_code(401), "{error}");
        assert!((40.0..=45.0).contains(&api.clock.now().since(began).as_secs_f64()));
    }
}

#[tokio::test(start_paused = true)]
async fn no_request_outlives_its_patience() {
    for patience in [3, 30, 45] {
        for call in [read(), write(), write().repeatable()] {
            let call = call.patience(Duration::from_secs(patience));
            let (ended, _, seconds) = check(call, ALWAYS, Act::Hang).await;
            assert_eq!(ended, "unknown");
            assert!(
                Duration::from_secs_f64(seconds) <= Duration::from_millis(patience * 1000 + 1),
                "{seconds}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_without_an_answer_makes_room_for_another() {
    let (ended, requests, _) = check(read(), 1, Act::Hang).await;
    assert_eq!((ended.as_str(), requests), ("ok", 2));
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_end_is_not_read_again() {
    assert_eq!(check(read(), ALWAYS, Act::Endless).await, ("malformed".to_owned(), 1, 0.0));
    assert_eq!(check(write(), ALWAYS, Act::Endless).await, ("unknown".to_owned(), 1, 0.0));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_json_leaves_a_write_unknown() {
    let portal = Act::Answer(200, "<html>sign in</html>".to_owned());
    assert_eq!(check(read(), ALWAYS, portal.clone()).await.0, "malformed");
    assert_eq!(check(write(), ALWAYS, portal).await.0, "unknown");
}

#[tokio::test(start_paused = true)]
async fn what_a_proxy_answers_in_the_servers_place_has_its_code() {
    let (ended, ..) = check(read(), ALWAYS, Act::Answer(418, "short and stout".to_owned())).await;
    assert_eq!(ended, "refused 418");
}
