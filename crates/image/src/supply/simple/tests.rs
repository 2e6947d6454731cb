//! The form of a simple signature, and what it proves.

use super::*;
use crate::Stored;
use crate::supply::samples::{PUBLIC, key};

fn image() -> PinnedImage {
    format!("registry.example.com/radio/player@sha256:{}", "a".repeat(64)).parse().unwrap()
}

#[test]
fn the_payload_is_the_one_cosign_signs() {
    let signature = SimpleSignature::sign(&image(), &key());
    assert_eq!(
        String::from_utf8(signature.payload).unwrap(),
        format!(
            r#"{{"critical":{{"identity":{{"docker-reference":"registry.example.com/radio/player"}},"image":{{"docker-manifest-digest":"sha256:{}"}},"type":"cosign container image signature"}},"optional":null}}"#,
            "a".repeat(64)
        )
    );
    assert_eq!(tag(&image().digest), format!("sha256-{}.sig", "a".repeat(64)));
}

#[test]
fn an_artifact_of_two_signatures_is_written_and_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::create(dir.path()).unwrap();
    let elsewhere = format!("mirror.example.com/player@{}", image().digest).parse().unwrap();
    let signatures = [SimpleSignature::sign(&image(), &key()), SimpleSignature::sign(&elsewhere, &key())];
    let layers = signatures.each_ref().map(|signature| SignedLayer::store(signature, &layout).unwrap());
    let manifest = store(&layers, &layout).unwrap();

    let stored = Stored::open(dir.path()).unwrap();
    let json = |digest: &Digest| -> Value {
        serde_json::from_slice(&stored.blob(digest, MAX_PAYLOAD_BYTES).unwrap()).unwrap()
    };
    let read = stored.manifest(&manifest.digest).unwrap();
    let both = json!({"manifest": json(&manifest.digest), "config": json(&read.config.digest)});
    insta::assert_snapshot!(serde_json::to_string_pretty(&both).unwrap());
    for (index, signature) in signatures.into_iter().enumerate() {
        let annotations = read.annotations[index].clone();
        let layer = SignedLayer { blob: read.layers[index].clone(), annotations };
        let payload = stored.blob(&layer.blob.digest, MAX_PAYLOAD_BYTES).unwrap();
        assert_eq!(layer.signature(payload), Some(signature));
    }
}

#[test]
fn a_signature_is_of_one_image_by_one_key() {
    let signature = SimpleSignature::sign(&image(), &key());
    let digest = image().digest;
    let public = VerifyingKey::from_pem(PUBLIC).unwrap();
    let stranger = SigningKey::generate().verifying_key();
    assert_eq!(signature.verify(&digest, &[stranger.clone(), public.clone()]), Some(1));
    assert_eq!(signature.verify(&digest, &[stranger]), None);
    assert_eq!(signature.verify(&Digest::from_sha256([0; 32]), std::slice::from_ref(&public)), None);
    let edited = String::from_utf8(signature.payload.clone()).unwrap().replace("radio", "other");
    let forged = SimpleSignature { payload: edited.into_bytes(), ..signature };
    assert_eq!(forged.verify(&digest, std::slice::from_ref(&public)), None);
    // Signed by the key, and no signature of an image.
    let payload = br#"{"critical":{"type":"other"}}"#.to_vec();
    let signature = STANDARD.encode(key().sign(&payload));
    assert_eq!(SimpleSignature { payload, signature }.verify(&digest, &[public]), None);
}
