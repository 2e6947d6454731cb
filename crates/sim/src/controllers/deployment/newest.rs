//! The ReplicaSet of a Deployment's current template: found, brought up to date, or made.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::condition::Claim;
use super::maths;
use super::of_template;
use super::set::{self, HASH, Marks, REVISION, Set, annotations};
use super::status::PROGRESSING;
use super::sync::Sync;
use crate::controllers::events::Tone;
use crate::controllers::read::{count, text};
use crate::controllers::write::{self, Refused};
use crate::resource::REPLICA_SETS;
use crate::server::By;
use crate::status::Status;

impl Sync<'_> {
    /// Makes it if it is not there.
    pub(super) fn require_new(&mut self) -> Result<(), Refused> {
        if self.new.is_some() { self.update_new() } else { self.create_new() }
    }

    fn next_revision(&self) -> i64 {
        self.old.iter().map(|set| set.marks().revision).max().unwrap_or(0) + 1
    }

    /// Brings its annotations and `minReadySeconds` up to date.
    pub(super) fn update_new(&mut self) -> Result<(), Refused> {
        let revision = self.next_revision();
        let Some(set) = &self.new else { return Ok(()) };
        let min_ready = self.plan.min_ready;
        if set::needs_revision(&set.object, &self.deployment, revision) || set.min_ready() != min_ready {
            let mut annotations = annotations(&set.object);
            set::annotate_revision(&mut annotations, &self.deployment, revision, true);
            let known = set.object.field("spec", "minReadySeconds");
            let min_ready = if min_ready == 0 && known.is_null() { Value::Null } else { json!(min_ready) };
            let spec = [("minReadySeconds", min_ready)];
            let object = write::spec(self.server, self.now, &set.object, spec, Some(annotations))?;
            self.new = Some(Set { object, ..set.clone() });
        }
        let unknown = self.conditions.find(PROGRESSING).is_none();
        if unknown && self.deadline_seconds().is_some() {
            let name = self.new.as_ref().map(Set::name).unwrap_or_default();
            let message = format!("Found new replica set \"{name}\"");
            let claim = Claim { kind: PROGRESSING, status: "True", reason: "FoundNewReplicaSet" };
            self.conditions.set(self.now, claim, || message);
            self.say_at_once();
        }
        self.write_revision();
        Ok(())
    }

    fn create_new(&mut self) -> Result<(), Refused> {
        let deployment = Arc::clone(&self.deployment);
        let hash = of_template(deployment.field("spec", "template"), self.collisions);
        let size = if self.is_recreated() {
            self.desired
        } else {
            let total = self.old.iter().map(|s| s.spec).sum();
            maths::size_of_new(self.desired, self.room.surge, total, 0)
        };
        let body = self.body_of_new(&hash, size);
        let namespace = deployment.namespace();
        let made = self.server.create(self.now, &REPLICA_SETS, namespace, body, &By::nobody());
        let object = match made {
            Ok(object) => object,
            Err(why) => {
                self.could_not_create(&hash, &why);
                return Err(Refused);
            }
        };
        let name = object.name().to_owned();
        if size > 0 {
            self.tell_scaled(&name, 0, size);
        }
        self.new = Some(Set::new(object));
        // A real controller's word of it is lost in a conflict with its own word that the Deployment is resumed.
        let resumed = self.conditions.reason(PROGRESSING) == Some("DeploymentResumed");
        if self.deadline_seconds().is_some() && !resumed {
            let claim = Claim { kind: PROGRESSING, status: "True", reason: "NewReplicaSetCreated" };
            self.conditions.set(self.now, claim, || format!("Created new replica set \"{name}\""));
        }
        self.write_revision();
        Ok(())
    }

    fn body_of_new(&self, hash: &str, size: i64) -> Value {
        let spec = &self.deployment["spec"];
        let mut template = spec["template"].clone();
        template["metadata"]["labels"][HASH] = json!(hash);
        let mut selector = spec["selector"].clone();
        selector["matchLabels"][HASH] = json!(hash);
        let mut annotations = Map::new();
        set::annotate_revision(&mut annotations, &self.deployment, self.next_revision(), false);
        set::annotate_size(&mut annotations, self.desired, self.desired + self.room.surge);
        let mut body = json!({
            "metadata": {
                "name": format!("{}-{hash}", self.deployment.name()),
                "labels": template["metadata"]["labels"],
                "annotations": annotations,
                "ownerReferences": [write::controller_reference(&self.deployment)],
            },
            "spec": {"replicas": size, "selector": selector, "template": template},
        });
        let min_ready = count(&spec["minReadySeconds"]);
        if min_ready != 0 {
            body["spec"]["minReadySeconds"] = json!(min_ready);
        }
        body
    }

    fn could_not_create(&mut self, hash: &str, why: &Status) {
        if why.reason == "AlreadyExists" {
            // Somebody else's ReplicaSet has this name: the next hash is another one.
            self.collisions = Some(self.collisions.unwrap_or(0) + 1);
            return;
        }
        let is_going = why.details.causes.iter().any(|c| c.reason == "NamespaceTerminating");
        if !is_going {
            let name = format!("{}-{hash}", self.deployment.name());
            let message = format!("Failed to create new replica set \"{name}\": {}", why.message);
            if self.deadline_seconds().is_some() {
                let claim = Claim { kind: PROGRESSING, status: "False", reason: "ReplicaSetCreateError" };
                self.conditions.set(self.now, claim, || message.clone());
            }
            self.tell(Tone::Warning, "ReplicaSetCreateError", &message);
        }
    }

    /// The Deployment takes over the revision of its newest ReplicaSet; its generation does not change by that.
    fn write_revision(&mut self) {
        let Some(new) = &self.new else { return };
        let revision = &new.marks().written_revision;
        if revision.is_null() || Marks::on(&self.deployment).written_revision == *revision {
            return;
        }
        let mut annotations = self.deployment.field("metadata", "annotations").clone();
        annotations[REVISION] = json!(text(revision));
        let next = self.deployment.with_fields("metadata", [("annotations", annotations)]);
        self.deployment = self.server.store_mut().put(self.now, next);
    }
}
