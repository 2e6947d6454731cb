//! Signatures on a real registry, verified by another program: `openssl` knows nothing of us.

use std::io::Write as _;
use std::process::{Command, Stdio};

use release_tests::{Lab, var};
use serde_json::Value;

/// `openssl` with these words, and this on its standard input.
fn openssl(words: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("openssl")
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl is installed");
    child.stdin.take().expect("it is piped").write_all(input).expect("openssl reads");
    let done = child.wait_with_output().expect("openssl ends");
    assert!(done.status.success(), "openssl {words:?}: {}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}

fn from_base64(text: &str) -> Vec<u8> {
    openssl(&["base64", "-d", "-A"], text.as_bytes())
}

/// Whether `openssl` finds that the key in `release.pub` has signed these bytes.
fn verify(lab: &Lab, bytes: &[u8], signature: &str) {
    let file = |name: &str| lab.dir.path().join(name);
    std::fs::write(file("signature"), from_base64(signature)).unwrap();
    let (key, signature) = (file("release.pub"), file("signature"));
    let said = openssl(
        &["dgst", "-sha256", "-verify", key.to_str().unwrap(), "-signature", signature.to_str().unwrap()],
        bytes,
    );
    assert_eq!(String::from_utf8_lossy(&said).trim(), "Verified OK");
}

/// Something of the test's repository, as any client gets it.
async fn get(lab: &Lab, what: &str) -> reqwest::Response {
    let url = format!("http://{}/v2/{}/web/{what}", var("RELEASE_TEST_REGISTRY"), lab.namespace);
    let accept = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json";
    reqwest::Client::new().get(url).header("accept", accept).send().await.expect("the registry answers")
}

async fn json(lab: &Lab, what: &str) -> Value {
    let answer = get(lab, what).await.error_for_status().expect(what);
    serde_json::from_slice(&answer.bytes().await.unwrap()).expect("JSON")
}

/// The listing of referrers, or what stands in for it at a registry that has none.
async fn referrers(lab: &Lab, digest: &str) -> Value {
    let listed = get(lab, &format!("referrers/{digest}")).await;
    if listed.status().is_success() {
        return serde_json::from_slice(&listed.bytes().await.unwrap()).expect("JSON");
    }
    json(lab, &format!("manifests/{}", digest.replace(':', "-"))).await
}

#[tokio::test]
#[ignore = "needs the real stack: tests/run"]
async fn what_is_signed_is_verified_by_openssl_and_only_that_is_released() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let lab = Lab::new("signed");
    assert_eq!(lab.release(&["key", "generate"]).code, 0);
    let text = std::fs::read_to_string(lab.dir.path().join("release.yaml")).unwrap();
    let signing = "sign: {key: release.pem}\nattest: [sbom, provenance]\nservices:\n";
    let guarded = "policy: {signed: {keys: [release.pub], attested: [sbom]}}, namespace:";
    let guarded = text.replacen("namespace:", guarded, 1);

    // What nobody has signed does not get to the cluster.
    let unsigned = lab.release(&["push"]);
    assert_eq!(unsigned.code, 0, "{unsigned}");
    lab.write("images.lock", &unsigned.out);
    lab.write("release.yaml", &guarded);
    let refused = lab.release(&["deploy", "--env", "dev", "--images", "images.lock"]);
    assert_eq!(refused.code, 9, "{refused}");
    assert!(refused.err.contains("has no signature and no sbom by release.pub"), "{refused}");
    assert!(lab.objects("deployments").is_empty());

    lab.write("release.yaml", &guarded.replacen("services:\n", signing, 1));
    let pushed = lab.release(&["push"]);
    assert_eq!(pushed.code, 0, "{pushed}");
    assert_eq!(pushed.out, unsigned.out, "signing does not change an image");
    let image = pushed.out.trim().split(' ').nth(1).unwrap().to_owned();
    let digest = image.split('@').nth(1).unwrap().to_owned();

    // The form of cosign 2.
    let signatures = json(&lab, &format!("manifests/{}.sig", digest.replace(':', "-"))).await;
    let layer = &signatures["layers"][0];
    let payload = get(&lab, &format!("blobs/{}", layer["digest"].as_str().unwrap())).await;
    let payload = payload.bytes().await.unwrap();
    verify(&lab, &payload, layer["annotations"]["dev.cosignproject.cosign/signature"].as_str().unwrap());
    assert!(String::from_utf8_lossy(&payload).contains(&digest));

    // Bundles: what is signed is rebuilt here as DSSE says.
    let index = referrers(&lab, &digest).await;
    let mut types = Vec::new();
    for listed in index["manifests"].as_array().unwrap() {
        let manifest = json(&lab, &format!("manifests/{}", listed["digest"].as_str().unwrap())).await;
        assert_eq!(manifest["subject"]["digest"], digest.as_str());
        let blob = manifest["layers"][0]["digest"].as_str().unwrap();
        let bundle = json(&lab, &format!("blobs/{blob}")).await;
        let envelope = &bundle["dsseEnvelope"];
        let payload = from_base64(envelope["payload"].as_str().unwrap());
        let kind = envelope["payloadType"].as_str().unwrap();
        let mut signed = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
        signed.extend(&payload);
        verify(&lab, &signed, envelope["signatures"][0]["sig"].as_str().unwrap());
        let statement: Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(statement["subject"][0]["digest"]["sha256"], digest["sha256:".len()..]);
        types.push(statement["predicateType"].as_str().unwrap().to_owned());
    }
    types.sort();
    let expected = [
        "https://cyclonedx.org/bom",
        "https://sigstore.dev/cosign/sign/v1",
        "https://slsa.dev/provenance/v1",
    ];
    assert_eq!(types, expected);

    // Again: nothing new. And now it may be released.
    assert_eq!(lab.release(&["push"]).code, 0);
    assert_eq!(referrers(&lab, &digest).await, index);
    let verified =
        lab.release(&["verify-image", &image, "--key", "release.pub", "--require", "sbom,provenance"]);
    assert_eq!(verified.code, 0, "{verified}");
    let done = lab.release(&["deploy", "--env", "dev", "--images", "images.lock"]);
    assert_eq!(done.code, 0, "{done}");

    // Another key is not that key.
    assert_eq!(lab.release(&["key", "generate", "other"]).code, 0);
    let stranger = lab.release(&["verify-image", &image, "--key", "other.pub"]);
    assert_eq!(stranger.code, 9, "{stranger}");
}
