//! The form of a bundle, field by field, and what it proves.

use release_core::PinnedImage;

use super::*;
use crate::supply::samples::{PUBLIC, key};

fn image() -> PinnedImage {
    format!("registry.example.com/radio/player@sha256:{}", "a".repeat(64)).parse().unwrap()
}

fn statement() -> Statement {
    let predicate = json!({"bomFormat": "CycloneDX"});
    Statement { image: image(), predicate_type: "https://cyclonedx.org/bom".to_owned(), predicate }
}

fn public() -> VerifyingKey {
    VerifyingKey::from_pem(PUBLIC).unwrap()
}

/// A bundle with another envelope, signed as it is.
fn resigned(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut bundle: Value = serde_json::from_slice(&sign(&statement(), &key())).unwrap();
    change(&mut bundle);
    let envelope = &mut bundle["dsseEnvelope"];
    let payload = STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap();
    let signature = key().sign(&encoding(envelope["payloadType"].as_str().unwrap(), &payload));
    envelope["signatures"] = json!([{"sig": STANDARD.encode(signature)}]);
    bundle.to_string().into_bytes()
}

/// The example of [DSSE's protocol](https://github.com/secure-systems-lab/dsse/blob/master/protocol.md).
#[test]
fn what_is_signed_is_encoded_as_dsse_says() {
    let expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world";
    assert_eq!(encoding("http://example.com/HelloWorld", b"hello world"), expected);
}

#[test]
fn a_bundle_has_the_fields_of_the_specification_and_no_others() {
    let bundle: Value = serde_json::from_slice(&sign(&statement(), &key())).unwrap();
    let payload = STANDARD.decode(bundle["dsseEnvelope"]["payload"].as_str().unwrap()).unwrap();
    let shown = json!({"bundle": bundle, "payload": serde_json::from_slice::<Value>(&payload).unwrap()});
    insta::assert_snapshot!(serde_json::to_string_pretty(&shown).unwrap());
}

#[test]
fn the_same_statement_is_the_same_bundle() {
    assert_eq!(sign(&statement(), &key()), sign(&statement(), &key()));
}

#[test]
fn what_was_signed_is_proven_and_by_whom() {
    let bytes = sign(&statement(), &key());
    let stranger = SigningKey::generate().verifying_key();
    let proven = verify(&bytes, &image().digest, &[stranger, public()]).unwrap();
    assert_eq!((proven.key, proven.predicate_type), (1, "https://cyclonedx.org/bom".to_owned()));
    assert_eq!(proven.predicate, json!({"bomFormat": "CycloneDX"}));
}

#[test]
fn nothing_else_proves_anything() {
    let good = sign(&statement(), &key());
    let other = Digest::from_sha256([7; 32]);
    let stranger = [SigningKey::generate().verifying_key()];
    let keys = [public()];
    let digest = image().digest;
    let text = String::from_utf8(good.clone()).unwrap();
    let payload = |value: &Value| Value::from(STANDARD.encode(value.to_string()));
    assert_eq!(verify(&good, &other, &keys), Err(BundleError::Subject));
    assert_eq!(verify(&good, &digest, &stranger), Err(BundleError::Key));
    assert_eq!(verify(&good, &digest, &[]), Err(BundleError::Key));
    assert_eq!(verify(b"{}", &digest, &keys), Err(BundleError::Form));
    let elsewhere = text.replace(BUNDLE, "application/json");
    assert_eq!(verify(elsewhere.as_bytes(), &digest, &keys), Err(BundleError::Form));

    // Another payload under the same signature.
    let mut forged: Value = serde_json::from_slice(&good).unwrap();
    forged["dsseEnvelope"]["payload"] = payload(&json!({"_type": STATEMENT}));
    assert_eq!(verify(forged.to_string().as_bytes(), &digest, &keys), Err(BundleError::Key));
    // Another type under the same signature: it is part of what is signed.
    let mut retyped: Value = serde_json::from_slice(&good).unwrap();
    retyped["dsseEnvelope"]["payloadType"] = "application/json".into();
    assert_eq!(verify(retyped.to_string().as_bytes(), &digest, &keys), Err(BundleError::Key));

    // What our own key has signed for another purpose.
    let kind = resigned(|bundle| bundle["dsseEnvelope"]["payloadType"] = "application/json".into());
    let expected = BundleError::Payload { kind: "application/json".to_owned() };
    assert_eq!(verify(&kind, &digest, &keys), Err(expected));
    let said = json!({"_type": "https://example.com/v1", "subject": [], "predicateType": "x"});
    let kind = resigned(|bundle| bundle["dsseEnvelope"]["payload"] = payload(&said));
    let expected = BundleError::Payload { kind: "https://example.com/v1".to_owned() };
    assert_eq!(verify(&kind, &digest, &keys), Err(expected));
    let said = json!({"_type": STATEMENT, "subject": [], "predicateType": "x"});
    let nothing = resigned(|bundle| bundle["dsseEnvelope"]["payload"] = payload(&said));
    assert_eq!(verify(&nothing, &digest, &keys), Err(BundleError::Subject));
}

#[test]
fn other_writers_bundles_are_read() {
    // A key id, an empty log, base 64 for URLs, the version before: none of it matters.
    let bytes = resigned(|bundle| {
        bundle["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.2".into();
        bundle["verificationMaterial"]["tlogEntries"] = json!([]);
        let payload = statement().to_bytes();
        let old = String::from_utf8(payload).unwrap().replace(STATEMENT, STATEMENT_V0);
        bundle["dsseEnvelope"]["payload"] = STANDARD.encode(old).into();
    });
    verify(&bytes, &image().digest, &[public()]).unwrap();
}
