//! Asking pods: what is evidence about the application, and what is not.

use std::time::Duration;

use release_core::Verdict;
use serde_json::json;

use super::fake::{Act, Fake, status};
use crate::{HttpCheck, Target};

/// Asks `pods` through a server that does `act` for the first `times` of them; later ones are well.
async fn ask(pods: usize, times: usize, act: Act) -> (Verdict, usize) {
    let fake = Fake::new();
    fake.on("GET /proxy/healthz", times, act);
    fake.on("GET /proxy/healthz", usize::MAX, Act::Answer(200, "fine".to_owned()));
    let check = HttpCheck {
        target: Target::Pods { path: "/healthz".to_owned(), port: 8080 },
        status: Vec::new(),
        body: None,
        latency: Some(Duration::from_millis(500)),
        timeout: Duration::from_secs(2),
    };
    let pods: Vec<String> = (0..pods).map(|pod| format!("web-{pod}")).collect();
    let verdict = fake.cluster().check(&check, &pods).await;
    assert!(fake.log().iter().all(|line| line.starts_with("GET pods/web-")), "{:?}", fake.log());
    (verdict, fake.log().len())
}

/// `good`, or what is bad or missing.
async fn one(act: Act) -> String {
    match ask(1, 1, act).await.0 {
        Verdict::Good { .. } => "good".to_owned(),
        Verdict::Bad { why } => format!("bad: {why}"),
        Verdict::NotEnough { why } => format!("not enough: {why}"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_application_answers_is_evidence() {
    assert_eq!(one(Act::Answer(200, "fine".to_owned())).await, "good");
    assert_eq!(one(Act::Answer(302, String::new())).await, "good");
    for body in ["down", r#"{"status":"down"}"#, r#"{"kind":"Status","apiVersion":"shop/v2","message":"x"}"#]
    {
        for code in [404, 500, 503] {
            let verdict = one(Act::Answer(code, body.to_owned())).await;
            assert_eq!(verdict, format!("bad: pod/web-0 /healthz: answered {code}"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_api_server_answers_in_its_place_is_not() {
    for (code, message) in [
        (503, "error trying to reach service: no route to host"),
        (503, "the server is currently unable to handle the request"),
        (502, "error trying to reach service: EOF"),
        (500, "etcdserver: request timed out"),
        (429, "too many requests"),
        (401, "Unauthorized"),
        (403, "pods is forbidden: cannot get pods/proxy"),
        (404, "pods \"web-0\" not found"),
    ] {
        let verdict = one(Act::status(code, "", message)).await;
        assert_eq!(verdict, format!("not enough: pod/web-0 /healthz: the API server answered: {message}"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_refuses_the_connection_is_bad() {
    let message = "error trying to reach service: dial tcp 10.0.0.7:8080: connect: connection refused";
    let verdict = one(Act::Answer(503, status(503, "ServiceUnavailable", message).to_string())).await;
    assert_eq!(verdict, "bad: pod/web-0 /healthz: nothing listens on port 8080");
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_refuses_or_loses_the_connection_is_not_evidence() {
    for act in [Act::Refuse, Act::DieBefore] {
        let verdict = one(act).await;
        assert!(verdict.starts_with("not enough: "), "{verdict}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_come_or_comes_late_is_bad() {
    assert_eq!(one(Act::Hang).await, "bad: pod/web-0 /healthz: no answer within 2s");
    let fake = Fake::new();
    fake.put(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-0:8080/proxy/healthz"}}));
    fake.on("GET /proxy/", 1, Act::Slow(Duration::from_millis(501)));
    let check = HttpCheck {
        target: Target::Pods { path: "/healthz".to_owned(), port: 8080 },
        status: Vec::new(),
        body: None,
        latency: Some(Duration::from_millis(500)),
        timeout: Duration::from_secs(2),
    };
    let verdict = fake.cluster().check(&check, &["web-0".to_owned()]).await;
    let why = "pod/web-0 /healthz: took 501 ms, more than 500 ms".to_owned();
    assert_eq!(verdict, Verdict::Bad { why });
}

#[tokio::test(start_paused = true)]
async fn one_bad_pod_is_enough_and_one_unreachable_one_is_not() {
    let (verdict, asked) = ask(3, 1, Act::Answer(500, "down".to_owned())).await;
    assert!(matches!(verdict, Verdict::Bad { .. }) && asked == 3);
    let (verdict, _) = ask(3, 2, Act::Refuse).await;
    assert!(matches!(verdict, Verdict::Good { .. }), "{verdict:?}");
    let (verdict, _) = ask(3, 3, Act::Refuse).await;
    assert!(matches!(verdict, Verdict::NotEnough { .. }), "{verdict:?}");
}

#[tokio::test(start_paused = true)]
async fn a_few_pods_stand_for_many_and_none_is_not_good() {
    assert_eq!(ask(40, 0, Act::Hang).await.1, 5);
    assert!(matches!(ask(0, 0, Act::Hang).await.0, Verdict::NotEnough { .. }));
}
