//! Project files that cannot be used: what is wrong, where, and what to do.

use crate::folder::{Folder, RADIO, check};

fn refused(name: &str, yaml: &str) {
    let screen = Folder::with(yaml).screen(&["render --env dev"]);
    assert!(screen.ends_with("= 2\n\n"), "{screen}");
    check(&format!("project_{name}"), &screen);
}

fn service(lines: &str) -> String {
    format!("project: radio\nservices:\n  web:\n{lines}environments:\n  dev: {{namespace: radio-dev}}\n")
}

#[test]
fn there_is_none() {
    let script = [
        "render --env dev",
        "deploy --env dev",
        "status --env dev",
        "push",
        "render --env dev --config x/y.yaml",
    ];
    check("project_none", &Folder::new().screen(&script));
}

#[test]
fn not_yaml() {
    refused("malformed", "project: radio\nservices:\n  web: {port: [8080\n");
    refused("empty", "");
}

#[test]
fn keys_nobody_knows() {
    refused("unknown_key", &service("    image: {dockerfile: Dockerfile}\n    replcas: 3\n"));
}

#[test]
fn wrong_types() {
    refused(
        "wrong_type",
        &service("    image: {dockerfile: Dockerfile}\n    port: eighty\n    replicas: [3]\n"),
    );
}

#[test]
fn features_of_later_versions_are_refused_by_name() {
    refused(
        "not_yet",
        &service(
            "    image: {base: 'debian', layers: [{from: target/web, to: /app/}], entrypoint: [/app/web]}\n    before: {migrate: {command: [/app]}}\n    strategy: blue-green\n",
        ),
    );
}

#[test]
fn variables_without_a_value() {
    refused("variable", &RADIO.replace("registry.example.com/radio\n", "${CI_REGISTRY_IMAGE}\n"));
}

#[test]
fn a_text_that_looks_like_a_secret_is_a_warning() {
    let yaml = service("    image: {dockerfile: Dockerfile}\n    env: {DB_PASSWORD: hunter2hunter2}\n")
        .replace("services:", "registry: registry.example.com/radio\nservices:");
    let folder = Folder::with(&yaml);
    let told = folder.run(&["render", "--env", "dev"]);
    check("project_secret", &format!("{}= {}\n", told.err, told.code));
    assert_eq!(folder.run(&["render", "--env", "dev", "-q"]).err, "");
}

#[test]
fn a_config_folder_that_is_not_there() {
    let yaml = RADIO.replace("    port: 8080\n", "    port: 8080\n    config: {files: config/web}\n");
    check("project_config", &Folder::with(&yaml).screen(&["render --env dev -q"]));
}
