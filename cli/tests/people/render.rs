//! `release render`.

use crate::folder::{DIGEST, Folder, RADIO, check};

const FULL: &str = include_str!("../../../crates/manifest/examples/full.yaml");
const MINIMAL: &str = include_str!("../../../crates/manifest/examples/minimal.yaml");

#[test]
fn the_least_and_the_note_about_digests() {
    check("render_minimal", &Folder::with(MINIMAL).screen(&["render --env dev"]));
}

#[test]
fn everything_twice_gives_the_same_bytes() {
    let folder = Folder::with(FULL).var("REGION", "eu");
    folder.write("config/player/player.toml", "volume = 11\n");
    let once = folder.run(&["render", "--env", "prod"]);
    assert_eq!(once.code, 0, "{}", once.screen());
    assert_eq!(once.out, folder.run(&["render", "--env", "prod"]).out);
    check("render_full", &once.screen());
}

#[test]
fn images_come_from_the_lock() {
    let lock = format!("web registry.example.com/radio/web@{DIGEST}\n");
    let folder = Folder::with(RADIO).stdin(&lock);
    folder.write("images.lock", &lock);
    let file = folder.run(&["render", "--env", "dev", "--images", "images.lock"]);
    assert_eq!((file.code, &*file.err), (0, ""));
    assert!(file.out.contains(&format!("registry.example.com/radio/web@{DIGEST}")), "{}", file.out);
    assert_eq!(folder.run(&["render", "--env", "dev", "--images", "-"]).out, file.out);
}

#[test]
fn one_service_as_a_list_in_json() {
    let told = Folder::with(RADIO).run(&["render", "web", "--env", "dev", "-o", "json", "-q"]);
    assert_eq!((told.code, &*told.err), (0, ""));
    let list: serde_json::Value = serde_json::from_str(&told.out).expect("one JSON value");
    let kinds: Vec<_> = list["items"].as_array().expect("a list").iter().map(|item| &item["kind"]).collect();
    assert_eq!(kinds, ["ServiceAccount", "Service", "Deployment"]);
    assert_eq!(list["kind"], "List");
}

#[test]
fn a_value_from_the_command_line_wins() {
    let folder = Folder::with(RADIO);
    let told = folder.run(&["render", "web", "--env", "dev", "-q", "--set", "services.web.replicas=5"]);
    assert!(told.out.contains("replicas: 5"), "{}", told.screen());
    let script = [
        "render --env dev --set services.web.replcas=5",
        "render --env dev --set services.web.replicas=many",
        "render --env dev --set replicas",
    ];
    check("render_set", &folder.screen(&script));
}

#[test]
fn names_that_do_not_exist() {
    let script = [
        "render wbe --env dev",
        "render database --env dev",
        "render --env dve",
        "render --env production-eu",
    ];
    check("render_names", &Folder::with(RADIO).screen(&script));
}

#[test]
fn image_locks_that_cannot_be_used() {
    let line = format!("web registry.example.com/radio/web@{DIGEST}\n");
    let folder = Folder::with(RADIO);
    folder.write("form", &format!("{line}player\n"));
    folder.write("tag", "web registry.example.com/radio/web:v1\n");
    folder.write("twice", &format!("{line}{line}"));
    folder.write("name", &format!("Web registry.example.com/radio/web@{DIGEST}\n"));
    folder.write("stranger", &format!("wbe registry.example.com/radio/web@{DIGEST}\n"));
    folder.write("empty", "");
    let script = [
        "render --env dev --images empty",
        "render --env dev --images nowhere",
        "render --env dev --images form",
        "render --env dev --images tag",
        "render --env dev --images twice",
        "render --env dev --images name",
        "render --env dev --images stranger",
    ];
    check("render_locks", &folder.screen(&script));
}
