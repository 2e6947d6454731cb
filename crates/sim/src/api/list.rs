//! Lists: at the newest revision or an older one, whole or in pieces that belong together.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::objects::Call;
use super::path::Place;
use super::query::Query;
use super::render::{Form, List};
use super::{Answer, table};
use crate::object::Object;
use crate::selector::{FieldSelector, LabelSelector};
use crate::server::ApiServer;
use crate::status::{Cause, Status};

/// What is selected of a collection.
#[derive(Debug, Clone, Default)]
pub(super) struct Selection {
    pub(super) labels: LabelSelector,
    pub(super) fields: FieldSelector,
}

impl Selection {
    pub(super) fn read(place: &Place, query: &Query) -> Result<Self, Status> {
        let labels = LabelSelector::parse(query.text("labelSelector"))?;
        let mut fields = FieldSelector::parse(query.text("fieldSelector"))?;
        if let Some(field) = fields.unsupported(&place.resource.plural, &[]) {
            let text = if place.resource.plural == "jobs" {
                format!("field label {field:?} not supported for batchv1.Job")
            } else if FieldSelector::has_own(&place.resource.plural) {
                format!("field label not supported: {field}")
            } else {
                format!(
                    "{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
                )
            };
            return Err(Status::bad_request(text));
        }
        if let Some(name) = place.name.as_deref() {
            fields = FieldSelector::name(name);
        }
        Ok(Self { labels, fields })
    }

    pub(super) fn matches(&self, object: &Object) -> bool {
        (self.labels.is_empty() || self.labels.matches(&object["metadata"]["labels"]))
            && (self.fields.is_empty() || self.fields.matches(object))
    }

    fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }
}

/// Which revision is asked for, and how far the answer may be from it.
pub(super) fn list(server: &ApiServer, call: &Call<'_>) -> Result<Answer, Status> {
    let Call { now, replica, place, query, form, .. } = call;
    let (now, form) = (*now, *form);
    let selection = Selection::read(place, query)?;
    check_match(query)?;
    let mut after = Duration::ZERO;
    let wanted = wanted_revision(query, server.store().revision())?;
    let revision = match wanted {
        Wanted::Exactly(revision) => revision,
        Wanted::Cached(asked) => match replica.read(server.store(), now, asked) {
            Ok(read) => {
                after = read.after;
                read.revision
            }
            Err((status, after)) => return Ok(Answer { after, ..status.into() }),
        },
    };
    let page = page(server, place, query, &selection, revision)?;
    let mut metadata = json!({"resourceVersion": page.revision.to_string()});
    if let Some(token) = page.token {
        metadata["continue"] = json!(token);
        if let Some(remaining) = page.remaining {
            metadata["remainingItemCount"] = json!(remaining);
        }
    }
    if form == Form::Table {
        let objects: Vec<&Object> = page.items.iter().map(|o| &**o).collect();
        let whole = query.text("includeObject");
        let table = table::table(place, now, &objects, &metadata, whole != "None", true);
        return Ok(Answer { after, ..Answer::value(200, &table) });
    }
    let list = List { place, form, metadata, items: &page.items };
    Ok(Answer { after, ..Answer::json(200, serde_json::to_vec(&list).unwrap_or_default()) })
}

struct Page {
    items: Vec<Arc<Object>>,
    revision: u64,
    token: Option<String>,
    remaining: Option<usize>,
}

/// The page of a list at a revision, or at that of its token.
fn page(
    server: &ApiServer,
    place: &Place,
    query: &Query,
    selection: &Selection,
    revision: u64,
) -> Result<Page, Status> {
    let store = server.store();
    let current = store.revision();
    let limit = query.number("limit").filter(|n| *n > 0).and_then(|n| usize::try_from(n).ok());
    let token = query.text("continue");
    let asked = query.text("resourceVersion");
    let (revision, after) = if token.is_empty() {
        (revision, None)
    } else {
        if !asked.is_empty() && asked != "0" {
            return Err(Status::bad_request(
                "specifying resource version is not allowed when using continue",
            ));
        }
        let (revision, after) = read_token(token)?;
        (revision.unwrap_or(current), Some(after))
    };
    let objects = store.at(&place.resource, place.scope(), revision).map_err(|_| match &after {
        Some(after) => expired_token(after),
        None => Status::expired(revision, store.compacted()),
    })?;
    let key = |o: &Object| format!("{}/{}", o.namespace(), o.name());
    let rest: Vec<Arc<Object>> =
        objects.into_iter().filter(|o| after.as_ref().is_none_or(|after| key(o) > *after)).collect();
    let last_key = rest.last().map(|o| key(o));
    let mut items: Vec<Arc<Object>> = rest.into_iter().filter(|o| selection.matches(o)).collect();
    let mut page = Page { items: Vec::new(), revision, token: None, remaining: None };
    // A list from a cache ("0") is never cut.
    let limit = limit.filter(|_| asked != "0");
    if let Some(limit) = limit.filter(|limit| items.len() >= *limit) {
        let left = items.len() - limit;
        items.truncate(limit);
        // Whether what is left is selected is not known before it is read.
        let last = items.last().map(|last| key(last));
        let is_one = query.text("fieldSelector").starts_with("metadata.name=");
        if last < last_key && !is_one {
            page.token = last.map(|last| write_token(Some(revision), &last));
            page.remaining = selection.is_everything().then_some(left);
        }
    }
    page.items = items;
    Ok(page)
}

/// Where a list comes from.
enum Wanted<'q> {
    /// The store, at a revision.
    Exactly(u64),
    /// A cache that has come so far, or the store if nothing is asked for.
    Cached(&'q str),
}

fn wanted_revision(query: &Query, current: u64) -> Result<Wanted<'_>, Status> {
    let asked = query.text("resourceVersion");
    if !query.text("continue").is_empty() {
        return Ok(Wanted::Exactly(current));
    }
    if asked.is_empty() || asked == "0" {
        return Ok(Wanted::Cached(asked));
    }
    let limited = query.number("limit").is_some_and(|n| n > 0);
    let matching = query.text("resourceVersionMatch");
    let revision: u64 = asked.parse().map_err(|_| {
        let status = Status::bad_revision(asked);
        // A list that is not read from the cache is refused by the store.
        let is_from_store = limited || matching == "Exact";
        if is_from_store {
            Status::bad_request(format!("invalid resource version: {}", status.message))
        } else {
            status
        }
    })?;
    if revision > current {
        return Err(Status::too_large_revision(revision, current));
    }
    let is_exact = matching == "Exact" || (matching.is_empty() && limited);
    Ok(if is_exact { Wanted::Exactly(revision) } else { Wanted::Cached(asked) })
}

/// Refuses parameters that do not go together.
fn check_match(query: &Query) -> Result<(), Status> {
    let matching = query.text("resourceVersionMatch");
    if matching.is_empty() {
        return Ok(());
    }
    let asked = query.text("resourceVersion");
    let mut causes = Vec::new();
    let mut forbid = |why: &str| {
        causes.push(Cause::new("FieldValueForbidden", "resourceVersionMatch", format!("Forbidden: {why}")));
    };
    if asked.is_empty() {
        forbid("resourceVersionMatch is forbidden unless resourceVersion is provided");
    }
    if !query.text("continue").is_empty() {
        forbid("resourceVersionMatch is forbidden when continue is provided");
    }
    if matching == "Exact" && asked == "0" {
        forbid("resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
    }
    if !matches!(matching, "Exact" | "NotOlderThan") {
        let message =
            format!("Unsupported value: {matching:?}: supported values: \"Exact\", \"NotOlderThan\", \"\"");
        causes.push(Cause::new("FieldValueNotSupported", "resourceVersionMatch", message));
    }
    if causes.is_empty() { Ok(()) } else { Err(Status::invalid("meta.k8s.io", "ListOptions", "", causes)) }
}

fn write_token(revision: Option<u64>, after: &str) -> String {
    // A list that goes on at whatever is newest has no revision, which is written as -1.
    let revision = revision.map_or(json!(-1), |r| json!(r));
    let token = json!({"v": "meta.k8s.io/v1", "rv": revision, "start": format!("{after}\u{0}")});
    URL_SAFE_NO_PAD.encode(token.to_string())
}

fn read_token(token: &str) -> Result<(Option<u64>, String), Status> {
    let bad =
        |why: &str| Status::bad_request(format!("invalid continue token: continue key is not valid: {why}"));
    let bytes = URL_SAFE_NO_PAD.decode(token.trim_end_matches('=')).map_err(|e| bad(&e.to_string()))?;
    let token: Value = serde_json::from_slice(&bytes).map_err(|e| bad(&e.to_string()))?;
    if token["v"] != "meta.k8s.io/v1" {
        let version = token["v"].as_str().unwrap_or_default();
        return Err(bad(&format!("server does not recognize this encoded version {version:?}")));
    }
    let start = token["start"].as_str().unwrap_or_default().trim_end_matches('\u{0}');
    if start.is_empty() {
        return Err(bad("encoded start key empty (version meta.k8s.io/v1)"));
    }
    match token["rv"].as_i64() {
        Some(0) | None => Err(bad("incorrect encoded start resourceVersion (version meta.k8s.io/v1)")),
        Some(revision) => Ok((u64::try_from(revision).ok(), start.to_owned())),
    }
}

fn expired_token(after: &str) -> Status {
    let text = "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.";
    let mut status = Status::new(410, "Expired", text);
    status.details.continue_token = write_token(None, after);
    status
}
