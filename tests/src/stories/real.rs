//! A client of the real cluster.

use anyhow::Result;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::var;

/// A client of the cluster `RELEASE_TEST_KUBECONFIG` names.
///
/// # Errors
/// When there is none.
pub async fn client() -> Result<Client> {
    // Another part of the program may have installed one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let kubeconfig = Kubeconfig::read_from(var("RELEASE_TEST_KUBECONFIG"))?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    config.proxy_url = None;
    Ok(Client::try_from(config)?)
}
