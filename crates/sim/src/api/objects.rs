//! Requests about objects and collections of objects.

use std::sync::Arc;

use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::body::{self, Strictness};
use super::path::Place;
use super::query::Query;
use super::render::{self, Form, List};
use super::{Answer, Model, Replica, Reply, Request, Watch, convert, list, patching, review, subresource};
use crate::object::Object;
use crate::server::{ApiServer, By, DeleteOptions, Part, other_uid};
use crate::status::{Cause, Status};

/// The longest name of a field manager.
const MAX_MANAGER: usize = 128;

/// Kinds that a PUT may make.
const MADE_BY_UPDATE: &[&str] = &[
    "endpoints",
    "endpointslices",
    "events",
    "leases",
    "limitranges",
    "services",
    "roles",
    "rolebindings",
    "clusterroles",
    "clusterrolebindings",
];

/// Built-in kinds that are only updated from a version that was read.
const CONDITIONAL: &[&str] = &["leases"];

/// Kinds whose last state a deletion answers with; the others answer with a Status.
const SHOWN_WHEN_DELETED: &[&str] = &[
    "pods",
    "services",
    "podtemplates",
    "resourcequotas",
    "serviceaccounts",
    "persistentvolumeclaims",
    "persistentvolumes",
];

/// Everything a handler needs.
pub(super) struct Call<'a> {
    pub(super) now: Timestamp,
    pub(super) request: Request<'a>,
    pub(super) replica: Replica,
    pub(super) place: Place,
    pub(super) query: Query,
    pub(super) form: Form,
}

pub(super) fn serve<M: Model + ?Sized>(
    model: &mut M,
    now: Timestamp,
    request: Request<'_>,
    replica: Replica,
    (group, version, parts): (&str, &str, &[&str]),
) -> Result<Reply, Status> {
    let (parts, is_old_watch) = match parts {
        ["watch", rest @ ..] => (rest, true),
        _ => (parts, false),
    };
    let place = Place::read(model.server(), group, version, parts)?;
    if replica.no_conversion {
        convert::fail(&place)?;
    }
    let (query, form) = (Query::parse(request.query), Form::read(request.headers));
    let call = Call { now, request, replica, place, query, form };
    if call.place.kind.review {
        return review::serve(model.server_mut(), &call).map(Reply::from);
    }
    if !call.place.subresource.is_empty() {
        return subresource::serve(model, &call).map(Reply::from);
    }
    let server = model.server_mut();
    let is_watch = is_old_watch || call.query.flag("watch");
    match (request.method.as_str(), call.place.name.is_some()) {
        ("GET", has_name) if is_old_watch || (is_watch && !has_name) => {
            let Call { place, query, form, .. } = call;
            Watch::start(server, now, (place, &query, form), replica)
                .map(|watch| Reply::Watch(Box::new(watch)))
        }
        ("GET", true) => get(server, &call).map(Reply::from),
        ("GET", false) => list::list(server, &call).map(Reply::from),
        ("POST", false) => create(server, &call).map(Reply::from),
        ("PUT", true) => update(server, &call, Part::Main).map(Reply::from),
        ("PATCH", true) => patching::serve(server, &call, "").map(Reply::from),
        ("DELETE", true) => delete(server, &call).map(Reply::from),
        ("DELETE", false) => delete_collection(server, &call).map(Reply::from),
        _ => Err(Status::method_not_allowed()),
    }
}

impl Call<'_> {
    pub(super) fn name(&self) -> &str {
        self.place.name.as_deref().unwrap_or_default()
    }

    /// Who writes, as the query and the client's name say.
    pub(super) fn by(&self) -> Result<By, Status> {
        let asked: Vec<&str> = self.query.all("dryRun").filter(|d| !d.is_empty()).collect();
        let dry_run = match &asked[..] {
            [] => false,
            all if all.iter().all(|one| *one == "All") => true,
            all => {
                let list = all.iter().map(|one| format!("{one:?}")).collect::<Vec<_>>().join(", ");
                let message = format!("Unsupported value: []string{{{list}}}: supported values: \"All\"");
                let cause = Cause::new("FieldValueNotSupported", "dryRun", message);
                let options = match self.request.method.as_str() {
                    "PUT" => "UpdateOptions",
                    "PATCH" => "PatchOptions",
                    "DELETE" => "DeleteOptions",
                    _ => "CreateOptions",
                };
                return Err(Status::invalid("meta.k8s.io", options, "", vec![cause]));
            }
        };
        let agent = self.request.headers.get(http::header::USER_AGENT).and_then(|v| v.to_str().ok());
        let agent = agent.unwrap_or("unknown").split('/').next().unwrap_or("unknown");
        let manager = match self.query.get("fieldManager") {
            Some(manager) if !manager.is_empty() => manager,
            _ => agent,
        };
        let manager: String = manager.chars().filter(|c| !c.is_control()).take(MAX_MANAGER).collect();
        Ok(By { manager: Some(manager), dry_run })
    }

    pub(super) fn answer(&self, code: u16, object: &Object) -> Answer {
        render::object(&self.place, self.form, self.now, code, object)
    }

    pub(super) fn strictness(&self, server: &ApiServer) -> Result<Strictness, Status> {
        Strictness::read(&self.query, server.profile())
    }
}

fn get(server: &ApiServer, call: &Call<'_>) -> Result<Answer, Status> {
    let asked = call.query.text("resourceVersion");
    let current = server.store().revision();
    if let Some(revision) = asked.parse::<u64>().ok().filter(|r| *r > current) {
        return Err(Status::too_large_revision(revision, current));
    }
    let store = server.store();
    let read = match call.replica.read(store, call.now, asked) {
        Ok(read) => read,
        Err((status, after)) => return Ok(Answer { after, ..status.into() }),
    };
    let place = &call.place;
    let object = store.get_at(&place.resource, &place.namespace, call.name(), read.revision);
    // A cache holds what it shows, whatever the store has forgotten.
    let object = object.unwrap_or_else(|_| store.get(&place.resource, &place.namespace, call.name()));
    let object = object.ok_or_else(|| Status::not_found(&place.kind.resource, call.name()))?;
    Ok(Answer { after: read.after, ..call.answer(200, object) })
}

fn create(server: &mut ApiServer, call: &Call<'_>) -> Result<Answer, Status> {
    let by = call.by()?;
    let body = body::read(call.request)?;
    let (mut body, told) = body::accept(&call.place, call.strictness(server)?, body, false)?;
    body::check_place(&call.place, false, &mut body)?;
    // Objects may be made without a namespace in the path if their body has one only in old clients.
    let made = server.create(call.now, &call.place.resource, &call.place.namespace, body, &by)?;
    let mut answer = call.answer(201, &made);
    answer.warnings = told;
    Ok(answer)
}

/// PUT of an object or its status.
pub(super) fn update(server: &mut ApiServer, call: &Call<'_>, part: Part) -> Result<Answer, Status> {
    let by = call.by()?;
    let body = body::read(call.request)?;
    let (mut body, told) = body::accept(&call.place, call.strictness(server)?, body, false)?;
    let is_old = !server.profile().field_validation;
    body::check_place(&call.place, is_old, &mut body)?;
    let place = &call.place;
    let old = server.store().get(&place.resource, &place.namespace, call.name()).cloned();
    let version = body["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
    let Some(old) = old else {
        let uid = body["metadata"]["uid"].as_str().unwrap_or_default();
        let has_old_way =
            part == Part::Main && server.profile().not_made_by_update.contains(&&*place.resource.plural);
        if !uid.is_empty() && !has_old_way {
            return Err(other_uid(&place.kind, &place.namespace, call.name(), uid, "", by.dry_run));
        }
        let may_make = MADE_BY_UPDATE.contains(&&*place.resource.plural) && !has_old_way;
        let is_read = !version.is_empty() && server.profile().field_validation;
        if !may_make || is_read || place.kind.custom {
            return Err(Status::not_found(&place.kind.resource, call.name()));
        }
        if let Some(metadata) = body["metadata"].as_object_mut() {
            metadata.remove("resourceVersion");
        }
        let made = server.create(call.now, &place.resource, &place.namespace, body, &by)?;
        return Ok(call.answer(201, &made));
    };
    if (place.kind.custom || CONDITIONAL.contains(&&*place.resource.plural)) && version.is_empty() {
        let zero = if server.profile().json_in_messages { "0" } else { "0x0" };
        let message = format!("Invalid value: {zero}: must be specified for an update");
        let cause = Cause::new("FieldValueInvalid", "metadata.resourceVersion", message);
        // A real server names the resource here, not the kind.
        let resource = &place.kind.resource;
        return Err(Status::invalid(&resource.group, &resource.plural, call.name(), vec![cause]));
    }
    let written = server.write(call.now, &old, body, part, None, &by)?;
    let mut answer = call.answer(200, &written);
    answer.warnings = told;
    Ok(answer)
}

/// The options of a deletion, from the body and the query.
pub(super) fn delete_options(call: &Call<'_>) -> Result<(DeleteOptions, bool), Status> {
    let mut value = json!({});
    if !call.request.body.is_empty() {
        value = body::read(call.request)?;
    }
    for (name, field) in
        [("gracePeriodSeconds", "gracePeriodSeconds"), ("propagationPolicy", "propagationPolicy")]
    {
        if let Some(text) = call.query.get(name) {
            value[field] = text.parse::<i64>().map_or_else(|_| json!(text), |n| json!(n));
        }
    }
    let policy = value["propagationPolicy"].as_str().unwrap_or_default();
    if !matches!(policy, "" | "Foreground" | "Background" | "Orphan") {
        let message = format!(
            "Unsupported value: {policy:?}: supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\""
        );
        let cause = Cause::new("FieldValueNotSupported", "propagationPolicy", message);
        return Err(Status::invalid("meta.k8s.io", "DeleteOptions", "", vec![cause]));
    }
    let dry_run = value["dryRun"].as_array().is_some_and(|list| list.iter().any(|d| d == "All"));
    Ok((DeleteOptions::read(&value), dry_run))
}

fn delete(server: &mut ApiServer, call: &Call<'_>) -> Result<Answer, Status> {
    let (options, dry_run) = delete_options(call)?;
    let mut by = call.by()?;
    by.dry_run |= dry_run;
    let place = &call.place;
    let last = server.delete(call.now, &place.resource, &place.namespace, call.name(), &options, &by)?;
    let is_marked = || {
        let has = |list: &Value| list.as_array().is_some_and(|l| !l.is_empty());
        let grace = last["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
        last.is_terminating()
            && (has(&last["metadata"]["finalizers"]) || has(&last["spec"]["finalizers"]) || grace > 0)
    };
    let remains = if by.dry_run { is_marked() } else { server.store().by_uid(last.uid()).is_some() };
    let is_shown = SHOWN_WHEN_DELETED.contains(&&*place.resource.plural)
        && (place.resource.plural != "services" || server.profile().field_validation);
    let is_never_shown = place.resource.plural == "services" && !server.profile().field_validation;
    if (remains || is_shown) && !is_never_shown {
        return Ok(call.answer(200, &last));
    }
    let mut details = json!({"name": last.name(), "kind": place.kind.resource.plural, "uid": last.uid()});
    if !place.kind.resource.group.is_empty() {
        details["group"] = json!(place.kind.resource.group);
    }
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": details});
    Ok(Answer::value(200, &status))
}

fn delete_collection(server: &mut ApiServer, call: &Call<'_>) -> Result<Answer, Status> {
    let place = &call.place;
    if matches!(&*place.resource.plural, "namespaces" | "services") && !server.profile().field_validation {
        return Err(Status::method_not_allowed());
    }
    let (options, dry_run) = delete_options(call)?;
    let mut by = call.by()?;
    by.dry_run |= dry_run;
    let selection = list::Selection::read(place, &call.query)?;
    let objects = server.store().list(&place.resource, place.scope());
    let objects: Vec<Arc<Object>> = objects.filter(|o| selection.matches(o)).cloned().collect();
    for object in &objects {
        let (namespace, name) = (object.namespace(), object.name());
        match server.delete(call.now, &place.resource, namespace, name, &options, &by) {
            Ok(_) => {}
            Err(status) if status.code == 404 => {}
            Err(status) => return Err(status),
        }
    }
    let metadata = json!({"resourceVersion": server.store().revision().to_string()});
    let list = List { place, form: Form::Whole, metadata, items: &objects };
    Ok(Answer::json(200, serde_json::to_vec(&list).unwrap_or_default()))
}

/// The methods a collection or object answers to.
pub(super) fn is(method: &Method, name: &str) -> bool {
    method.as_str() == name
}
