//! Bodies of requests: JSON, YAML or some protobuf of the version in the path, on their way to the stored version.

use http::HeaderMap;
use serde_json::Value;

use super::path::Place;
use super::{Request, convert, protobuf};
use crate::profile::ApiProfile;
use crate::schema::check;
use crate::status::Status;

/// What is done about unknown fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strictness {
    Ignore,
    Warn,
    Strict,
}

impl Strictness {
    pub(super) fn read(query: &super::query::Query, profile: &ApiProfile) -> Result<Self, Status> {
        match query.text("fieldValidation") {
            _ if !profile.field_validation => Ok(Self::Ignore),
            "" | "Warn" => Ok(Self::Warn),
            "Ignore" => Ok(Self::Ignore),
            "Strict" => Ok(Self::Strict),
            other => {
                let why = format!(
                    "Invalid value: {other:?}: fieldValidation parameter must be \"Ignore\", \"Warn\", or \"Strict\"",
                );
                Err(Status::new(422, "Invalid", format!("fieldValidation: {why}")))
            }
        }
    }
}

/// The content type without its parameters.
pub(super) fn content_type(headers: &HeaderMap) -> &str {
    let value = headers.get(http::header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim()
}

/// Reads a body that has to be an object.
pub(super) fn read(request: Request<'_>) -> Result<Value, Status> {
    let kind = content_type(request.headers);
    if kind.contains("protobuf")
        && let Some(object) = protobuf::read(request.body)
    {
        return Ok(object);
    }
    if kind.contains("protobuf") || kind.contains("cbor") {
        return Err(Status::new(
            415,
            "UnsupportedMediaType",
            "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml",
        ));
    }
    let body = parse(request.body, kind.contains("yaml"))?;
    if body.is_object() {
        Ok(body)
    } else {
        Err(Status::bad_request("the object provided is unrecognized (must be of type Object)"))
    }
}

pub(super) fn parse(body: &[u8], is_yaml: bool) -> Result<Value, Status> {
    let bad = |why: String| {
        Status::bad_request(format!("the object provided is unrecognized (must be of type Object): {why}"))
    };
    if is_yaml && body.first().is_none_or(|b| *b != b'{') {
        let text = std::str::from_utf8(body).map_err(|e| bad(e.to_string()))?;
        return serde_saphyr::from_str(text).map_err(|e| bad(e.to_string()));
    }
    serde_json::from_slice(body).map_err(|e| bad(e.to_string()))
}

/// Where a real server's types are registered, as its messages say.
const SCHEME: &str = "k8s.io/kubernetes/pkg/api/legacyscheme/scheme.go:30";

/// What a group is called inside a real server.
fn internal_group(group: &str) -> &str {
    if group.is_empty() { "core" } else { group.split('.').next().unwrap_or(group) }
}

/// Makes a body one of the stored version, and says what was unknown in it.
pub(super) fn accept(
    place: &Place,
    strictness: Strictness,
    mut body: Value,
    is_patch: bool,
) -> Result<(Value, Vec<String>), Status> {
    check_type(place, &body)?;
    let Some(served) = place.served() else { return Err(Status::no_such_path()) };
    let findings = check::conform(&served.shape, &mut body);
    let kind = &place.kind.kind;
    let version = &place.version;
    if let Some(why) = findings.mistyped {
        let prefix = format!("{kind} in version {version:?} cannot be handled as a {kind}: ");
        return Err(Status::bad_request(if is_patch { why } else { prefix + &why }));
    }
    let told: Vec<String> = findings.unknown.iter().map(|f| format!("unknown field {f:?}")).collect();
    if strictness == Strictness::Strict && !told.is_empty() {
        let list = told.join(", ");
        return Err(Status::bad_request(format!(
            "{kind} in version {version:?} cannot be handled as a {kind}: strict decoding error: {list}"
        )));
    }
    convert::to_stored(place, &mut body);
    Ok((body, if strictness == Strictness::Warn { told } else { Vec::new() }))
}

fn check_type(place: &Place, body: &Value) -> Result<(), Status> {
    if !body.is_object() {
        return Err(Status::bad_request("the object provided is unrecognized (must be of type Object)"));
    }
    let sent = body["apiVersion"].as_str().unwrap_or_default();
    let wanted = place.api_version();
    let kind = body["kind"].as_str().unwrap_or_default();
    if !kind.is_empty() && kind != place.kind.kind {
        let expected = &place.kind.kind;
        let version = &place.version;
        return Err(Status::bad_request(format!(
            "{kind} in version {version:?} cannot be handled as a {expected}: converting ({}.{kind}) to ({}.{expected}): unknown conversion",
            sent.rsplit('/').next().filter(|v| !v.is_empty()).unwrap_or(version),
            internal_group(&place.kind.resource.group)
        )));
    }
    let has_version = || {
        let (group, version) = sent.rsplit_once('/').unwrap_or(("", sent));
        group == place.kind.resource.group && place.kind.served(version).is_some()
    };
    if !sent.is_empty() && sent != wanted && !has_version() {
        let (kind, version) = (&place.kind.kind, &place.version);
        return Err(Status::bad_request(format!(
            "{kind} in version {version:?} cannot be handled as a {kind}: no kind {kind:?} is registered for version {sent:?} in scheme \"{SCHEME}\""
        )));
    }
    if !sent.is_empty() && sent != wanted {
        return Err(Status::bad_request(format!(
            "the API version in the data ({sent}) does not match the expected API version ({wanted})"
        )));
    }
    if place.kind.custom && (sent.is_empty() || kind.is_empty()) {
        return Err(Status::bad_request(
            "the object provided is unrecognized (must be of type Object): couldn't get version/kind; json parse error",
        ));
    }
    Ok(())
}

/// Checks that what a body says of its place is where it was sent to, and fills in what it does not say.
pub(super) fn check_place(place: &Place, is_old_update: bool, body: &mut Value) -> Result<(), Status> {
    if !body["metadata"].is_object() {
        body["metadata"] = serde_json::json!({});
    }
    let metadata = &mut body["metadata"];
    let namespace = metadata["namespace"].as_str().unwrap_or_default();
    if place.kind.namespaced && !namespace.is_empty() && namespace != place.namespace {
        if is_old_update {
            let wanted = &place.namespace;
            return Err(Status::bad_request(format!(
                "the namespace of the object ({namespace}) does not match the namespace on the request ({wanted})"
            )));
        }
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    let Some(wanted) = place.name.as_deref() else { return Ok(()) };
    let name = metadata["name"].as_str().unwrap_or_default();
    if name.is_empty() {
        metadata["name"] = wanted.into();
    } else if name != wanted {
        return Err(Status::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({wanted})"
        )));
    }
    Ok(())
}
