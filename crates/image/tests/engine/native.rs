//! Native images in a real Docker Engine, and in the hands of skopeo and buildah.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use release_core::Platform;
use release_image::{
    Base, BuildOptions, Compression, Format, Layer, Layout, NativeBuild, NativeImage, RunConfig,
};

use crate::stack::var;

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
        libraries_of: Vec::new(),
        programs: BTreeMap::new(),
        compression: Compression::Gzip,
        format: Format::Oci,
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
    layout.name(&image, &build.platform, "native", Some(&tag.parse().unwrap())).unwrap();
    manifest_json(out.path(), &image, tag);
    let archive = root.join("image.tar");
    run("tar", &["-cf", archive.to_str().unwrap(), "-C", out.path().to_str().unwrap(), "."]);
    run("docker", &["load", "-i", archive.to_str().unwrap()]);
    let id = run("docker", &["inspect", "--format", "{{.Id}}", tag]);
    // Engines that keep their images in containerd call them by the manifest.
    assert!(
        [&image.config.digest, &image.manifest.digest].iter().any(|digest| digest.as_str() == id),
        "{id}"
    );
    assert_eq!(
        run("docker", &["run", "--rm", "--network", "none", tag]),
        "65532\n/etc\ngood day\na long name"
    );
}

/// A project with busybox and some files, built for a platform.
fn build_for(root: &Path, platform: &str, compression: Compression) -> NativeBuild {
    let layer = |from: &str, to: &str| Layer { from: from.to_owned(), to: to.to_owned() };
    NativeBuild {
        root: root.to_owned(),
        base: Base::Scratch,
        layers: vec![layer("busybox", "/bin/"), layer("files", "/srv")],
        libraries_of: Vec::new(),
        programs: BTreeMap::new(),
        compression,
        format: Format::Oci,
        platform: platform.parse().unwrap(),
        config: RunConfig {
            entrypoint: Some(vec!["/bin/busybox".to_owned()]),
            cmd: Some(vec!["wc".to_owned(), "-c".to_owned(), "/srv/large".to_owned()]),
            ..RunConfig::default()
        },
        created: 0,
    }
}

fn project() -> tempfile::TempDir {
    let project = tempfile::tempdir().unwrap();
    fs::create_dir_all(project.path().join("files")).unwrap();
    fs::copy("/bin/busybox", project.path().join("busybox")).unwrap();
    let large: Vec<u8> = (0..700_000_u32).flat_map(|n| (n / 5).to_le_bytes()).collect();
    fs::write(project.path().join("files/large"), large).unwrap();
    project
}

#[test]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
fn skopeo_and_buildah_read_zstd() {
    let project = project();
    // buildah makes a name of the path, and names are in lower case.
    let name = format!("release-zstd-{}", std::process::id());
    let out = tempfile::Builder::new().prefix(&name).rand_bytes(0).tempdir().unwrap();
    let layout = Layout::create(out.path()).unwrap();
    let build = build_for(project.path(), "linux/amd64", Compression::Zstd);
    let image = build.build(&layout, &BuildOptions::default(), &mut |_| {}).unwrap();
    layout.name(&image, &build.platform, "v1", None).unwrap();
    let name = format!("oci:{}:v1", out.path().display());
    let seen: serde_json::Value = serde_json::from_str(&run("skopeo", &["inspect", &name])).unwrap();
    assert_eq!(seen["Digest"], image.manifest.digest.as_str());
    let raw: serde_json::Value = serde_json::from_str(&run("skopeo", &["inspect", "--raw", &name])).unwrap();
    let layers = raw["layers"].as_array().unwrap();
    assert!(!layers.is_empty());
    for layer in layers {
        assert_eq!(layer["mediaType"], "application/vnd.oci.image.layer.v1.tar+zstd");
    }
    let storage = tempfile::tempdir().unwrap();
    let path = |name: &str| storage.path().join(name).display().to_string();
    let (root, runroot) = (path("root"), path("run"));
    let words = ["--root", &root, "--runroot", &runroot, "--storage-driver", "vfs"];
    let buildah = |more: &[&str]| run("buildah", &[&words, more].concat());
    assert_eq!(buildah(&["pull", "-q", &name]), image.config.digest.hex());
    // What it has expanded is what was put in.
    let container = buildah(&["from", image.config.digest.hex()]);
    let mounted = buildah(&["mount", &container]);
    assert_eq!(fs::metadata(Path::new(&mounted).join("srv/large")).unwrap().len(), 2_800_000);
    buildah(&["rm", &container]);
}

#[test]
#[ignore = "needs a Docker Engine and a registry: tests/run"]
fn skopeo_finds_each_platform_of_an_index() {
    let project = project();
    let out = tempfile::tempdir().unwrap();
    let layout = Layout::create(out.path()).unwrap();
    let mut images = Vec::new();
    for platform in ["linux/amd64", "linux/arm64"] {
        let build = build_for(project.path(), platform, Compression::Gzip);
        let image = build.build(&layout, &BuildOptions::default(), &mut |_| {}).unwrap();
        images.push((image.manifest, build.platform));
    }
    let index = layout.index(&images, Format::Oci).unwrap();
    layout.name_index(&index, "all", None).unwrap();
    layout.sweep().unwrap();
    let name = format!("oci:{}:all", out.path().display());
    for (manifest, platform) in &images {
        let words = ["--override-arch", &platform.architecture, "inspect", &name];
        let seen: serde_json::Value = serde_json::from_str(&run("skopeo", &words)).unwrap();
        assert_eq!(seen["Architecture"], platform.architecture.as_str());
        let raw = ["--override-arch", &platform.architecture, "inspect", "--raw", &name];
        assert!(run("skopeo", &raw).contains(manifest.digest.as_str()));
    }
}
