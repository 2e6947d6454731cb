//! The simulation, spoken to through its tower face.

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use release_sim::{ApiProfile, ApiServer, Clock, Seed, SimService};
use serde_json::Value;
use tower::ServiceExt as _;

use super::compare::Answer;
use super::memory::Memory;
use super::operation::{Body, Operation};

/// A simulated API server without controllers, played as Kubernetes 1.20.
#[derive(Debug)]
pub struct Simulated {
    service: SimService<ApiServer>,
}

impl Default for Simulated {
    fn default() -> Self {
        let seed = Seed { profile: ApiProfile::V1_20, ..Seed::default() };
        let now = jiff::Timestamp::now();
        let server = ApiServer::new(now, &seed);
        Self { service: SimService::new(server, Clock::starting_at(now)) }
    }
}

impl Simulated {
    pub(super) async fn send(&self, memory: &Memory, operation: &Operation) -> Result<Answer> {
        let method = if operation.is_watch() { "GET" } else { &operation.method };
        let mut request = http::Request::builder()
            .method(method)
            .uri(memory.fill(&operation.path))
            .header("user-agent", &operation.agent)
            .header("accept", "application/json");
        if !operation.content_type.is_empty() {
            request = request.header("content-type", &operation.content_type);
        }
        let request = request.body(Full::new(Bytes::from(memory.body(&operation.body))))?;
        let response = self.service.clone().oneshot(request).await?;
        let code = response.status().as_u16();
        let bytes = response.into_body().collect().await?.to_bytes();
        Ok(Answer::read(code, &bytes, operation.is_watch()))
    }

    /// Asks for something that is no part of a script.
    pub(super) async fn ask(&self, method: &str, path: &str, body: Value) -> Result<Value> {
        let operation = Operation {
            method: method.to_owned(),
            path: path.to_owned(),
            content_type: "application/json".to_owned(),
            agent: "setup".to_owned(),
            body: Body::Value(body),
        };
        let answer = self.send(&Memory::default(), &operation).await?;
        answer.events.into_iter().next().context("an answer")
    }
}
