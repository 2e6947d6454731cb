//! With `oci-client`, a client that knows nothing of us: what it pushes we pull, what we push it pulls, and what we have
//! pulled it pushes. At the simulated registry and at real ones.

use std::fs;
use std::path::Path;

use oci_client::client::{ClientConfig, ClientProtocol, Config, ImageData, ImageLayer};
use oci_client::manifest::{IMAGE_CONFIG_MEDIA_TYPE, IMAGE_LAYER_GZIP_MEDIA_TYPE, IMAGE_LAYER_MEDIA_TYPE};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use release_core::{Credentials, Digest, Secret};
use release_registry::{Limits, Pull, Push, Registry};
use release_sim::registry::{Access, Profile, User, serve};

const KINDS: [&str; 2] = [IMAGE_LAYER_MEDIA_TYPE, IMAGE_LAYER_GZIP_MEDIA_TYPE];

fn var(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

/// Layers of these sizes, of which no two are alike.
fn layers(sizes: &[usize]) -> Vec<ImageLayer> {
    let kinds = KINDS.iter().cycle();
    let bytes = |size: &usize| (0..*size).map(|at| u8::try_from(at * at % 251).unwrap()).collect::<Vec<u8>>();
    sizes
        .iter()
        .zip(kinds)
        .map(|(size, kind)| ImageLayer::new(bytes(size), (*kind).to_owned(), None))
        .collect()
}

/// The same layers, in whatever order they arrived.
fn assert_same(pulled: &ImageData, pushed: &[ImageLayer], digest: &Digest) {
    assert_eq!(pulled.digest.as_deref(), Some(digest.as_str()));
    assert_eq!(pulled.layers.len(), pushed.len());
    for layer in pushed {
        let same = |other: &&ImageLayer| other.data == layer.data && other.media_type == layer.media_type;
        assert!(pulled.layers.iter().any(|other| same(&other)), "a layer of {} bytes", layer.data.len());
    }
}

fn blob(layout: &Path, digest: &str) -> Vec<u8> {
    fs::read(layout.join("blobs").join(digest.replace(':', "/"))).unwrap()
}

/// The image goes `theirs` → us → `ours` → them → `again` → us; `create` makes a repository.
async fn there_and_back(host: &str, credentials: Option<&Credentials>, create: impl Fn(&str)) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let us = Registry::new().unwrap();
    let them = Client::new(ClientConfig {
        protocol: ClientProtocol::Http,
        use_monolithic_push: true,
        ..ClientConfig::default()
    });
    let auth = match credentials {
        Some(Credentials::Basic { username, password }) => {
            RegistryAuth::Basic(username.clone(), password.expose().to_owned())
        }
        _ => RegistryAuth::Anonymous,
    };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let name = |of: &str| format!("interop/{of}-{now}");
    let theirs = |of: &str| format!("{host}/{}:v1", name(of)).parse::<Reference>().unwrap();
    let pull = async |of: &str, layout: &Path| {
        let reference = format!("{host}/{}:v1", name(of)).parse().unwrap();
        let pull = Pull { reference: &reference, platform: None, layout, limits: Limits::default() };
        us.pull(&pull, credentials, &mut |_| {}).await.unwrap().image.digest
    };
    for of in ["theirs", "ours", "again"] {
        create(&name(of));
    }

    let pushed = layers(&[10, 700_000, 5_000_000]);
    let config = Config::new(
        br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#.to_vec(),
        IMAGE_CONFIG_MEDIA_TYPE.to_owned(),
        None,
    );
    them.push(&theirs("theirs"), &pushed, config, &auth, None).await.unwrap();
    let layout = tempfile::tempdir().unwrap();
    let digest = pull("theirs", layout.path()).await;

    let repository = format!("{host}/{}", name("ours")).parse().unwrap();
    let tags = ["v1".to_owned()];
    let push = Push {
        layout: layout.path(),
        manifest: &digest,
        repository: &repository,
        tags: &tags,
        mount_from: &[],
    };
    us.push(&push, credentials, &mut |_| {}).await.unwrap();
    let pulled = them.pull(&theirs("ours"), &auth, KINDS.to_vec()).await.unwrap();
    assert_same(&pulled, &pushed, &digest);

    // From our layout's files, in the manifest's order.
    let manifest = pulled.manifest.unwrap();
    let read = manifest
        .layers
        .iter()
        .map(|layer| ImageLayer::new(blob(layout.path(), &layer.digest), layer.media_type.clone(), None));
    let read: Vec<ImageLayer> = read.collect();
    let config =
        Config::new(blob(layout.path(), &manifest.config.digest), IMAGE_CONFIG_MEDIA_TYPE.to_owned(), None);
    them.push(&theirs("again"), &read, config, &auth, Some(manifest)).await.unwrap();
    let second = tempfile::tempdir().unwrap();
    assert_eq!(pull("again", second.path()).await, digest);
}

#[tokio::test]
async fn we_and_oci_client_read_each_other_at_the_simulated_registry() {
    let user = Credentials::Basic { username: "ci".to_owned(), password: Secret::new("hunter2") };
    for (profile, credentials) in [
        (Profile::PLAIN, None),
        (Profile::PLAIN, Some(&user)),
        (Profile::DOCKER_HUB, Some(&user)),
        (Profile::HARBOR, Some(&user)),
    ] {
        let access = match credentials {
            Some(_) => Access::Restricted { users: vec![User::new("ci", "hunter2")], anonymous: vec![] },
            None => Access::default(),
        };
        let config = release_sim::registry::Config { profile, access, ..Default::default() };
        let server = serve(config).await.unwrap();
        let create = |name: &str| server.with(|registry| registry.create_repository(name).unwrap());
        there_and_back(&server.address().to_string(), credentials, create).await;
    }
}

#[tokio::test]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
async fn we_and_oci_client_read_each_other_at_real_registries() {
    there_and_back(&var("RELEASE_TEST_REGISTRY"), None, |_| {}).await;
    let user = Credentials::Basic {
        username: var("RELEASE_TEST_AUTH_USER"),
        password: Secret::new(var("RELEASE_TEST_AUTH_PASSWORD")),
    };
    there_and_back(&var("RELEASE_TEST_AUTH_REGISTRY"), Some(&user), |_| {}).await;
}
