//! One pod behind a Service, as EndpointSlices and Endpoints show it: the pod and what counts of it, until somebody reads
//! it as JSON.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::ports::List;
use crate::object::Object;
use crate::section::Facts;

/// One pod behind a Service.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(super) pod: Arc<Object>,
    pub(super) ready: bool,
    pub(super) serving: bool,
    pub(super) terminating: bool,
}

impl Member {
    /// `publish`: it counts as ready in any case.
    pub(super) fn new(pod: &Arc<Object>, publish: bool) -> Self {
        let (is_ready, terminating) = (pod.is_ready(), pod.is_terminating());
        Self {
            pod: Arc::clone(pod),
            ready: publish || (is_ready && !terminating),
            serving: publish || is_ready,
            terminating,
        }
    }

    fn target(&self) -> Value {
        let pod = &self.pod;
        json!({"kind": "Pod", "namespace": pod.namespace(), "name": pod.name(), "uid": pod.uid()})
    }

    fn node(&self) -> &Value {
        self.pod.field("spec", "nodeName")
    }

    fn is_at_the_same_place(&self, other: &Self) -> bool {
        let (a, b) = (&self.pod, &other.pod);
        let field = |name: &str| a.field("spec", name) == b.field("spec", name);
        let same_spec = || match (a.section("spec"), b.section("spec")) {
            (Some(a), Some(b)) if a.is(b) => true,
            _ => ["nodeName", "hostname", "subdomain"].into_iter().all(field),
        };
        Arc::ptr_eq(a, b) || (a.uid == b.uid && a.name == b.name && a.pod_ip() == b.pod_ip() && same_spec())
    }

    /// An entry of a slice.
    fn endpoint(&self) -> Value {
        let mut endpoint = json!({
            "addresses": [self.pod.pod_ip()],
            "conditions": {"ready": self.ready, "serving": self.serving, "terminating": self.terminating},
            "nodeName": self.node(),
            "targetRef": self.target(),
        });
        let hostname = self.pod.field("spec", "hostname");
        if !self.pod.field("spec", "subdomain").is_null() && !hostname.is_null() {
            endpoint["hostname"] = hostname.clone();
        }
        endpoint
    }

    /// An entry of Endpoints.
    fn address(&self) -> Value {
        json!({"ip": self.pod.pod_ip(), "nodeName": self.node(), "targetRef": self.target()})
    }
}

impl PartialEq for Member {
    fn eq(&self, other: &Self) -> bool {
        (self.ready, self.serving, self.terminating) == (other.ready, other.serving, other.terminating)
            && self.is_at_the_same_place(other)
    }
}

/// `endpoints` of a slice.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Members(pub(super) Vec<Member>);

impl Facts for Members {
    fn mark(&self) -> &'static str {
        // A list has no fields.
        ""
    }

    fn to_value(&self) -> Value {
        self.0.iter().map(Member::endpoint).collect()
    }
}

/// One of the `subsets` of Endpoints: the pods with the same ports.
#[derive(Debug, PartialEq)]
pub(super) struct Subset {
    pub(super) ports: Arc<List>,
    pub(super) ready: Vec<Member>,
    pub(super) waiting: Vec<Member>,
}

/// `subsets` of Endpoints.
#[derive(Debug, PartialEq)]
pub(super) struct Subsets(pub(super) Vec<Subset>);

impl Facts for Subsets {
    fn mark(&self) -> &'static str {
        // A list has no fields.
        ""
    }

    fn to_value(&self) -> Value {
        self.0.iter().map(Subset::to_value).collect()
    }
}

impl Subset {
    fn to_value(&self) -> Value {
        let mut subset = Map::new();
        for (field, list) in [("addresses", &self.ready), ("notReadyAddresses", &self.waiting)] {
            if !list.is_empty() {
                subset.insert(field.to_owned(), list.iter().map(Member::address).collect());
            }
        }
        if self.ports.plain.as_array().is_some_and(|ports| !ports.is_empty()) {
            subset.insert("ports".to_owned(), self.ports.plain.clone());
        }
        Value::Object(subset)
    }
}
