//! `--set services.web.replicas=5`: values from the command line, typed as in YAML.

use std::str::FromStr;

use super::tree::{Entry, Node, Value};
use crate::problem::{Problem, ProblemKind, ProjectError};
use crate::source::{Place, Source};

/// One override from the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// The keys on the way, `services.web.replicas`. A dot inside a key is written `\.`.
    pub path: String,
    /// The value, in YAML.
    pub value: String,
}

/// Why a text is not an override.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`--set {text}` is not `KEY.KEY=VALUE`, as in `services.web.replicas=5`")]
pub struct SetError {
    /// The text as it was given.
    pub text: String,
}

impl FromStr for Set {
    type Err = SetError;

    fn from_str(text: &str) -> Result<Self, SetError> {
        match text.split_once('=') {
            Some((path, value)) if keys(path).iter().all(|key| !key.is_empty()) => {
                Ok(Self { path: path.to_owned(), value: value.to_owned() })
            }
            _ => Err(SetError { text: text.to_owned() }),
        }
    }
}

fn keys(path: &str) -> Vec<String> {
    let mut keys = vec![String::new()];
    let mut chars = path.chars();
    while let Some(c) = chars.next() {
        match c {
            '.' => keys.push(String::new()),
            '\\' => keys.last_mut().into_iter().for_each(|key| key.extend(chars.next())),
            _ => keys.last_mut().into_iter().for_each(|key| key.push(c)),
        }
    }
    keys
}

impl Set {
    /// Lays the value over the tree. Maps on the way are made; a list is replaced as a whole.
    pub(crate) fn apply(&self, tree: &mut Node) -> Result<(), ProjectError> {
        let source = Source::new("--set", format!("{}={}", self.path, self.value));
        let value = if self.value.is_empty() {
            Node { place: Place::new(&source, 0..source.text().len()), value: Value::Text(String::new()) }
        } else {
            Node::parse_part(&source, self.path.len() + 1)?
        };
        let key_place = Place::new(&source, 0..self.path.len());
        let mut here = tree;
        for key in keys(&self.path) {
            if here.value == Value::Null {
                here.value = Value::Map(Vec::new());
            }
            let found = here.describe();
            let Value::Map(entries) = &mut here.value else {
                let message = format!("`--set {}`: `{key}` is below {found}, not below a map", self.path);
                return Err(Problem::new(ProblemKind::WrongType, message)
                    .path(&self.path)
                    .at(Some(key_place))
                    .into());
            };
            let at = entries.iter().position(|entry| entry.key == key).unwrap_or_else(|| {
                let node = Node { place: key_place.clone(), value: Value::Null };
                entries.push(Entry { key, place: key_place.clone(), node });
                entries.len() - 1
            });
            here = &mut entries[at].node;
        }
        *here = value;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_paths_and_values() {
        let set: Set = r"services.web.config.data.app\.ini=a=b".parse().unwrap();
        assert_eq!(keys(&set.path), ["services", "web", "config", "data", "app.ini"]);
        assert_eq!(set.value, "a=b");
        for bad in ["", "services", "=5", "a..b=5", ".a=5"] {
            assert!(bad.parse::<Set>().is_err(), "{bad}");
        }
    }
}
