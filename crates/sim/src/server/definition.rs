//! CustomResourceDefinitions: kinds that come and go.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{ApiServer, By, DeleteOptions};
use crate::kind::{Kind, ScalePaths, Served};
use crate::object::Object;
use crate::resource::Resource;
use crate::schema::Shape;
use crate::status::{Cause, Status};

/// Says that a new definition is accepted, as the controllers of a real cluster do a moment later.
pub(super) fn establish(now: Timestamp, body: &mut Value) {
    let at = crate::time::seconds(now);
    let stored: Vec<&Value> = body["spec"]["versions"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|v| v["storage"] == true)
        .map(|v| &v["name"])
        .collect();
    body["status"] = json!({
        "conditions": [
            {"type": "NamesAccepted", "status": "True", "reason": "NoConflicts", "message": "no conflicts found",
                "lastTransitionTime": at},
            {"type": "Established", "status": "True", "reason": "InitialNamesAccepted",
                "message": "the initial names have been accepted", "lastTransitionTime": at},
        ],
        "acceptedNames": body["spec"]["names"],
        "storedVersions": stored,
    });
}

impl ApiServer {
    /// Serves what a definition says.
    pub(super) fn define(&mut self, definition: &Value) -> Result<(), Status> {
        let kind = read(definition)?;
        self.kinds.insert(Arc::new(kind));
        Ok(())
    }

    /// Serves it no longer; its objects go with it.
    pub(super) fn undefine(&mut self, now: Timestamp, definition: &Object) {
        let spec = &definition["spec"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let resource = Resource::new(text(&spec["group"]), text(&spec["names"]["plural"]));
        let objects: Vec<Arc<Object>> = self.store.list(&resource, None).cloned().collect();
        for object in objects {
            let (namespace, name) = (object.namespace(), object.name());
            // What keeps an object is its finalizers' business, here too.
            let _ = self.delete(now, &resource, namespace, name, &DeleteOptions::now(), &By::nobody());
        }
        self.kinds.remove(&resource);
    }
}

fn read(definition: &Value) -> Result<Kind, Status> {
    let spec = &definition["spec"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let texts = |value: &Value| value.as_array().into_iter().flatten().map(text).collect::<Vec<_>>();
    let names = &spec["names"];
    let resource = Resource::new(text(&spec["group"]), text(&names["plural"]));
    let name = text(&definition["metadata"]["name"]);
    if name != resource.to_string() {
        let message = format!("Invalid value: {name:?}: must be spec.names.plural+\".\"+spec.group");
        let cause = Cause::new("FieldValueInvalid", "metadata.name", message);
        let group = "apiextensions.k8s.io";
        return Err(Status::invalid(group, "CustomResourceDefinition", &name, vec![cause]));
    }
    let versions = spec["versions"].as_array().cloned().unwrap_or_default();
    let shape = |version: &Value| {
        let schema = &version["schema"]["openAPIV3Schema"];
        let any = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        Shape::Custom(Arc::new(if schema.is_object() { schema.clone() } else { any }))
    };
    let storage = versions.iter().find(|v| v["storage"] == true).or(versions.first());
    let Some(storage) = storage else {
        let cause = Cause::new("FieldValueRequired", "spec.versions", "Required value");
        return Err(Status::invalid("apiextensions.k8s.io", "CustomResourceDefinition", &name, vec![cause]));
    };
    let mut served: Vec<Served> = versions
        .iter()
        .filter(|v| v["served"] == true)
        .map(|v| Served {
            version: text(&v["name"]),
            shape: shape(v),
            columns: v["additionalPrinterColumns"].as_array().cloned().unwrap_or_default(),
        })
        .collect();
    served.sort_by_key(|s| std::cmp::Reverse(priority(&s.version)));
    let subresources = &storage["subresources"];
    let scale = &subresources["scale"];
    Ok(Kind {
        kind: text(&names["kind"]),
        singular: names["singular"]
            .as_str()
            .map_or_else(|| text(&names["kind"]).to_lowercase(), str::to_owned),
        short_names: texts(&names["shortNames"]),
        categories: texts(&names["categories"]),
        namespaced: spec["scope"] == "Namespaced",
        version: text(&storage["name"]),
        shape: shape(storage),
        served,
        has_status: subresources["status"].is_object(),
        scale: scale.is_object().then(|| ScalePaths {
            spec: text(&scale["specReplicasPath"]),
            status: text(&scale["statusReplicasPath"]),
            selector: text(&scale["labelSelectorPath"]),
        }),
        has_generation: true,
        custom: true,
        review: false,
        resource,
    })
}

/// How versions are ordered: stable ones first, the newest of them first; then betas, then alphas.
fn priority(version: &str) -> (u8, u64, u64) {
    let digits = |text: &str| text.parse::<u64>().ok();
    let Some(rest) = version.strip_prefix('v') else { return (0, 0, 0) };
    if let Some(major) = digits(rest) {
        return (3, major, 0);
    }
    for (word, rank) in [("beta", 2), ("alpha", 1)] {
        if let Some((major, minor)) = rest.split_once(word)
            && let (Some(major), Some(minor)) = (digits(major), digits(minor))
        {
            return (rank, major, minor);
        }
    }
    (0, 0, 0)
}
