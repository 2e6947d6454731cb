//! The rights a release needs, as a Role people can apply and as a question to the API server.

use futures::future::join_all;
use http::Method;
use serde_json::{Value, json};

use crate::Cluster;
use crate::api::{ApiError, Call};

/// One rule of the minimal Role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Right {
    /// The API group; empty for the core group.
    pub group: &'static str,
    /// The resource, with subresource.
    pub resource: &'static str,
    /// The verbs.
    pub verbs: &'static [&'static str],
    /// Whether every release needs it, or only one that uses the feature (checks, log capture, Ingress, …).
    pub always: bool,
}

const WRITE: &[&str] = &["get", "create", "patch", "delete"];

/// Everything a namespaced account needs. Nothing cluster-wide.
pub const RIGHTS: &[Right] = &[
    Right {
        group: "coordination.k8s.io",
        resource: "leases",
        verbs: &["get", "list", "watch", "create", "update"],
        always: true,
    },
    Right {
        group: "",
        resource: "configmaps",
        verbs: &["get", "list", "create", "update", "patch", "delete"],
        always: true,
    },
    Right {
        group: "apps",
        resource: "deployments",
        verbs: &["get", "list", "watch", "create", "patch", "delete"],
        always: true,
    },
    Right { group: "apps", resource: "replicasets", verbs: &["list", "watch"], always: true },
    Right { group: "", resource: "pods", verbs: &["get", "list", "watch"], always: true },
    Right { group: "", resource: "events", verbs: &["list", "watch"], always: true },
    Right { group: "", resource: "services", verbs: WRITE, always: true },
    Right { group: "", resource: "serviceaccounts", verbs: WRITE, always: true },
    Right { group: "", resource: "pods/log", verbs: &["get"], always: false },
    Right { group: "", resource: "pods/proxy", verbs: &["get"], always: false },
    Right { group: "networking.k8s.io", resource: "ingresses", verbs: WRITE, always: false },
    Right { group: "policy", resource: "poddisruptionbudgets", verbs: WRITE, always: false },
    Right { group: "autoscaling", resource: "horizontalpodautoscalers", verbs: WRITE, always: false },
];

/// The minimal Role and `RoleBinding` for a service account, and the one cluster-wide right that is worth having:
/// reading the namespace itself, by which the cluster is recognised.
pub fn role(namespace: &str, account: &str) -> Vec<Value> {
    let mut rules: Vec<Value> = RIGHTS
        .iter()
        .map(|right| json!({"apiGroups": [right.group], "resources": [right.resource], "verbs": right.verbs}))
        .collect();
    // A namespaced Role can grant reading its own namespace object.
    rules.push(json!({"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]}));
    let metadata = json!({"name": "release", "namespace": namespace});
    vec![
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata, "rules": rules}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "release"},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}]}),
    ]
}

/// A right the account lacks, as people write it: `watch pods`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The verb and the resource.
    pub right: String,
    /// Whether every release needs it.
    pub always: bool,
}

impl Cluster {
    /// Asks the API server which of [`RIGHTS`] the account lacks in the namespace.
    ///
    /// One review of the account's rules usually answers everything. Where an authorizer cannot list its rules (a webhook, the
    /// nodes' one), what they do not show is asked for one by one.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub async fn missing_rights(&self) -> Result<Vec<Missing>, ApiError> {
        let (rules, complete) = self.rules().await?;
        let wanted = RIGHTS.iter().flat_map(|right| right.verbs.iter().map(move |verb| (right, *verb)));
        let not_shown: Vec<_> = wanted.filter(|(right, verb)| !shows(&rules, right, verb)).collect();
        let answers = join_all(not_shown.into_iter().map(|(right, verb)| async move {
            let allowed = !complete && self.may(right, verb).await?;
            let group = if right.group.is_empty() { String::new() } else { format!(".{}", right.group) };
            Ok((!allowed).then(|| Missing {
                right: format!("{verb} {}{group}", right.resource),
                always: right.always,
            }))
        }));
        answers.await.into_iter().filter_map(Result::transpose).collect()
    }

    /// The rules that apply to the account in the namespace, and whether these are all.
    async fn rules(&self) -> Result<(Vec<Value>, bool), ApiError> {
        let body = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview",
            "spec": {"namespace": self.namespace}});
        let path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews".to_owned();
        let call = Call::write("ask for", "the account's rights".to_owned(), Method::POST, path, &body);
        // Asked once: there is another way to find out.
        match self.api.json(&call).await {
            Ok(mut review) => {
                let complete = review["status"]["incomplete"] != true;
                let rules = match review["status"]["resourceRules"].take() {
                    Value::Array(rules) => rules,
                    _ => Vec::new(),
                };
                Ok((rules, complete))
            }
            // Not every account may ask this, not every server of this API has it, and some break over it.
            Err(error) if error.is_code(401) || matches!(error, ApiError::Unreachable { .. }) => Err(error),
            Err(_) => Ok((Vec::new(), false)),
        }
    }

    async fn may(&self, right: &Right, verb: &str) -> Result<bool, ApiError> {
        let (resource, subresource) = right.resource.split_once('/').unwrap_or((right.resource, ""));
        let body = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {
            "resourceAttributes": {"namespace": self.namespace, "group": right.group, "resource": resource,
                "subresource": subresource, "verb": verb}}});
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews".to_owned();
        let call =
            Call::write("ask for", format!("the right to {verb} {resource}"), Method::POST, path, &body)
                .repeatable();
        Ok(self.api.json(&call).await?["status"]["allowed"] == true)
    }
}

/// Whether one of the rules grants a right for every object of the resource, as the RBAC authorizer reads them.
pub(crate) fn shows(rules: &[Value], right: &Right, verb: &str) -> bool {
    let any = |rule: &Value, key: &str, fits: &dyn Fn(&str) -> bool| {
        rule[key].as_array().is_some_and(|all| all.iter().filter_map(Value::as_str).any(fits))
    };
    let of_any_resource = right.resource.split_once('/').map(|(_, subresource)| format!("*/{subresource}"));
    rules.iter().any(|rule| {
        // A rule about named objects says nothing about the others.
        rule["resourceNames"].as_array().is_none_or(Vec::is_empty)
            && any(rule, "verbs", &|it| it == "*" || it == verb)
            && any(rule, "apiGroups", &|it| it == "*" || it == right.group)
            && any(rule, "resources", &|it| {
                it == "*" || it == right.resource || of_any_resource.as_deref() == Some(it)
            })
    })
}
