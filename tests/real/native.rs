//! Images that were put together without a Docker Engine: run by a real kubelet, and read by what others use.

use std::process::Command;

use release_tests::{Lab, var};
use serde_json::Value;

/// The usual service from files, its image with these words more.
fn service(image: &str, version: &str) -> String {
    format!(
        "image: {{base: scratch, layers: [{{from: web/busybox, to: /bin/}}, {{from: web/www, to: /www/}}], \
         entrypoint: [/bin/busybox, httpd, -f, -v, -p, '8080', -h, /www], user: 65532, {image}}}\n\
         verify: [{{http: /version, body: {version}}}]"
    )
}

/// What a command printed.
fn run(program: &str, words: &[&str]) -> String {
    let output = Command::new(program)
        .args(words)
        .env("DOCKER_HOST", var("RELEASE_TEST_DOCKER_HOST"))
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Docker, skopeo and buildah see one image: the one whose configuration the manifest names. Returns the manifest's kind.
fn read_by_others(image: &str, lab: &Lab) -> String {
    let at = format!("docker://{image}");
    let raw = run("skopeo", &["inspect", "--tls-verify=false", "--raw", &at]);
    let manifest: Value = serde_json::from_str(&raw).expect("JSON");
    let seen: Value =
        serde_json::from_str(&run("skopeo", &["inspect", "--tls-verify=false", &at])).expect("JSON");
    assert_eq!(seen["Architecture"], "amd64");
    run("docker", &["pull", "-q", image]);
    let id = run("docker", &["image", "inspect", "-f", "{{.Id}}", image]);
    assert_eq!(
        run("docker", &["run", "--rm", "--entrypoint", "/bin/busybox", image, "cat", "/www/healthz"]),
        "ok"
    );
    let storage = |name: &str| lab.dir.path().join(name).display().to_string();
    let (root, runroot) = (storage("root"), storage("run"));
    let words = ["--root", &root, "--runroot", &runroot, "--storage-driver", "vfs"];
    let pulled = run("buildah", &[&words[..], &["pull", "-q", "--tls-verify=false", image]].concat());
    assert_eq!(format!("sha256:{pulled}"), id);
    if manifest["config"].is_object() {
        assert_eq!(manifest["config"]["digest"], *id);
    }
    manifest["mediaType"].as_str().unwrap_or_default().to_owned()
}

#[test]
#[ignore = "needs the real stack: tests/run"]
fn images_without_an_engine_run_in_a_real_kubelet_and_are_read_by_others() {
    for (name, image, kind) in [
        ("oci", "platform: linux/amd64", "application/vnd.oci.image.manifest.v1+json"),
        (
            "docker",
            "platform: linux/amd64, format: docker",
            "application/vnd.docker.distribution.manifest.v2+json",
        ),
        ("index", "platforms: [linux/amd64, linux/arm64]", "application/vnd.oci.image.index.v1+json"),
        (
            "list",
            "platforms: [linux/amd64, linux/arm64], format: docker",
            "application/vnd.docker.distribution.manifest.list.v2+json",
        ),
    ] {
        let lab = Lab::new(&format!("native-{name}"));
        lab.write("web/www/version", "first\n");
        lab.project(&service(image, "first"));
        lab.deploy_well();
        // One file is another one: the pods of the new image answer with it.
        lab.write("web/www/version", "second\n");
        lab.project(&service(image, "second"));
        lab.deploy_well();
        let container = &lab.deployment()["spec"]["template"]["spec"]["containers"][0];
        let image = container["image"].as_str().expect("an image");
        assert_eq!(read_by_others(image, &lab), kind);
    }
}
