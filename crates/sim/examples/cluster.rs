//! A cluster inside a program, spoken to over HTTP without a network: only `tower` and `http` are needed.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use release_sim::{ApiServer, Clock, Seed, SimService};
use tower::ServiceExt as _;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let epoch = "2026-01-01T00:00:00Z".parse()?;
    let cluster = SimService::new(ApiServer::new(epoch, &Seed::default()), Clock::starting_at(epoch));

    let body = r#"{"metadata": {"name": "settings"}, "data": {"colour": "blue"}}"#;
    let request = Request::post("/api/v1/namespaces/default/configmaps")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body)))?;
    let response = cluster.clone().oneshot(request).await?;
    println!("{}", response.status());

    // A watch is a stream of lines; this one ends after a second.
    let request = Request::get("/api/v1/namespaces/default/configmaps?watch=true&timeoutSeconds=1")
        .body(Full::new(Bytes::new()))?;
    let mut events = cluster.oneshot(request).await?.into_body();
    while let Some(frame) = events.frame().await {
        if let Ok(lines) = frame?.into_data() {
            print!("{}", String::from_utf8_lossy(&lines));
        }
    }
    Ok(())
}
