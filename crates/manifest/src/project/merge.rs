//! Overrides: an environment's values laid over the project's.
//!
//! Maps are merged key by key and `null` takes a key away. Lists are replaced, and so are the maps whose keys are
//! alternatives: half of one image and half of another is no image.

use super::tree::{Entry, Node, Value};

/// Keys of a service whose maps are alternatives.
const REPLACED: &[&str] = &["image", "strategy", "disruption"];

/// One tree with `registry`, `services` and `environment`: what applies in the environment `name`.
pub(crate) fn environment(tree: &Node, name: &str) -> Node {
    let own = tree.get("environments").and_then(|environments| environments.entry(name));
    let mut entries = Vec::new();
    let registry = own.and_then(|own| own.node.entry("registry")).or_else(|| tree.entry("registry"));
    entries.extend(registry.cloned());
    if let Some(services) = tree.entry("services") {
        let over = own.and_then(|own| own.node.get("services"));
        let merged = services.node.entries().iter().map(|service| {
            let mut service = service.clone();
            if let Some(over) = over.and_then(|over| over.get(&service.key)) {
                overlay(&mut service.node, over);
            }
            service
        });
        let node = Node { place: services.node.place.clone(), value: Value::Map(merged.collect()) };
        entries.push(Entry { key: services.key.clone(), place: services.place.clone(), node });
    }
    if let Some(own) = own {
        let keep = |entry: &&Entry| entry.key != "services" && entry.key != "registry";
        let value = Value::Map(own.node.entries().iter().filter(keep).cloned().collect());
        let node = Node { place: own.place.clone(), value };
        entries.push(Entry { key: "environment".to_owned(), place: own.place.clone(), node });
    }
    Node { place: tree.place.clone(), value: Value::Map(entries) }
}

fn overlay(base: &mut Node, over: &Node) {
    let (Value::Map(entries), Value::Map(overs)) = (&mut base.value, &over.value) else {
        *base = over.clone();
        return;
    };
    for over in overs {
        if over.node.value == Value::Null {
            entries.retain(|entry| entry.key != over.key);
            continue;
        }
        match entries.iter_mut().find(|entry| entry.key == over.key) {
            Some(entry) if !REPLACED.contains(&over.key.as_str()) => overlay(&mut entry.node, &over.node),
            Some(entry) => *entry = over.clone(),
            None => entries.push(over.clone()),
        }
    }
}
