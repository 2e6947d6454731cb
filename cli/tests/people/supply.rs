//! Keys, and images that are looked into, as far as no registry is needed.

use crate::folder::{DIGEST, Folder, RADIO, check};

const NATIVE: &str = "project: radio
services:
  web:
    image: {base: scratch, layers: [{from: site, to: /srv/}, {from: over, to: /srv/}], entrypoint: [/web], user: 65532, platform: linux/amd64}
";

/// Two layouts: in the second one file is larger, one is new, one is gone.
fn two_images() -> Folder {
    let folder = Folder::with(NATIVE);
    folder.write("site/index.html", &"<h1>radio</h1>".repeat(100));
    folder.write("site/old.html", "old");
    folder.write("over/index.html", "<h1>radio</h1>");
    assert_eq!(folder.run(&["build", "--layout", "before", "-q"]).code, 0);
    std::fs::remove_file(folder.path("site/old.html")).unwrap();
    folder.write("over/index.html", "<h1>radio, louder</h1>");
    folder.write("over/new.html", "new");
    assert_eq!(folder.run(&["build", "--layout", "after", "-q"]).code, 0);
    folder
}

#[test]
fn images_are_looked_into() {
    let folder = two_images();
    let screen = folder.screen(&[
        "image ls after",
        "image inspect after",
        "image diff before after",
        "image diff before before",
        "image inspect after --platform linux/arm64",
        "image inspect after --platform arm",
        "image inspect nowhere/",
        &format!("image inspect after@{DIGEST}"),
    ]);
    check("image", &screen);
    check(
        "image_json",
        &folder.screen(&[
            "image ls after -o json",
            "image inspect after -o json",
            "image diff before after -o json",
        ]),
    );
}

#[test]
fn permissions_and_the_configuration_are_part_of_an_image() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = Folder::with(NATIVE);
    folder.write("site/index.html", "<h1>radio</h1>");
    folder.write("over/index.html", "<h1>radio</h1>");
    assert_eq!(folder.run(&["build", "--layout", "before", "-q"]).code, 0);
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.path("over/index.html"), executable).unwrap();
    let set = "services.web.image.entrypoint=[/srv/web]";
    assert_eq!(folder.run(&["build", "--layout", "after", "-q", "--set", set]).code, 0);
    let told = folder.run(&["image", "diff", "before", "after"]).out;
    assert!(told.contains("the configuration differs: Entrypoint"), "{told}");
    let lines: Vec<&str> = told.lines().filter(|line| line.contains("/srv/index.html")).collect();
    assert!(matches!(*lines, [line] if line.contains("0644") && line.contains("0755")), "{told}");
}

#[test]
fn keys_are_made_and_not_overwritten() {
    let folder = Folder::new();
    let screen = folder.screen(&[
        "key generate",
        "key generate",
        "key generate -q -o json other",
        "key generate nowhere/key",
    ]);
    check("key", &screen);
    let private = std::fs::read_to_string(folder.path("release.pem")).unwrap();
    let public = std::fs::read_to_string(folder.path("release.pub")).unwrap();
    assert!(private.starts_with("-----BEGIN PRIVATE KEY-----\n"), "{private}");
    assert!(public.starts_with("-----BEGIN PUBLIC KEY-----\n"), "{public}");
    assert!(!screen.contains(private.lines().nth(1).unwrap()));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(folder.path("release.pem")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn keys_that_cannot_be_used() {
    let yaml = RADIO.replace("services:", "sign: {key: env://SIGNING_KEY}\nservices:");
    let yaml =
        yaml.replace("namespace: radio-dev", "namespace: radio-dev, policy: {signed: {keys: [release.pub]}}");
    let folder = Folder::with(&yaml);
    folder.write("encrypted.pem", "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n");
    folder.write("private.pub", "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n");
    let image = format!("127.0.0.1:9/radio/web@{DIGEST}");
    let screen = folder.screen(&[
        "push",
        "push --set sign.key=encrypted.pem",
        "push --set sign.key=nowhere.pem",
        "deploy --env dev",
        &format!("verify-image {image}"),
        &format!("verify-image {image} --key private.pub"),
        &format!("verify-image {image} --env prod"),
        &format!("verify-image {image} --key a --env dev"),
        &format!("verify-image {image} --key a --require spdx"),
    ]);
    assert!(!screen.contains("hunter2"));
    check("keys", &screen);
}
