//! Questions about rights: everybody may do everything here.

use serde_json::json;

use super::objects::{Call, is};
use super::{Answer, body};
use crate::server::ApiServer;
use crate::status::Status;

pub(super) fn serve(server: &mut ApiServer, call: &Call<'_>) -> Result<Answer, Status> {
    if !is(call.request.method, "POST") || call.place.name.is_some() {
        return Err(Status::method_not_allowed());
    }
    let mut review = body::read(call.request)?;
    review["apiVersion"] = json!(call.place.api_version());
    review["kind"] = json!(call.place.kind.kind);
    if review["metadata"].is_null() {
        review["metadata"] = json!({});
    }
    let user = json!({"username": "kubernetes-admin", "groups": ["system:masters", "system:authenticated"]});
    match &*call.place.kind.resource.plural {
        "bindings" => {
            let pod = review["metadata"]["name"].as_str().unwrap_or_default();
            let node = review["target"]["name"].as_str().unwrap_or_default();
            server.bind(call.now, &call.place.namespace, pod, node)?;
            review = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
        }
        "selfsubjectreviews" => review["status"] = json!({"userInfo": user}),
        "tokenreviews" => review["status"] = json!({"authenticated": true, "user": user}),
        "selfsubjectrulesreviews" => {
            let rule = json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]});
            review["status"] = json!({"resourceRules": [rule],
                "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}], "incomplete": false});
        }
        _ => review["status"] = json!({"allowed": true}),
    }
    Ok(Answer::value(201, &review))
}
