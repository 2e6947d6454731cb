//! The environment `local`: everybody has it, and everything in it is on this machine and simulated.
//!
//! What runs it is elsewhere; here is only what it means for a project file.

use release_core::ProjectName;

use super::tree::{Entry, Node, Value};
use crate::{Problem, ProblemKind};

/// The environment everybody has, without declaring it.
pub const LOCAL: &str = "local";

/// The ports one of which is the embedded registry's: below those that systems give out by themselves.
const PORTS: std::ops::Range<u16> = 20_000..30_000;

/// Keys that lead to a real cluster.
const REAL: [&str; 2] = ["context", "cluster"];

/// Where the embedded registry of a project listens: the same address every time, so that images keep their names.
fn registry(project: &ProjectName) -> String {
    // FNV-1a, 32 bits: http://www.isthe.com/chongo/tech/comp/fnv/
    let hash = project
        .as_str()
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let port = u32::from(PORTS.start) + hash % u32::from(PORTS.end - PORTS.start);
    format!("127.0.0.1:{port}/{project}")
}

/// Turns what the file says into what holds in `local`: its own registry, and the project's name as the namespace.
pub(super) fn adapt(tree: &mut Node, project: &ProjectName, problems: &mut Vec<Problem>) {
    let place = tree.place.clone();
    let text = |key: &str, value: String| Entry {
        key: key.to_owned(),
        place: place.clone(),
        node: Node { place: place.clone(), value: Value::Text(value) },
    };
    let Value::Map(entries) = &mut tree.value else { return };
    entries.retain(|entry| entry.key != "registry");
    entries.push(text("registry", registry(project)));
    if !entries.iter().any(|entry| entry.key == "environment") {
        let node = Node { place: place.clone(), value: Value::Map(Vec::new()) };
        entries.push(Entry { key: "environment".to_owned(), place: place.clone(), node });
    }
    let own = entries.iter_mut().find(|entry| entry.key == "environment");
    let Some(Value::Map(own)) = own.map(|entry| &mut entry.node.value) else { return };
    for entry in own.iter().filter(|entry| REAL.contains(&entry.key.as_str())) {
        let message =
            format!("the environment `local` is simulated on this machine and has no `{}`", entry.key);
        let problem = Problem::new(ProblemKind::BadValue, message);
        problems.push(
            problem
                .path(format!("environments.local.{}", entry.key))
                .at(Some(entry.place.clone()))
                .help("give an environment with a cluster another name"),
        );
    }
    if !own.iter().any(|entry| entry.key == "namespace") {
        own.push(text("namespace", project.to_string()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_has_one_address() {
        let of = |name: &str| registry(&name.parse().expect("a name"));
        assert_eq!(of("radio"), of("radio"));
        assert_ne!(of("radio"), of("radio-two"));
        assert!(of("radio").starts_with("127.0.0.1:2") && of("radio").ends_with("/radio"), "{}", of("radio"));
    }
}
