//! Pods that are alike but for their names: what they have in common passes defaults, admission and validation once, and is
//! shared by all of them.
//!
//! A refusal depends on the single pod, and a quota counts every one: then pods are made one by one.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{ApiServer, By};
use crate::kind::Kind;
use crate::object::Object;
use crate::resource::{LIMIT_RANGES, PODS, PRIORITY_CLASSES, RESOURCE_QUOTAS, Resource, SERVICE_ACCOUNTS};
use crate::status::Status;
use crate::{defaults, time, validate};

/// What the admission of a pod looks at besides the pod.
const LOOKED_AT: [&Resource; 3] = [&SERVICE_ACCOUNTS, &PRIORITY_CLASSES, &LIMIT_RANGES];

/// A pod as it comes out of admission, to make others of; its name, uid and time are nobody's.
///
/// It holds as long as nothing is written to what admission looked at, no quota is there and no fault can happen.
#[derive(Debug, Clone)]
pub(super) struct Alike {
    pub(super) pod: Object,
    /// When what was looked at was written last.
    looked_at: [u64; 3],
    /// Whether a pod has a volume with the token of its account.
    has_token: bool,
}

impl ApiServer {
    /// What all pods like this one have in common; None if one would be refused, or counted.
    pub(super) fn alike(&mut self, now: Timestamp, namespace: &str, mut pod: Value) -> Option<Alike> {
        let kind = self.kind(&PODS).ok()?;
        if self.is_counted(namespace) {
            return None;
        }
        // Nothing is made here: what is drawn is drawn again for the first pod.
        let ids = self.ids.clone();
        self.prepare_create(now, &kind, namespace, &mut pod);
        defaults::fill(&kind, &self.profile, &mut pod);
        let before = self.ids.state();
        let admitted = self.admit_create(now, &kind, &mut pod, false);
        // The name of that volume is all that is drawn there.
        let has_token = self.ids.state() != before;
        self.ids = ids;
        admitted.ok()?;
        validate::create(&kind, &self.profile, &pod).ok()?;
        Some(Alike { pod: Object::new(kind, pod), looked_at: self.looked_at(), has_token })
    }

    /// Whether pods like these still come out of admission like these.
    pub(super) fn holds(&self, alike: &Alike) -> bool {
        alike.looked_at == self.looked_at() && !self.is_counted(alike.pod.namespace())
    }

    /// Makes one, with this name or a generated one.
    ///
    /// # Errors
    ///
    /// 403 in a namespace that is about to go, 404 in none, 409 for a name that is taken.
    pub(super) fn make_alike(
        &mut self,
        now: Timestamp,
        alike: &Alike,
        name: Option<&str>,
    ) -> Result<Arc<Object>, Status> {
        let kind: &Kind = alike.pod.kind();
        let namespace = alike.pod.namespace();
        let uid = self.ids.uid();
        let name = name.map_or_else(|| self.name_after(alike.base_of_names()), str::to_owned);
        self.check_namespace(kind, namespace, &name)?;
        if alike.has_token {
            // The name of a volume of its own, which it does not get: names do not depend on what is shared.
            let _ = self.ids.suffix();
        }
        if self.store.get(&PODS, namespace, &name).is_some() {
            return Err(Status::already_exists(&PODS, &name));
        }
        Ok(self.store.put(now, alike.pod.named(name, uid, time::seconds(now))))
    }

    /// Whether something looks at every single pod: a quota, or faults of webhooks and of the server's clock.
    fn is_counted(&self, namespace: &str) -> bool {
        self.store.count(&RESOURCE_QUOTAS, Some(namespace)) > 0 || !self.faults.is_empty()
    }

    fn looked_at(&self) -> [u64; 3] {
        LOOKED_AT.map(|resource| self.store.last_change(resource))
    }
}

impl Alike {
    fn base_of_names(&self) -> &str {
        self.pod.field("metadata", "generateName").as_str().unwrap_or_default()
    }
}

/// So many different pods are remembered.
const REMEMBERED: usize = 8;

/// Pods without templates that were asked for lately, as they were sent but for their names.
///
/// An entry is only used for a pod that was sent in the same words, and while its [`Alike`] holds.
#[derive(Debug, Clone, Default)]
pub(super) struct Recent {
    /// The latest first.
    asked: VecDeque<Asked>,
}

#[derive(Debug, Clone)]
struct Asked {
    namespace: Arc<str>,
    /// What was sent, without its name.
    body: Value,
    /// Known once it was asked for twice.
    alike: Option<Arc<Alike>>,
}

impl ApiServer {
    /// Makes a pod that was sent in the same words as one before it, but for the name; None for all others, and for one that would be
    /// refused. Nobody owns its fields, so that only who is in the same process makes pods in this way.
    pub(super) fn create_again(
        &mut self,
        now: Timestamp,
        resource: &Resource,
        namespace: &str,
        body: &mut Value,
        by: &By,
    ) -> Option<Arc<Object>> {
        if *resource != PODS || by.manager.is_some() || by.dry_run || self.is_counted(namespace) {
            return None;
        }
        let metadata = body.get_mut("metadata")?.as_object_mut()?;
        if metadata.contains_key("resourceVersion") {
            return None;
        }
        let name = metadata.remove("name");
        let alike = self.recently_asked(now, namespace, body);
        let name = name.filter(|name| !name.is_null());
        let made = alike.and_then(|alike| self.make_unless_refused(now, &alike, name.as_ref()));
        if made.is_none()
            && let Some(name) = name
        {
            body["metadata"]["name"] = name;
        }
        made
    }

    fn make_unless_refused(
        &mut self,
        now: Timestamp,
        alike: &Alike,
        name: Option<&Value>,
    ) -> Option<Arc<Object>> {
        let ids = self.ids.clone();
        let name = match name {
            Some(name) => Some(name.as_str().filter(|name| validate::is_name(name))?),
            None if alike.base_of_names().is_empty() => return None,
            None => None,
        };
        let made = self.make_alike(now, alike, name).ok();
        if made.is_none() {
            // The long way finds the words for it, and draws the same.
            self.ids = ids;
        }
        made
    }

    /// What pods that are sent like this have in common, from the second one on.
    fn recently_asked(&mut self, now: Timestamp, namespace: &str, body: &Value) -> Option<Arc<Alike>> {
        let is_it = |asked: &Asked| *asked.namespace == *namespace && asked.body == *body;
        let Some(at) = self.recent.asked.iter().position(is_it) else {
            let asked = Asked { namespace: namespace.into(), body: body.clone(), alike: None };
            self.recent.asked.push_front(asked);
            self.recent.asked.truncate(REMEMBERED);
            return None;
        };
        let known = self.recent.asked[at].alike.clone().filter(|alike| self.holds(alike));
        let alike = known.or_else(|| {
            let mut pod = body.clone();
            // Any name will do that is allowed.
            pod["metadata"]["name"] = json!("a");
            self.alike(now, namespace, pod).map(Arc::new)
        });
        self.recent.asked[at].alike.clone_from(&alike);
        alike
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::server::Seed;

    const NOW: Timestamp = Timestamp::constant(1_767_225_600, 0);

    /// Something that happens to a namespace.
    #[derive(Debug, Clone)]
    enum Act {
        Pod(Value),
        Limits,
        Account,
        Quota,
    }

    fn pod() -> impl Strategy<Value = Value> {
        let names = prop::sample::select(vec!["a", "b", "c", "d", "NOT A NAME", ""]);
        let images = prop::sample::select(vec!["web:1", "web:2", ""]);
        let labels = prop::sample::select(vec!["x", "y"]);
        (names, images, labels, any::<bool>(), any::<bool>()).prop_map(
            |(name, image, label, generates, mounts)| {
                let mut pod = json!({"metadata": {"labels": {"app": label}}, "spec": {
                    "automountServiceAccountToken": mounts, "containers": [{"name": "a", "image": image}]}});
                if !name.is_empty() {
                    pod["metadata"]["name"] = json!(name);
                }
                if generates {
                    pod["metadata"]["generateName"] = json!("some-");
                }
                pod
            },
        )
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            30 => pod().prop_map(Act::Pod),
            1 => Just(Act::Limits),
            1 => Just(Act::Account),
            1 => Just(Act::Quota),
        ]
    }

    fn other(server: &mut ApiServer, resource: &Resource, body: Value) {
        // The second one of a name is refused, which is as good as the first.
        let _ = server.create(NOW, resource, "default", body, &By::nobody());
    }

    /// As a client sees it, with one name for all volumes with tokens.
    fn plain(made: Result<Arc<Object>, Status>) -> Value {
        let Ok(pod) = made else { return json!(made.err().map(|why| why.message)) };
        let mut value = pod.to_value();
        for list in ["/spec/volumes", "/spec/containers/0/volumeMounts"] {
            for entry in value.pointer_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                assert!(entry["name"].as_str().is_some_and(|name| name.starts_with("kube-api-access-")));
                entry["name"] = json!("token");
            }
        }
        value
    }

    proptest! {
        /// Whatever was asked for before, a pod is the one that the long way would have made, or is refused in the same words.
        #[test]
        fn a_pod_does_not_depend_on_pods_like_it(acts in prop::collection::vec(act(), 1..60)) {
            let (mut short, mut long) =
                (ApiServer::new(NOW, &Seed::default()), ApiServer::new(NOW, &Seed::default()));
            let mut shared = 0;
            for act in acts {
                for server in [&mut short, &mut long] {
                    match &act {
                        Act::Pod(_) => {}
                        Act::Limits => other(server, &LIMIT_RANGES, json!({"metadata": {"name": "small"},
                            "spec": {"limits": [{"type": "Container", "default": {"cpu": "1"}}]}})),
                        Act::Account => other(server, &SERVICE_ACCOUNTS, json!({"metadata": {"name": "more"}})),
                        Act::Quota => other(server, &RESOURCE_QUOTAS, json!({"metadata": {"name": "few"},
                            "spec": {"hard": {"pods": "9"}}})),
                    }
                }
                let Act::Pod(body) = act else { continue };
                let quick = short.create(NOW, &PODS, "default", body.clone(), &By::nobody());
                shared += usize::from(quick.is_ok());
                let slow = long.make(NOW, &PODS, "default", body, None, &By::nobody());
                prop_assert_eq!(plain(quick), plain(slow));
                prop_assert_eq!(short.ids.state(), long.ids.state());
            }
            prop_assert!(short.store.count(&PODS, None) == shared);
        }
    }

    #[test]
    fn pods_that_were_sent_in_the_same_words_share_their_specs() {
        let mut server = ApiServer::new(NOW, &Seed::default());
        let mut make = |name: &str, image: &str| {
            let pod = json!({"metadata": {"name": name},
                "spec": {"containers": [{"name": "a", "image": image}]}});
            server.create(NOW, &PODS, "default", pod, &By::nobody()).unwrap()
        };
        let [_, two, three, other] =
            [("one", "web:1"), ("two", "web:1"), ("three", "web:1"), ("other", "web:2")]
                .map(|(name, image)| make(name, image));
        let spec = |pod: &Object| pod.section("spec").unwrap().clone();
        assert!(spec(&two).is(&spec(&three)));
        assert!(!spec(&two).is(&spec(&other)));
        assert_ne!(two.uid(), three.uid());
    }
}
