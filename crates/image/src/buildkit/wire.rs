//! Connections to the engine that stop being HTTP/1: `/session`, on which the engine asks us, and `/grpc`, on which we ask its
//! BuildKit. Both are HTTP/2 from the moment the engine has agreed.
//!
//! The engine's client opens such connections for itself only, so they are opened here; everything else goes through it.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::header::{CONNECTION, HOST, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::Endpoint;

/// How long the engine may take to agree. It does so from memory; one on the far side of a slow link still fits.
const AGREE_TIMEOUT: Duration = Duration::from_secs(15);

/// How much of a refusal is read: a sentence.
const MAX_REFUSAL_BYTES: usize = 8 * 1024;

/// The ports of an engine without and with TLS, when the address names none.
const PORTS: [u16; 2] = [2375, 2376];

/// Why there is no such connection.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// Nobody takes the connection, or it broke.
    #[error("cannot connect")]
    Connect(#[from] io::Error),
    /// A certificate or key cannot be read.
    #[error("cannot use `{name}` of the engine's certificates")]
    Certificate {
        /// The file's name in the folder of certificates.
        name: &'static str,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What answers does not speak HTTP.
    #[error("the engine's answer cannot be understood")]
    Http(#[from] hyper::Error),
    /// The engine does not change the protocol.
    #[error("the engine refused with status {status}: {said}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Its words.
        said: String,
    },
    /// The engine took the connection and said nothing.
    #[error("no answer within {} seconds", limit.as_secs())]
    Silent {
        /// How long we waited.
        limit: Duration,
    },
}

/// Anything bytes go through in both directions: a socket, a pipe, TLS over one of them.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Asks for `path` and waits until the engine agrees to go on in HTTP/2. The connection ends when what it gives is dropped.
pub(super) async fn upgrade(
    endpoint: &Endpoint,
    path: &str,
    headers: &[(&str, String)],
) -> Result<Upgraded, WireError> {
    let agree = async {
        let wire = open(endpoint).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(wire)).await?;
        // It ends by itself: with an error, with a refusal that was read, or by handing over the connection.
        let driver = tokio::spawn(connection.with_upgrades());
        let mut request = Request::post(path)
            // Routes are found by path; the name says only that there is one.
            .header(HOST, "docker")
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "h2c");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request =
            request.body(Empty::<Bytes>::new()).map_err(|error| io::Error::other(error.to_string()))?;
        let answer = sender.send_request(request).await?;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            let status = answer.status().as_u16();
            let said = Limited::new(answer.into_body(), MAX_REFUSAL_BYTES).collect().await;
            let said = said.map(|body| String::from_utf8_lossy(&body.to_bytes()).trim().to_owned());
            driver.abort();
            return Err(WireError::Refused { status, said: said.unwrap_or_default() });
        }
        Ok(hyper::upgrade::on(answer).await?)
    };
    let silent = |_| WireError::Silent { limit: AGREE_TIMEOUT };
    tokio::time::timeout(AGREE_TIMEOUT, agree).await.map_err(silent)?
}

async fn open(endpoint: &Endpoint) -> Result<Box<dyn Wire>, WireError> {
    let url = endpoint.url();
    if let Some(path) = url.strip_prefix("unix://").or_else(|| url.strip_prefix("npipe://")) {
        return Ok(open_local(path).await?);
    }
    let (host, port) = host_and_port(url, endpoint.tls().is_some());
    let tcp = TcpStream::connect((&*host, port)).await?;
    tcp.set_nodelay(true)?;
    let Some(certificates) = endpoint.tls() else { return Ok(Box::new(tcp)) };
    let config = tls(certificates)?;
    let name =
        ServerName::try_from(host).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    Ok(Box::new(TlsConnector::from(Arc::new(config)).connect(name, tcp).await?))
}

#[cfg(unix)]
async fn open_local(path: &str) -> io::Result<Box<dyn Wire>> {
    Ok(Box::new(tokio::net::UnixStream::connect(path).await?))
}

#[cfg(windows)]
async fn open_local(path: &str) -> io::Result<Box<dyn Wire>> {
    let path = path.replace('/', "\\");
    Ok(Box::new(tokio::net::windows::named_pipe::ClientOptions::new().open(path)?))
}

/// What of `tcp://host:port/…` is connected to; IPv6 addresses are in brackets.
fn host_and_port(url: &str, tls: bool) -> (String, u16) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let usual = PORTS[usize::from(tls)];
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().unwrap_or(usual)),
        _ => (authority, usual),
    };
    (host.trim_start_matches('[').trim_end_matches(']').to_owned(), port)
}

/// The engine proves itself with `ca.pem`, we with `cert.pem` and `key.pem`.
fn tls(folder: &Path) -> Result<rustls::ClientConfig, WireError> {
    fn failed<E>(name: &'static str) -> impl Fn(E) -> WireError
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        move |source| WireError::Certificate { name, source: source.into() }
    }
    let read = |name: &'static str| -> Result<Vec<CertificateDer<'static>>, WireError> {
        let certificates = CertificateDer::pem_file_iter(folder.join(name)).map_err(failed(name))?;
        certificates.collect::<Result<_, _>>().map_err(failed(name))
    };
    let mut roots = rustls::RootCertStore::empty();
    for certificate in read("ca.pem")? {
        roots.add(certificate).map_err(failed("ca.pem"))?;
    }
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).map_err(failed("key.pem"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(failed("ca.pem"))?
        .with_root_certificates(roots)
        .with_client_auth_cert(read("cert.pem")?, key)
        .map_err(failed("cert.pem"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_gives_a_host_and_a_port() {
        for (url, tls, host, port) in [
            ("tcp://near:1234", false, "near", 1234),
            ("tcp://near", false, "near", 2375),
            ("tcp://near", true, "near", 2376),
            ("https://near:2376/", true, "near", 2376),
            ("tcp://127.0.0.1:5", false, "127.0.0.1", 5),
            ("tcp://[::1]:5", false, "::1", 5),
            ("tcp://[::1]", true, "::1", 2376),
        ] {
            assert_eq!(host_and_port(url, tls), (host.to_owned(), port), "{url}");
        }
    }
}
