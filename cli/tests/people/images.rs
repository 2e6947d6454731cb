//! `release build` and `push` where there is no Docker Engine and no registry.

use crate::folder::{DIGEST, Folder, RADIO, check};

#[test]
fn the_engine_is_not_there() {
    let folder = Folder::with(RADIO);
    folder.write("Dockerfile", "FROM scratch\n");
    check("images_engine", &folder.screen(&["build", "build web -q", "push web"]));
    let folder = folder.var("DOCKER_HOST", "ftp://engine");
    check("images_address", &folder.screen(&["build web"]));
}

#[test]
fn the_dockerfile_is_not_there() {
    check("images_dockerfile", &Folder::with(RADIO).screen(&["build web"]));
}

#[test]
fn the_registry_is_not_there() {
    let yaml =
        format!("project: radio\nservices:\n  web: {{image: {{ref: '127.0.0.1:9/radio/web@{DIGEST}'}}}}\n");
    check("images_registry", &Folder::with(&yaml).screen(&["push"]));
}

/// A container with nothing but the program in it has none. A registry on this machine is spoken to without TLS.
#[test]
fn certificates_are_needed_only_for_registries_elsewhere() {
    let yaml =
        format!("project: radio\nservices:\n  web: {{image: {{ref: '127.0.0.1:9/radio/web@{DIGEST}'}}}}\n");
    let folder = Folder::with(&yaml).var("SSL_CERT_FILE", "/nowhere").var("SSL_CERT_DIR", "/nowhere");
    let told = folder.run(&["push"]);
    assert!(told.err.contains("cannot reach registry"), "{}", told.err);
}

#[test]
fn there_is_no_registry_to_push_to() {
    let yaml = RADIO.replace("registry: registry.example.com/radio\n", "");
    let folder = Folder::with(&yaml);
    folder.write("Dockerfile", "FROM scratch\n");
    check("images_no_registry", &folder.screen(&["push web", "push wbe"]));
}

#[test]
fn an_image_that_exists_is_not_built() {
    let folder = Folder::with(RADIO);
    let screen = folder.screen(&["build player", "build player -o yaml", "build player -o json"]);
    check("images_pinned", &screen);
}

#[test]
fn credentials_that_cannot_be_read() {
    let yaml =
        format!("project: radio\nservices:\n  web: {{image: {{ref: '127.0.0.1:9/radio/web@{DIGEST}'}}}}\n");
    let folder = Folder::with(&yaml).var("DOCKER_CONFIG", "docker");
    folder.write("docker/config.json", "{");
    check("images_credentials", &folder.screen(&["push"]));
}

const NATIVE: &str = "project: radio
services:
  web:
    image: {base: scratch, layers: [{from: site, to: /srv/}, {from: web, to: /}], entrypoint: [/web], user: 65532, platform: linux/amd64}
";

#[test]
fn an_image_without_a_dockerfile_needs_nothing_but_its_files() {
    let folder = Folder::with(NATIVE);
    folder.write("site/index.html", "<h1>radio</h1>");
    folder.write("web", "a program");
    let screen = folder.screen(&[
        "build web --layout out",
        "build web --layout out -o json -q",
        "build --layout .",
        "build",
        "push web",
    ]);
    check("images_native", &screen);
    let index = std::fs::read_to_string(folder.path("out/index.json")).unwrap();
    let with_dockerfile = folder.screen(&[
        "build --layout out --set services.old.image.dockerfile=Dockerfile --set registry=registry.example.com/radio",
    ]);
    check("images_native_dockerfile", &with_dockerfile);
    assert!(index.contains("\"org.opencontainers.image.ref.name\":\"web\""), "{index}");
}

#[test]
fn files_that_cannot_be_in_an_image_end_the_build() {
    let folder = Folder::with(NATIVE);
    let missing = folder.screen(&["build web --layout out"]);
    folder.write("site/index.html", "<h1>radio</h1>");
    folder.write("web/.wh.gone", "");
    let whiteout = folder.screen(&["build web --layout out"]);
    let folder = folder.var("SOURCE_DATE_EPOCH", "yesterday");
    check(
        "images_native_refused",
        &format!("{missing}{whiteout}{}", folder.screen(&["build web --layout out"])),
    );
}

/// Without cargo on this machine its variable is what there is to know.
#[cfg(target_os = "linux")]
#[test]
fn a_program_of_cargo_is_where_cargo_builds() {
    use std::os::unix::fs::PermissionsExt as _;
    let yaml = "project: radio\nservices:\n  web: {image: {base: scratch, rust: {bin: web}}}\n";
    let folder = Folder::with(yaml);
    let program = |place: &str| {
        std::fs::create_dir_all(folder.path(place)).unwrap();
        std::fs::copy("/usr/bin/env", folder.path(place).join("web")).unwrap();
    };
    let build = |folder: &Folder| folder.run(&["build", "--layout", "../home/out", "-q"]);
    let missing = build(&folder);
    assert!(missing.err.contains("cannot read `DIR/radio/target/release/web`"), "{}", missing.screen());
    program("target/release");
    let usual = build(&folder);
    assert_eq!(usual.code, 0, "{}", usual.screen());
    std::fs::remove_dir_all(folder.path("target")).unwrap();

    program("../elsewhere/release");
    let place = folder.path("../elsewhere").display().to_string();
    let folder = folder.var("CARGO_TARGET_DIR", &place);
    let by_variable = build(&folder);
    assert_eq!((by_variable.code, &by_variable.out), (0, &usual.out), "{}", by_variable.screen());

    // Cargo knows better than its variable.
    let folder = folder.var("CARGO_TARGET_DIR", "/nowhere");
    let cargo = folder.path("../bin/cargo");
    let script = format!("#!/bin/sh\necho '{{\"packages\":[],\"target_directory\":\"{place}\"}}'\n");
    std::fs::write(&cargo, script).unwrap();
    std::fs::set_permissions(&cargo, std::fs::Permissions::from_mode(0o755)).unwrap();
    let by_cargo = build(&folder);
    assert_eq!((by_cargo.code, &by_cargo.out), (0, &usual.out), "{}", by_cargo.screen());
}

#[test]
fn a_damaged_cache_is_made_anew_and_a_damaged_layout_comes_with_the_way_out() {
    let folder = Folder::with(NATIVE);
    folder.write("site/index.html", "<h1>radio</h1>");
    folder.write("web", "a program");
    let first = folder.run(&["build", "-q"]);
    assert_eq!(first.code, 0, "{}", first.screen());
    let cache = folder.path("../home/.cache/release/images/radio");
    let manifest = first.out.trim().rsplit(':').next().unwrap();
    for damaged in ["index.json", &format!("blobs/sha256/{manifest}")] {
        std::fs::write(cache.join(damaged), "{").unwrap();
        let told = folder.run(&["build"]);
        assert_eq!((told.code, &told.out), (0, &first.out), "{}", told.screen());
        assert!(told.err.contains("radio` is damaged: what is missing is built again"), "{}", told.screen());
        assert!(!folder.run(&["build"]).err.contains("damaged"));
    }
    assert_eq!(folder.run(&["build", "-q", "--layout", "out"]).code, 0);
    folder.write("out/index.json", "{");
    check("images_damaged", &folder.screen(&["build -q --layout out", "image ls out"]));
}

#[test]
fn of_several_images_of_a_layout_one_is_chosen() {
    let folder = Folder::with(&format!(
        "{NATIVE}  api:\n    image: {{base: 'oci:out', layers: [{{from: web, to: /bin/}}], entrypoint: [/web], platform: linux/amd64}}\n"
    ));
    folder.write("site/index.html", "<h1>radio</h1>");
    folder.write("web", "a program");
    for text in ["services.web.image.user=1", "services.web.image.user=2"] {
        let service = if text.ends_with('1') { "web" } else { "old" };
        let set = text.replace("web", service);
        let words = ["build", "-q", "--layout", "out", service, "--set", &set];
        let yaml = NATIVE.replace("web:\n", &format!("{service}:\n"));
        folder.write("one.yaml", &yaml);
        let told = folder.run(&[&words[..], &["--config", "one.yaml"]].concat());
        assert_eq!(told.code, 0, "{}", told.screen());
    }
    check("images_choice", &folder.screen(&["image ls out", "build -q api --layout other"]));
}

#[test]
fn versions_that_are_other_things_than_versions() {
    let folder = Folder::with(NATIVE);
    let version = format!("build --version {}.sig", DIGEST.replace(':', "-"));
    let platform = "build --set services.web.image.platform=foo/bar";
    check(
        "images_version",
        &folder.screen(&[&version, platform, "image ls nowhere --platform linux/x86_64"]),
    );
}
