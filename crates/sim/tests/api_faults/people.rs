//! Other people in the same namespace.

use std::time::Duration;

use http::Method;

use crate::by_hand::{MAP, MAPS, answer, code, notes, start_driven};

const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/default/deployments/web";

fn web(image: &str) -> String {
    format!(
        r#"{{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {{"name": "web"}}, "spec": {{"replicas": 2,
    "selector": {{"matchLabels": {{"app": "web"}}}}, "template": {{"metadata": {{"labels": {{"app": "web"}}}},
    "spec": {{"containers": [{{"name": "app", "image": "{image}"}}]}}}}}}}}"#
    )
}

async fn after_a_minute() {
    tokio::time::sleep(Duration::from_secs(60)).await;
}

#[tokio::test(start_paused = true)]
async fn somebody_edits_a_deployment_once() {
    let service = start_driven("{fault: foreign-edit, from: 20s, until: 40s}");
    let path = format!("{DEPLOYMENT}?fieldManager=us");
    assert_eq!(code(&service, Method::PATCH, &path, &web("reg.example/web:v1")).await, 201);
    after_a_minute().await;
    let (_, found) = answer(&service, Method::GET, DEPLOYMENT, "").await;
    let container = &found["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["env"][0]["name"], "EDITED_BY_SOMEBODY_ELSE");
    assert_eq!(found["metadata"]["generation"], 2);
    assert_eq!(notes(&service), ["F30 foreign-edit deployment default/web"]);
}

#[tokio::test(start_paused = true)]
async fn somebody_deletes_what_is_named() {
    let service = start_driven("{fault: foreign-delete, from: 5s, target: {resource: configmaps, name: a}}");
    assert_eq!(code(&service, Method::POST, MAPS, MAP).await, 201);
    after_a_minute().await;
    assert_eq!(code(&service, Method::GET, &format!("{MAPS}/a"), "").await, 404);
    assert_eq!(code(&service, Method::GET, &format!("{MAPS}/kube-root-ca.crt"), "").await, 200);
    assert_eq!(notes(&service), ["F30 foreign-delete configmap default/a"]);
}

#[tokio::test(start_paused = true)]
async fn somebody_takes_a_field_and_the_next_apply_is_told() {
    let service = start_driven("{fault: foreign-apply, from: 5s}");
    let path = format!("{DEPLOYMENT}?fieldManager=us");
    assert_eq!(code(&service, Method::PATCH, &path, &web("reg.example/web@sha256:11")).await, 201);
    after_a_minute().await;
    let (status, refused) = answer(&service, Method::PATCH, &path, &web("reg.example/web@sha256:22")).await;
    let cause = &refused["details"]["causes"][0];
    assert_eq!((status, &cause["reason"]), (409, &"FieldManagerConflict".into()), "{refused}");
    assert!(cause["message"].as_str().is_some_and(|text| text.contains("somebody-else")), "{cause}");
    let (_, found) = answer(&service, Method::GET, DEPLOYMENT, "").await;
    assert_eq!(found["spec"]["template"]["spec"]["containers"][0]["image"], "reg.example/web:somebody-else");
}

#[tokio::test(start_paused = true)]
async fn a_namespace_goes_with_everything_in_it() {
    let service = start_driven("{fault: namespace-ends, from: 20s, target: {namespace: radio}}");
    let namespace = r#"{"metadata": {"name": "radio"}}"#;
    assert_eq!(code(&service, Method::POST, "/api/v1/namespaces", namespace).await, 201);
    // A pod takes its time to go, and the namespace waits for it.
    let pod = r#"{"metadata": {"name": "slow", "finalizers": ["example/waits"]},
        "spec": {"containers": [{"name": "app", "image": "reg.example/web:v1"}]}}"#;
    let pods = "/api/v1/namespaces/radio/pods";
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(code(&service, Method::POST, pods, pod).await, 201);
    after_a_minute().await;
    let (status, refused) = answer(&service, Method::POST, "/api/v1/namespaces/radio/configmaps", MAP).await;
    assert_eq!((status, &refused["details"]["causes"][0]["reason"]), (403, &"NamespaceTerminating".into()));
    let (_, found) = answer(&service, Method::GET, "/api/v1/namespaces/radio", "").await;
    assert_eq!(found["status"]["phase"], "Terminating");
    assert_eq!(notes(&service), ["F33 namespace-ends namespace radio"]);
    assert_eq!(code(&service, Method::GET, "/api/v1/namespaces/default", "").await, 200);
}
