//! Webhooks, discovery, custom kinds, and the clock of the API servers.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::by_hand::{MAP, MAPS, answer, code, make, notes, start, start_driven};

const WEB: &str = r#"{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": 1,
    "selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}},
    "spec": {"containers": [{"name": "app", "image": "reg.example/web:v1"}]}}}}"#;
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
const PODS: &str = "/api/v1/namespaces/default/pods";

const DEFINITION: &str = r#"{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
    "metadata": {"name": "stations.radio.example"}, "spec": {"group": "radio.example", "scope": "Namespaced",
    "names": {"kind": "Station", "listKind": "StationList", "plural": "stations", "singular": "station"},
    "versions": [
        {"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}},
        {"name": "v1beta1", "served": true, "storage": false, "schema": {"openAPIV3Schema": {"type": "object"}}}]}}"#;
const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

#[tokio::test(start_paused = true)]
async fn a_webhook_that_is_down_or_says_no_refuses_writes_and_nothing_else() {
    for (fault, want, words) in [
        ("{fault: webhook-down, target: {resource: configmaps}}", 500, "failed calling webhook"),
        ("{fault: webhook-denies, target: {resource: configmaps}}", 403, "denied the request"),
    ] {
        let service = start(fault);
        let (status, body) = answer(&service, Method::POST, MAPS, MAP).await;
        assert_eq!(status, want, "{body}");
        assert!(body["message"].as_str().is_some_and(|message| message.contains(words)), "{body}");
        assert_eq!(code(&service, Method::GET, &format!("{MAPS}/a"), "").await, 404);
        assert_eq!(code(&service, Method::POST, DEPLOYMENTS, WEB).await, 201);
        let told = notes(&service);
        assert!(told[0].ends_with("create configmaps default/a") && told[0].starts_with("F18"), "{told:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn controllers_meet_the_webhook_too() {
    let service = start_driven("{fault: webhook-down, until: 30s, target: {resource: pods}}");
    assert_eq!(code(&service, Method::POST, DEPLOYMENTS, WEB).await, 201);
    tokio::time::sleep(Duration::from_secs(20)).await;
    let (_, pods) = answer(&service, Method::GET, PODS, "").await;
    assert_eq!(pods["items"], json!([]));
    let (_, events) = answer(&service, Method::GET, "/api/v1/namespaces/default/events", "").await;
    let is_told = |event: &Value| {
        event["reason"] == "FailedCreate"
            && event["message"].as_str().is_some_and(|text| text.contains("failed calling webhook"))
    };
    assert!(events["items"].as_array().is_some_and(|list| list.iter().any(is_told)), "{events}");
    tokio::time::sleep(Duration::from_secs(60)).await;
    let (_, pods) = answer(&service, Method::GET, PODS, "").await;
    assert_eq!(pods["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_webhook_changes_what_is_written_and_an_apply_stays_the_same() {
    let service = start_driven("{fault: webhook-changes}");
    let path = format!("{DEPLOYMENTS}/web?fieldManager=us");
    let (status, first) = answer(&service, Method::PATCH, &path, WEB).await;
    assert_eq!(
        (status, &first["metadata"]["annotations"]["release-sim/changed-by-webhook"]),
        (201, &"yes".into())
    );
    tokio::time::sleep(Duration::from_secs(10)).await;
    let (_, pods) = answer(&service, Method::GET, PODS, "").await;
    let variable = json!([{"name": "CHANGED_BY_WEBHOOK", "value": "yes"}]);
    assert_eq!(pods["items"][0]["spec"]["containers"][0]["env"], variable);
    let (_, before) = answer(&service, Method::GET, &format!("{DEPLOYMENTS}/web"), "").await;
    let (_, after) = answer(&service, Method::PATCH, &path, WEB).await;
    assert_eq!(after["metadata"]["resourceVersion"], before["metadata"]["resourceVersion"]);
    assert_eq!(after["metadata"]["generation"], 1);
}

#[tokio::test(start_paused = true)]
async fn discovery_fails_and_objects_can_be_had() {
    let service = start("{fault: discovery-fails}");
    for path in ["/api", "/apis", "/api/v1", "/apis/apps", "/apis/apps/v1", "/openapi/v3"] {
        assert_eq!(code(&service, Method::GET, path, "").await, 503, "{path}");
    }
    assert_eq!(code(&service, Method::GET, MAPS, "").await, 200);
    assert_eq!(code(&service, Method::GET, "/version", "").await, 200);
    assert_eq!(notes(&service)[3], "F19 discovery-fails get /apis/apps");
}

#[tokio::test(start_paused = true)]
async fn custom_kinds_go_missing_and_are_not_converted() {
    const STATIONS: &str = "/apis/radio.example/v1/namespaces/default/stations";
    const OLD_STATIONS: &str = "/apis/radio.example/v1beta1/namespaces/default/stations";
    let missing = start("{fault: kind-missing, from: 10s}");
    assert_eq!(code(&missing, Method::POST, DEFINITIONS, DEFINITION).await, 201);
    assert_eq!(code(&missing, Method::GET, STATIONS, "").await, 200);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(code(&missing, Method::GET, STATIONS, "").await, 404);
    assert_eq!(code(&missing, Method::GET, "/apis/radio.example/v1", "").await, 200);
    assert_eq!(code(&missing, Method::GET, MAPS, "").await, 200);
    let named = start("{fault: kind-missing, target: {resource: configmaps}}");
    assert_eq!(code(&named, Method::GET, MAPS, "").await, 404);
    let converts = start("{fault: conversion-fails}");
    assert_eq!(code(&converts, Method::POST, DEFINITIONS, DEFINITION).await, 201);
    assert_eq!(code(&converts, Method::GET, STATIONS, "").await, 200);
    let (status, body) = answer(&converts, Method::GET, OLD_STATIONS, "").await;
    assert_eq!(status, 500);
    let message = body["message"].as_str().unwrap_or_default();
    assert!(message.contains("conversion webhook for radio.example/v1, Kind=Station failed"), "{message}");
    assert!(notes(&converts).iter().any(|note| note == &format!("F19 conversion-fails list {OLD_STATIONS}")));
}

#[tokio::test(start_paused = true)]
async fn the_clock_of_the_api_servers_is_wrong_for_a_while() {
    let made_at = async |fault: &str| {
        let service = start_driven(fault);
        let mut ages = Vec::new();
        for name in ["a", "b", "c"] {
            make(&service, name).await;
            let (_, made) = answer(&service, Method::GET, &format!("{MAPS}/{name}"), "").await;
            let text = made["metadata"]["creationTimestamp"].as_str().unwrap_or_default();
            let shown: jiff::Timestamp = text.parse().expect("a time");
            ages.push(shown.duration_since(service.now()).as_secs());
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
        (ages, notes(&service))
    };
    let note = || vec!["F42 clock-skew api-servers".to_owned()];
    let fast = made_at("{fault: {clock-skew: {by: 1h}}, from: 5s, until: 15s}").await;
    assert_eq!(fast, (vec![0, 3600, 0], note()));
    let slow = made_at("{fault: {clock-skew: {by: 1h, behind: true}}, from: 5s, until: 15s}").await;
    assert_eq!(slow, (vec![0, -3600, 0], note()));
}
