//! Pods of one template: what they have in common is read from it once, as of pods that are [`Alike`].

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::ApiServer;
use super::alike::Alike;
use crate::object::Object;
use crate::section::Section;
use crate::status::Status;

/// What all pods of a template have in common.
#[derive(Debug, Clone)]
pub(crate) struct Mould {
    /// The owner's spec with the template.
    owner: Section,
    alike: Alike,
}

impl Mould {
    /// Whether it is for the template of this owner.
    pub(crate) fn is_of(&self, owner: &Object) -> bool {
        // A spec of another size still has the same template.
        owner.section("spec").is_some_and(|spec| spec.shares_field(&self.owner, "template"))
    }

    /// Whether a pod certainly has the labels of its template.
    pub(crate) fn labelled(&self, pod: &Object) -> bool {
        pod.shares_labels(&self.alike.pod)
    }
}

impl ApiServer {
    /// The mould of `pod`, which `owner` makes from its template; None if one like it would be refused, or counted.
    pub(crate) fn mould(&mut self, now: Timestamp, owner: &Object, pod: Value) -> Option<Mould> {
        let alike = self.alike(now, owner.namespace(), pod)?;
        Some(Mould { owner: owner.section("spec")?.clone(), alike })
    }

    /// Whether pods of this owner still come out of this mould.
    pub(crate) fn fits(&self, mould: &Mould, owner: &Object) -> bool {
        mould.is_of(owner) && self.holds(&mould.alike)
    }

    /// Makes a pod.
    ///
    /// # Errors
    ///
    /// 403 in a namespace that is about to go, 404 in none, 409 for a name that is taken.
    pub(crate) fn cast(&mut self, now: Timestamp, mould: &Mould) -> Result<Arc<Object>, Status> {
        self.make_alike(now, &mould.alike, None)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resource::{LIMIT_RANGES, PODS, RESOURCE_QUOTAS};
    use crate::server::{By, Seed};

    fn owner(server: &mut ApiServer, now: Timestamp) -> Arc<Object> {
        let labels = json!({"app": "web"});
        let spec = json!({"containers": [{"name": "web", "image": "web:1",
            "resources": {"requests": {"cpu": "100m"}}}]});
        let body = json!({"metadata": {"name": "web"}, "spec": {"selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec}}});
        server.create(now, &crate::resource::REPLICA_SETS, "default", body, &By::nobody()).unwrap()
    }

    fn pod(owner: &Object) -> Value {
        json!({"metadata": {"generateName": "web-", "labels": {"app": "web"}},
            "spec": owner["spec"]["template"]["spec"]})
    }

    /// A pod from the mould is the pod that would have been made without one.
    #[test]
    fn a_cast_pod_reads_like_one_that_was_created() {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut server = ApiServer::new(now, &Seed::default());
        let owner = owner(&mut server, now);
        let long = server.create(now, &PODS, "default", pod(&owner), &By::nobody()).unwrap();
        let mould = server.mould(now, &owner, pod(&owner)).unwrap();
        let (one, other) = (server.cast(now, &mould).unwrap(), server.cast(now, &mould).unwrap());
        assert!(one.uid() != other.uid() && one.name() != other.name());
        assert!(one.section("spec").unwrap().is(other.section("spec").unwrap()));
        let plain = |pod: &Object| {
            let mut value = pod.to_value();
            for field in ["uid", "name", "resourceVersion"] {
                value["metadata"][field] = json!(field);
            }
            let token = value["spec"]["volumes"][0]["name"].take();
            let mount = value["spec"]["containers"][0]["volumeMounts"][0]["name"].take();
            assert_eq!(token, mount);
            value
        };
        assert_eq!(plain(&one), plain(&long));
    }

    #[test]
    fn a_mould_lasts_until_something_it_depends_on_changes() {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut server = ApiServer::new(now, &Seed::default());
        let owner = owner(&mut server, now);
        let mould = server.mould(now, &owner, pod(&owner)).unwrap();
        assert!(server.fits(&mould, &owner));
        let scaled = owner.with_fields("spec", [("replicas", json!(7))]);
        assert!(server.fits(&mould, &scaled), "another size");
        let other = owner.with_fields("spec", [("template", json!({"spec": {}}))]);
        assert!(!server.fits(&mould, &other), "another template");
        let limits = json!({"metadata": {"name": "small"}, "spec": {"limits": [
            {"type": "Container", "default": {"cpu": "1"}}]}});
        server.create(now, &LIMIT_RANGES, "default", limits, &By::nobody()).unwrap();
        assert!(!server.fits(&mould, &owner), "other limits");
        let quota = json!({"metadata": {"name": "few"}, "spec": {"hard": {"pods": "1"}}});
        server.create(now, &RESOURCE_QUOTAS, "default", quota, &By::nobody()).unwrap();
        assert!(server.mould(now, &owner, pod(&owner)).is_none(), "a quota");
    }

    #[test]
    fn what_would_be_refused_has_no_mould() {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut server = ApiServer::new(now, &Seed::default());
        let owner = owner(&mut server, now);
        let mut bad = pod(&owner);
        bad["spec"]["containers"][0]["name"] = json!("NOT A NAME");
        assert!(server.mould(now, &owner, bad).is_none());
    }
}
