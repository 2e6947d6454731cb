//! What builds are given besides their context, against a real Docker Engine.
//!
//! Nothing can be pulled here, so images are made from scratch with busybox in them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use release_core::ImageRef;
use release_image::{
    BuildAgent, BuildCache, BuildError, BuildEvent, BuildInputs, BuildSecret, BuiltImage, DockerfileBuild,
    Endpoint, Engine, SecretSource,
};

fn var(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

async fn engine() -> Engine {
    let endpoint = Endpoint::new(&var("RELEASE_TEST_DOCKER_HOST")).unwrap();
    Engine::connect(&endpoint).await.unwrap()
}

/// Runs the `docker` command against the same engine.
fn docker(arguments: &[&str]) -> Vec<u8> {
    let out = Command::new("docker")
        .args(arguments)
        .env("DOCKER_HOST", var("RELEASE_TEST_DOCKER_HOST"))
        .output()
        .unwrap();
    assert!(out.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}

/// A name no earlier run has used.
fn fresh(name: &str) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    format!("{name}-{}", now.as_nanos())
}

const BUSYBOX: &str =
    "FROM scratch AS base\nCOPY busybox /bin/busybox\nSHELL [\"/bin/busybox\", \"sh\", \"-c\"]\n";

/// A context with busybox and a Dockerfile that goes on with `steps`.
fn context(steps: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("Dockerfile"), format!("{BUSYBOX}{steps}")).unwrap();
    fs::copy("/bin/busybox", dir.path().join("busybox")).unwrap();
    dir
}

fn build(context: &Path, tag: &str, inputs: BuildInputs) -> DockerfileBuild {
    DockerfileBuild {
        context: context.to_owned(),
        dockerfile: context.join("Dockerfile"),
        target: None,
        args: BTreeMap::new(),
        platform: None,
        labels: BTreeMap::new(),
        tag: tag.parse().unwrap(),
        no_cache: false,
        inputs,
    }
}

async fn run(build: &DockerfileBuild) -> (Result<BuiltImage, BuildError>, Vec<BuildEvent>) {
    let mut events = Vec::new();
    let ended = engine().await.build(build, &BTreeMap::new(), &mut |event| events.push(event)).await;
    (ended, events)
}

fn wrote(events: &[BuildEvent], line: &str) -> bool {
    events.contains(&BuildEvent::Output { line: line.to_owned() })
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
async fn a_secret_is_readable_in_its_step_and_nowhere_else() {
    let secret = fresh("hunter2");
    // The step proves that it read the secret, and prints it, which is what must not be seen.
    let dir = context(&format!(
        "RUN --mount=type=secret,id=npm --mount=type=secret,id=token : {}; \
         /bin/busybox wc -c < /run/secrets/npm; /bin/busybox cat /run/secrets/npm; \
         /bin/busybox cmp /run/secrets/npm /run/secrets/token && echo both are the same\n\
         RUN /bin/busybox ls /run/secrets/npm || echo it is gone\n",
        fresh("secret")
    ));
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), &secret).unwrap();
    let secrets = ["npm", "token"]
        .map(|id| BuildSecret { id: id.into(), from: SecretSource::File(file.path().to_owned()) });
    let tag = "release-test/secret:v1";
    let build = build(dir.path(), tag, BuildInputs { secrets: secrets.into(), ..BuildInputs::default() });
    let (ended, events) = run(&build).await;
    let image = ended.unwrap();

    assert!(wrote(&events, &secret.len().to_string()), "{events:#?}");
    assert!(wrote(&events, "both are the same") || format!("{events:?}").contains("both are the same"));
    assert!(wrote(&events, "it is gone"), "{events:#?}");
    assert!(format!("{events:?}").contains("[secret "), "{events:#?}");
    assert!(!format!("{events:?}{image:?}{build:?}").contains(&secret), "{events:#?}");
    // Not packed: a text in a layer is a text in the archive.
    let saved = docker(&["save", tag]);
    assert!(contains(&saved, "both are the same"), "the history is there");
    assert!(!contains(&saved, &secret));
}

#[tokio::test]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
async fn the_words_of_a_failing_step_have_no_secret_in_them() {
    let secret = fresh("hunter2");
    let dir =
        context("RUN --mount=type=secret,id=npm echo it is $(/bin/busybox cat /run/secrets/npm); exit 3\n");
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), &secret).unwrap();
    let secrets = vec![BuildSecret { id: "npm".into(), from: SecretSource::File(file.path().to_owned()) }];
    let build =
        build(dir.path(), "release-test/secret-fails:v1", BuildInputs { secrets, ..BuildInputs::default() });
    let (ended, events) = run(&build).await;
    let error = ended.unwrap_err();
    let BuildError::Failed { output, exit_code, .. } = &error else { panic!("{error:?}") };
    assert_eq!((*exit_code, &**output), (Some(3), &["it is [secret npm]".to_owned()][..]));
    assert!(!format!("{error:?}{events:?}").contains(&secret));
}

#[tokio::test]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
async fn a_secret_that_is_not_given_is_named_by_the_build() {
    let dir = context("RUN --mount=type=secret,id=npm,required=true /bin/busybox true\n");
    let (ended, _) = run(&build(dir.path(), "release-test/no-secret:v1", BuildInputs::default())).await;
    let error = ended.unwrap_err();
    assert!(matches!(&error, BuildError::Failed { message, .. } if message.contains("npm")), "{error:?}");
}

/// OpenSSH's own agent with one key. It ends when this is dropped.
struct Agent {
    process: std::process::Child,
    folder: tempfile::TempDir,
}

impl Agent {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let process =
            Command::new("ssh-agent").arg("-D").arg("-a").arg(folder.path().join("agent")).spawn().unwrap();
        let agent = Self { process, folder };
        let key = agent.folder.path().join("key");
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "lent", "-f"])
            .arg(&key)
            .status();
        assert!(made.unwrap().success());
        while !agent.socket().exists() {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        agent.add(&[key.to_str().unwrap()]);
        agent
    }

    fn socket(&self) -> std::path::PathBuf {
        self.folder.path().join("agent")
    }

    /// Runs `ssh-add` against it.
    fn add(&self, arguments: &[&str]) -> String {
        let out =
            Command::new("ssh-add").args(arguments).env("SSH_AUTH_SOCK", self.socket()).output().unwrap();
        assert!(out.status.success(), "ssh-add {arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Puts a program of this machine and the libraries it needs below `root`.
fn take_along(program: &str, root: &Path) {
    let listed = Command::new("ldd").arg(program).output().unwrap().stdout;
    let listed = String::from_utf8(listed).unwrap();
    let libraries = listed.split_whitespace().filter(|word| word.starts_with('/'));
    for path in libraries.chain([program]) {
        let to = root.join(path.trim_start_matches('/'));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(path, to).unwrap();
    }
}

#[tokio::test]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
async fn a_step_signs_with_the_agent_and_cannot_change_it() {
    let agent = Agent::start();
    let dir = context(&format!(
        "COPY root /\nRUN --mount=type=ssh : {}; /usr/bin/ssh-add -l; \
         /usr/bin/ssh-add -T /key.pub && echo it signed; \
         /usr/bin/ssh-add -D || echo it was refused; /usr/bin/ssh-add -l\n",
        fresh("ssh")
    ));
    take_along("/usr/bin/ssh-add", &dir.path().join("root"));
    fs::copy(agent.folder.path().join("key.pub"), dir.path().join("root/key.pub")).unwrap();
    let agents = vec![BuildAgent { id: "default".into(), socket: Some(agent.socket()) }];
    let build = build(dir.path(), "release-test/ssh:v1", BuildInputs { agents, ..BuildInputs::default() });
    let (ended, events) = run(&build).await;
    ended.unwrap();
    let listed = agent.add(&["-l"]);
    assert!(listed.contains(" lent "), "{listed}");
    let times =
        events.iter().filter(|event| **event == BuildEvent::Output { line: listed.trim().to_owned() });
    assert_eq!(times.count(), 2, "{events:#?}");
    assert!(wrote(&events, "it signed") && wrote(&events, "it was refused"), "{events:#?}");
}

#[tokio::test]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
async fn a_step_without_an_agent_says_which_one_it_wants() {
    let dir = context("RUN --mount=type=ssh,required=true /bin/busybox true\n");
    let (ended, _) = run(&build(dir.path(), "release-test/no-ssh:v1", BuildInputs::default())).await;
    let error = ended.unwrap_err();
    assert!(
        matches!(&error, BuildError::Failed { .. }) && error.to_string().contains("default"),
        "{error:?}"
    );
}

/// Makes the engine forget the steps whose command has this in it.
fn forget(mark: &str) {
    let format = "{{range .BuildCache}}{{.ID}} {{.Description}}\n{{end}}";
    let records = String::from_utf8(docker(&["system", "df", "-v", "--format", format])).unwrap();
    for record in records.lines().filter(|record| record.contains(mark)) {
        let filter = format!("id={}", record.split(' ').next().unwrap());
        docker(&["builder", "prune", "-a", "-f", "--filter", &filter]);
    }
}

#[tokio::test]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
async fn a_cache_in_an_image_is_used_by_an_engine_that_forgot() {
    let name = fresh("cache");
    let dir = context(&format!("RUN echo {name} > /word; echo the step was run\n"));
    let tag = format!("{}/{name}:v1", var("RELEASE_TEST_REGISTRY"));
    let image: ImageRef = tag.parse().unwrap();
    let inline = BuildInputs { cache_to: vec![BuildCache::Inline], ..BuildInputs::default() };
    let (ended, events) = run(&build(dir.path(), &tag, inline)).await;
    ended.unwrap();
    assert!(wrote(&events, "the step was run"), "{events:#?}");
    engine().await.push(&image, None, &mut |_| {}).await.unwrap();

    let with_cache = BuildInputs { cache_from: vec![image], ..BuildInputs::default() };
    for (inputs, runs) in [(BuildInputs::default(), true), (with_cache, false)] {
        docker(&["image", "rm", &tag]);
        forget(&name);
        let (ended, events) = run(&build(dir.path(), &tag, inputs)).await;
        ended.unwrap();
        assert_eq!(wrote(&events, "the step was run"), runs, "{events:#?}");
        let cached = |e: &BuildEvent| matches!(e, BuildEvent::Step { name, cached: true } if name.contains("RUN echo"));
        assert_eq!(events.iter().any(cached), !runs, "{events:#?}");
    }
}

/// The engine of the tests is 20.10 and has the classic image store; with another one these have to be other promises.
#[tokio::test]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
async fn what_the_engine_cannot_do_is_refused_before_anything_is_built() {
    let dir = context("");
    let contexts = BTreeMap::from([("shared".to_owned(), "docker-image://example.com/shared:1".to_owned())]);
    let cache = BuildCache::Registry { image: "127.0.0.1:1/cache:1".parse().unwrap(), all_stages: true };
    let none = BuildInputs::default;
    for (inputs, expected) in [
        (
            BuildInputs { contexts, ..none() },
            "further contexts of a build need a docker engine 23.0 or later",
        ),
        (BuildInputs { cache_to: vec![cache], ..none() }, "cannot leave a build's cache in a registry"),
        (
            BuildInputs {
                secrets: vec![BuildSecret {
                    id: "npm".into(),
                    from: SecretSource::File(dir.path().join("gone")),
                }],
                ..none()
            },
            "secret `npm` of the build cannot be read from",
        ),
    ] {
        let (ended, events) = run(&build(dir.path(), "release-test/refused:v1", inputs)).await;
        let error = ended.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(events, []);
    }
}

#[tokio::test]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
async fn a_build_that_is_given_up_stops_its_step() {
    let mark = fresh("given-up");
    let dir = context(&format!("RUN echo it began; : {mark}; /bin/busybox sleep 300; :\n"));
    let build = build(dir.path(), "release-test/given-up:v1", BuildInputs::default());
    let engine = engine().await;
    let (sender, mut began) = tokio::sync::mpsc::unbounded_channel();
    let nobody = BTreeMap::new();
    let mut tell = |event| sender.send(event).unwrap();
    let mut building = Box::pin(engine.build(&build, &nobody, &mut tell));
    loop {
        tokio::select! {
            ended = &mut building => panic!("{ended:?}"),
            event = began.recv() => {
                if event == Some(BuildEvent::Output { line: "it began".into() }) {
                    break;
                }
            }
        }
    }
    assert!(running(&mark));
    drop(building);
    for _ in 0..100 {
        if !running(&mark) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("the step goes on");
}

/// Whether a process has this in its command line.
fn running(mark: &str) -> bool {
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .any(|process| fs::read(process.path().join("cmdline")).is_ok_and(|line| contains(&line, mark)))
}

#[tokio::test]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
async fn an_engine_behind_tcp_is_asked_in_the_same_way() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    let socket = var("RELEASE_TEST_DOCKER_HOST").strip_prefix("unix://").unwrap().to_owned();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let mut far = tokio::net::UnixStream::connect(&socket).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut near, &mut far).await });
        }
    });
    let engine = Engine::connect(&Endpoint::new(&url).unwrap()).await.unwrap();
    let dir = context("RUN echo it was built\n");
    let mut build = build(dir.path(), "release-test/tcp:v1", BuildInputs::default());
    build.no_cache = true;
    let mut events = Vec::new();
    engine.build(&build, &BTreeMap::new(), &mut |event| events.push(event)).await.unwrap();
    assert!(wrote(&events, "it was built"), "{events:#?}");
}
