//! Pushes an image of an OCI image layout: `cargo run -p release-registry --example push -- DIR DIGEST REPOSITORY:TAG`.

use std::path::Path;

use release_core::{Digest, ImageRef};
use release_registry::{CredentialStore, Push, PushEvent, Registry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // TLS has one provider for the whole process; a failure means that it is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dir, digest, image] = arguments.as_slice() else {
        return Err("usage: push DIR DIGEST REPOSITORY:TAG".into());
    };
    let (manifest, image): (Digest, ImageRef) = (digest.parse()?, image.parse()?);
    let credentials = CredentialStore::from_env()?.get(image.repository.registry()).await?;
    let tags: Vec<String> = image.tag.into_iter().collect();
    let push = Push {
        layout: Path::new(dir),
        manifest: &manifest,
        repository: &image.repository,
        tags: &tags,
        mount_from: &[],
    };
    let mut tell = |event| {
        if !matches!(event, PushEvent::Progress { .. }) {
            eprintln!("{event:?}");
        }
    };
    let pushed = Registry::new()?.push(&push, credentials.as_ref(), &mut tell).await?;
    println!("{pushed}");
    Ok(())
}
