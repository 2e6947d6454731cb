//! PATCH of objects: which kind of patch it is, and of which version.

use std::sync::Arc;

use serde_json::Value;

use super::body::{self, Strictness};
use super::objects::Call;
use super::{Answer, convert};
use crate::object::Object;
use crate::server::{ApiServer, Part, Patch};
use crate::status::{Cause, Status};

/// PATCH of an object or its status.
pub(super) fn serve(server: &mut ApiServer, call: &Call<'_>, subresource: &str) -> Result<Answer, Status> {
    let by = call.by()?;
    let place = &call.place;
    let kind = body::content_type(call.request.headers);
    let is_apply = matches!(kind, "application/apply-patch+yaml" | "application/apply-patch+cbor");
    let is_old = !server.profile().field_validation;
    let value = || {
        serde_json::from_slice::<Value>(call.request.body).map_err(|e| {
            if is_old {
                return Status::internal("Invalid JSON Patch");
            }
            Status::bad_request(format!("error decoding patch: {e}"))
        })
    };
    let patch = match kind {
        "application/json-patch+json" => Patch::Json(value()?),
        "application/merge-patch+json" => Patch::Merge(value()?),
        "application/strategic-merge-patch+json" => Patch::Strategic(value()?),
        _ if is_apply => apply_config(server, call)?,
        _ => {
            return Err(Status::new(
                415,
                "UnsupportedMediaType",
                "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml",
            ));
        }
    };
    if !is_apply && call.query.get("force").is_some() {
        let message = "Forbidden: may not be specified for non-apply patch";
        let cause = Cause::new("FieldValueForbidden", "force", message);
        return Err(Status::invalid("meta.k8s.io", "PatchOptions", "", vec![cause]));
    }
    let existed = server.store().get(&place.resource, &place.namespace, call.name()).cloned();
    let (written, told) = match (&existed, &patch) {
        (Some(old), Patch::Json(_) | Patch::Merge(_) | Patch::Strategic(_)) if place.is_view() => {
            (patch_view(server, call, old, &patch, subresource)?, Vec::new())
        }
        (Some(old), Patch::Json(_) | Patch::Merge(_) | Patch::Strategic(_)) => {
            let told = unknown_in_patched(server, call, old, &patch)?;
            let (resource, namespace) = (&place.resource, &place.namespace);
            (server.patch(call.now, resource, namespace, call.name(), subresource, &patch, &by)?, told)
        }
        _ => {
            let (resource, namespace) = (&place.resource, &place.namespace);
            (server.patch(call.now, resource, namespace, call.name(), subresource, &patch, &by)?, Vec::new())
        }
    };
    let code = if existed.is_none() { 201 } else { 200 };
    let mut answer = call.answer(code, &written);
    answer.warnings = told;
    Ok(answer)
}

/// The configuration of an apply, of the stored version.
fn apply_config(server: &ApiServer, call: &Call<'_>) -> Result<Patch, Status> {
    let place = &call.place;
    if call.query.text("fieldManager").is_empty() {
        let message = "Required value: is required for apply patch";
        let cause = Cause::new("FieldValueRequired", "fieldManager", message);
        return Err(Status::invalid("meta.k8s.io", "PatchOptions", "", vec![cause]));
    }
    let mut config = body::parse(call.request.body, true)
        .map_err(|e| Status::bad_request(format!("error decoding YAML: {}", e.message)))?;
    for (field, wanted) in [("apiVersion", place.api_version()), ("kind", place.kind.kind.clone())] {
        let sent = config[field].as_str().unwrap_or_default();
        if sent != wanted && field == "apiVersion" {
            return Err(Status::bad_request(format!(
                "Incorrect version specified in apply patch. Specified patch version: {sent}, expected: {wanted}"
            )));
        }
        if sent != wanted {
            let version = place.api_version();
            let version = if version.contains('/') { version } else { format!("/{version}") };
            let of = if server.profile().field_validation {
                format!(" ({}/{}; {version}, Kind={sent})", place.namespace, call.name())
            } else {
                String::new()
            };
            return Err(Status::internal(format!(
                "failed to create typed patch object{of}: no corresponding type for {version}, Kind={sent}"
            )));
        }
    }
    let has_name = config["metadata"]["name"].as_str().is_some_and(|name| !name.is_empty());
    if !has_name && server.store().get(&place.resource, &place.namespace, call.name()).is_none() {
        return Err(Status::bad_request(format!(
            "the name of the object ({} based on URL) was undeterminable: name must be provided",
            call.name()
        )));
    }
    body::check_place(place, false, &mut config)?;
    convert::to_stored(place, &mut config);
    Ok(Patch::Apply { config, force: call.query.flag("force") })
}

/// A patch of an object that is served in another version than it is stored in.
fn patch_view(
    server: &mut ApiServer,
    call: &Call<'_>,
    old: &Arc<Object>,
    patch: &Patch,
    subresource: &str,
) -> Result<Arc<Object>, Status> {
    let clean = server.profile().clean_patches;
    let mut body = old.to_value();
    convert::from_stored(&call.place, &mut body);
    match patch {
        Patch::Json(patch) => {
            crate::patch::json_patch(&mut body, patch, clean).map_err(Status::bad_request)?;
        }
        Patch::Merge(patch) => crate::patch::merge_patch(&mut body, patch),
        Patch::Strategic(patch) => {
            if let Some(served) = call.place.served() {
                body = crate::patch::strategic_patch(served.shape.root(), &body, patch, clean)
                    .map_err(Status::bad_request)?;
            }
        }
        Patch::Apply { .. } => {}
    }
    let (body, _) = body::accept(&call.place, Strictness::Ignore, body, true)?;
    let part = if subresource == "status" { Part::Status } else { Part::Main };
    server.write(call.now, old, body, part, None, &call.by()?)
}

/// What a patch brings that the type does not have.
fn unknown_in_patched(
    server: &ApiServer,
    call: &Call<'_>,
    old: &Object,
    patch: &Patch,
) -> Result<Vec<String>, Status> {
    let strictness = call.strictness(server)?;
    if strictness == Strictness::Ignore {
        return Ok(Vec::new());
    }
    let mut body = old.to_value();
    match patch {
        Patch::Json(patch) => {
            if crate::patch::json_patch(&mut body, patch, true).is_err() {
                return Ok(Vec::new());
            }
        }
        Patch::Merge(patch) => crate::patch::merge_patch(&mut body, patch),
        Patch::Strategic(patch) => {
            match crate::patch::strategic_patch(call.place.stored.shape.root(), &body, patch, true) {
                Ok(patched) => body = patched,
                Err(_) => return Ok(Vec::new()),
            }
        }
        Patch::Apply { .. } => return Ok(Vec::new()),
    }
    let findings = crate::schema::check::conform(&call.place.stored.shape, &mut body);
    let told: Vec<String> = findings.unknown.iter().map(|f| format!("unknown field {f:?}")).collect();
    if strictness == Strictness::Strict && !told.is_empty() {
        let place = &call.place;
        let message =
            format!("Invalid value: {}: strict decoding error: {}", patch_words(patch), told.join(", "));
        let cause = Cause::new("FieldValueInvalid", "patch", message);
        return Err(Status::invalid(&place.kind.resource.group, &place.kind.kind, call.name(), vec![cause]));
    }
    Ok(told)
}

fn patch_words(patch: &Patch) -> String {
    match patch {
        Patch::Json(value) | Patch::Merge(value) | Patch::Strategic(value) => {
            format!("{:?}", value.to_string())
        }
        Patch::Apply { .. } => String::new(),
    }
}
