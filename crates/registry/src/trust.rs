//! Whom to believe: the system's certificates, read when a server first shows its own.
//!
//! A system has some hundred and fifty of them, and reading them takes as long as looking at thousands of files. A registry on this
//! machine is spoken to without TLS; there they are not read, and need not be there. How a certificate is judged is the
//! business of [`rustls_platform_verifier`]; here is only when it begins.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_platform_verifier::Verifier;

/// The system's judge of certificates, called when there is something to judge.
#[derive(Debug)]
pub(crate) struct Trust {
    provider: Arc<CryptoProvider>,
    verifier: OnceLock<Result<Verifier, Error>>,
}

impl Trust {
    pub(crate) fn new(provider: Arc<CryptoProvider>) -> Arc<Self> {
        Arc::new(Self { provider, verifier: OnceLock::new() })
    }

    /// Reads the system's certificates, once.
    pub(crate) fn verifier(&self) -> Result<&Verifier, Error> {
        let read = || Verifier::new(Arc::clone(&self.provider));
        self.verifier.get_or_init(read).as_ref().map_err(Clone::clone)
    }

    /// TLS as the process's provider does it, for servers that the system trusts.
    pub(crate) fn config(self: &Arc<Self>) -> Result<ClientConfig, Error> {
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(self) as Arc<dyn ServerCertVerifier>)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verifier()?.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier()?.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier()?.verify_tls13_signature(message, cert, dss)
    }

    /// What the provider can check; asked before there is a certificate.
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    use rustls::{ClientConnection, ServerConfig, ServerConnection};

    use super::*;

    fn provider() -> Arc<CryptoProvider> {
        Arc::new(rustls::crypto::ring::default_provider())
    }

    /// A registry's side of TLS, and the certificate of the authority that signed its own.
    fn server(name: &str) -> (ServerConfig, CertificateDer<'static>) {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let own = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.der().clone()], key)
            .unwrap();
        (config, authority.der().clone())
    }

    /// How the handshake ends for who connects to `name`.
    fn shake_hands(trust: &Arc<Trust>, server: ServerConfig, name: &'static str) -> Result<(), Error> {
        let name = ServerName::try_from(name).unwrap();
        let mut client = ClientConnection::new(Arc::new(trust.config().unwrap()), name).unwrap();
        let mut server = ServerConnection::new(Arc::new(server)).unwrap();
        // The wire holds a few kilobytes, and each side has little to say.
        let pass = |wire: &mut Vec<u8>, from: &mut dyn FnMut(&mut Vec<u8>) -> io::Result<usize>| {
            wire.clear();
            from(wire).unwrap();
        };
        let mut wire = Vec::new();
        while client.is_handshaking() || server.is_handshaking() {
            pass(&mut wire, &mut |to| client.write_tls(to));
            server.read_tls(&mut wire.as_slice()).unwrap();
            server.process_new_packets()?;
            pass(&mut wire, &mut |to| server.write_tls(to));
            client.read_tls(&mut wire.as_slice()).unwrap();
            client.process_new_packets()?;
        }
        Ok(())
    }

    #[test]
    fn servers_are_believed_only_if_the_system_believes_who_vouches_for_them() {
        let (config, authority) = server("registry.example");
        let stranger = Trust::new(provider());
        let error = shake_hands(&stranger, config.clone(), "registry.example").unwrap_err();
        let unknown = Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let none = matches!(&error, Error::General(why) if why.contains("No CA certificates"));
        assert!(error == unknown || none, "{error}");

        let trusting = || {
            let trust = Trust::new(provider());
            let verifier = Verifier::new_with_extra_roots([authority.clone()], provider());
            trust.verifier.set(verifier).unwrap();
            trust
        };
        assert_eq!(shake_hands(&trusting(), config.clone(), "registry.example"), Ok(()));
        let error = shake_hands(&trusting(), config, "elsewhere.example").unwrap_err();
        assert!(matches!(error, Error::InvalidCertificate(_)), "{error}");
    }

    #[test]
    fn certificates_are_not_read_before_there_is_one_to_judge() {
        let trust = Trust::new(provider());
        trust.config().unwrap();
        assert!(trust.verifier.get().is_none());
    }
}
