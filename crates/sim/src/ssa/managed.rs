//! `metadata.managedFields`: who owns what, since when.

use std::collections::BTreeMap;

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
