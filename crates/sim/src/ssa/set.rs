//! Sets of fields, and their form in `managedFields` (`FieldsV1`).

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::schema::{Node, Sort};

/// A scalar that tells items of a list apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scalar(pub(crate) Value);

impl Ord for Scalar {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            (Value::Number(a), Value::Number(b)) => {
                a.as_f64().unwrap_or(0.0).total_cmp(&b.as_f64().unwrap_or(0.0))
            }
            (Value::String(a), Value::String(b)) => a.cmp(b),
            (a, b) => rank(a).cmp(&rank(b)).then_with(|| a.to_string().cmp(&b.to_string())),
        }
    }
}

impl PartialOrd for Scalar {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Number(_) => 0,
        Value::String(_) => 1,
        Value::Bool(_) => 2,
        Value::Array(_) => 3,
        Value::Object(_) => 4,
        Value::Null => 5,
    }
}

/// One step of a path, in the order in which steps are sorted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Pe {
    Field(String),
    Key(Vec<(String, Scalar)>),
    Value(Scalar),
    Index(u64),
}

impl Pe {
    pub(crate) fn field(name: &str) -> Self {
        Pe::Field(name.to_owned())
    }

    fn encode(&self) -> String {
        match self {
            Pe::Field(name) => format!("f:{name}"),
            Pe::Key(keys) => {
                let map: Map<String, Value> = keys.iter().map(|(k, v)| (k.clone(), v.0.clone())).collect();
                format!("k:{}", Value::Object(map))
            }
            Pe::Value(value) => format!("v:{}", value.0),
            Pe::Index(index) => format!("i:{index}"),
        }
    }

    fn decode(text: &str) -> Option<Self> {
        let (sort, rest) = text.split_once(':')?;
        Some(match sort {
            "f" => Pe::Field(rest.to_owned()),
            "k" => {
                let map: BTreeMap<String, Value> = serde_json::from_str(rest).ok()?;
                Pe::Key(map.into_iter().map(|(k, v)| (k, Scalar(v))).collect())
            }
            "v" => Pe::Value(Scalar(serde_json::from_str(rest).ok()?)),
            "i" => Pe::Index(rest.parse().ok()?),
            _ => return None,
        })
    }
}

/// A path in the words of conflict messages.
pub(crate) fn path_text(path: &[Pe]) -> String {
    let mut text = String::new();
    for step in path {
        let _ = match step {
            Pe::Field(name) => write!(text, ".{name}"),
            Pe::Key(keys) => {
                let keys: Vec<_> = keys.iter().map(|(k, v)| format!("{k}={}", v.0)).collect();
                write!(text, "[{}]", keys.join(","))
            }
            Pe::Value(value) => write!(text, "[={}]", value.0),
            Pe::Index(index) => write!(text, "[{index}]"),
        };
    }
    text
}

/// A set of paths. The empty path is never in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Set {
    entries: BTreeMap<Pe, Entry>,
}

/// What a set says of one step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Whether the path that ends here is in the set.
    pub(crate) here: bool,
    /// The longer paths.
    pub(crate) below: Set,
}

impl Set {
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn entry(&mut self, step: Pe) -> &mut Entry {
        self.entries.entry(step).or_default()
    }

    /// The steps from here.
    pub(crate) fn steps(&self) -> impl Iterator<Item = &Pe> {
        self.entries.keys()
    }

    pub(crate) fn get(&self, step: &Pe) -> Option<&Entry> {
        self.entries.get(step)
    }

    /// Puts in what was filled, unless it says nothing.
    pub(crate) fn put(&mut self, step: Pe, entry: Entry) {
        if entry.here || !entry.below.is_empty() {
            self.entries.insert(step, entry);
        }
    }

    pub(crate) fn insert(&mut self, path: &[Pe]) {
        match path {
            [] => {}
            [last] => self.entry(last.clone()).here = true,
            [first, rest @ ..] => self.entry(first.clone()).below.insert(rest),
        }
    }

    /// Takes one path out, but not the longer ones.
    pub(crate) fn take_member(&mut self, path: &[Pe]) {
        let [first, rest @ ..] = path else { return };
        let Some(entry) = self.entries.get_mut(first) else { return };
        if rest.is_empty() {
            entry.here = false;
        } else {
            entry.below.take_member(rest);
        }
        if !entry.here && entry.below.is_empty() {
            self.entries.remove(first);
        }
    }

    /// Takes out a top-level field with everything below.
    pub(crate) fn take_all(&mut self, step: &Pe) {
        self.entries.remove(step);
    }

    pub(crate) fn union(&self, other: &Self) -> Self {
        let mut out = self.clone();
        for (step, entry) in &other.entries {
            let mine = out.entries.entry(step.clone()).or_default();
            mine.here |= entry.here;
            if !entry.below.is_empty() {
                mine.below = mine.below.union(&entry.below);
            }
        }
        out
    }

    pub(crate) fn intersection(&self, other: &Self) -> Self {
        self.combine(|step| other.get(step), |a, b| a && b, Self::intersection)
    }

    pub(crate) fn difference(&self, other: &Self) -> Self {
        self.combine(|step| other.get(step), |a, b| a && !b, Self::difference)
    }

    fn combine<'o>(
        &self,
        find: impl Fn(&Pe) -> Option<&'o Entry>,
        here: impl Fn(bool, bool) -> bool,
        below: impl Fn(&Self, &Self) -> Self,
    ) -> Self {
        let nothing = Entry::default();
        let mut out = Self::default();
        for (step, entry) in &self.entries {
            let theirs = find(step).unwrap_or(&nothing);
            out.put(
                step.clone(),
                Entry { here: here(entry.here, theirs.here), below: below(&entry.below, &theirs.below) },
            );
        }
        out
    }

    /// The same set with every field a type names that has something of the set below it.
    pub(crate) fn with_named(&self, node: Node<'_>) -> Self {
        let mut out = Self::default();
        for (step, entry) in &self.entries {
            let (named, inner) = match step {
                Pe::Field(name) => {
                    let is_map = matches!(node.sort(), Sort::Struct { .. });
                    (is_map && node.names(name), node.field(name).unwrap_or(Node::Any))
                }
                _ => (false, node.item()),
            };
            let here = entry.here || (named && !entry.below.is_empty());
            out.put(step.clone(), Entry { here, below: entry.below.with_named(inner) });
        }
        out
    }

    /// All paths in order.
    pub(crate) fn paths(&self) -> Vec<Vec<Pe>> {
        let mut out = Vec::new();
        self.collect(&mut Vec::new(), &mut out);
        out
    }

    fn collect(&self, path: &mut Vec<Pe>, out: &mut Vec<Vec<Pe>>) {
        for (step, entry) in self.entries.iter().filter(|(_, e)| e.here) {
            let _ = entry;
            path.push(step.clone());
            out.push(path.clone());
            path.pop();
        }
        for (step, entry) in &self.entries {
            path.push(step.clone());
            entry.below.collect(path, out);
            path.pop();
        }
    }

    /// As in `fieldsV1`.
    pub(crate) fn encode(&self) -> Value {
        let mut map = Map::new();
        for (step, entry) in &self.entries {
            let mut below = entry.below.encode();
            if entry.here && !entry.below.is_empty() {
                below["."] = json!({});
            }
            map.insert(step.encode(), below);
        }
        Value::Object(map)
    }

    /// Reads `fieldsV1`; None if it is not one.
    pub(crate) fn decode(value: &Value) -> Option<Self> {
        let mut out = Self::default();
        for (key, below) in value.as_object()? {
            if key == "." {
                continue;
            }
            let inner = below.as_object()?;
            let entry =
                Entry { here: inner.is_empty() || inner.contains_key("."), below: Self::decode(below)? };
            out.entries.insert(Pe::decode(key)?, entry);
        }
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_and_written() {
        let fields = json!({"f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {".": {}, "f:image": {}}}},
            "f:metadata": {"f:finalizers": {"v:\"x/y\"": {}}}});
        let set = Set::decode(&fields).unwrap();
        assert_eq!(set.encode(), fields);
        let texts: Vec<_> = set.paths().iter().map(|p| path_text(p)).collect();
        assert_eq!(
            texts,
            [
                ".metadata.finalizers[=\"x/y\"]",
                ".spec.containers[name=\"a\"]",
                ".spec.containers[name=\"a\"].image"
            ]
        );
        assert!(set.difference(&set).is_empty());
        assert_eq!(set.intersection(&set), set);
        assert_eq!(set.union(&Set::default()), set);
    }
}
