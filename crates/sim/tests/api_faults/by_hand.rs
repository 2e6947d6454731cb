//! A cluster with one fault, and requests to it.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use release_sim::faults::read_faults;
use release_sim::{Clock, SimBody, SimService, Simulation, SimulationConfig};
use serde_json::Value;
use tower::ServiceExt as _;

pub(crate) const MAPS: &str = "/api/v1/namespaces/default/configmaps";
pub(crate) const MAP: &str = r#"{"metadata": {"name": "a"}}"#;

/// A cluster with controllers in which faults (YAML, with commas between them) happen from now on.
pub(crate) fn start(faults: &str) -> SimService<Simulation> {
    let plan = read_faults(&format!("faults: [{faults}]")).expect("it can be read");
    let mut simulation = Simulation::whole(SimulationConfig::default());
    simulation.advance(Duration::from_secs(1));
    simulation.begin_faults(&plan);
    let clock = Clock::starting_at(simulation.now());
    SimService::new(simulation, clock)
}

/// As [`start`], with a cluster that does things by itself.
pub(crate) fn start_driven(faults: &str) -> SimService<Simulation> {
    let service = start(faults);
    tokio::spawn(service.clone().drive());
    service
}

pub(crate) async fn ask(
    service: &SimService<Simulation>,
    method: Method,
    path: &str,
    body: &str,
) -> io::Result<Response<SimBody>> {
    let content = if method == Method::PATCH { "application/apply-patch+yaml" } else { "application/json" };
    let request = Request::builder().method(method).uri(path).header("content-type", content);
    let request = request.body(Full::new(Bytes::from(body.to_owned()))).expect("a request");
    service.clone().oneshot(request).await
}

pub(crate) async fn code(service: &SimService<Simulation>, method: Method, path: &str, body: &str) -> u16 {
    ask(service, method, path, body).await.expect("an answer").status().as_u16()
}

/// The status and the body of an answer that comes as a whole.
pub(crate) async fn answer(
    service: &SimService<Simulation>,
    method: Method,
    path: &str,
    body: &str,
) -> (u16, Value) {
    let answer = ask(service, method, path, body).await.expect("an answer");
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.expect("a body").to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

/// The names in a list, and its revision.
pub(crate) async fn names(service: &SimService<Simulation>, path: &str) -> (Vec<String>, u64) {
    let (status, list) = answer(service, Method::GET, path, "").await;
    assert_eq!(status, 200, "{list}");
    let items = list["items"].as_array().into_iter().flatten();
    let names = items.filter_map(|item| item["metadata"]["name"].as_str().map(str::to_owned)).collect();
    (names, revision(&list))
}

pub(crate) fn revision(object: &Value) -> u64 {
    let text = object["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    text.parse().unwrap_or_else(|_| panic!("no revision in {object}"))
}

/// Makes a ConfigMap; its revision.
pub(crate) async fn make(service: &SimService<Simulation>, name: &str) -> u64 {
    let body = format!(r#"{{"metadata": {{"name": "{name}"}}}}"#);
    let (status, made) = answer(service, Method::POST, MAPS, &body).await;
    assert_eq!(status, 201, "{made}");
    revision(&made)
}

/// What faults did, in words.
pub(crate) fn notes(service: &SimService<Simulation>) -> Vec<String> {
    service.with(|simulation, _| {
        let notes = simulation.trace().notes().iter();
        notes.map(|note| format!("{} {}", note.fault, note.target)).collect()
    })
}

/// The events of a watch, each with the seconds since it was asked for: `ADDED a`, `BOOKMARK`.
pub(crate) async fn events(
    service: &SimService<Simulation>,
    path: &str,
    during: impl Future<Output = ()>,
) -> Vec<(i64, String)> {
    let began = service.now();
    let mut body = ask(service, Method::GET, path, "").await.expect("an answer").into_body();
    let mut seen = Vec::new();
    let read = async {
        while let Some(Ok(frame)) = body.frame().await {
            let bytes = frame.into_data().unwrap_or_default();
            for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let event: Value = serde_json::from_slice(line).expect("JSON");
                let name = event["object"]["metadata"]["name"].as_str().unwrap_or_default();
                let what = event["type"].as_str().unwrap_or_default();
                let age = service.now().duration_since(began).as_secs();
                seen.push((age, format!("{what} {name}").trim().to_owned()));
            }
        }
    };
    tokio::join!(read, during);
    seen
}
