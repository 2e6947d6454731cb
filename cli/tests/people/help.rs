//! Every help text, and words that make no sense.

use crate::folder::{Folder, RADIO, check};

const COMMANDS: &[&str] = &[
    "init",
    "build",
    "push",
    "render",
    "deploy",
    "rehearse",
    "demo",
    "verify",
    "rollback",
    "status",
    "history",
    "report",
    "verify-image",
    "image",
    "key",
    "schema",
    "completions",
    "doctor",
    "sim",
];

#[test]
fn every_command_explains_itself() {
    let folder = Folder::new();
    check("help", &folder.screen(&["--help", "-h", ""]));
    for command in COMMANDS {
        check(&format!("help_{command}"), &folder.screen(&[&format!("{command} --help")]));
    }
    check("help_sim_serve", &folder.screen(&["sim serve --help"]));
    check(
        "help_image_commands",
        &folder.screen(&["image ls --help", "image inspect --help", "image diff --help"]),
    );
    check("help_key_generate", &folder.screen(&["key generate --help"]));
    // No command is missing above.
    let help = folder.run(&["-h"]).out;
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed: Vec<_> = listed
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert_eq!(listed, COMMANDS);
}

#[test]
fn words_that_make_no_sense() {
    let script = [
        "frobnicate",
        "deply --env dev",
        "deploy",
        "deploy --env",
        "deploy --env dev --frob",
        "deploy --env dev --lock-timeout 5",
        "deploy --env dev --lock-timeout soon",
        "rollback --env dev --to x",
        "rollback --env dev --to 0",
        "render --env dev -o toml",
        "completions tcsh",
        "-o json deploy",
        "deploy --output=json",
    ];
    check("words_that_make_no_sense", &Folder::with(RADIO).screen(&script));
}

#[test]
fn scripts_for_shells() {
    for (shell, word) in
        [("bash", "complete -F"), ("zsh", "#compdef release"), ("fish", "complete -c release")]
    {
        let told = Folder::new().run(&["completions", shell]);
        assert_eq!((told.code, &*told.err), (0, ""), "{shell}");
        assert!(told.out.contains(word) && told.out.contains("rollback"), "{shell}: {}", told.out);
    }
}

#[test]
fn the_schema_is_for_editors() {
    let folder = Folder::new();
    let told = folder.run(&["schema"]);
    assert_eq!((told.code, &*told.err), (0, ""));
    let schema: serde_json::Value = serde_json::from_str(&told.out).expect("JSON");
    assert_eq!(schema["title"], "release.yaml");
    assert_eq!(folder.run(&["schema", "-o", "json"]).out, told.out);
    let yaml = folder.run(&["schema", "-o", "yaml"]).out;
    assert!(yaml.lines().any(|line| line == "title: release.yaml"), "{yaml}");
}

#[test]
fn the_version_is_the_packages() {
    let told = Folder::new().run(&["--version"]);
    assert_eq!(told.out, format!("release {}\n", env!("CARGO_PKG_VERSION")));
}
