//! The shape of the workspace: who may know whom, which dependencies are kept out, and how large a file may grow.
//!
//! Reads `cargo metadata` and the sources; compiles nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Which of our crates each library may depend on, directly. The arrows of `docs/architecture.md`.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("release-core", &[]),
    ("release-layout", &["release-core"]),
    ("release-image", &["release-core", "release-layout"]),
    ("release-registry", &["release-core", "release-layout"]),
    ("release-manifest", &["release-core"]),
    ("release-health", &["release-core"]),
    ("release-rollout", &["release-core"]),
    ("release-cluster", &["release-core", "release-health", "release-rollout"]),
    (
        "release-pipeline",
        &[
            "release-core",
            "release-image",
            "release-registry",
            "release-manifest",
            "release-health",
            "release-rollout",
            "release-cluster",
        ],
    ),
    ("release-sim", &["release-core"]),
    (
        "release-rehearsal",
        &["release-core", "release-manifest", "release-cluster", "release-pipeline", "release-sim"],
    ),
];

/// Dependencies with one owner, or with few. Development dependencies are not counted.
const OWNERS: &[(&str, &[&str])] = &[
    ("kube", &["release-cluster", "release-tests"]),
    ("bollard", &["release-image"]),
    ("clap", &["release-cli"]),
    ("anyhow", &["release-cli", "release-tests"]),
];

/// What pure crates must not be able to reach, however deep: a runtime, a socket, a clock with a side effect, randomness.
const IMPURE: &[&str] =
    &["tokio", "reqwest", "hyper", "kube", "bollard", "fastrand", "rand", "socket2", "mio"];

/// The crates that decide and do nothing.
const PURE: &[&str] = &["release-core", "release-health", "release-rollout", "release-manifest"];

/// Never, anywhere: a second TLS provider, YAML crates nobody keeps, crates with known holes.
const KEPT_OUT: &[&str] = &[
    "aws-lc-rs",
    "openssl",
    "native-tls",
    "serde_yaml",
    "serde_yml",
    "serde_yaml_ng",
    "tokio-tar",
    "async-std",
    "oci-distribution",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the workspace")
}

fn metadata() -> Value {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // Packages of other platforms need not have been downloaded.
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--format-version",
            "1",
            "--all-features",
            "--locked",
            "--filter-platform",
            &host(),
        ])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo writes JSON")
}

/// The platform this runs on, as rustc names it.
fn host() -> String {
    let output = Command::new("rustc").arg("-vV").output().expect("rustc runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host").to_owned()
}

/// The names of a package's direct dependencies; those for tests and build scripts left out.
fn direct(package: &Value) -> BTreeSet<String> {
    let all = package["dependencies"].as_array().into_iter().flatten();
    all.filter(|dependency| dependency["kind"].is_null())
        .filter_map(|dependency| dependency["name"].as_str().map(str::to_owned))
        .collect()
}

fn ours(metadata: &Value) -> BTreeMap<String, Value> {
    let members: Vec<&str> =
        metadata["workspace_members"].as_array().expect("members").iter().filter_map(Value::as_str).collect();
    let packages = metadata["packages"].as_array().expect("packages").iter();
    packages
        .filter(|package| package["id"].as_str().is_some_and(|id| members.contains(&id)))
        .map(|package| (package["name"].as_str().expect("a name").to_owned(), package.clone()))
        .collect()
}

/// Names of everything reachable from a package without development and build dependencies.
fn reachable(metadata: &Value, from: &Value) -> BTreeSet<String> {
    let nodes: BTreeMap<&str, &Value> = metadata["resolve"]["nodes"]
        .as_array()
        .expect("nodes")
        .iter()
        .filter_map(|node| Some((node["id"].as_str()?, node)))
        .collect();
    let names: BTreeMap<&str, &str> = metadata["packages"]
        .as_array()
        .expect("packages")
        .iter()
        .filter_map(|package| Some((package["id"].as_str()?, package["name"].as_str()?)))
        .collect();
    let mut seen = BTreeSet::new();
    let mut left = vec![from["id"].as_str().expect("an id")];
    while let Some(id) = left.pop() {
        if !seen.insert(id) {
            continue;
        }
        for dependency in nodes[id]["deps"].as_array().into_iter().flatten() {
            let normal = dependency["dep_kinds"]
                .as_array()
                .is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()));
            if let Some(package) = dependency["pkg"].as_str().filter(|_| normal) {
                left.push(package);
            }
        }
    }
    seen.into_iter().map(|id| names[id].to_owned()).collect()
}

#[test]
fn libraries_know_only_whom_they_may() {
    let metadata = metadata();
    for (name, package) in ours(&metadata) {
        if name == "release-cli" || name == "release-tests" {
            continue;
        }
        let known: BTreeSet<String> =
            direct(&package).into_iter().filter(|dependency| dependency.starts_with("release-")).collect();
        let (_, may) = MAY_KNOW
            .iter()
            .find(|(crate_name, _)| *crate_name == name)
            .unwrap_or_else(|| panic!("{name} has no place in MAY_KNOW"));
        for dependency in known {
            assert!(may.contains(&dependency.as_str()), "{name} must not know {dependency}");
        }
    }
}

#[test]
fn nobody_but_tests_knows_the_command_line() {
    for (name, package) in ours(&metadata()) {
        assert!(!direct(&package).contains("release-cli"), "{name} knows release-cli");
        assert!(!direct(&package).contains("release-tests"), "{name} knows release-tests");
    }
}

#[test]
fn clients_have_one_owner() {
    let packages = ours(&metadata());
    for (dependency, owners) in OWNERS {
        for (name, package) in &packages {
            let has = direct(package).contains(*dependency);
            assert!(!has || owners.contains(&name.as_str()), "{name} must not depend on {dependency}");
        }
    }
}

#[test]
fn pure_crates_cannot_reach_the_world() {
    let metadata = metadata();
    let packages = ours(&metadata);
    for name in PURE {
        let reached = reachable(&metadata, &packages[*name]);
        for impure in IMPURE {
            assert!(!reached.contains(*impure), "{name} reaches {impure}");
        }
    }
}

#[test]
fn some_dependencies_are_kept_out() {
    let metadata = metadata();
    for (name, package) in ours(&metadata) {
        let reached = reachable(&metadata, &package);
        for banned in KEPT_OUT {
            assert!(!reached.contains(*banned), "{name} reaches {banned}");
        }
        assert!(!direct(&package).contains("chrono"), "{name} depends on chrono; times are jiff's");
    }
}

/// Every Rust file of the workspace's crates.
fn sources() -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && path.file_name().is_none_or(|name| name != "target") {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    for folder in ["crates", "cli", "tests"] {
        walk(&root().join(folder), &mut found);
    }
    found.sort();
    found
}

#[test]
fn a_file_is_about_one_noun() {
    const MOST: usize = 600;
    for path in sources() {
        let text = std::fs::read_to_string(&path).expect("UTF-8");
        let lines = text.lines().count();
        assert!(lines <= MOST, "{} has {lines} lines; split it", path.display());
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    for path in sources() {
        let text = std::fs::read_to_string(&path).expect("UTF-8");
        assert!(text.starts_with("//!"), "{} does not begin with `//!`", path.display());
    }
}

#[test]
fn no_lint_is_switched_off_without_a_reason() {
    for path in sources() {
        let text = std::fs::read_to_string(&path).expect("UTF-8");
        let lines: Vec<_> = text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let at = format!("{}:{}", path.display(), index + 1);
            let line = line.trim_start();
            assert!(
                !line.starts_with("#[allow(") && !line.starts_with("#![allow("),
                "{at}: use #[expect(…, reason = …)]"
            );
            if line.starts_with("#[expect(") || line.starts_with("#![expect(") {
                let end = lines[index..].iter().position(|line| line.trim_end().ends_with(")]")).unwrap_or(0);
                let whole = lines[index..=index + end].concat();
                assert!(whole.contains("reason"), "{at}: an expected lint needs its reason");
            }
        }
    }
}

#[test]
fn no_folder_is_a_junk_room() {
    for path in sources() {
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        for word in ["util", "utils", "common", "helper", "helpers", "manager", "misc"] {
            assert_ne!(stem, word, "{}", path.display());
        }
    }
}

#[test]
fn the_tests_that_the_documents_name_exist() {
    let sources: String =
        sources().iter().map(|path| std::fs::read_to_string(path).expect("UTF-8")).collect();
    let text = std::fs::read_to_string(root().join("docs/architecture.md")).expect("docs/architecture.md");
    let (_, table) = text.split_once("## Invariants").expect("a section about invariants");
    let rows = table.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    let mut named = 0;
    for row in rows {
        let held_by = row.trim_end_matches([' ', '|']).rsplit('|').next().expect("a second column");
        for test in held_by.split('`').skip(1).step_by(2) {
            assert!(
                sources.contains(&format!("fn {test}(")),
                "docs/architecture.md names {test}, which is not there"
            );
            named += 1;
        }
    }
    assert!(named > 20, "only {named} tests are named");
}

#[test]
fn the_attacks_that_are_known_have_a_test() {
    let sources: String =
        sources().iter().map(|path| std::fs::read_to_string(path).expect("UTF-8")).collect();
    let text =
        std::fs::read_to_string(root().join("docs/design/attacks.md")).expect("docs/design/attacks.md");
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains('`'))
        .map(|line| line.trim_matches(['|', ' ']).split('|').map(str::trim).collect())
        .collect();
    assert!(rows.len() > 10, "only {} attacks", rows.len());
    for row in rows {
        let [attack, known_as, held_by] = row[..] else { panic!("{row:?} has not three columns") };
        for test in held_by.split('`').skip(1).step_by(2) {
            assert!(sources.contains(&format!("fn {test}(")), "{attack}: {test} is not there");
        }
        for name in known_as.split(", ") {
            assert!(sources.contains(name), "{attack}: no test names {name}");
        }
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut documents =
        vec![root().join("README.md"), root().join("CHANGELOG.md"), root().join("tests/real/README.md")];
    let mut folders = vec![root().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("docs").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                documents.push(path);
            }
        }
    }
    for document in
        documents.iter().filter(|path| path.extension().is_some_and(|extension| extension == "md"))
    {
        let text = std::fs::read_to_string(document).expect("UTF-8");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            let outside = link.is_empty() || link.contains("://") || link.starts_with("mailto:");
            let target = document.parent().expect("a folder").join(link);
            assert!(outside || target.exists(), "{} links to {link}", document.display());
        }
    }
}
