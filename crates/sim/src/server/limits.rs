//! LimitRanges: how much a container of a namespace may take, and takes if it does not say.

use serde_json::{Value, json};

use super::ApiServer;
use crate::quantity::Quantity;
use crate::resource::{LIMIT_RANGES, PODS};
use crate::status::Status;

impl ApiServer {
    /// Gives a pod's containers the namespace's defaults, and holds them to its limits.
    pub(super) fn apply_limit_ranges(&self, body: &mut Value, name: &str) -> Result<(), Status> {
        let namespace = body["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
        let ranges: Vec<_> = self.store.list(&LIMIT_RANGES, Some(&namespace)).cloned().collect();
        let mut told = Vec::new();
        for range in &ranges {
            for limit in container_limits(&range["spec"]) {
                for list in ["containers", "initContainers"] {
                    for container in
                        body["spec"].get_mut(list).and_then(Value::as_array_mut).into_iter().flatten()
                    {
                        give_defaults(container, limit, list, &mut told);
                    }
                }
            }
        }
        if !told.is_empty() {
            let text = format!("LimitRanger plugin set: {}", told.join("; "));
            super::map_mut(&mut body["metadata"], "annotations")
                .insert("kubernetes.io/limit-ranger".to_owned(), json!(text));
        }
        let mut wrong = Vec::new();
        for range in &ranges {
            for limit in container_limits(&range["spec"]) {
                for container in body["spec"]["containers"].as_array().into_iter().flatten() {
                    hold(container, limit, &mut wrong);
                }
            }
        }
        match &wrong[..] {
            [] => Ok(()),
            [one] => Err(Status::forbidden(&PODS, name, one)),
            many => Err(Status::forbidden(&PODS, name, &format!("[{}]", many.join(", ")))),
        }
    }
}

fn container_limits(spec: &Value) -> impl Iterator<Item = &Value> {
    spec["limits"].as_array().into_iter().flatten().filter(|limit| limit["type"] == "Container")
}

fn give_defaults(container: &mut Value, limit: &Value, list: &str, told: &mut Vec<String>) {
    let what = if list == "containers" { "container" } else { "init container" };
    for (from, to, word) in [("defaultRequest", "requests", "request"), ("default", "limits", "limit")] {
        let mut given = Vec::new();
        for (resource, amount) in limit[from].as_object().into_iter().flatten() {
            let map = super::map_mut(&mut container["resources"], to);
            if !map.contains_key(resource) {
                map.insert(resource.clone(), amount.clone());
                given.push(resource.as_str());
            }
        }
        if !given.is_empty() {
            let name = container["name"].as_str().unwrap_or_default();
            told.push(format!("{} {word} for {what} {name}", given.join(", ")));
        }
    }
    if let Some(resources) = container["resources"].as_object_mut() {
        resources.retain(|_, value| value.as_object().is_none_or(|map| !map.is_empty()));
    }
}

fn hold(container: &Value, limit: &Value, wrong: &mut Vec<String>) {
    let read = |value: &Value| value.as_str().and_then(Quantity::parse);
    let amount = |kind: &str, resource: &str| read(&container["resources"][kind][resource]);
    for (resource, bound) in limit["min"].as_object().into_iter().flatten() {
        let Some(min) = read(bound) else { continue };
        match amount("requests", resource) {
            None => wrong
                .push(format!("minimum {resource} usage per Container is {min}.  No request is specified")),
            Some(asked) if asked < min => {
                wrong
                    .push(format!("minimum {resource} usage per Container is {min}, but request is {asked}"));
            }
            Some(_) => {}
        }
    }
    for (resource, bound) in limit["max"].as_object().into_iter().flatten() {
        let Some(max) = read(bound) else { continue };
        match amount("limits", resource) {
            None => {
                wrong
                    .push(format!("maximum {resource} usage per Container is {max}.  No limit is specified"));
            }
            Some(asked) if asked > max => {
                wrong.push(format!("maximum {resource} usage per Container is {max}, but limit is {asked}"));
            }
            Some(_) => {}
        }
        if let Some(asked) = amount("requests", resource).filter(|asked| *asked > max) {
            wrong.push(format!("maximum {resource} usage per Container is {max}, but request is {asked}"));
        }
    }
}
