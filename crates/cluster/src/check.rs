//! Asking a running version over HTTP: through the API server's pod proxy, or by URL.
//!
//! A check of a version asks pods of that version and no others. What the API server or the network answered in the
//! application's place is not evidence about the application.

use std::ops::RangeInclusive;
use std::time::Duration;

use futures::future::join_all;
use http::Method;
use release_core::{ObjectRef, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Cluster;
use crate::api::{Answered, Call};

/// How many pods one check asks. More would load a large service with every round, fewer would miss a bad pod for long.
const PODS_ASKED: usize = 5;

/// How much of an answer's body is searched and kept.
const BODY_MAX: usize = 1 << 20;

/// One HTTP check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpCheck {
    /// Who is asked.
    pub target: Target,
    /// Status codes that are good. Empty: 200 to 399.
    #[serde(default)]
    pub status: Vec<RangeInclusive<u16>>,
    /// A text the body must contain.
    #[serde(default)]
    pub body: Option<String>,
    /// The longest a good answer may take. Through the pod proxy this includes the API server's share, usually a few
    /// milliseconds.
    #[serde(default)]
    pub latency: Option<Duration>,
    /// When to give up on an answer.
    pub timeout: Duration,
}

/// Who a check asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "ask")]
pub enum Target {
    /// The version's own pods, through the API server.
    Pods {
        /// Path and query.
        path: String,
        /// The container's port.
        port: u16,
    },
    /// A URL, whoever answers there.
    Url {
        /// The URL.
        url: String,
    },
}

impl Cluster {
    /// Runs a check once. `pods` are the ready pods of the version to be asked.
    pub(crate) async fn check(&self, check: &HttpCheck, pods: &[String]) -> Verdict {
        match &check.target {
            Target::Url { url } => self.ask_url(check, url).await,
            Target::Pods { path, port } => {
                let asked = pods.iter().take(PODS_ASKED).map(|pod| self.ask_pod(check, pod, *port, path));
                worst(join_all(asked).await)
            }
        }
    }

    async fn ask_pod(&self, check: &HttpCheck, pod: &str, port: u16, path: &str) -> Verdict {
        let url = format!("/api/v1/namespaces/{}/pods/{pod}:{port}/proxy{path}", self.namespace);
        let call = Call { method: Method::GET, ..Call::get(format!("pod/{pod}"), url) };
        let began = self.clock().now();
        let answer = tokio::time::timeout(check.timeout, self.api.once(&call)).await;
        let latency = self.clock().now().since(began);
        match answer {
            Err(_) => Verdict::Bad { why: format!("pod/{pod} {path}: no answer within {:?}", check.timeout) },
            Ok(Err(error)) => Verdict::NotEnough { why: crate::api::chain(&error) },
            Ok(Ok(answered)) => match by_api_server(&answered) {
                // The proxy reached the pod's node and found nobody listening: that is the pod's fault.
                Some(message) if message.contains("connection refused") => {
                    Verdict::Bad { why: format!("pod/{pod} {path}: nothing listens on port {port}") }
                }
                Some(message) => Verdict::NotEnough {
                    why: format!("pod/{pod} {path}: the API server answered: {message}"),
                },
                None => judge(
                    check,
                    &format!("pod/{pod} {path}"),
                    answered.status.as_u16(),
                    &answered.body,
                    latency,
                ),
            },
        }
    }

    async fn ask_url(&self, check: &HttpCheck, url: &str) -> Verdict {
        let began = self.clock().now();
        let asked = async {
            let mut response = self.http.get(url).send().await?;
            let status = response.status().as_u16();
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await? {
                body.extend_from_slice(&chunk);
                if body.len() > BODY_MAX {
                    break;
                }
            }
            Ok::<_, reqwest::Error>((status, body))
        };
        let answer = tokio::time::timeout(check.timeout, asked).await;
        let latency = self.clock().now().since(began);
        match answer {
            Err(_) => Verdict::Bad { why: format!("{url}: no answer within {:?}", check.timeout) },
            // Name resolution, routing and TLS are not the application.
            Ok(Err(error)) => Verdict::NotEnough { why: crate::api::chain(&error) },
            Ok(Ok((status, body))) => judge(check, url, status, &body, latency),
        }
    }
}

/// The message of an error the API server made itself; `None` when the application answered.
fn by_api_server(answered: &Answered) -> Option<String> {
    if answered.status.is_success() || !answered.json {
        return None;
    }
    let value: Value = serde_json::from_slice(&answered.body).ok()?;
    (value["kind"] == "Status" && value["apiVersion"] == "v1")
        .then(|| value["message"].as_str().unwrap_or("no message").to_owned())
}

fn judge(check: &HttpCheck, who: &str, status: u16, body: &[u8], latency: Duration) -> Verdict {
    let default = [200..=399];
    let good: &[RangeInclusive<u16>] = if check.status.is_empty() { &default } else { &check.status };
    if !good.iter().any(|range| range.contains(&status)) {
        return Verdict::Bad { why: format!("{who}: answered {status}") };
    }
    if let Some(text) = &check.body {
        let end = body.len().min(BODY_MAX);
        let found =
            text.is_empty() || body[..end].windows(text.len()).any(|window| window == text.as_bytes());
        if !found {
            return Verdict::Bad { why: format!("{who}: answered {status} without `{text}` in the body") };
        }
    }
    match check.latency {
        Some(bound) if latency > bound => Verdict::Bad {
            why: format!("{who}: took {} ms, more than {} ms", latency.as_millis(), bound.as_millis()),
        },
        Some(_) | None => Verdict::Good { latency },
    }
}

/// One bad answer is bad; good needs at least one good answer and no bad one.
fn worst(verdicts: Vec<Verdict>) -> Verdict {
    let mut slowest = None;
    let mut missing = "there is no ready pod of this version to ask".to_owned();
    for verdict in verdicts {
        match verdict {
            bad @ Verdict::Bad { .. } => return bad,
            Verdict::Good { latency } => slowest = slowest.max(Some(latency)),
            Verdict::NotEnough { why } => missing = why,
        }
    }
    slowest.map_or(Verdict::NotEnough { why: missing }, |latency| Verdict::Good { latency })
}

/// Names of the pods of a workload's current version that are ready and stay.
pub(crate) fn ready_pods(pods: &[&Value]) -> Vec<String> {
    let mut names: Vec<String> = pods
        .iter()
        .filter(|pod| pod["metadata"]["deletionTimestamp"].is_null())
        .filter(|pod| {
            pod["status"]["conditions"]
                .as_array()
                .is_some_and(|all| all.iter().any(|c| c["type"] == "Ready" && c["status"] == "True"))
        })
        .filter_map(|pod| pod["metadata"]["name"].as_str().map(str::to_owned))
        .collect();
    names.sort();
    names
}

/// The object a check's pods belong to, for messages.
pub(crate) fn no_workload(service: &str) -> Verdict {
    Verdict::NotEnough { why: format!("{service} has no workload whose pods could be asked") }
}

/// A check the plan does not know: a damaged record.
pub(crate) fn no_check(object: Option<&ObjectRef>, name: &str) -> Verdict {
    let of = object.map(|object| format!(" of {object}")).unwrap_or_default();
    Verdict::NotEnough { why: format!("check `{name}`{of} is not in the plan") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, body: &str, latency_ms: u64) -> String {
        let check = HttpCheck {
            target: Target::Url { url: "http://x/".into() },
            status: vec![200..=299],
            body: Some("ok".into()),
            latency: Some(Duration::from_millis(100)),
            timeout: Duration::from_secs(1),
        };
        match judge(&check, "x", status, body.as_bytes(), Duration::from_millis(latency_ms)) {
            Verdict::Good { .. } => "good".into(),
            Verdict::Bad { why } => why,
            Verdict::NotEnough { why } => format!("? {why}"),
        }
    }

    #[test]
    fn status_body_and_latency_all_count() {
        assert_eq!(check(200, "it is ok", 5), "good");
        assert_eq!(check(500, "ok", 5), "x: answered 500");
        assert_eq!(check(200, "nope", 5), "x: answered 200 without `ok` in the body");
        assert_eq!(check(200, "ok", 101), "x: took 101 ms, more than 100 ms");
    }

    #[test]
    fn nobody_asked_is_not_good() {
        assert!(matches!(worst(vec![]), Verdict::NotEnough { .. }));
        let mixed = vec![Verdict::Good { latency: Duration::ZERO }, Verdict::Bad { why: "b".into() }];
        assert!(matches!(worst(mixed), Verdict::Bad { .. }));
        let partial = vec![Verdict::NotEnough { why: "?".into() }, Verdict::Good { latency: Duration::ZERO }];
        assert!(matches!(worst(partial), Verdict::Good { .. }));
    }
}
