//! Shows the digest a tag names now: `cargo run -p release-registry --example resolve -- REPOSITORY:TAG`.

use release_core::ImageRef;
use release_registry::{CredentialStore, Registry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // TLS has one provider for the whole process; a failure means that it is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let Some(image) = std::env::args().nth(1) else {
        return Err("usage: resolve REPOSITORY:TAG".into());
    };
    let image: ImageRef = image.parse()?;
    let credentials = CredentialStore::from_env()?.get(image.repository.registry()).await?;
    let digest = Registry::new()?.resolve(&image, credentials.as_ref()).await?;
    println!("{}", image.repository.at(digest));
    Ok(())
}
