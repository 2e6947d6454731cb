//! The Docker Engine against the simulated registry: what it pushed comes back, and other tools see the same. Needs an engine that runs
//! on this machine (`tests/run` starts one), which takes 127.0.0.1 as it is, without TLS.

use std::process::Stdio;

use base64::Engine as _;
use release_sim::registry::{Access, Config, Digest, Event, Profile, Server, User, serve};
use serde_json::json;
use tokio::process::Command;

/// Bytes of the larger layer: more than the engine sends in one piece.
const LAYER_BYTES: usize = 6 << 20;

/// The docker command with a configuration of its own.
struct Docker {
    home: tempfile::TempDir,
}

impl Docker {
    fn new(server: &Server) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let auth = base64::engine::general_purpose::STANDARD.encode("ci:secret");
        let config = json!({"auths": {server.address().to_string(): {"auth": auth}}});
        std::fs::write(home.path().join("config.json"), config.to_string()).expect("it is written");
        Self { home }
    }

    /// What a command that succeeds said.
    async fn run(&self, words: &[&str]) -> String {
        let host = std::env::var("RELEASE_TEST_DOCKER_HOST").expect("tests/run names the engine");
        let mut command = Command::new("docker");
        command.args(["--config", &self.home.path().to_string_lossy(), "-H", &host]).args(words);
        let output = command.stdin(Stdio::null()).output().await.expect("docker runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "docker {words:?}: {said}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Builds an image of two layers; returns its id.
    async fn build(&self, image: &str, seed: u64) -> String {
        let dir = tempfile::tempdir().expect("a folder");
        let mut rng = fastrand::Rng::with_seed(seed);
        let noise: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(LAYER_BYTES).collect();
        std::fs::write(dir.path().join("noise"), noise).expect("it is written");
        std::fs::write(dir.path().join("seed"), seed.to_string()).expect("it is written");
        let file = "FROM scratch\nCOPY noise /noise\nCOPY seed /seed\nLABEL kind=test\n";
        std::fs::write(dir.path().join("Dockerfile"), file).expect("it is written");
        self.run(&["build", "-q", "-t", image, &dir.path().to_string_lossy()]).await
    }

    /// The digest the engine knows an image of a repository by.
    async fn digest(&self, image: &str, repository: &str) -> String {
        let digests = self.run(&["inspect", "-f", "{{json .RepoDigests}}", image]).await;
        let digests: Vec<String> = serde_json::from_str(&digests).expect("JSON");
        let of = digests.iter().find_map(|known| known.strip_prefix(&format!("{repository}@")));
        of.expect("a digest of that repository").to_owned()
    }
}

async fn skopeo(words: &[&str]) -> String {
    let output = Command::new("skopeo").args(words).stdin(Stdio::null()).output().await.expect("skopeo runs");
    assert!(output.status.success(), "skopeo {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn resolve(server: &Server, repository: &str) -> Option<String> {
    server.with(|registry| registry.resolve(repository, "v1").map(Digest::to_string))
}

/// Pushed by the engine, pulled by it again, copied by skopeo, and pulled from the copy: the same all the way.
async fn there_and_back(profile: Profile, access: Access, seed: u64) {
    let server = serve(Config { profile, access, ..Config::default() }).await.expect("a free port");
    for name in ["team/web", "team/copy"] {
        server.with(|registry| registry.create_repository(name)).expect("a name");
    }
    let docker = Docker::new(&server);
    let [web, copy] = ["web", "copy"].map(|name| format!("{}/team/{name}", server.address()));
    let [web_v1, copy_v1] = [&web, &copy].map(|repository| format!("{repository}:v1"));
    let id = docker.build(&web_v1, seed).await;
    docker.run(&["push", "-q", &web_v1]).await;
    let pushed = resolve(&server, "team/web").expect("the tag is there");
    assert_eq!(docker.digest(&web_v1, &web).await, pushed, "{}", profile.name);
    // Everything is there already: a second push sends no layer, and changes nothing.
    let used = server.with(|registry| registry.used_bytes());
    docker.run(&["push", "-q", &web_v1]).await;
    assert_eq!(server.with(|registry| registry.used_bytes()), used, "{}", profile.name);

    docker.run(&["rmi", "-f", &id]).await;
    docker.run(&["pull", "-q", &web_v1]).await;
    assert_eq!(docker.run(&["inspect", "-f", "{{.Id}}", &web_v1]).await, id, "{}", profile.name);
    docker.run(&["rmi", "-f", &id]).await;
    let pinned = format!("{web}@{pushed}");
    docker.run(&["pull", "-q", &pinned]).await;
    assert_eq!(docker.run(&["inspect", "-f", "{{.Id}}", &pinned]).await, id, "{}", profile.name);

    let (from, to) = (
        ["--src-tls-verify=false", "--src-creds=ci:secret"],
        ["--dest-tls-verify=false", "--dest-creds=ci:secret"],
    );
    let copied = [&["copy", "--preserve-digests"][..], &from, &to].concat();
    let [source, target] = [&web_v1, &copy_v1].map(|image| format!("docker://{image}"));
    skopeo(&[&copied[..], &[source.as_str(), target.as_str()]].concat()).await;
    assert_eq!(resolve(&server, "team/copy"), Some(pushed), "{}", profile.name);
    docker.run(&["rmi", "-f", &id]).await;
    docker.run(&["pull", "-q", &copy_v1]).await;
    assert_eq!(docker.run(&["inspect", "-f", "{{.Id}}", &copy_v1]).await, id, "{}", profile.name);
    docker.run(&["rmi", "-f", &id]).await;
    let leaked = |event: &Event| matches!(event, Event::CredentialsLeaked { .. });
    assert!(!server.with(|registry| registry.trace().events().any(leaked)), "{}", profile.name);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the real stack: tests/run"]
async fn docker_pushes_and_pulls_and_skopeo_copies() {
    there_and_back(Profile::PLAIN, Access::Open, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the real stack: tests/run"]
async fn docker_pushes_and_pulls_with_a_password_whatever_the_profile() {
    // The engine asks `/v2/` first, and believes a registry that needs no password there.
    for (profile, seed) in Profile::ALL.into_iter().filter(|profile| !profile.open_root).zip(2..) {
        let access = Access::Restricted { users: vec![User::new("ci", "secret")], anonymous: vec![] };
        there_and_back(profile, access, seed).await;
    }
}
