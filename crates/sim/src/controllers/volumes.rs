//! Claims of volumes: bound at once, by a volume made for them; kept while a pod uses them.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::json;

use super::cursor::{Cursor, never_had};
use super::key::Key;
use super::pods;
use super::read::{items, text};
use crate::actor::Actor;
use crate::controllers::turns::Watcher;
use crate::object::Object;
use crate::resource::{PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, Resources, STORAGE_CLASSES};
use crate::server::{ApiServer, By};
use crate::store::What;

/// Makes volumes for claims.
#[derive(Debug, Clone, Default)]
pub struct Volumes {
    cursor: Cursor,
}

impl Actor for Volumes {
    fn act(&mut self, server: &mut ApiServer, now: Timestamp) -> Option<Timestamp> {
        if never_had(server.store(), &PERSISTENT_VOLUME_CLAIMS) {
            return None;
        }
        let mut touched = BTreeSet::new();
        self.cursor.look(server.store(), &[&PERSISTENT_VOLUME_CLAIMS, &STORAGE_CLASSES, &PODS], |news| {
            if *news.object.resource() == PERSISTENT_VOLUME_CLAIMS {
                if news.what != What::Deleted {
                    touched.insert(Key::of(news.object));
                }
            } else if *news.object.resource() == PODS {
                if news.what == What::Deleted || pods::is_finished(news.object) {
                    for claim in claims(news.object) {
                        touched.insert(Key::new(news.object.namespace(), claim));
                    }
                }
            } else if news.what != What::Deleted {
                let claims = server.store().list(&PERSISTENT_VOLUME_CLAIMS, None);
                touched.extend(claims.map(|claim| Key::of(claim)));
            }
        });
        for key in touched {
            let claim = server.store().get(&PERSISTENT_VOLUME_CLAIMS, &key.namespace, &key.name).cloned();
            match claim {
                Some(claim) if claim.is_terminating() => release(server, now, &claim),
                Some(claim) if text(&claim["status"]["phase"]) != "Bound" => bind(server, now, &claim),
                _ => {}
            }
        }
        None
    }
}

impl Watcher for Volumes {
    fn watched(&self) -> Resources {
        const { Resources::of(&[&PERSISTENT_VOLUME_CLAIMS, &STORAGE_CLASSES, &PODS]) }
    }

    fn cursor(&mut self) -> &mut Cursor {
        &mut self.cursor
    }
}

fn claims(pod: &Object) -> impl Iterator<Item = &str> {
    items(pod.field("spec", "volumes")).filter_map(|v| v["persistentVolumeClaim"]["claimName"].as_str())
}

/// A claim of a class that is not there waits.
fn bind(server: &mut ApiServer, now: Timestamp, claim: &Object) {
    let spec = &claim["spec"];
    let class = text(&spec["storageClassName"]);
    if !class.is_empty() && server.store().get(&STORAGE_CLASSES, "", class).is_none() {
        return;
    }
    let volume = format!("pvc-{}", claim.uid());
    let capacity = spec["resources"]["requests"].clone();
    let body = json!({
        "metadata": {"name": volume},
        "spec": {
            "capacity": capacity,
            "accessModes": spec["accessModes"],
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": class,
            "hostPath": {"path": format!("/var/lib/volumes/{volume}")},
            "claimRef": {
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": claim.namespace(),
                "name": claim.name(), "uid": claim.uid(),
            },
        },
    });
    if server.store().get(&PERSISTENT_VOLUMES, "", &volume).is_none()
        && server.create(now, &PERSISTENT_VOLUMES, "", body, &By::nobody()).is_ok()
    {
        let bound = json!({"phase": "Bound"});
        let _ = server.update_status(now, &PERSISTENT_VOLUMES, "", &volume, bound, &By::nobody());
    }
    let mut next = spec.clone();
    next["volumeName"] = json!(volume);
    let status = json!({"phase": "Bound", "accessModes": spec["accessModes"], "capacity": capacity});
    server.store_mut().put(now, claim.with("spec", next).with("status", status));
}

/// Lets a claim go that no pod uses.
fn release(server: &mut ApiServer, now: Timestamp, claim: &Object) {
    const PROTECTION: &str = "kubernetes.io/pvc-protection";
    let is_used = server
        .store()
        .list(&PODS, Some(claim.namespace()))
        .any(|pod| !pods::is_finished(pod) && claims(pod).any(|name| name == claim.name()));
    if is_used || !items(&claim["metadata"]["finalizers"]).any(|f| f == PROTECTION) {
        return;
    }
    let (namespace, name) = (claim.namespace(), claim.name());
    let volume = text(&claim["spec"]["volumeName"]);
    let _ = server.edit(now, &PERSISTENT_VOLUME_CLAIMS, namespace, name, &By::nobody(), |body| {
        if let Some(list) = body["metadata"]["finalizers"].as_array_mut() {
            list.retain(|f| f != PROTECTION);
        }
    });
    if let Some(volume) = server.store().get(&PERSISTENT_VOLUMES, "", volume).cloned() {
        server.store_mut().remove(now, (*volume).clone());
    }
}
