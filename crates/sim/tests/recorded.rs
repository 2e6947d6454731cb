//! Requests that were sent to a real kube-apiserver 1.20.2, and what it answered. The same requests to the
//! simulation with the profile of that version give the same answers, but for ids, times, versions and addresses.
//!
//! A line marked `differs` is known not to agree; if one does, the mark has to go.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use release_sim::{ApiProfile, ApiServer, Reply, Request, Seed, respond};
use serde_json::{Map, Value, json};

/// Fields whose values are never the same twice.
const VARYING: &[&str] = &[
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "time",
    "deletionTimestamp",
    "lastTransitionTime",
    "clusterIP",
    "continue",
];

fn normal(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter(|(key, v)| !v.is_null() && *key != "selfLink");
            let field = |(key, v): (&String, &Value)| {
                let v =
                    if v.is_string() && VARYING.contains(&key.as_str()) { json!("…") } else { normal(v) };
                (key.clone(), v)
            };
            Value::Object(kept.map(field).collect::<Map<_, _>>())
        }
        Value::Array(items) => items.iter().map(normal).collect(),
        Value::String(text) => json!(normal_text(text)),
        other => other.clone(),
    }
}

/// A text with its uids, versions and generated endings taken out.
fn normal_text(text: &str) -> String {
    let is_uid = |word: &str| {
        let parts: Vec<&str> = word.split('-').collect();
        let lengths: Vec<usize> = parts.iter().map(|p| p.len()).collect();
        lengths == [8, 4, 4, 4, 12] && word.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
    };
    let mut out = String::new();
    let mut word = String::new();
    for c in text.chars().chain(['\u{0}']) {
        if c.is_ascii_alphanumeric() || c == '-' || c == '.' {
            word.push(c);
            continue;
        }
        let is_number = word.len() > 1 && word.chars().all(|c| c.is_ascii_digit()) && out.contains("ersion");
        let is_generated = word.len() == 7 && word.starts_with("g-");
        let is_address = word.starts_with("10.") && word.split('.').count() == 4;
        out.push_str(if is_uid(&word) || is_number || is_generated || is_address { "…" } else { &word });
        word.clear();
        if c != '\u{0}' {
            out.push(c);
        }
    }
    out
}

fn answer(text: &[u8]) -> Value {
    let text = String::from_utf8_lossy(text);
    if let Ok(value) = serde_json::from_str(&text) {
        return value;
    }
    let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    if lines.is_empty() { json!(text) } else { json!(lines) }
}

fn replay(recorded: &str) -> (usize, usize) {
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    let seed = Seed { profile: ApiProfile::V1_20, ..Seed::default() };
    let mut server = ApiServer::new(now, &seed);
    let mut answers: Vec<Value> = Vec::new();
    let (mut agreed, mut differed) = (0, 0);
    for (number, line) in recorded.lines().enumerate() {
        let line: Value = serde_json::from_str(line).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(header::USER_AGENT, HeaderValue::from_static("diff/1"));
        for (key, value) in line["headers"].as_object().into_iter().flatten() {
            let value = HeaderValue::from_str(value.as_str().unwrap()).unwrap();
            headers.insert(HeaderName::try_from(key.as_str()).unwrap(), value);
        }
        let mut path = line["path"].as_str().unwrap().to_owned();
        if let Some(field) = line["ref"][0].as_str() {
            let from = usize::try_from(line["ref"][1].as_u64().unwrap()).unwrap();
            path = path.replace("{}", answers[from]["metadata"][field].as_str().unwrap());
        }
        let (path, query) = path.split_once('?').unwrap_or((&path, ""));
        let method: Method = line["method"].as_str().unwrap().parse().unwrap();
        let body = Bytes::from(line["body"].as_str().unwrap_or_default().to_owned());
        let request = Request { method: &method, path, query, headers: &headers, body: &body };
        let (code, found) = match respond(&mut server, now, request) {
            Reply::Answer(whole) => (whole.status.as_u16(), answer(&whole.body)),
            Reply::Watch(mut watch) => (200, answer(&watch.poll(&server, now))),
        };
        let is_same = line["code"] == code && normal(&line["answer"]) == normal(&found);
        let is_marked = line["differs"] == true;
        assert!(
            is_same != is_marked,
            "line {}: {method} {path}?{query}\n  body {}\n  marked as different: {is_marked}\n  real {} {}\n  here {code} {}",
            number + 1,
            line["body"],
            line["code"],
            normal(&line["answer"]),
            normal(&found)
        );
        if is_same {
            agreed += 1;
        } else {
            differed += 1;
        }
        answers.push(found);
    }
    (agreed, differed)
}

#[test]
fn objects() {
    assert_eq!(replay(include_str!("recorded/objects.jsonl")), (73, 5));
}

#[test]
fn workloads() {
    assert_eq!(replay(include_str!("recorded/workloads.jsonl")), (79, 10));
}

#[test]
fn lists_and_watches() {
    assert_eq!(replay(include_str!("recorded/lists.jsonl")), (56, 10));
}
