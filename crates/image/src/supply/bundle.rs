//! Signed statements: a [DSSE envelope](https://github.com/secure-systems-lab/dsse/blob/master/protocol.md) in a
//! [Sigstore bundle](https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_bundle.proto), version 0.3.
//!
//! The bundle says which key it was signed with, as a hint; whoever verifies brings the keys. There is no certificate, no
//! transparency log and no timestamp in it: those need a service to ask.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use release_core::Digest;
use serde::Deserialize;
use serde_json::{Value, json};

use super::key::{SigningKey, VerifyingKey};
use super::statement::{STATEMENT, STATEMENT_V0, Statement};
use crate::native::json::canonical;

/// The kind of a bundle: its media type, and the type of the artifact that has it.
pub const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// What all versions of a bundle's kind begin with.
const ANY_BUNDLE: &str = "application/vnd.dev.sigstore.bundle";

/// The kind of what is signed.
const IN_TOTO: &str = "application/vnd.in-toto+json";

/// The largest bundle that is read. An SBOM of thousands of packages has about 3 MiB.
pub const MAX_BUNDLE_BYTES: u64 = 32 * 1024 * 1024;

/// Why a bundle verifies nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// It is no bundle, or one of an unknown version.
    #[error("it is no Sigstore bundle with a DSSE envelope")]
    Form,
    /// What is signed in it is no in-toto statement.
    #[error("what is signed in it is a `{kind}`")]
    Payload {
        /// What it is.
        kind: String,
    },
    /// None of the keys has signed it.
    #[error("none of the keys has signed it")]
    Key,
    /// It is signed, and says something about other images.
    #[error("it is about another image")]
    Subject,
}

/// What a bundle proves.
#[derive(Debug, Clone, PartialEq)]
pub struct Proven {
    /// The type of the predicate.
    pub predicate_type: String,
    /// What is said.
    pub predicate: Value,
    /// Which of the keys signed it, from 0.
    pub key: usize,
}

/// The bytes that are signed: DSSE's pre-authentication encoding, in which no part can be taken for another.
fn encoding(kind: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

/// Signs a statement. The same statement and key give the same bundle.
pub fn sign(statement: &Statement, key: &SigningKey) -> Vec<u8> {
    let payload = statement.to_bytes();
    let signature = key.sign(&encoding(IN_TOTO, &payload));
    canonical(&json!({
        "mediaType": BUNDLE,
        "verificationMaterial": {"publicKey": {"hint": key.verifying_key().hint()}},
        "dsseEnvelope": {
            "payload": STANDARD.encode(&payload),
            "payloadType": IN_TOTO,
            "signatures": [{"sig": STANDARD.encode(signature)}],
        },
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    media_type: String,
    dsse_envelope: Option<Envelope>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<Signature>,
}

#[derive(Deserialize)]
struct Signature {
    sig: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SaidStatement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    predicate_type: String,
    #[serde(default)]
    predicate: Value,
}

#[derive(Deserialize)]
struct Subject {
    digest: std::collections::BTreeMap<String, String>,
}

/// Reads a bundle and checks who signed it and what it is about. Nothing in it is believed before its signature is checked.
///
/// # Errors
/// Why it proves nothing about `image`.
pub fn verify(bytes: &[u8], image: &Digest, keys: &[VerifyingKey]) -> Result<Proven, BundleError> {
    let bundle: Bundle = serde_json::from_slice(bytes).map_err(|_| BundleError::Form)?;
    let envelope = bundle.dsse_envelope.filter(|_| bundle.media_type.starts_with(ANY_BUNDLE));
    let envelope = envelope.ok_or(BundleError::Form)?;
    let payload = decode(&envelope.payload).ok_or(BundleError::Form)?;
    let signed = encoding(&envelope.payload_type, &payload);
    let signatures: Vec<Vec<u8>> = envelope.signatures.iter().filter_map(|s| decode(&s.sig)).collect();
    let by = |key: &VerifyingKey| signatures.iter().any(|signature| key.verifies(&signed, signature));
    let key = keys.iter().position(by).ok_or(BundleError::Key)?;
    if envelope.payload_type != IN_TOTO {
        return Err(BundleError::Payload { kind: envelope.payload_type });
    }
    let said: SaidStatement = serde_json::from_slice(&payload).map_err(|_| BundleError::Form)?;
    if said.kind != STATEMENT && said.kind != STATEMENT_V0 {
        return Err(BundleError::Payload { kind: said.kind });
    }
    let about = |subject: &Subject| subject.digest.get("sha256").is_some_and(|hex| hex == image.hex());
    if !said.subject.iter().any(about) {
        return Err(BundleError::Subject);
    }
    Ok(Proven { predicate_type: said.predicate_type, predicate: said.predicate, key })
}

/// DSSE allows both alphabets of base 64, and writers differ in padding.
fn decode(text: &str) -> Option<Vec<u8>> {
    [STANDARD, URL_SAFE, STANDARD_NO_PAD, URL_SAFE_NO_PAD].iter().find_map(|engine| engine.decode(text).ok())
}

#[cfg(test)]
mod tests;
