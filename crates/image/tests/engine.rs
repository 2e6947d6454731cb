//! Against a real Docker Engine and real registries, which `tests/run` brings up.
//!
//! Nothing is pulled: every image starts from scratch with a static busybox of this machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use release_core::{Credentials, ImageRef, Secret};
use release_image::{BuildError, BuildEvent, BuildInputs, DockerfileBuild, Endpoint, Engine, PushError};

fn var(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

async fn engine() -> Engine {
    let endpoint = Endpoint::new(&var("RELEASE_TEST_DOCKER_HOST")).unwrap();
    Engine::connect(&endpoint).await.unwrap()
}

/// Runs the `docker` command against the same engine.
fn docker(arguments: &[&str]) -> String {
    try_docker(arguments).unwrap_or_else(|error| panic!("docker {arguments:?}: {error}"))
}

/// What the `docker` command answers, or complains about.
fn try_docker(arguments: &[&str]) -> Result<String, String> {
    let out = Command::new("docker")
        .args(arguments)
        .env("DOCKER_HOST", var("RELEASE_TEST_DOCKER_HOST"))
        .env("DOCKER_BUILDKIT", "0")
        .output()
        .unwrap();
    if !out.status.success() {
        return Err(String::from_utf8_lossy(&out.stderr).into_owned());
    }
    Ok(String::from_utf8(out.stdout).unwrap().trim().to_owned())
}

/// Builds with the classic builder. It finds its own intermediate image and needs it a moment later; when another test
/// removes images just then, the engine takes that one with them and the build ends with this complaint, and with no other.
fn classic_build(tag: &str, context: &Path) {
    let arguments = ["build", "-q", "-t", tag, context.to_str().unwrap()];
    for last in [false, false, true] {
        match try_docker(&arguments) {
            Ok(_) => return,
            Err(error) if !last && error.contains("unable to find image \"sha256:") => {}
            Err(error) => panic!("docker {arguments:?}: {error}"),
        }
    }
}

/// A context with busybox and this Dockerfile.
fn context(dockerfile: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("Dockerfile"), dockerfile).unwrap();
    fs::copy("/bin/busybox", dir.path().join("busybox")).unwrap();
    dir
}

fn build(context: &Path, tag: &str) -> DockerfileBuild {
    DockerfileBuild {
        context: context.to_owned(),
        dockerfile: context.join("Dockerfile"),
        target: None,
        args: BTreeMap::new(),
        platform: None,
        labels: BTreeMap::new(),
        tag: tag.parse().unwrap(),
        no_cache: false,
        inputs: BuildInputs::default(),
    }
}

/// A name no earlier run has used, so that no layer is there already.
fn fresh(name: &str) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    format!("{name}-{}", now.as_nanos())
}

const BUSYBOX: &str =
    "FROM scratch AS base\nCOPY busybox /bin/busybox\nSHELL [\"/bin/busybox\", \"sh\", \"-c\"]\n";

#[tokio::test]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
async fn arguments_target_and_labels_reach_the_image() {
    let engine = engine().await;
    assert!(engine.info().buildkit, "{:?}", engine.info());
    let text = fresh("text");
    let dir = context(&format!(
        "{BUSYBOX}ARG WORD\nRUN echo \"the word is $WORD\"; echo $WORD > /word\nFROM base AS last\nRUN exit 7\n"
    ));
    let mut build = build(dir.path(), "release-test/args:v1");
    build.args.insert("WORD".into(), text.clone());
    build.labels.insert("org.example.word".into(), text.clone());
    build.target = Some("base".into());
    let mut events = Vec::new();
    let image = engine.build(&build, &BTreeMap::new(), &mut |event| events.push(event)).await.unwrap();

    assert!(events.contains(&BuildEvent::Output { line: format!("the word is {text}") }), "{events:#?}");
    assert!(
        events.iter().any(|e| matches!(e, BuildEvent::Step { name, .. } if name.contains("COPY busybox")))
    );
    let format = "{{.Id}} {{index .Config.Labels \"org.example.word\"}}";
    let kept = docker(&["image", "inspect", "-f", format, "docker.io/release-test/args:v1"]);
    assert_eq!(kept, format!("{} {text}", image.id));

    events.clear();
    let again = engine.build(&build, &BTreeMap::new(), &mut |event| events.push(event)).await.unwrap();
    assert_eq!(again, image);
    assert!(
        events.iter().any(|e| matches!(e, BuildEvent::Step { name, cached: true } if name.contains("RUN"))),
        "{events:#?}"
    );
}

#[tokio::test]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
async fn a_failing_step_is_named_with_its_last_words() {
    let engine = engine().await;
    let dir = context(&format!(
        "{BUSYBOX}RUN for i in $(/bin/busybox seq 100); do echo line $i; done; : {}; exit 7\n",
        fresh("bad")
    ));
    let error = engine
        .build(&build(dir.path(), "release-test/fail:v1"), &BTreeMap::new(), &mut |_| {})
        .await
        .unwrap_err();
    let BuildError::Failed { step, exit_code, output, message } = error else { panic!("{error:?}") };
    assert_eq!(exit_code, Some(7), "{message}");
    assert!(step.as_ref().is_some_and(|step| step.contains("RUN for i in")), "{step:?}");
    assert_eq!(output.len(), BuildError::OUTPUT_LINES);
    // The two streams of a step are not ordered among themselves.
    assert_eq!(output.last().unwrap(), "line 100");
}

#[tokio::test]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
async fn what_the_builder_refuses_is_told() {
    let engine = engine().await;
    for (dockerfile, target, expected) in [
        ("FROM scratch\nFLY away\n", None, "unknown instruction"),
        ("FROM scratch\nCOPY nothing /\n", None, "nothing"),
        ("FROM scratch\n", Some("gone"), "gone"),
    ] {
        let dir = context(dockerfile);
        let mut build = build(dir.path(), "release-test/wrong:v1");
        build.target = target.map(str::to_owned);
        let error = engine.build(&build, &BTreeMap::new(), &mut |_| {}).await.unwrap_err();
        let BuildError::Failed { message, exit_code, .. } = &error else { panic!("{error:?}") };
        assert!(message.to_lowercase().contains(expected), "{message}");
        assert_eq!(*exit_code, None);
    }
}

/// Builds the same context with the `docker` command and with us, and compares what `COPY . /` got.
#[tokio::test]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
async fn ignore_files_mean_what_docker_takes_them_for() {
    // Not among them: exceptions with a wildcard below an ignored folder (`*` and `!**/*.go`). The classic client does not
    // look into the folder, BuildKit's does, and so do we.
    // Each case is one `.dockerignore`; the tree has something for each rule to hit and to miss.
    const CASES: &[&str] = &[
        "",
        "a",
        "/a",
        "a/",
        "./a",
        "a/.",
        "a//b",
        "a/../b",
        "../a",
        "/../a",
        ".",
        "..",
        "/",
        "  a  ",
        "#a",
        " #a",
        "\\#a",
        "*",
        "*.go",
        "*/a",
        "*/*",
        "*/*/*",
        "a*",
        "a?",
        "?",
        "a?b",
        "a/*",
        "a\\*",
        "**",
        "**/a",
        "**a",
        "**/*.go",
        "**/a/b",
        "a/**",
        "a**",
        "a/**/b",
        "**/a/**",
        "**/**",
        "a/**/*.md",
        "**/?",
        "**.md",
        "[ab]",
        "[^a]",
        "[a-b]*",
        "[\\]]",
        "a[.]b",
        "a.b",
        "a+b",
        "a(b)",
        "a$",
        "*\n!a",
        "*\n!a/b",
        "!a\n*",
        "*\n!a\na",
        "*.md\n!README.md",
        "a\n!a/b",
        "a/b/c\n!a/b",
        "*\n! a",
        "*\n!/a",
        "*\n!./a/",
        "\\!a",
        "*.md\n!R*.md\nRELEASE.md",
        "**\n!x/y",
        "x/**\n!x/y/a",
        "\u{feff}a",
        "a\r\nb\r\n",
        "A",
        "ü",
        "a b",
        "**/.hidden",
        ".*",
        "x/y/../a",
        "*\n!x\nx/y",
        "**/b/c",
        "x/*/b",
    ];
    const FILES: &[&str] = &[
        "a/b/c/d",
        "a/b/x.md",
        "a/a.go",
        "a/x.md",
        "a/xb",
        "ab",
        "abc",
        "b",
        "a.b",
        "a+b",
        "a(b)",
        "a$",
        "axb",
        "a*",
        "]",
        "#a",
        "!a",
        "a b",
        "ü",
        "README.md",
        "RELEASE.md",
        "x.md",
        "x.go",
        ".hidden",
        "x/.hidden",
        "x/a",
        "x/y/a/b",
        "x/y/x.go",
        "x/y/b",
        "x/b/c",
        "z",
    ];
    let engine = engine().await;
    let dir = tempfile::tempdir().unwrap();
    for file in FILES {
        let path = dir.path().join("tree").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    let mut differences = Vec::new();
    for case in CASES {
        let root = dir.path().join("tree");
        fs::write(root.join("Dockerfile"), "FROM scratch\nCOPY . /\n").unwrap();
        fs::write(root.join(".dockerignore"), case).unwrap();
        let theirs = exported(&root, &dir.path().join("theirs"), None);
        engine
            .build(&build(&root, "release-test/ignore:v1"), &BTreeMap::new(), &mut |_| {})
            .await
            .unwrap_or_else(|e| panic!("{case:?}: {e:?}"));
        let ours = exported(&root, &dir.path().join("ours"), Some("release-test/ignore:v1"));
        if ours != theirs {
            let only = |these: &[String], those: &[String]| -> Vec<String> {
                these.iter().filter(|name| !those.contains(name)).cloned().collect()
            };
            differences.push(format!(
                "{case:?}: only ours {:?}, only docker's {:?}",
                only(&ours, &theirs),
                only(&theirs, &ours)
            ));
        }
    }
    assert!(differences.is_empty(), "{} of {}:\n{}", differences.len(), CASES.len(), differences.join("\n"));
}

/// The names in an image: of one that is there, or of what `docker build` makes of `root`. What is always sent is left out.
fn exported(root: &Path, to: &Path, image: Option<&str>) -> Vec<String> {
    let built = "release-test/theirs:v1";
    if image.is_none() {
        classic_build(built, root);
    }
    // An image from scratch has no command; it is never run.
    let container = docker(&["create", image.unwrap_or(built), "none"]);
    let archive = to.with_extension("tar");
    docker(&["export", "-o", archive.to_str().unwrap(), &container]);
    docker(&["rm", &container]);
    let mut archive = tar::Archive::new(fs::File::open(&archive).unwrap());
    let mut names: Vec<String> = archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        // What the engine itself puts into every container.
        .filter(|name| {
            !["dev", "etc", "proc", "sys", ".dockerenv"].iter().any(|own| name.split('/').next() == Some(own))
        })
        .filter(|name| name != "Dockerfile" && name != ".dockerignore")
        .collect();
    names.sort();
    names
}

#[tokio::test]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
async fn a_push_gives_the_digest_the_registry_has() {
    let engine = engine().await;
    let dir = context(&format!("FROM scratch\nLABEL fresh={}\nCOPY busybox /\n", fresh("push")));
    let tag = format!("{}/{}:v1", var("RELEASE_TEST_REGISTRY"), fresh("push"));
    let image: ImageRef = tag.parse().unwrap();
    engine.build(&build(dir.path(), &tag), &BTreeMap::new(), &mut |_| {}).await.unwrap();
    let mut events = Vec::new();
    let pinned = engine.push(&image, None, &mut |event| events.push(event)).await.unwrap();
    assert_eq!(pinned.repository, image.repository);
    let known = docker(&["image", "inspect", "-f", "{{join .RepoDigests \" \"}}", &tag]);
    assert!(known.contains(&pinned.to_string()), "{known} {pinned}");
    assert!(!events.is_empty());
}

#[tokio::test]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
async fn a_push_needs_the_right_password() {
    let engine = engine().await;
    let registry = var("RELEASE_TEST_AUTH_REGISTRY");
    let dir = context(&format!("FROM scratch\nLABEL fresh={}\nCOPY busybox /\n", fresh("auth")));
    let tag = format!("{registry}/{}:v1", fresh("auth"));
    let image: ImageRef = tag.parse().unwrap();
    engine.build(&build(dir.path(), &tag), &BTreeMap::new(), &mut |_| {}).await.unwrap();
    let basic = |password: String| Credentials::Basic {
        username: var("RELEASE_TEST_AUTH_USER"),
        password: Secret::new(password),
    };
    for (credentials, nobody) in [(None, true), (Some(basic("wrong".into())), false)] {
        let error = engine.push(&image, credentials.as_ref(), &mut |_| {}).await.unwrap_err();
        assert!(matches!(&error, PushError::Denied { anonymous, .. } if *anonymous == nobody), "{error:?}");
        assert!(!format!("{error:?} {error}").contains("wrong"));
    }
    let right = basic(var("RELEASE_TEST_AUTH_PASSWORD"));
    let pinned = engine.push(&image, Some(&right), &mut |_| {}).await.unwrap();
    assert_eq!(pinned.repository.registry(), registry);
}

#[tokio::test]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
async fn a_base_in_a_private_registry_needs_the_credentials() {
    let engine = engine().await;
    let registry = var("RELEASE_TEST_AUTH_REGISTRY");
    let base = format!("{registry}/{}:v1", fresh("base"));
    let dir = context(&format!("FROM scratch\nLABEL fresh={}\nCOPY busybox /\n", fresh("base")));
    engine.build(&build(dir.path(), &base), &BTreeMap::new(), &mut |_| {}).await.unwrap();
    let right = Credentials::Basic {
        username: var("RELEASE_TEST_AUTH_USER"),
        password: Secret::new(var("RELEASE_TEST_AUTH_PASSWORD")),
    };
    engine.push(&base.parse().unwrap(), Some(&right), &mut |_| {}).await.unwrap();
    docker(&["image", "rm", &base]);

    let dir = context(&format!("FROM {base}\nLABEL fresh={}\n", fresh("on-base")));
    let build = build(dir.path(), "release-test/private-base:v1");
    assert_eq!(build.images().unwrap().iter().map(ToString::to_string).collect::<Vec<_>>(), [&*base]);
    let error = engine.build(&build, &BTreeMap::new(), &mut |_| {}).await.unwrap_err();
    assert!(matches!(error, BuildError::Failed { .. }), "{error:?}");
    engine.build(&build, &BTreeMap::from([(registry, right)]), &mut |_| {}).await.unwrap();
}

#[tokio::test]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
async fn a_push_to_nobody_says_so() {
    let engine = engine().await;
    let dir = context("FROM scratch\nCOPY busybox /\n");
    let tag = "127.0.0.1:1/nobody:v1";
    engine.build(&build(dir.path(), tag), &BTreeMap::new(), &mut |_| {}).await.unwrap();
    let error = engine.push(&tag.parse().unwrap(), None, &mut |_| {}).await.unwrap_err();
    assert!(matches!(error, PushError::Unreachable { .. }), "{error:?}");
    let error =
        engine.push(&"127.0.0.1:1/never-built:v1".parse().unwrap(), None, &mut |_| {}).await.unwrap_err();
    assert!(matches!(error, PushError::Failed { .. }), "{error:?}");
}
