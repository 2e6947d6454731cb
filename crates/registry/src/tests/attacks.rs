//! What registries, and those in their way, have done to other clients: a row an attack, named after where it was found.
//!
//! Each row sets up a registry (and another host that must learn nothing), pulls, and says what has to come of it. Whatever
//! it is: the layout names nothing, no file outside it was touched, and the other host saw no secret.

use std::path::Path;

use serde_json::{Value, json};

use super::origin::{Origin, Reply};
use super::scene::{INDEX, Image, MANIFEST, descriptor, files, noise, registry, sha256, user};
use crate::{Limits, Pull, Registry};

/// The registry, and somebody else's host.
struct Stage {
    registry: Origin,
    other: Origin,
    image: Image,
}

impl Stage {
    /// Serves a manifest that was changed.
    fn manifest(&self, change: impl FnOnce(&mut Value)) {
        let mut manifest: Value = serde_json::from_slice(&self.image.manifest).unwrap();
        change(&mut manifest);
        self.document(MANIFEST, &manifest.to_string());
    }

    fn document(&self, kind: &str, text: &str) {
        self.says("manifests/v1", &format!("200 OK\nContent-Type: {kind}"), text.as_bytes());
    }

    fn says(&self, below: &str, head: &str, body: &[u8]) {
        let head = head.replace("OTHER", &self.other.host);
        self.registry.says(&format!("/v2/player/{below}"), Reply::new(&head, body));
    }

    /// The first layer, however it is served.
    fn layer(&self, head: &str, body: &[u8]) {
        self.says(&format!("blobs/{}", sha256(&self.image.blobs[0])), head, body);
    }
}

type Set = fn(&Stage);

/// Name, what is set up, what comes of it. `pulled` where the attack goes nowhere and the image is right.
const ROWS: &[(&str, Set, &str)] = &[
    // Credentials to where they do not belong.
    (
        "CVE-2020-15157 a foreign layer's address is not asked at all",
        |stage| {
            stage.manifest(|manifest| {
                manifest["layers"][0]["urls"] = json!([format!("http://{}/steal", stage.other.host)]);
                manifest["layers"][0]["mediaType"] =
                    json!("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
            });
        },
        "MANIFEST cannot be pulled: a part of it is kept elsewhere",
    ),
    (
        "CVE-2020-15157 a challenge of another host is not answered",
        |stage| {
            stage.layer("307 Temporary Redirect\nLocation: http://OTHER/layer", b"");
            let challenge =
                format!("401 Unauthorized\nWWW-Authenticate: Basic realm=\"{}\"", stage.other.host);
            stage.other.says("/layer", Reply::new(&challenge, b""));
        },
        "registry HOST does not let this user pull from `player`",
    ),
    (
        "CVE-2020-15157 a token service of another host's choice is not asked",
        |stage| {
            stage.layer("307 Temporary Redirect\nLocation: http://OTHER/layer", b"");
            let challenge = format!(
                "401 Unauthorized\nWWW-Authenticate: Bearer realm=\"http://{}/token\"",
                stage.other.host
            );
            stage.other.says("/layer", Reply::new(&challenge, b""));
            stage.other.says("/token", Reply::ok(b"{\"token\":\"t\"}"));
        },
        "registry HOST does not let this user pull from `player`",
    ),
    (
        "CVE-2021-32690 a redirect takes no password along",
        |stage| {
            stage.says("manifests/v1", "401 Unauthorized\nWWW-Authenticate: Basic realm=\"r\"", b"");
            stage.document(MANIFEST, &String::from_utf8(stage.image.manifest.clone()).unwrap());
            stage.layer("307 Temporary Redirect\nLocation: http://OTHER/layer", b"");
            stage.other.says("/layer", Reply::ok(&stage.image.blobs[0]));
        },
        "pulled",
    ),
    (
        "CVE-2026-65388 a realm without TLS is not asked",
        |stage| {
            stage.says(
                "manifests/v1",
                "401 Unauthorized\nWWW-Authenticate: Bearer realm=\"http://r.example.com/t\"",
                b"",
            );
        },
        "registry HOST asks for credentials at `http://r.example.com/t`, which is not secure",
    ),
    (
        "CVE-2026-65388 a realm that is no address is not asked",
        |stage| {
            stage.says(
                "manifests/v1",
                "401 Unauthorized\nWWW-Authenticate: Bearer realm=\"file:///etc/passwd\"",
                b"",
            );
        },
        "registry HOST asks for credentials at `file:///etc/passwd`, which is not secure",
    ),
    (
        "a redirect in a circle ends",
        |stage| {
            let location = format!(
                "307 Temporary Redirect\nLocation: /v2/player/blobs/{}",
                sha256(&stage.image.blobs[0])
            );
            stage.layer(&location, b"");
        },
        "registry HOST leads to `http://HOST`, where we do not follow",
    ),
    (
        "a redirect to another scheme ends",
        |stage| stage.layer("307 Temporary Redirect\nLocation: file:///etc/passwd", b""),
        "registry HOST leads to `file:`, where we do not follow",
    ),
    // Digests that are paths.
    (
        "CVE-2024-3727 a layer's digest that is a path is no digest",
        |stage| {
            stage.manifest(|manifest| {
                manifest["layers"][0]["digest"] = json!("sha256:../../../../etc/passwd");
            });
        },
        "MANIFEST cannot be pulled: it is no manifest that can be understood",
    ),
    (
        "CVE-2024-3727 a configuration's digest that asks for something else is no digest",
        |stage| {
            stage.manifest(|manifest| manifest["config"]["digest"] = json!("sha256:x/../../manifests/v2?"));
        },
        "MANIFEST cannot be pulled: it is no manifest that can be understood",
    ),
    (
        "GHSA-f689-h8m7-3jp2 an index's digest that is a path is no digest",
        |stage| {
            let child = json!({"mediaType": MANIFEST, "digest": "../../v2/_catalog", "size": 1});
            stage.document(INDEX, &json!({"schemaVersion": 2, "manifests": [child]}).to_string());
        },
        "MANIFEST cannot be pulled: it is no manifest that can be understood",
    ),
    (
        "GHSA-f689-h8m7-3jp2 a header's digest that is a path is no digest",
        |stage| {
            let head = "200 OK\nDocker-Content-Digest: sha256:../../../../etc/passwd";
            stage.says("manifests/v1", head, &stage.image.manifest);
        },
        "registry HOST sent a digest that cannot be understood",
    ),
    // One document, two readings.
    (
        "CVE-2021-41190 a manifest that is an index, too, is refused",
        |stage| stage.manifest(|manifest| manifest["manifests"] = json!([])),
        "MANIFEST cannot be pulled: it is a manifest and an index at once",
    ),
    (
        "CVE-2021-41190 a manifest that is sent as an index is refused",
        |stage| {
            let head = format!("200 OK\nContent-Type: {INDEX}");
            stage.says("manifests/v1", &head, &stage.image.manifest);
        },
        "MANIFEST cannot be pulled: it is not of the kind it is sent as",
    ),
    (
        "CVE-2021-41190 a manifest that says it is an index is refused",
        |stage| stage.manifest(|manifest| manifest["mediaType"] = json!(INDEX)),
        "MANIFEST cannot be pulled: it is not of the kind it says it is",
    ),
    (
        "CVE-2021-41190 a manifest that its index calls an index is refused",
        |stage| {
            let child = descriptor(INDEX, &stage.image.manifest);
            stage.document(INDEX, &json!({"schemaVersion": 2, "manifests": [child]}).to_string());
        },
        "MANIFEST cannot be pulled: it is not of the kind it is sent as",
    ),
    (
        "a field that is there twice is refused",
        |stage| {
            let text = String::from_utf8(stage.image.manifest.clone()).unwrap();
            stage.document(MANIFEST, &text.replacen('{', "{\"layers\":[],", 1));
        },
        "MANIFEST cannot be pulled: it is no manifest that can be understood",
    ),
    (
        "a manifest of the first schema is refused",
        |stage| {
            stage.document(
                "application/vnd.docker.distribution.manifest.v1+prettyjws",
                "{\"schemaVersion\":1,\"fsLayers\":[]}",
            );
        },
        "MANIFEST cannot be pulled: its schema is not version 2",
    ),
    // Bombs.
    (
        "CVE-2023-25153 a manifest without end is cut off",
        |stage| stage.document(MANIFEST, &" ".repeat(4 * 1024 * 1024 + 1)),
        "registry HOST sends a manifest of more than 4194304 bytes",
    ),
    (
        "CVE-2023-25153 a layer of more bytes than it says is cut off",
        |stage| stage.layer("200 OK", &[&stage.image.blobs[0][..], b"more"].concat()),
        "registry HOST sends MORE bytes of LAYER, which should have 700000",
    ),
    (
        "CVE-2023-25153 a layer without a length is cut off where it should end",
        |stage| {
            let body = [&stage.image.blobs[0][..], b"more"].concat();
            let path = format!("/v2/player/blobs/{}", sha256(&stage.image.blobs[0]));
            stage.registry.says(&path, Reply { announced: None, ..Reply::ok(&body) });
        },
        "registry HOST sends MORE bytes of LAYER, which should have 700000",
    ),
    (
        "GHSA-697p a layer of all the bytes there are is not begun",
        |stage| stage.manifest(|manifest| manifest["layers"][0]["size"] = json!(u64::MAX)),
        "LAYER has more than 68719476736 bytes",
    ),
    (
        "GHSA-697p sizes that overflow are too many",
        |stage| {
            stage.manifest(|manifest| {
                manifest["layers"][0]["size"] = json!(u64::MAX / 2 + 1);
                manifest["layers"][1]["size"] = json!(u64::MAX / 2 + 1);
            });
        },
        "LAYER has more than 68719476736 bytes",
    ),
    (
        "GHSA-g3rx ten thousand layers are too many",
        |stage| {
            stage.manifest(|manifest| {
                let layer = manifest["layers"][0].clone();
                manifest["layers"] = Value::Array(vec![layer; 10_000]);
            });
        },
        "MANIFEST has more than 512 layers",
    ),
    (
        "GHSA-g3rx ten thousand images are too many",
        |stage| {
            let child = descriptor(MANIFEST, &stage.image.manifest);
            stage.document(INDEX, &json!({"schemaVersion": 2, "manifests": vec![child; 10_000]}).to_string());
        },
        "MANIFEST has more than 1000 manifests",
    ),
    (
        "nesting without end is no document",
        |stage| stage.document(MANIFEST, &format!("{{\"annotations\":{}", "[".repeat(1_000_000))),
        "MANIFEST cannot be pulled: it is no manifest that can be understood",
    ),
    (
        "an index that is nested without end is not followed",
        |stage| {
            let mut inner = stage.image.manifest.clone();
            let mut kind = MANIFEST;
            for _ in 0..8 {
                stage.registry.says(&format!("/v2/player/manifests/{}", sha256(&inner)), Reply::ok(&inner));
                inner = json!({"schemaVersion": 2, "manifests": [descriptor(kind, &inner)]})
                    .to_string()
                    .into_bytes();
                kind = INDEX;
            }
            stage.document(INDEX, &String::from_utf8(inner).unwrap());
        },
        "INNER has more than 4 levels of indexes",
    ),
    // Bytes that are not the ones that were asked for: poisoned caches, and those in the way.
    (
        "CVE-2024-24557 another layer under its name is noticed",
        |stage| stage.layer("200 OK", &noise(9, 700_000)),
        "registry HOST was asked for LAYER and sends OTHER",
    ),
    (
        "a layer in two sizes is refused",
        |stage| {
            stage.manifest(|manifest| {
                let mut layer = manifest["layers"][0].clone();
                layer["size"] = json!(1);
                manifest["layers"][1] = layer;
            });
        },
        "LAYER cannot be pulled: two descriptors give it two sizes",
    ),
    (
        "a header that names another manifest is noticed",
        |stage| {
            let head = format!("200 OK\nDocker-Content-Digest: {}", sha256(b"another"));
            stage.says("manifests/v1", &head, &stage.image.manifest);
        },
        "registry HOST was asked for ANOTHER and sends MANIFEST",
    ),
];

async fn outcome(client: &Registry, stage: &Stage, dir: &Path) -> String {
    let reference = format!("{}/player:v1", stage.registry.host).parse().unwrap();
    let pull = Pull { reference: &reference, platform: None, layout: dir, limits: Limits::default() };
    let mut text = match client.pull(&pull, Some(&user()), &mut |_| {}).await {
        Ok(_) => {
            assert_eq!(files(dir), stage.image.files());
            return "pulled".to_owned();
        }
        Err(error) => error.to_string(),
    };
    assert!(!dir.join("index.json").exists(), "the layout names it");
    for (digest, name) in [
        (sha256(&stage.image.blobs[0]).to_string(), "LAYER"),
        (sha256(&noise(9, 700_000)).to_string(), "OTHER"),
        (sha256(b"another").to_string(), "ANOTHER"),
    ] {
        text = text.replace(&digest, name);
    }
    text = text.replace(&stage.registry.host, "HOST");
    // How far it came depends on how the network cuts.
    for sent in 700_001..=700_004 {
        text = text.replace(&format!("sends {sent} "), "sends MORE ");
    }
    // What is left is the digest of a document that was made up.
    match text.find("sha256:") {
        Some(at) => {
            let name = if text.contains("levels of") { "INNER" } else { "MANIFEST" };
            format!("{}{name}{}", &text[..at], &text[at + 71..])
        }
        None => text,
    }
}

#[tokio::test]
async fn attacks_come_to_nothing() {
    let (client, mut failed) = (registry(), Vec::new());
    for (name, set, expected) in ROWS {
        let image = Image::new("amd64");
        let stage = Stage { registry: Origin::start().await, other: Origin::start().await, image };
        set(&stage);
        // What the attack leaves alone is honest.
        stage.image.around(&stage.registry);
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("layout");
        let seen = outcome(&client, &stage, &dir).await;
        if seen != *expected {
            failed.push(format!("{name}\n  expected {expected}\n  seen     {seen}"));
        }
        let log = stage.other.log();
        assert!(
            log.iter().all(|line| !line.contains("Basic ") && !line.contains("Bearer ")),
            "{name}: {log:?}"
        );
        assert!(
            !log.iter().any(|line| line.contains("/token") || line.contains("/steal")),
            "{name}: {log:?}"
        );
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1, "{name}: something beside the layout");
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
