//! Pulls an image into an OCI image layout: `cargo run -p release-registry --example pull -- IMAGE DIR [PLATFORM]`.

use std::path::Path;

use release_core::{ImageRef, Platform};
use release_registry::{CredentialStore, Limits, Pull, PullEvent, Registry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // TLS has one provider for the whole process; a failure means that it is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (image, dir, platform) = match arguments.as_slice() {
        [image, dir] => (image, dir, None),
        [image, dir, platform] => (image, dir, Some(platform.parse::<Platform>()?)),
        _ => return Err("usage: pull IMAGE DIR [PLATFORM]".into()),
    };
    let reference: ImageRef = image.parse()?;
    let credentials = CredentialStore::from_env()?.get(reference.repository.registry()).await?;
    let pull = Pull {
        reference: &reference,
        platform: platform.as_ref(),
        layout: Path::new(dir),
        limits: Limits::default(),
    };
    let mut tell = |event| {
        if !matches!(event, PullEvent::Progress { .. }) {
            eprintln!("{event:?}");
        }
    };
    let pulled = Registry::new()?.pull(&pull, credentials.as_ref(), &mut tell).await?;
    println!("{} {}", pulled.image, pulled.manifest);
    Ok(())
}
