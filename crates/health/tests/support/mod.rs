//! Recorded situations as snapshots.

use std::path::{Path, PathBuf};
use std::time::Duration;

use release_core::{MonoTime, ObjectRef};
use release_health::{Snapshot, Target};
use serde_json::Value;

/// One recorded moment.
#[derive(Clone)]
pub(crate) struct Moment {
    pub(crate) seconds: u64,
    pub(crate) items: Vec<Value>,
}

impl Moment {
    pub(crate) fn now(&self) -> MonoTime {
        at(self.seconds)
    }

    pub(crate) fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.items.iter().filter(move |o| o["kind"] == kind)
    }

    pub(crate) fn workload(&self) -> Option<&Value> {
        self.items
            .iter()
            .find(|o| ["Deployment", "StatefulSet", "DaemonSet", "Job"].iter().any(|k| o["kind"] == *k))
    }

    pub(crate) fn snapshot(&self) -> Snapshot<'_> {
        Snapshot {
            workload: self.workload(),
            replica_sets: self.of_kind("ReplicaSet").collect(),
            pods: self.of_kind("Pod").collect(),
            events: self.of_kind("Event").collect(),
        }
    }

    pub(crate) fn target(&self) -> Target {
        let workload = self.workload().expect("every situation has a workload");
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let meta = &workload["metadata"];
        Target {
            min_generation: meta["generation"].as_i64(),
            uid: Some(text(&meta["uid"])),
            ..Target::new(ObjectRef::new(
                &text(&workload["apiVersion"]),
                &text(&workload["kind"]),
                &text(&meta["namespace"]),
                &text(&meta["name"]),
            ))
        }
    }
}

/// The point so many seconds after the apply.
pub(crate) fn at(seconds: u64) -> MonoTime {
    MonoTime::from_origin(Duration::from_secs(seconds))
}

pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// What is known about the situations: name, cause, class.
pub(crate) fn index() -> Vec<(String, String, String)> {
    let text = std::fs::read_to_string(fixtures().join("index.json")).expect("index.json is there");
    let index: Vec<Value> = serde_json::from_str(&text).expect("index.json is JSON");
    let field = |entry: &Value, name: &str| entry[name].as_str().expect(name).to_owned();
    index.iter().map(|e| (field(e, "situation"), field(e, "cause"), field(e, "class"))).collect()
}

/// The moments of a situation, in order.
pub(crate) fn moments(situation: &str) -> Vec<Moment> {
    let folder = fixtures().join(situation);
    let mut moments: Vec<Moment> = std::fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| {
            let path = entry.expect("a readable folder").path();
            let stem = path.file_stem().and_then(|s| s.to_str()).expect("a name in UTF-8");
            let seconds = stem.trim_end_matches('s').parse().expect("a name in seconds");
            let text = std::fs::read_to_string(&path).expect("a readable file");
            let Value::Object(mut list) = serde_json::from_str(&text).expect("JSON") else {
                panic!("{}: not a list", path.display());
            };
            let Some(Value::Array(items)) = list.remove("items") else {
                panic!("{}: no items", path.display());
            };
            Moment { seconds, items }
        })
        .collect();
    moments.sort_by_key(|m| m.seconds);
    moments
}
