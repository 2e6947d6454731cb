//! `metadata.managedFields`: who owns what, since when.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::{Map, Value, json};

use super::set::Set;

/// How a manager writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    Apply,
    Update,
}

/// What tells managers apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Manager {
    pub(crate) name: String,
    pub(crate) operation: Operation,
    /// Only managers that update are one for each version.
    pub(crate) api_version: String,
    pub(crate) subresource: String,
}

/// What a manager owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owned {
    pub(crate) set: Set,
    pub(crate) api_version: String,
    pub(crate) time: Option<String>,
}

/// All owners of one object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Managed {
    managers: BTreeMap<Manager, Owned>,
}

/// The owners of an object as they are stored: as facts, or as JSON, until somebody asks for the other.
#[derive(Debug, Clone, Default)]
pub(crate) struct Owners {
    /// None: they cannot be understood.
    managed: OnceLock<Option<Managed>>,
    json: OnceLock<Value>,
    /// Whether the facts came first, so that the JSON follows from them.
    is_facts: bool,
}

impl Owners {
    pub(crate) fn of(managed: Managed) -> Self {
        Self { managed: OnceLock::from(Some(managed)), json: OnceLock::new(), is_facts: true }
    }

    pub(crate) fn read(json: Value) -> Self {
        Self { managed: OnceLock::new(), json: OnceLock::from(json), is_facts: false }
    }

    /// As in `managedFields`.
    pub(crate) fn json(&self) -> &Value {
        self.json.get_or_init(|| self.managed().map(Managed::encode).unwrap_or_default())
    }

    /// None if an entry is not understood.
    pub(crate) fn managed(&self) -> Option<&Managed> {
        self.managed.get_or_init(|| self.json.get().and_then(Managed::decode)).as_ref()
    }
}

impl PartialEq for Owners {
    fn eq(&self, other: &Self) -> bool {
        if self.is_facts && other.is_facts {
            self.managed() == other.managed()
        } else {
            self.json() == other.json()
        }
    }
}

impl Manager {
    pub(crate) fn new(name: &str, operation: Operation, api_version: &str, subresource: &str) -> Self {
        let api_version = if operation == Operation::Update { api_version } else { "" };
        Self {
            name: name.to_owned(),
            operation,
            api_version: api_version.to_owned(),
            subresource: subresource.to_owned(),
        }
    }

    /// As in the messages of conflicts.
    pub(super) fn words(&self) -> String {
        let mut words = format!("{:?}", self.name);
        if !self.subresource.is_empty() {
            words = format!("{words} with subresource {:?}", self.subresource);
        }
        if self.operation == Operation::Update {
            words = format!("{words} using {}", self.api_version);
        }
        words
    }
}

impl Managed {
    /// Reads the field; None if an entry is not understood.
    pub(crate) fn decode(value: &Value) -> Option<Self> {
        let mut managers = BTreeMap::new();
        for entry in value.as_array().into_iter().flatten() {
            let text = |field: &str| entry[field].as_str().unwrap_or_default();
            let operation = match text("operation") {
                "Apply" => Operation::Apply,
                "Update" => Operation::Update,
                _ => return None,
            };
            let set = match &entry["fieldsV1"] {
                Value::Null => Set::default(),
                fields => Set::decode(fields)?,
            };
            let manager = Manager::new(text("manager"), operation, text("apiVersion"), text("subresource"));
            let owned = Owned {
                set,
                api_version: text("apiVersion").to_owned(),
                time: entry["time"].as_str().map(str::to_owned),
            };
            managers.insert(manager, owned);
        }
        Some(Self { managers })
    }

    /// As in the field: who applies first, then by time.
    pub(crate) fn encode(&self) -> Value {
        let mut entries: Vec<(&Manager, &Owned)> = self.managers.iter().collect();
        entries.sort_by_key(|(m, o)| (m.operation, &o.time, &m.name, &o.api_version, &m.subresource));
        entries.into_iter().map(|(manager, owned)| entry(manager, owned)).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.managers.is_empty()
    }

    pub(super) fn get(&self, manager: &Manager) -> Option<&Owned> {
        self.managers.get(manager)
    }

    pub(super) fn get_mut(&mut self, manager: &Manager) -> Option<&mut Owned> {
        self.managers.get_mut(manager)
    }

    pub(crate) fn insert(&mut self, manager: Manager, owned: Owned) {
        self.managers.insert(manager, owned);
    }

    pub(super) fn remove(&mut self, manager: &Manager) {
        self.managers.remove(manager);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Manager, &Owned)> {
        self.managers.iter()
    }

    /// Changes every owner's set; who owns nothing after that is none.
    pub(super) fn change(&mut self, mut change: impl FnMut(&Manager, &mut Owned)) {
        for (manager, owned) in &mut self.managers {
            change(manager, owned);
        }
        self.managers.retain(|_, owned| !owned.set.is_empty());
    }

    /// Beyond `max` managers that update, the oldest become one.
    pub(super) fn cap(&mut self, max: usize) {
        let mut updaters: Vec<Manager> =
            self.managers.keys().filter(|m| m.operation == Operation::Update).cloned().collect();
        if updaters.len() <= max {
            return;
        }
        updaters.sort_by_key(|m| self.managers[m].time.clone());
        let surplus = updaters.len() - max + 1;
        for old in updaters.into_iter().take(surplus) {
            let Some(owned) = self.managers.remove(&old) else { continue };
            let key = Manager::new("ancient-changes", Operation::Update, &owned.api_version, "");
            let merged = match self.managers.get(&key) {
                Some(before) => Owned { set: before.set.union(&owned.set), ..owned },
                None => owned,
            };
            self.managers.insert(key, merged);
        }
    }
}

fn entry(manager: &Manager, owned: &Owned) -> Value {
    let mut map = Map::new();
    map.insert("manager".to_owned(), json!(manager.name));
    let operation = if manager.operation == Operation::Apply { "Apply" } else { "Update" };
    map.insert("operation".to_owned(), json!(operation));
    map.insert("apiVersion".to_owned(), json!(owned.api_version));
    if let Some(time) = &owned.time {
        map.insert("time".to_owned(), json!(time));
    }
    map.insert("fieldsType".to_owned(), json!("FieldsV1"));
    map.insert("fieldsV1".to_owned(), owned.set.encode());
    if !manager.subresource.is_empty() {
        map.insert("subresource".to_owned(), json!(manager.subresource));
    }
    Value::Object(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_the_same_as_facts_and_as_json() {
        let entry = |name: &str| {
            json!({"manager": name, "operation": "Update", "apiVersion": "v1", "time": "2026-01-01T00:00:00Z",
                "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {"f:colour": {}}}})
        };
        let read = Owners::read(json!([entry("kubectl")]));
        let facts = Owners::of(read.managed().unwrap().clone());
        assert_eq!(facts.json(), read.json());
        assert_eq!(facts, read);
        assert_eq!(facts, Owners::of(read.managed().unwrap().clone()));
        assert_ne!(facts, Owners::read(json!([entry("kubectl"), entry("another")])));
        assert!(Owners::read(json!([{"operation": "Guess"}])).managed().is_none());
    }
}
