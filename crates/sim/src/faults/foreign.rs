//! What other people do to objects that are not theirs: edit, delete, force-apply.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::object::Object;
use crate::resource::Resource;
use crate::server::{ApiServer, By, DeleteOptions, Patch};
use crate::status::Status;

/// The field manager of whoever it is.
const SOMEBODY: &str = "somebody-else";

/// What they leave behind: the name of an annotation, or of a variable.
const MARK: &str = "EDITED_BY_SOMEBODY_ELSE";

/// What somebody does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Edit,
    Delete,
    Apply,
}

/// Does it, if the object is still there.
pub(super) fn act(
    server: &mut ApiServer,
    now: Timestamp,
    (resource, namespace, name): (&Resource, &str, &str),
    act: Act,
) -> Result<Arc<Object>, Status> {
    let by = By::manager(SOMEBODY);
    match act {
        Act::Edit => server.edit(now, resource, namespace, name, &by, edit),
        Act::Delete => server.delete(now, resource, namespace, name, &DeleteOptions::default(), &by),
        Act::Apply => {
            let config = configuration(server.get(resource, namespace, name)?);
            server.patch(now, resource, namespace, name, "", &Patch::Apply { config, force: true }, &by)
        }
    }
}

/// A variable of the first container, or an annotation; each time with another value.
fn edit(object: &mut Value) {
    let containers = object["spec"]["template"]["spec"]["containers"].as_array_mut();
    let Some(container) = containers.and_then(|list| list.first_mut()) else {
        object["metadata"]["annotations"][MARK] = json!("yes");
        return;
    };
    let variable = |value: &str| json!({"name": MARK, "value": value});
    let Some(list) = container["env"].as_array_mut() else {
        container["env"] = json!([variable("yes")]);
        return;
    };
    match list.iter_mut().find(|known| known["name"] == MARK) {
        Some(known) => {
            let again = format!("{}, again", known["value"].as_str().unwrap_or_default());
            *known = variable(&again);
        }
        None => list.push(variable("yes")),
    }
}

/// Another image for the first container, or an annotation.
fn configuration(object: &Object) -> Value {
    let mut config = json!({
        "apiVersion": object.kind().api_version(),
        "kind": object.kind().kind,
        "metadata": {"name": object.name()},
    });
    let container = &object["spec"]["template"]["spec"]["containers"][0];
    if let Some(image) = container["image"].as_str() {
        let repository = image.split('@').next().unwrap_or(image);
        let image = format!("{repository}:{SOMEBODY}");
        let container = json!({"name": container["name"], "image": image});
        config["spec"] = json!({"template": {"spec": {"containers": [container]}}});
    } else {
        config["metadata"]["annotations"] = json!({MARK: "yes"});
    }
    config
}
