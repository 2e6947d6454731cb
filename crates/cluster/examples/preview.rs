//! Shows what applying a manifest would change: `cargo run -p release-cluster --example preview -- CONTEXT NAMESPACE FILE`.
//!
//! Nothing is written: the server itself is asked by dry runs.

use release_cluster::{Access, Change, Clock, Cluster, Conflicts};
use release_core::ObjectRef;
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // TLS has one provider for the whole process; a failure means that it is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [context, namespace, file] = arguments.as_slice() else {
        return Err("usage: preview CONTEXT NAMESPACE FILE".into());
    };
    let documents: Vec<Value> = serde_saphyr::from_multiple(&std::fs::read_to_string(file)?)?;
    let objects: Vec<_> = documents.into_iter().map(|body| (named(&body, namespace), body)).collect();

    let access = Access::Context(context.clone());
    let cluster = Cluster::connect(&access, namespace, Clock::system()).await?;
    println!("{context} is {:?}", cluster.identity().await?);

    let changes = cluster.preview(&objects, Conflicts::Refuse).await?;
    for ((object, _), change) in objects.iter().zip(changes) {
        match change {
            Change::Create => println!("create   {object}"),
            Change::Update { .. } => println!("update   {object}"),
            Change::Nothing { .. } => println!("nothing  {object}"),
            Change::Refused(cause) => println!("refused  {object}: {}", cause.summary),
        }
    }
    Ok(())
}

/// The name of an object; it belongs into `namespace`.
fn named(body: &Value, namespace: &str) -> ObjectRef {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    ObjectRef::new(
        &text(&body["apiVersion"]),
        &text(&body["kind"]),
        namespace,
        &text(&body["metadata"]["name"]),
    )
}
