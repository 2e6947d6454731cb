//! A certificate for one listener on this machine, and the authority it is checked with. Both are made when it starts and
//! are forgotten when it stops; nothing is written anywhere.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

/// What both sides may speak, best first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// It cannot be made.
    #[error("no certificate can be made")]
    Make(#[from] rcgen::Error),
    /// It cannot be used.
    #[error("the certificate cannot be used")]
    Use(#[from] rustls::Error),
}

/// A listener's side of TLS, and the authority's certificate as PEM.
pub(crate) fn make(address: SocketAddr) -> Result<(TlsAcceptor, String), CertificateError> {
    let mut authority = CertificateParams::default();
    authority.distinguished_name.push(DnType::CommonName, "release-sim");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let names = ["localhost".to_owned(), "kubernetes.default.svc".to_owned(), address.ip().to_string()];
    let mut own = CertificateParams::new(names)?;
    own.distinguished_name.push(DnType::CommonName, "release-sim API server");
    let own = own.signed_by(&key, &authority)?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![own.der().clone()], key)?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok((TlsAcceptor::from(Arc::new(config)), authority.pem()))
}
