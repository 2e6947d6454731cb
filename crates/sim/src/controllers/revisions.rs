//! ControllerRevisions: the templates a StatefulSet or DaemonSet has had, by number.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::deployment::of_template;
use super::key::Key;
use super::read::{count, size, text};
use super::write;
use crate::object::Object;
use crate::resource::CONTROLLER_REVISIONS;
use crate::server::{ApiServer, By};

/// The label of a revision that holds its hash.
const HASH: &str = "controller.kubernetes.io/hash";

/// The label of a pod that names its revision.
pub(crate) const OF_POD: &str = "controller-revision-hash";

/// All revisions of an owner, oldest first; the last one is of the current template, which is recorded if it is new.
pub(crate) fn record(server: &mut ApiServer, now: Timestamp, owner: &Object) -> Vec<Arc<Object>> {
    let template = &owner["spec"]["template"];
    let mut all = list(server, owner);
    if let Some(at) = all.iter().position(|r| r["data"]["spec"]["template"] == marked(template)) {
        let found = all.remove(at);
        let newest = all.last().map_or(0, |r| count(&r["revision"]));
        let current = if count(&found["revision"]) > newest {
            found
        } else {
            write::section(server, now, &found, "revision", json!(newest + 1))
        };
        all.push(current);
        return all;
    }
    let revision = all.last().map_or(0, |r| count(&r["revision"])) + 1;
    let mut collisions = owner["status"]["collisionCount"].as_i64().filter(|c| *c > 0);
    loop {
        let hash = of_template(template, collisions);
        let mut labels = template["metadata"]["labels"].clone();
        labels[HASH] = json!(hash);
        let body = json!({
            "metadata": {
                "name": format!("{}-{hash}", owner.name()),
                "labels": labels,
                "ownerReferences": [write::controller_reference(owner)],
            },
            "data": {"spec": {"template": marked(template)}},
            "revision": revision,
        });
        match server.create(now, &CONTROLLER_REVISIONS, owner.namespace(), body, &By::nobody()) {
            Ok(made) => {
                all.push(made);
                return all;
            }
            Err(why) if why.reason == "AlreadyExists" => collisions = Some(collisions.unwrap_or(0) + 1),
            Err(_) => return all,
        }
    }
}

fn list(server: &ApiServer, owner: &Object) -> Vec<Arc<Object>> {
    let mut all: Vec<Arc<Object>> = server
        .store()
        .owned_by(owner.uid())
        .filter(|o| *o.resource() == CONTROLLER_REVISIONS && o.controller() == Some(owner.uid()))
        .cloned()
        .collect();
    all.sort_by_key(|r| count(&r["revision"]));
    all
}

/// Revisions are stored as patches, with the directive that the template is replaced as a whole.
fn marked(template: &Value) -> Value {
    let mut template = template.clone();
    template["$patch"] = json!("replace");
    template
}

/// The template of a revision.
pub(crate) fn template(revision: &Object) -> Value {
    let mut template = revision["data"]["spec"]["template"].clone();
    if let Some(map) = template.as_object_mut() {
        map.remove("$patch");
    }
    template
}

/// The hash alone.
pub(crate) fn hash(revision: &Object) -> &str {
    text(&revision["metadata"]["labels"][HASH])
}

/// Deletes the oldest revisions beyond the limit that nobody uses.
pub(crate) fn truncate(
    server: &mut ApiServer,
    now: Timestamp,
    owner: &Object,
    all: &[Arc<Object>],
    is_used: impl Fn(&Object) -> bool,
) {
    let Some(limit) = owner["spec"]["revisionHistoryLimit"].as_i64() else { return };
    let unused: Vec<_> = all.iter().filter(|r| !is_used(r)).collect();
    let surplus = unused.len().saturating_sub(size(limit));
    for revision in &unused[..surplus] {
        let _ = write::delete(server, now, &CONTROLLER_REVISIONS, &Key::of(revision));
    }
}
