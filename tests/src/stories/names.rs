//! Names instead of what chance or a machine gave: ReplicaSets in the order they were made, pods by their ReplicaSet.

use std::collections::BTreeMap;

use super::log::Log;

/// The letters and numbers Kubernetes makes suffixes of pods from: five of them.
const SUFFIX_CHARS: usize = 5;

/// What everything is called.
#[derive(Debug, Default)]
pub(super) struct Names {
    sets: Vec<(String, String)>,
    replaced: Vec<(String, &'static str)>,
}

impl Names {
    pub(super) fn of(log: &Log) -> Self {
        let mut names = Self {
            replaced: vec![(log.namespace.clone(), "namespace"), (log.registry.clone(), "registry")],
            ..Self::default()
        };
        for seen in log.chapters.iter().flat_map(|chapter| &chapter.seen) {
            if seen.kind == "ReplicaSet" && !names.sets.iter().any(|(known, _)| known == seen.name()) {
                let alias = format!("rs-{}", names.sets.len() + 1);
                names.sets.push((seen.name().to_owned(), alias));
            }
        }
        names
    }

    /// What an object is called. Pods of one ReplicaSet have one name.
    pub(super) fn alias(&self, kind: &str, name: &str) -> String {
        match kind {
            "Pod" | "ReplicaSet" => self.text(name),
            _ => format!("{} {}", kind.to_lowercase(), name),
        }
    }

    /// A text with these names.
    pub(super) fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (from, to) in &self.replaced {
            text = text.replace(from, to);
        }
        for (name, alias) in &self.sets {
            text = replace_set(&text, name, alias);
        }
        text
    }
}

/// Replaces the name of a ReplicaSet, and the names of pods that begin with it.
fn replace_set(text: &str, name: &str, alias: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(name) {
        out.push_str(&rest[..at]);
        rest = &rest[at + name.len()..];
        let suffix: String = rest.strip_prefix('-').unwrap_or_default().chars().take(SUFFIX_CHARS).collect();
        if suffix.len() == SUFFIX_CHARS && suffix.chars().all(|c| c.is_ascii_alphanumeric()) {
            rest = &rest[1 + SUFFIX_CHARS..];
            out.push_str("pod of ");
        }
        out.push_str(alias);
    }
    out.push_str(rest);
    out
}

/// How often each text stands in a list.
pub(super) fn counted(texts: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for text in texts {
        *counts.entry(text).or_default() += 1;
    }
    counts.into_iter().map(|(text, n)| if n == 1 { text } else { format!("{n} × {text}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_are_named_after_their_replica_set() {
        for (text, want) in [
            ("Scaled up replica set web-5f9 to 1", "Scaled up replica set rs-1 to 1"),
            ("Created pod: web-5f9-x2x4z", "Created pod: pod of rs-1"),
            ("pods \"web-5f9-x2x4z\" is forbidden", "pods \"pod of rs-1\" is forbidden"),
        ] {
            assert_eq!(replace_set(text, "web-5f9", "rs-1"), want);
        }
    }
}
