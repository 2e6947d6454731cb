//! The tower face on a paused clock: streams, timeouts, bookmarks, and answers nobody waits for.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use jiff::Timestamp;
use release_sim::{ApiServer, By, Clock, Model, Seed, SimBody, SimService, resource};
use serde_json::{Value, json};
use tower::{Service as _, ServiceExt as _};

fn start() -> SimService<ApiServer> {
    let epoch = "2026-01-01T00:00:00Z".parse().unwrap();
    SimService::new(ApiServer::new(epoch, &Seed::default()), Clock::starting_at(epoch))
}

fn request(method: Method, path: &str, body: &Value) -> Request<Full<Bytes>> {
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    request.body(Full::new(body)).unwrap()
}

async fn ask(
    service: &SimService<ApiServer>,
    method: Method,
    path: &str,
    body: &Value,
) -> (StatusCode, Value) {
    let response = service.clone().oneshot(request(method, path, body)).await.unwrap();
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

async fn watch(service: &SimService<ApiServer>, path: &str) -> SimBody {
    service.clone().oneshot(request(Method::GET, path, &Value::Null)).await.unwrap().into_body()
}

/// The types and names of the events in the next piece.
async fn events(body: &mut SimBody) -> Vec<String> {
    let Some(frame) = body.frame().await else { return Vec::new() };
    let bytes = frame.unwrap().into_data().unwrap();
    let lines = bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty());
    let words = lines.map(|line| {
        let event: Value = serde_json::from_slice(line).unwrap();
        let metadata = &event["object"]["metadata"];
        let what = metadata["name"].as_str().or(event["object"]["reason"].as_str()).unwrap_or_default();
        let is_end = metadata["annotations"]["k8s.io/initial-events-end"] == "true";
        format!("{} {what}{}", event["type"].as_str().unwrap(), if is_end { "end" } else { "" })
    });
    words.collect()
}

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn map(name: &str) -> Value {
    json!({"metadata": {"name": name, "labels": {"app": name}}})
}

#[tokio::test(start_paused = true)]
async fn a_watch_tells_what_happens_as_it_happens() {
    let service = start();
    ask(&service, Method::POST, MAPS, &map("a")).await;
    let mut all = watch(&service, &format!("{MAPS}?watch=true&timeoutSeconds=30")).await;
    assert_eq!(events(&mut all).await, ["ADDED a"]);
    let writer = service.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(10)).await;
        ask(&writer, Method::POST, MAPS, &map("b")).await;
        ask(&writer, Method::DELETE, &format!("{MAPS}/a"), &Value::Null).await;
    });
    let began = service.now();
    assert_eq!(events(&mut all).await, ["ADDED b", "DELETED a"]);
    assert_eq!(service.now().duration_since(began).as_secs(), 10);
    assert_eq!(events(&mut all).await, Vec::<String>::new(), "it ends after its timeout");
    assert_eq!(service.now().duration_since(began).as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_quiet_watch_gets_bookmarks() {
    let service = start();
    let mut body = watch(&service, &format!("{MAPS}?watch=true&allowWatchBookmarks=true")).await;
    assert_eq!(events(&mut body).await, ["BOOKMARK "]);
    assert_eq!(events(&mut body).await, ["BOOKMARK "]);
}

#[tokio::test(start_paused = true)]
async fn a_streamed_list_says_where_it_ends() {
    let service = start();
    ask(&service, Method::POST, MAPS, &map("a")).await;
    let query =
        "watch=true&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan";
    let mut body = watch(&service, &format!("{MAPS}?{query}")).await;
    assert_eq!(events(&mut body).await, ["ADDED a", "BOOKMARK end"]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_from_before_the_history_expires() {
    let service = start();
    let (_, list) = ask(&service, Method::GET, MAPS, &Value::Null).await;
    let old = list["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    ask(&service, Method::POST, MAPS, &map("a")).await;
    let (_, page) = ask(&service, Method::GET, "/api/v1/namespaces?limit=2", &Value::Null).await;
    service.with(|server, now| server.store_mut().compact(now, true));
    let mut body = watch(&service, &format!("{MAPS}?watch=true&resourceVersion={old}")).await;
    assert_eq!(events(&mut body).await, ["ERROR Expired"]);
    assert_eq!(events(&mut body).await, Vec::<String>::new());

    ask(&service, Method::POST, MAPS, &map("b")).await;
    service.with(|server, now| server.store_mut().compact(now, true));
    let token = page["metadata"]["continue"].as_str().unwrap();
    let (code, gone) =
        ask(&service, Method::GET, &format!("/api/v1/namespaces?continue={token}"), &Value::Null).await;
    assert_eq!((code, gone["reason"].as_str()), (StatusCode::GONE, Some("Expired")));
    let token = gone["metadata"]["continue"].as_str().unwrap();
    let (code, rest) =
        ask(&service, Method::GET, &format!("/api/v1/namespaces?continue={token}"), &Value::Null).await;
    assert_eq!((code, rest["items"].as_array().unwrap().len()), (StatusCode::OK, 2));
}

#[tokio::test(start_paused = true)]
async fn what_is_written_in_process_is_seen_by_watches() {
    let service = start();
    let mut body = watch(&service, &format!("{MAPS}?watch=true")).await;
    service.with(|server, now| {
        server.create(now, &resource::CONFIG_MAPS, "default", map("x"), &By::nobody()).unwrap();
    });
    assert_eq!(events(&mut body).await, ["ADDED x"]);
}

#[tokio::test(start_paused = true)]
async fn a_request_commits_whoever_waits() {
    let service = start();
    let mut call = service.clone();
    let mut answer = Box::pin(call.call(request(Method::POST, MAPS, &map("lost"))));
    let polled =
        std::future::poll_fn(|context| std::task::Poll::Ready(answer.as_mut().poll(context).is_ready()))
            .await;
    assert!(polled);
    drop(answer);
    let (code, _) = ask(&service, Method::GET, &format!("{MAPS}/lost"), &Value::Null).await;
    assert_eq!(code, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_body_may_be_too_long() {
    let service = start();
    let text = "x".repeat(release_sim::MAX_BODY + 1);
    let (code, status) = ask(&service, Method::POST, MAPS, &json!({"data": {"a": text}})).await;
    assert!(code == StatusCode::PAYLOAD_TOO_LARGE || code == StatusCode::BAD_REQUEST, "{status}");
}

/// A controller that answers every map with a Secret of the same name, five seconds later.
struct Echo {
    server: ApiServer,
    due: Vec<(Timestamp, String)>,
    seen: u64,
}

impl Model for Echo {
    fn server(&self) -> &ApiServer {
        &self.server
    }

    fn server_mut(&mut self) -> &mut ApiServer {
        &mut self.server
    }

    fn advance(&mut self, now: Timestamp) -> Option<Timestamp> {
        for change in self.server.store().changes(&resource::CONFIG_MAPS, self.seen).unwrap() {
            self.due.push((now + Duration::from_secs(5), change.object.name().to_owned()));
        }
        self.seen = self.server.store().revision();
        let (ready, later) = std::mem::take(&mut self.due).into_iter().partition(|(at, _)| *at <= now);
        self.due = later;
        let ready: Vec<(Timestamp, String)> = ready;
        for (_, name) in ready {
            let secret = json!({"metadata": {"name": name}});
            self.server.create(now, &resource::SECRETS, "default", secret, &By::manager("echo")).unwrap();
        }
        self.due.iter().map(|(at, _)| *at).min()
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_is_driven_beside_the_requests() {
    let epoch = "2026-01-01T00:00:00Z".parse().unwrap();
    let server = ApiServer::new(epoch, &Seed::default());
    let seen = server.store().revision();
    let service = SimService::new(Echo { server, due: Vec::new(), seen }, Clock::starting_at(epoch));
    tokio::spawn(service.clone().drive());
    let post = request(Method::POST, MAPS, &map("a"));
    assert_eq!(service.clone().oneshot(post).await.unwrap().status(), StatusCode::CREATED);
    let path = "/api/v1/namespaces/default/secrets?watch=true";
    let watch = request(Method::GET, path, &Value::Null);
    let mut body = service.clone().oneshot(watch).await.unwrap().into_body();
    assert_eq!(events(&mut body).await, ["ADDED a"]);
    assert_eq!(service.now().duration_since(epoch).as_secs(), 5);
}
