//! Pods of one template: what all of them have in common passes defaults, admission and validation once, and is shared.
//!
//! What a refusal says depends on the single pod, and a quota counts every one: then pods are made one by one.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::ApiServer;
use crate::kind::Kind;
use crate::object::{Object, Sections};
use crate::resource::{LIMIT_RANGES, PODS, PRIORITY_CLASSES, RESOURCE_QUOTAS, Resource, SERVICE_ACCOUNTS};
use crate::section::Section;
use crate::status::Status;
use crate::{defaults, time, validate};

/// What the admission of a pod looks at besides the pod.
const LOOKED_AT: [&Resource; 3] = [&SERVICE_ACCOUNTS, &PRIORITY_CLASSES, &LIMIT_RANGES];

/// What all pods of a template have in common.
#[derive(Debug, Clone)]
pub(crate) struct Mould {
    /// The owner's spec with the template.
    owner: Section,
    /// When what was looked at was written last.
    looked_at: [u64; 3],
    kind: Arc<Kind>,
    namespace: Arc<str>,
    /// Whether its pods have a volume with the token of their account.
    has_token: bool,
    metadata: Section,
    spec: Section,
    status: Section,
}

impl Mould {
    /// Whether it is for the template of this owner.
    pub(crate) fn is_of(&self, owner: &Object) -> bool {
        let template = |spec: &Section| std::ptr::from_ref(spec.field("template"));
        owner.section("spec").is_some_and(|spec| template(spec) == template(&self.owner))
    }

    /// Whether a pod certainly has the labels of its template.
    pub(crate) fn labelled(&self, pod: &Object) -> bool {
        pod.section("metadata").is_some_and(|metadata| metadata.shares_field(&self.metadata, "labels"))
    }
}

impl ApiServer {
    /// The mould of `pod`, which `owner` makes from its template; None if one like it would be refused, or counted.
    pub(crate) fn mould(&mut self, now: Timestamp, owner: &Object, mut pod: Value) -> Option<Mould> {
        let kind = self.kind(&PODS).ok()?;
        let namespace = Arc::clone(&owner.namespace);
        if self.is_counted(&namespace) {
            return None;
        }
        // Nothing is made here: what is drawn is drawn again for the first pod.
        let ids = self.ids.clone();
        self.prepare_create(now, &kind, &namespace, &mut pod);
        defaults::fill(&kind, &self.profile, &mut pod);
        let before = self.ids.state();
        let admitted = self.admit_create(now, &kind, &mut pod, false);
        // The name of that volume is all that is drawn there.
        let has_token = self.ids.state() != before;
        self.ids = ids;
        admitted.ok()?;
        validate::create(&kind, &self.profile, &pod).ok()?;
        let looked_at = self.looked_at();
        let pod = Object::new(Arc::clone(&kind), pod);
        let section = |name: &str| pod.section(name).cloned();
        Some(Mould {
            owner: owner.section("spec")?.clone(),
            looked_at,
            kind,
            namespace,
            has_token,
            metadata: section("metadata")?,
            spec: section("spec")?,
            status: section("status")?,
        })
    }

    /// Whether pods of this owner still come out of this mould.
    pub(crate) fn fits(&self, mould: &Mould, owner: &Object) -> bool {
        mould.is_of(owner) && mould.looked_at == self.looked_at() && !self.is_counted(&mould.namespace)
    }

    /// Makes a pod.
    ///
    /// # Errors
    ///
    /// 403 in a namespace that is about to go, 404 in none, 409 for a name that is taken.
    pub(crate) fn cast(&mut self, now: Timestamp, mould: &Mould) -> Result<Arc<Object>, Status> {
        let base = mould.metadata.field("generateName").as_str().unwrap_or_default();
        let (uid, name) = (self.ids.uid(), self.name_after(base));
        self.check_namespace(&mould.kind, &mould.namespace, &name)?;
        if mould.has_token {
            // The name of a volume of its own, which it does not get: names do not depend on whether there is a mould.
            let _ = self.ids.suffix();
        }
        if self.store.get(&PODS, &mould.namespace, &name).is_some() {
            return Err(Status::already_exists(&PODS, &name));
        }
        let metadata = mould.metadata.with([
            ("name", json!(name)),
            ("uid", json!(uid)),
            ("creationTimestamp", json!(time::seconds(now))),
        ]);
        let id = (Arc::clone(&mould.namespace), Arc::from(name), Arc::from(uid));
        let sections = Sections::of_three(metadata, mould.spec.clone(), mould.status.clone());
        Ok(self.store.put(now, Object::of_sections(Arc::clone(&mould.kind), id, sections)))
    }

    /// Whether something looks at every single pod: a quota, or faults of webhooks and of the server's clock.
    fn is_counted(&self, namespace: &str) -> bool {
        self.store.count(&RESOURCE_QUOTAS, Some(namespace)) > 0 || !self.faults.is_empty()
    }

    fn looked_at(&self) -> [u64; 3] {
        LOOKED_AT.map(|resource| self.store.last_change(resource))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
