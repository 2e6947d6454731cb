//! Keys: ECDSA on the curve P-256 over SHA-256, the scheme every verifier of container images knows.
//!
//! Signatures are made as [RFC 6979](https://www.rfc-editor.org/rfc/rfc6979) says: the same bytes and key give the same
//! signature, so signing an image again changes nothing in the registry. Keys are PEM: PKCS#8 or SEC 1 for a signing key,
//! SPKI for a verifying one. Where a key is kept is the caller's business; encrypted keys are refused.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p256::SecretKey;
use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::ecdsa::{self, DerSignature};
use p256::elliptic_curve::Generate as _;
use p256::pkcs8::{DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _, LineEnding};
use release_core::Secret;
use sha2::{Digest as _, Sha256};

/// Why a text is no key. None of it is shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// There is no PEM in it.
    #[error("it is no PEM: there is no line `-----BEGIN …-----`")]
    NoPem,
    /// It is PEM of another kind.
    #[error("it is a `{found}`, and a {wanted} is needed")]
    Label {
        /// What it says it is.
        found: String,
        /// What is needed.
        wanted: &'static str,
    },
    /// The key is encrypted.
    #[error("it is encrypted (`{found}`), and there is nobody here to ask for the password")]
    Encrypted {
        /// What it says it is.
        found: String,
    },
    /// It is broken, or a key of another curve or algorithm.
    #[error("it is no ECDSA key of the curve P-256")]
    Form,
}

/// A key that signs.
#[derive(Clone)]
pub struct SigningKey(ecdsa::SigningKey);

/// A key that verifies.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyingKey(ecdsa::VerifyingKey);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, …)", self.verifying_key().hint())
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({})", self.hint())
    }
}

impl SigningKey {
    /// A new key, from the system's randomness.
    pub fn generate() -> Self {
        Self(ecdsa::SigningKey::generate())
    }

    /// Reads a key from PEM.
    ///
    /// # Errors
    /// When it is none, is encrypted, or is of another kind.
    pub fn from_pem(pem: &Secret) -> Result<Self, KeyError> {
        let (found, text) = find(pem.expose()).ok_or(KeyError::NoPem)?;
        match found {
            "PRIVATE KEY" | "EC PRIVATE KEY" => {
                // SEC 1 has its own way to be encrypted.
                if text.contains("Proc-Type: 4,ENCRYPTED") {
                    return Err(KeyError::Encrypted { found: found.to_owned() });
                }
                SecretKey::from_pem(text).map(|key| Self(key.into())).map_err(|_| KeyError::Form)
            }
            found if found.contains("ENCRYPTED") => Err(KeyError::Encrypted { found: found.to_owned() }),
            found => Err(KeyError::Label { found: found.to_owned(), wanted: "private key" }),
        }
    }

    /// The key as PKCS#8 in PEM.
    ///
    /// # Errors
    /// [`KeyError::Form`] when it cannot be encoded, which no key of this curve causes.
    pub fn to_pem(&self) -> Result<Secret, KeyError> {
        self.0.to_pkcs8_pem(LineEnding::LF).map(|pem| Secret::new(pem.as_str())).map_err(|_| KeyError::Form)
    }

    /// The key that verifies what this one signs.
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey(*self.0.verifying_key())
    }

    /// Signs the SHA-256 of `bytes`. The signature is ASN.1 in DER.
    pub fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        let signature: DerSignature = self.0.sign(bytes);
        signature.as_bytes().to_vec()
    }
}

impl VerifyingKey {
    /// Reads a public key from PEM.
    ///
    /// # Errors
    /// When it is none or is of another kind. A signing key is refused: what verifies should not be able to sign.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let (found, text) = find(pem).ok_or(KeyError::NoPem)?;
        match found {
            "PUBLIC KEY" => {
                ecdsa::VerifyingKey::from_public_key_pem(text).map(Self).map_err(|_| KeyError::Form)
            }
            found => Err(KeyError::Label { found: found.to_owned(), wanted: "public key" }),
        }
    }

    /// The key as SPKI in PEM.
    ///
    /// # Errors
    /// [`KeyError::Form`] when it cannot be encoded, which no key of this curve causes.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        self.0.to_public_key_pem(LineEnding::LF).map_err(|_| KeyError::Form)
    }

    /// What Sigstore's bundles call a key: the SHA-256 of its SPKI in base 64.
    pub fn hint(&self) -> String {
        // Encoding a point of a known curve cannot fail; an empty hint is still a hint.
        let der = self.0.to_public_key_der().map(|der| der.as_bytes().to_vec()).unwrap_or_default();
        STANDARD.encode(Sha256::digest(der))
    }

    /// Whether `signature`, ASN.1 in DER, is this key's over `bytes`.
    pub fn verifies(&self, bytes: &[u8], signature: &[u8]) -> bool {
        DerSignature::try_from(signature).is_ok_and(|signature| self.0.verify(bytes, &signature).is_ok())
    }
}

/// What the PEM in a text says it is, and the text from there. `openssl ecparam` writes the curve's name in front of a key.
fn find(text: &str) -> Option<(&str, &str)> {
    let starts = text.match_indices("-----BEGIN ").map(|(at, _)| &text[at..]);
    let mut found = starts.filter_map(|text| {
        let (label, _) = text.strip_prefix("-----BEGIN ")?.split_once("-----")?;
        Some((label, text.trim_end()))
    });
    found.find(|(label, _)| *label != "EC PARAMETERS")
}

#[cfg(test)]
mod tests;
