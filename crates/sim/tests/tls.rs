//! The listener over TLS, seen by clients that check its certificate and by one that does not know who made it.
#![cfg(feature = "tls")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use release_sim::{SimServer, Simulation, SimulationConfig, serve_tls};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

async fn start() -> SimServer {
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    serve_tls(Simulation::whole(SimulationConfig::default()), free).await.expect("a free port")
}

/// Connects as a client that trusts these authorities, under that name, and speaks these protocols.
async fn connect(
    server: &SimServer,
    authority: Option<&str>,
    name: &str,
    protocols: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    if let Some(pem) = authority {
        let authority = CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate");
        roots.add(authority).expect("it can be an authority");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = config.expect("versions").with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(server.address()).await?;
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_of_http_are_offered_and_the_certificate_holds() {
    let server = start().await;
    let authority = server.authority();
    assert!(server.url().starts_with("https://127.0.0.1:"), "{}", server.url());
    for (name, protocols, chosen) in [
        ("127.0.0.1", &["h2", "http/1.1"][..], Some(&b"h2"[..])),
        ("localhost", &["http/1.1"][..], Some(&b"http/1.1"[..])),
        ("localhost", &[][..], None),
    ] {
        let mut stream = connect(&server, authority, name, protocols).await.expect("it is trusted");
        assert_eq!(stream.get_ref().1.alpn_protocol(), chosen);
        if protocols.first() == Some(&"h2") {
            continue;
        }
        let request = format!("GET /version HTTP/1.1\r\nhost: {name}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("it is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("gitVersion"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_know_the_authority_or_means_another_host_does_not_trust_it() {
    let server = start().await;
    let other = start().await;
    for (authority, name) in
        [(None, "127.0.0.1"), (other.authority(), "127.0.0.1"), (server.authority(), "registry.example")]
    {
        let refused = connect(&server, authority, name, &["h2"]).await.map(drop);
        let error = refused.expect_err("it is not trusted").to_string();
        assert!(error.contains("certificate"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kubeconfig_brings_the_authority_along() {
    let server = start().await;
    let config = server.kubeconfig();
    let config = kube::config::Kubeconfig::from_yaml(&config).expect("a kubeconfig");
    let options = kube::config::KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(config, &options).await.expect("it is whole");
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = kube::Client::try_from(config).expect("a client");
    let version = client.apiserver_version().await.expect("an answer");
    assert_eq!(version.minor, "36");
}
