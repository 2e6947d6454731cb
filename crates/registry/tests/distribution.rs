//! Against real registries, which `tests/run` brings up. Images are put there with plain HTTP, so that no engine is needed.

use release_core::{Credentials, Digest, ImageRef, PinnedImage, Secret};
use release_registry::{ConfirmError, CredentialStore, Registry};

fn var(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

fn registry() -> Registry {
    install();
    Registry::new().unwrap()
}

/// Whichever test comes first installs it.
fn install() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn right() -> Credentials {
    Credentials::Basic {
        username: var("RELEASE_TEST_AUTH_USER"),
        password: Secret::new(var("RELEASE_TEST_AUTH_PASSWORD")),
    }
}

/// Puts an image without layers to `host/player:v1`.
async fn put(host: &str, credentials: Option<&Credentials>) -> Digest {
    install();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let send = async |request: reqwest::RequestBuilder| {
        let request = match credentials {
            Some(Credentials::Basic { username, password }) => {
                request.basic_auth(username, Some(password.expose()))
            }
            _ => request,
        };
        request.send().await.unwrap().error_for_status().unwrap()
    };
    let config =
        br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#.to_vec();
    let base = format!("http://{host}/v2/player");
    let started = send(client.post(format!("{base}/blobs/uploads/"))).await;
    let location = started.headers()["location"].to_str().unwrap().to_owned();
    let location = if location.starts_with('/') { format!("http://{host}{location}") } else { location };
    let mark = if location.contains('?') { '&' } else { '?' };
    send(
        client
            .put(format!("{location}{mark}digest={}", release_layout::digest(&config)))
            .body(config.clone()),
    )
    .await;
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": release_layout::digest(&config),
            "size": config.len(),
        },
        "layers": [],
    })
    .to_string();
    let request = client.put(format!("{base}/manifests/v1"));
    send(request.header("content-type", "application/vnd.oci.image.manifest.v1+json").body(manifest.clone()))
        .await;
    release_layout::digest(manifest.as_bytes())
}

fn pinned(host: &str, digest: &Digest) -> PinnedImage {
    format!("{host}/player@{digest}").parse().unwrap()
}

#[tokio::test]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
async fn an_image_that_is_there_is_confirmed_and_no_other() {
    let registry = registry();
    let host = var("RELEASE_TEST_REGISTRY");
    let digest = put(&host, None).await;
    registry.confirm(&pinned(&host, &digest), None).await.unwrap();
    let tag: ImageRef = format!("{host}/player:v1").parse().unwrap();
    assert_eq!(registry.resolve(&tag, None).await.unwrap(), digest);
    let other = release_layout::digest(b"nobody has this");
    let error = registry.confirm(&pinned(&host, &other), None).await.unwrap_err();
    assert!(matches!(error, ConfirmError::NotFound { .. }), "{error:?}");
    let gone: ImageRef = format!("{host}/no-such-repository:v1").parse().unwrap();
    let error = registry.resolve(&gone, None).await.unwrap_err();
    assert!(matches!(error, ConfirmError::NotFound { .. }), "{error:?}");
}

#[tokio::test]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
async fn the_right_password_is_needed() {
    let registry = registry();
    let host = var("RELEASE_TEST_AUTH_REGISTRY");
    let right = right();
    let image = pinned(&host, &put(&host, Some(&right)).await);
    registry.confirm(&image, Some(&right)).await.unwrap();
    let wrong = Credentials::Basic { username: "ci".into(), password: Secret::new("not-this-one") };
    for (credentials, nobody) in [(None, true), (Some(&wrong), false)] {
        let error = registry.confirm(&image, credentials).await.unwrap_err();
        assert!(
            matches!(&error, ConfirmError::Unauthorized { anonymous, .. } if *anonymous == nobody),
            "{error:?}"
        );
        assert!(!format!("{error:?} {error}").contains("not-this-one"));
    }
}

#[tokio::test]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
async fn credentials_of_dockers_configuration_open_the_registry() {
    use base64::Engine as _;
    let Credentials::Basic { username, password } = right() else { unreachable!() };
    let host = var("RELEASE_TEST_AUTH_REGISTRY");
    let digest = put(&host, Some(&right())).await;
    let dir = tempfile::tempdir().unwrap();
    let auth = base64::engine::general_purpose::STANDARD.encode(format!("{username}:{}", password.expose()));
    let config = serde_json::json!({ "auths": { &host: { "auth": auth } } });
    std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    let found = CredentialStore::load(dir.path()).unwrap().get(&host).await.unwrap();
    registry().confirm(&pinned(&host, &digest), found.as_ref()).await.unwrap();
}
