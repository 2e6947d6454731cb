//! `release init` on several repositories.

use crate::folder::{Folder, check};

fn propose(name: &str, folder: &Folder) {
    let screen = folder.screen(&["init"]);
    let yaml = std::fs::read_to_string(folder.path("release.yaml")).expect("it was written");
    check(name, &format!("{screen}\n{yaml}"));
    let rendered = folder.run(&["render", "--env", "dev", "-q"]);
    assert_eq!((rendered.code, &*rendered.err), (0, ""), "what init writes can be rendered");
}

#[test]
fn an_empty_folder() {
    propose("init_empty", &Folder::new());
}

#[test]
fn one_dockerfile() {
    let folder = Folder::new();
    folder
        .write("Dockerfile", "FROM rust AS build\nEXPOSE 1\nFROM scratch\nEXPOSE 8080/tcp\nUSER 1000:1000\n");
    propose("init_one", &folder);
}

#[test]
fn several_services_and_manifests() {
    let folder = Folder::new();
    folder.write("services/player-api/Dockerfile", "FROM scratch\nEXPOSE 9000\n");
    folder.write("services/programmes/Dockerfile", "FROM scratch\nUSER app\n");
    folder.write("docker/Dockerfile.worker", "FROM scratch\n");
    folder.write("node_modules/left-pad/Dockerfile", "FROM scratch\n");
    folder.write("k8s/deployment.yaml", "kind: Deployment\n");
    propose("init_several", &folder);
}

#[test]
fn a_file_that_exists_is_kept_until_forced() {
    let folder = Folder::with("precious: true\n");
    let kept = folder.screen(&["init"]);
    assert_eq!(
        std::fs::read_to_string(folder.path("release.yaml")).expect("it is there"),
        "precious: true\n"
    );
    let forced = folder.screen(&["init --force"]);
    assert!(
        std::fs::read_to_string(folder.path("release.yaml")).expect("it is there").contains("project: radio")
    );
    let elsewhere =
        folder.screen(&["init --config deploy/release.yaml", "init --config other.yaml -q -o json"]);
    check("init_again", &format!("{kept}\n{forced}\n{elsewhere}"));
}
