//! `release doctor`.

use crate::folder::{Folder, KUBECONFIG, RADIO, check};

#[test]
fn nothing_is_there() {
    let folder = Folder::new();
    check(
        "doctor_nothing",
        &folder.screen(&["doctor", "doctor -o json", "doctor -o yaml", "doctor --env dev"]),
    );
}

#[test]
fn a_project_and_no_cluster() {
    let folder = Folder::with(RADIO);
    folder.write("kubeconfig", KUBECONFIG);
    check("doctor_no_cluster", &folder.screen(&["doctor --env prod", "doctor --env dve"]));
}

#[test]
fn an_engine_and_dockerfiles_are_wanted_only_by_services_that_are_built() {
    let native = "project: radio\nservices:\n  web: {image: {base: scratch, layers: [{from: site, to: /srv}]";
    let told = Folder::with(&format!("{native}}}}}\n")).run(&["doctor"]);
    assert!(told.out.contains("`image` does not say what is started"), "{}", told.screen());
    let native = &format!("{native}, entrypoint: [/srv/web]}}}}\n");
    let told = Folder::with(native).run(&["doctor"]);
    assert_eq!(told.code, 0, "{}", told.screen());
    assert!(!told.out.contains("docker"), "{}", told.screen());
    let told = Folder::with(RADIO).run(&["doctor"]);
    assert!(told.out.contains("is built from Dockerfile, which is not there"), "{}", told.screen());
}

#[test]
fn a_project_that_is_not_sound() {
    check("doctor_project", &Folder::with("project: radio\nservces: {}\nx: 1\n").screen(&["doctor"]));
}

#[test]
fn the_role_a_release_needs() {
    let folder = Folder::with(RADIO);
    check("doctor_role", &folder.screen(&["doctor --rbac -n radio", "doctor --rbac"]));
    let named = folder.run(&["doctor", "--rbac", "ci", "--env", "dev"]);
    assert!(
        named.out.contains("name: ci") && named.out.contains("namespace: radio-dev"),
        "{}",
        named.screen()
    );
    let json = folder.run(&["doctor", "--rbac", "-n", "radio", "-o", "json"]);
    let list: serde_json::Value = serde_json::from_str(&json.out).expect("one JSON value");
    assert_eq!(list["items"][0]["kind"], "Role");
}
