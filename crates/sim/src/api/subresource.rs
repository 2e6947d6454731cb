//! Requests about a part or an action of an object.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use serde_json::json;

use super::objects::{self, Call, is};
use super::{Answer, Model, body, patching, scale};
use crate::resource::PODS;
use crate::server::{ApiServer, DeleteOptions, Part};
use crate::status::Status;

/// Which log somebody wants to read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod.
    pub pod: String,
    /// The container, empty if the pod has only one.
    pub container: String,
    /// The log of the run before this one.
    pub previous: bool,
    /// Only the last so many lines.
    pub tail_lines: Option<u64>,
    /// Only lines not older than this.
    pub since_seconds: Option<u64>,
    /// Lines start with the time.
    pub timestamps: bool,
    /// At most so many bytes.
    pub limit_bytes: Option<u64>,
    /// Go on as the container writes.
    pub follow: bool,
}

/// What is behind a proxied request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyTarget {
    /// Whether it is a service; a pod otherwise.
    pub is_service: bool,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The port's number or name, empty for the first.
    pub port: String,
    /// As in `https`, empty if nobody said.
    pub scheme: String,
}

/// What an application answered.
#[derive(Debug, Clone)]
pub struct Proxied {
    /// The status code.
    pub status: http::StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// How long it took.
    pub after: Duration,
}

pub(super) fn serve<M: Model + ?Sized>(model: &mut M, call: &Call<'_>) -> Result<Answer, Status> {
    let place = &call.place;
    let plural = &*place.kind.resource.plural;
    let method = call.request.method;
    match place.subresource.as_str() {
        "status" if place.kind.has_status => status(model.server_mut(), call),
        "scale" if place.kind.scale.is_some() => scale::serve(model.server_mut(), call),
        "finalize" if plural == "namespaces" && is(method, "PUT") => finalize(model.server_mut(), call),
        "eviction" if plural == "pods" && is(method, "POST") => evict(model.server_mut(), call),
        "binding" if plural == "pods" && is(method, "POST") => bind(model.server_mut(), call),
        "log" if plural == "pods" && is(method, "GET") => log(model, call),
        "proxy" if matches!(plural, "pods" | "services") => proxy(model, call),
        "ephemeralcontainers" | "resize" if plural == "pods" => match method.as_str() {
            "GET" => status(model.server_mut(), call),
            _ => Err(Status::method_not_allowed()),
        },
        "token" if plural == "serviceaccounts" && is(method, "POST") => token(model.server_mut(), call),
        "exec" | "attach" | "portforward" if plural == "pods" => {
            let words = format!("{} is not simulated", place.subresource);
            Err(Status::new(501, "NotImplemented", words))
        }
        _ => Err(Status::no_such_path()),
    }
}

fn status(server: &mut ApiServer, call: &Call<'_>) -> Result<Answer, Status> {
    match call.request.method.as_str() {
        "GET" => {
            let object = server.get(&call.place.resource, &call.place.namespace, call.name())?;
            Ok(call.answer(200, object))
        }
        "PUT" => objects::update(server, call, Part::Status),
        "PATCH" => patching::serve(server, call, "status"),
        _ => Err(Status::method_not_allowed()),
    }
}

fn finalize(server: &mut ApiServer, call: &Call<'_>) -> Result<Answer, Status> {
    let sent = body::read(call.request)?;
    let keeps = sent["spec"]["finalizers"].as_array().is_some_and(|list| !list.is_empty());
    if keeps {
        let object = server.get(&call.place.resource, "", call.name())?;
        return Ok(call.answer(200, object));
    }
    let object = server.finalize_namespace(call.now, call.name())?;
    Ok(call.answer(200, &object))
}

fn success(code: u16) -> Answer {
    Answer::value(
        code,
        &json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": code}),
    )
}

fn evict(server: &mut ApiServer, call: &Call<'_>) -> Result<Answer, Status> {
    let eviction = body::read(call.request)?;
    let name = eviction["metadata"]["name"].as_str().unwrap_or(call.name());
    if name != call.name() {
        return Err(Status::bad_request("name in URL does not match name in Eviction object"));
    }
    let options = DeleteOptions::read(&eviction["deleteOptions"]);
    server.evict(call.now, &call.place.namespace, call.name(), &options, &call.by()?)?;
    Ok(success(201))
}

fn bind(server: &mut ApiServer, call: &Call<'_>) -> Result<Answer, Status> {
    let binding = body::read(call.request)?;
    if binding["metadata"]["name"].as_str() != Some(call.name()) {
        return Err(Status::bad_request("name in URL does not match name in Binding object"));
    }
    let node = binding["target"]["name"].as_str().unwrap_or_default();
    server.bind(call.now, &call.place.namespace, call.name(), node)?;
    Ok(success(201))
}

fn token(server: &mut ApiServer, call: &Call<'_>) -> Result<Answer, Status> {
    server.get(&call.place.resource, &call.place.namespace, call.name())?;
    let mut request = body::read(call.request)?;
    let seconds = request["spec"]["expirationSeconds"].as_i64().unwrap_or(3600);
    let until = call.now + Duration::from_secs(u64::try_from(seconds).unwrap_or(3600));
    let token = format!("simulated.{}.{}", call.place.namespace, call.name());
    request["status"] = json!({"token": token, "expirationTimestamp": crate::time::seconds(until)});
    Ok(Answer::value(201, &request))
}

fn log<M: Model + ?Sized>(model: &mut M, call: &Call<'_>) -> Result<Answer, Status> {
    let pod = std::sync::Arc::clone(model.server().get(&PODS, &call.place.namespace, call.name())?);
    let names = |list: &str| -> Vec<String> {
        let containers = pod["spec"][list].as_array().into_iter().flatten();
        containers.filter_map(|c| c["name"].as_str().map(str::to_owned)).collect()
    };
    let (containers, init) = (names("containers"), names("initContainers"));
    let query = &call.query;
    let mut container = query.text("container").to_owned();
    if container.is_empty() {
        let default = &pod["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"];
        container = match (&containers[..], default.as_str()) {
            ([one], _) => one.clone(),
            (_, Some(name)) => name.to_owned(),
            _ => {
                let init = if init.is_empty() {
                    String::new()
                } else {
                    format!(" or one of the init containers: [{}]", init.join(" "))
                };
                return Err(Status::bad_request(format!(
                    "a container name must be specified for pod {}, choose one of: [{}]{init}",
                    call.name(),
                    containers.join(" ")
                )));
            }
        };
    } else if !containers.contains(&container) && !init.contains(&container) {
        let message = format!("container {container} is not valid for pod {}", call.name());
        return Err(Status::bad_request(message));
    }
    let query = LogQuery {
        namespace: call.place.namespace.clone(),
        pod: call.name().to_owned(),
        container,
        previous: query.flag("previous"),
        tail_lines: query.number("tailLines"),
        since_seconds: query.number("sinceSeconds"),
        timestamps: query.flag("timestamps"),
        limit_bytes: query.number("limitBytes"),
        follow: query.flag("follow"),
    };
    let text = model.log(call.now, &query)?;
    let mut answer = Answer::text("");
    answer.body = text;
    Ok(answer)
}

fn proxy<M: Model + ?Sized>(model: &mut M, call: &Call<'_>) -> Result<Answer, Status> {
    let place = &call.place;
    // The name may say more: scheme:name:port.
    let parts: Vec<&str> = call.name().split(':').collect();
    let (scheme, name, port) = match parts[..] {
        [name] => ("", name, ""),
        [name, port] => ("", name, port),
        [scheme, name, port] => (scheme, name, port),
        _ => return Err(Status::bad_request(format!("invalid service request {:?}", call.name()))),
    };
    model.server().get(&place.resource, &place.namespace, name)?;
    let target = ProxyTarget {
        is_service: place.resource.plural == "services",
        namespace: place.namespace.clone(),
        name: name.to_owned(),
        port: port.to_owned(),
        scheme: scheme.to_owned(),
    };
    let mut uri = format!("/{}", place.rest.join("/"));
    if !call.request.query.is_empty() {
        uri = format!("{uri}?{}", call.request.query);
    }
    let mut request = http::Request::new(call.request.body.clone());
    *request.method_mut() = call.request.method.clone();
    *request.uri_mut() = uri.parse().map_err(|_| Status::bad_request(format!("bad path {uri}")))?;
    *request.headers_mut() = call.request.headers.clone();
    let proxied = model.proxy(call.now, &target, request)?;
    let mut answer = Answer::json(proxied.status.as_u16(), Vec::new());
    answer.content_type = "";
    answer.headers = proxied.headers;
    answer.body = proxied.body;
    answer.after = proxied.after;
    Ok(answer)
}
