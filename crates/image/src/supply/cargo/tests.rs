//! What lock files say is in a program.

use super::*;

const WORKSPACE: &str = r#"
version = 4

[[package]]
name = "player"
version = "0.3.0"
dependencies = ["serde", "log 0.4.20", "own"]

[[package]]
name = "programmes"
version = "0.1.0"
dependencies = ["log 0.3.9"]

[[package]]
name = "own"
version = "0.1.0"
source = "git+https://git.example.com/own?branch=main#0123abc"
dependencies = ["log 0.4.20 (registry+https://index.example.com)"]

[[package]]
name = "serde"
version = "1.0.200"
source = "registry+https://index.example.com"
checksum = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

[[package]]
name = "log"
version = "0.3.9"
source = "registry+https://index.example.com"

[[package]]
name = "log"
version = "0.4.20"
source = "registry+https://index.example.com"
"#;

fn read(text: &str, programs: &[&str]) -> Vec<Package> {
    let programs = programs.iter().map(|name| (*name).to_owned()).collect();
    cargo_packages(text, "Cargo.lock", &programs).unwrap()
}

fn purls(packages: &[Package]) -> Vec<&str> {
    packages.iter().map(|package| package.purl.as_str()).collect()
}

const OWN: &str = "pkg:cargo/own@0.1.0?vcs_url=git%2Bhttps:%2F%2Fgit.example.com%2Fown%400123abc";

#[test]
fn of_a_program_only_what_it_needs_is_taken() {
    let packages = read(WORKSPACE, &["player"]);
    let expected = ["pkg:cargo/log@0.4.20", OWN, "pkg:cargo/player@0.3.0", "pkg:cargo/serde@1.0.200"];
    assert_eq!(purls(&packages), expected);
    assert_eq!(packages[2].needs, ["pkg:cargo/log@0.4.20", OWN, "pkg:cargo/serde@1.0.200"]);
    assert_eq!(packages[1].needs, ["pkg:cargo/log@0.4.20"]);
    assert_eq!(packages.iter().filter(|package| package.own).count(), 1);
    assert_eq!(packages[3].sha256, Some("a".repeat(64)));
}

#[test]
fn without_a_program_of_that_name_everything_is() {
    assert_eq!(read(WORKSPACE, &["server"]).len(), 6);
    // A package from elsewhere that is called like the program is not the program.
    assert_eq!(read(WORKSPACE, &["serde"]).len(), 6);
}

#[test]
fn checksums_of_the_first_version_are_found() {
    let text = format!(
        "[[package]]\nname = \"log\"\nversion = \"0.4.1\"\nsource = \"registry+x\"\n\n\
         [metadata]\n\"checksum log 0.4.1 (registry+x)\" = \"{}\"\n",
        "b".repeat(64)
    );
    assert_eq!(read(&text, &[])[0].sha256, Some("b".repeat(64)));
}

#[test]
fn what_is_no_lock_file_is_said_to_be_none() {
    let error = cargo_packages("{", "Cargo.lock", &BTreeSet::new()).unwrap_err();
    assert!(error.to_string().starts_with("it is no Cargo.lock: "), "{error}");
}

/// This workspace's own: every line of every `dependencies` leads somewhere.
#[test]
fn the_lock_file_of_this_workspace_is_read() {
    let text = include_str!("../../../../../Cargo.lock");
    let packages = read(text, &["release-cli"]);
    let known: BTreeSet<&str> = purls(&packages).into_iter().collect();
    assert!(packages.len() > 100, "{}", packages.len());
    for package in &packages {
        assert!(package.needs.iter().all(|need| known.contains(&**need)), "{package:?}");
        assert!(package.own || package.sha256.is_some(), "{package:?}");
    }
    assert!(known.iter().any(|purl| purl.starts_with("pkg:cargo/release-core@")));
}
