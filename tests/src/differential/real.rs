//! The real API server, spoken to over HTTPS.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::compare::Answer;
use super::memory::Memory;
use super::operation::{Body, Operation};

/// How long one request may take. A watch of a second is the longest.
const PATIENCE: Duration = Duration::from_secs(30);

/// A real API server without controllers.
#[derive(Debug, Clone)]
pub struct Real {
    client: reqwest::Client,
    server: String,
    token: String,
}

impl Real {
    /// The server of a kubeconfig as `tests/real/stack` writes it: one cluster, one token.
    ///
    /// # Errors
    /// When the file cannot be read or names no such server.
    pub fn new(kubeconfig: &str) -> Result<Self> {
        let text = std::fs::read_to_string(kubeconfig).context(kubeconfig.to_owned())?;
        let field = |name: &str| -> Result<String> {
            let (_, after) = text.split_once(&format!("{name}: \"")).with_context(|| format!("no {name}"))?;
            Ok(after.split('"').next().unwrap_or_default().to_owned())
        };
        // Another part of the program may have installed one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let authority = reqwest::Certificate::from_pem(&std::fs::read(field("certificate-authority")?)?)?;
        let client = reqwest::Client::builder()
            .tls_certs_only([authority])
            .no_proxy()
            .timeout(PATIENCE)
            .tcp_nodelay(true)
            .build()?;
        Ok(Self { client, server: field("server")?, token: field("token")? })
    }

    pub(super) async fn send(&self, memory: &Memory, operation: &Operation) -> Result<Answer> {
        let path = memory.fill(&operation.path);
        let method = if operation.is_watch() { "GET" } else { &operation.method };
        let method = reqwest::Method::from_bytes(method.as_bytes())?;
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.server))
            .bearer_auth(&self.token)
            .header("user-agent", &operation.agent)
            .header("accept", "application/json")
            .body(memory.body(&operation.body));
        if !operation.content_type.is_empty() {
            request = request.header("content-type", &operation.content_type);
        }
        let response = request.send().await?;
        let code = response.status().as_u16();
        let bytes = response.bytes().await?;
        Ok(Answer::read(code, &bytes, operation.is_watch()))
    }

    /// Asks for something that is no part of a script.
    pub(super) async fn ask(&self, method: &str, path: &str, body: Value) -> Result<Value> {
        self.ask_with(method, path, "application/json", body).await
    }

    /// Patches something that is no part of a script.
    pub(super) async fn patch(&self, path: &str, change: Value) -> Result<Value> {
        self.ask_with("PATCH", path, "application/json-patch+json", change).await
    }

    async fn ask_with(&self, method: &str, path: &str, content_type: &str, body: Value) -> Result<Value> {
        let operation = Operation {
            method: method.to_owned(),
            path: path.to_owned(),
            content_type: content_type.to_owned(),
            agent: "setup".to_owned(),
            body: if body.is_null() { Body::Nothing } else { Body::Value(body) },
        };
        let answer = self.send(&Memory::default(), &operation).await?;
        answer.events.into_iter().next().context("an answer")
    }
}
