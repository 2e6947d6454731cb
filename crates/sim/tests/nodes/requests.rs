//! Requests to pods: what scripted clients lose, and what the API server's proxy answers.

use std::time::Duration;

use crate::by_hand::{Cluster, app};
use release_sim::apps::Span;
use release_sim::traffic::Client;
use release_sim::{By, Model, ProxyTarget, resource};
use serde_json::{Value, json};

/// A Service with a slice that names these pods, as a controller would keep it.
fn publish(cluster: &mut Cluster, pods: &[&str]) {
    let endpoints = pods.iter().map(|pod| {
        let ip = cluster.get(pod).map(|pod| pod["status"]["podIP"].clone()).unwrap_or_default();
        json!({"addresses": [ip], "conditions": {"ready": true}, "targetRef": {"kind": "Pod", "name": pod}})
    });
    let endpoints: Vec<_> = endpoints.collect();
    let slice = json!({
        "metadata": {"name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4", "endpoints": endpoints, "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
    });
    let now = cluster.simulation.now();
    let server = cluster.simulation.server_mut();
    if server.store().get(&resource::ENDPOINT_SLICES, "default", "web-1").is_some() {
        let change = |old: &mut Value| old["endpoints"] = slice["endpoints"].clone();
        server
            .edit(now, &resource::ENDPOINT_SLICES, "default", "web-1", &By::nobody(), change)
            .expect("the slice is there");
    } else {
        let service =
            json!({"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80, "targetPort": 8080}]}});
        cluster.create(&resource::SERVICES, service).create(&resource::ENDPOINT_SLICES, slice);
    }
}

fn client() -> Client {
    Client {
        namespace: "default".to_owned(),
        service: "web".to_owned(),
        port: None,
        path: "/tracks".to_owned(),
        per_second: 10.0,
        lag: Span::millis(500),
        timeout: Span::millis(5000),
    }
}

#[test]
fn clients_lose_what_nobody_answers() {
    let mut cluster = Cluster::new("default: {stop: {takes: 3s}, http: [{path: /tracks, error_rate: 0.1}]}");
    cluster.pod("a", app()).pod("b", app()).wait(10);
    publish(&mut cluster, &["a", "b"]);
    cluster.wait(1);
    let number = cluster.simulation.begin_traffic(client());
    cluster.wait(100);
    let quiet = cluster.simulation.traffic().total(number);
    assert_eq!((quiet.sent(), quiet.lost), (1000, 0));
    assert!((60..140).contains(&quiet.failed), "{quiet:?}");
    // The pod stops listening before its clients hear of it: half of five requests a second, for half a second.
    cluster.delete("a");
    publish(&mut cluster, &["b"]);
    cluster.wait(10);
    let total = cluster.simulation.traffic().total(number);
    assert_eq!(total.sent(), 1100);
    assert!((1..=5).contains(&total.lost), "{total:?}");
    cluster.delete("b").wait(10);
    let total = cluster.simulation.traffic().total(number);
    assert!(total.lost >= 100, "{total:?}");
}

#[test]
fn a_service_answers_through_the_proxy() {
    let mut cluster = Cluster::new("default: {http: [{path: /tracks, body: '[]', latency: 20ms}]}");
    cluster.pod("a", app()).wait(10);
    publish(&mut cluster, &["a"]);
    let now = cluster.simulation.now();
    let target = |name: &str, port: &str, is_service| ProxyTarget {
        is_service,
        namespace: "default".to_owned(),
        name: name.to_owned(),
        port: port.to_owned(),
        scheme: String::new(),
    };
    let request = || http::Request::get("/tracks?limit=1").body(bytes::Bytes::new()).expect("a request");
    for target in [
        target("web", "", true),
        target("web", "80", true),
        target("a", "8080", false),
        target("a", "", false),
    ] {
        let answer = cluster.simulation.proxy(now, &target, request()).expect("it answers");
        assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &b"[]"[..]), "{target:?}");
        assert_eq!(answer.after, Duration::from_millis(20));
    }
    cluster.delete("a").wait(10);
    let refusal =
        cluster.simulation.proxy(now, &target("web", "", true), request()).expect_err("nobody is there");
    assert_eq!(refusal.code, 503);
}
