//! What types and fields are, in words: `tables/words.txt`, read once. What is not in the table has none.

use std::collections::HashMap;
use std::sync::LazyLock;

/// By type, and field or nothing.
type Words = HashMap<(&'static str, &'static str), &'static str>;

/// The block of what every kind has.
const EVERY: &str = "*";

static WORDS: LazyLock<Words> = LazyLock::new(|| read(include_str!("../../tables/words.txt")));

/// What a type is.
pub(crate) fn of_type(name: &str) -> &'static str {
    WORDS.get(&(name, "")).copied().unwrap_or_default()
}

/// What a field of a type is.
pub(crate) fn of_field(name: &str, field: &str) -> &'static str {
    WORDS.get(&(name, field)).copied().unwrap_or_default()
}

/// What a field at the top of a kind is, where the kind itself does not say so.
pub(crate) fn of_every(field: &str) -> &'static str {
    of_field(EVERY, field)
}

fn read(table: &'static str) -> Words {
    let mut words = Words::new();
    let mut of = "";
    for line in table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (name, text) = line.trim_start().split_once(' ').unwrap_or((line.trim_start(), ""));
        if line.starts_with(' ') {
            words.insert((of, name), text);
        } else {
            of = name;
            words.insert((of, ""), text);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::builtin::{type_at, type_named};

    #[test]
    fn only_what_there_is_has_words() {
        for (name, field) in WORDS.keys().filter(|(name, _)| *name != EVERY) {
            let of = type_named(name).map(type_at);
            let is_there =
                of.is_some_and(|of| field.is_empty() || of.fields.iter().any(|f| f.name == *field));
            assert!(is_there, "{name} {field}");
        }
    }

    #[test]
    fn words_are_sentences() {
        for ((name, field), text) in WORDS.iter().filter(|(key, _)| **key != (EVERY, "")) {
            assert!(text.ends_with('.') && !text.contains("  "), "{name} {field}: {text}");
        }
    }

    #[test]
    fn what_people_use_every_day_has_words() {
        for (name, fields) in [
            ("meta.v1.ObjectMeta", &["name", "namespace", "labels", "annotations"][..]),
            ("apps.v1.DeploymentSpec", &["replicas", "template", "strategy", "selector"]),
            ("core.v1.PodSpec", &["containers", "volumes", "serviceAccountName", "restartPolicy"]),
            ("core.v1.Container", &["image", "ports", "readinessProbe", "livenessProbe", "resources", "env"]),
            ("core.v1.ServiceSpec", &["ports", "selector", "type"]),
            ("core.v1.ConfigMap", &["data", "immutable"]),
            ("core.v1.Secret", &["data", "stringData", "type"]),
            ("batch.v1.JobSpec", &["backoffLimit", "template", "completions"]),
        ] {
            assert!(fields.iter().all(|field| !of_field(name, field).is_empty()), "{name}");
        }
    }
}
