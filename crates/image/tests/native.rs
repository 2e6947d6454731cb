//! Native images in a real Docker Engine, which `tests/run` brings up.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use release_image::{Base, BuildOptions, Layer, Layout, NativeBuild, NativeImage, Platform, RunConfig};

fn var(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

/// Runs a command against the engine and gives back what it printed.
fn run(program: &str, arguments: &[&str]) -> String {
    let out = Command::new(program)
        .args(arguments)
        .env("DOCKER_HOST", var("RELEASE_TEST_DOCKER_HOST"))
        .output()
        .unwrap();
    assert!(out.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

/// The document by which engines before 25 find an image in an archive; newer ones read the index.
fn manifest_json(layout: &Path, image: &NativeImage, tag: &str) {
    let path = |digest: &release_core::Digest| format!("blobs/sha256/{}", digest.hex());
    let layers: Vec<String> = image.layers.iter().map(|layer| path(&layer.digest)).collect();
    let document =
        serde_json::json!([{"Config": path(&image.config.digest), "RepoTags": [tag], "Layers": layers}]);
    fs::write(layout.join("manifest.json"), document.to_string()).unwrap();
}

#[test]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
fn a_real_engine_loads_and_runs_it() {
    let project = tempfile::tempdir().unwrap();
    let root = project.path();
    fs::create_dir_all(root.join("files/etc")).unwrap();
    fs::copy("/bin/busybox", root.join("busybox")).unwrap();
    let deep = format!("{}/{}", "d".repeat(120), "f".repeat(120));
    fs::create_dir_all(root.join("files/etc").join(&deep).parent().unwrap()).unwrap();
    fs::write(root.join("files/etc").join(&deep), "a long name").unwrap();
    std::os::unix::fs::symlink(&deep, root.join("files/etc/link")).unwrap();
    let layer = |from: &str, to: &str| Layer { from: from.to_owned(), to: to.to_owned() };
    let words = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect());
    let build = NativeBuild {
        root: root.to_owned(),
        base: Base::Scratch,
        layers: vec![layer("busybox", "/bin/"), layer("files", "/")],
        platform: Platform::default(),
        config: RunConfig {
            entrypoint: words(&["/bin/busybox", "sh", "-c"]),
            cmd: words(&["id -u; pwd; echo $GREETING; /bin/busybox cat link"]),
            env: BTreeMap::from([("GREETING".to_owned(), "good day".to_owned())]),
            user: Some("65532".to_owned()),
            workdir: Some("/etc".to_owned()),
            ..RunConfig::default()
        },
        created: 0,
    };
    let out = tempfile::tempdir().unwrap();
    let layout = Layout::create(out.path()).unwrap();
    let image = build.build(&layout, &BuildOptions::default(), &mut |_| {}).unwrap();
    let tag = "release-test/native:v1";
    layout.name(&image, &build.platform, "native", Some(tag)).unwrap();
    manifest_json(out.path(), &image, tag);
    let archive = root.join("image.tar");
    run("tar", &["-cf", archive.to_str().unwrap(), "-C", out.path().to_str().unwrap(), "."]);
    run("docker", &["load", "-i", archive.to_str().unwrap()]);
    assert_eq!(run("docker", &["inspect", "--format", "{{.Id}}", tag]), image.config.digest.as_str());
    assert_eq!(
        run("docker", &["run", "--rm", "--network", "none", tag]),
        "65532\n/etc\ngood day\na long name"
    );
}
