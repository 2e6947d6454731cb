//! Assesses a Deployment from a JSON list of everything in its namespace, or a recorded one without arguments:
//!
//! ```text
//! kubectl get deployments,replicasets,pods,events -o json > seen.json
//! cargo run -p release-health --example assess -- seen.json web
//! ```

use std::error::Error;

use release_core::{MonoTime, ObjectRef};
use release_health::{Graces, Snapshot, Target, Tracker};
use serde_json::Value;

fn main() -> Result<(), Box<dyn Error>> {
    let recorded = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/update-bad-image/004s.json");
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap_or_else(|| recorded.to_owned());
    let name = arguments.next().unwrap_or_else(|| "web".to_owned());

    let list: Value = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    let items = list["items"].as_array().ok_or("not a list of objects")?;
    let of_kind = |kind: &str| items.iter().filter(|o| o["kind"] == kind).collect::<Vec<_>>();
    let snapshot = Snapshot {
        workload: of_kind("Deployment").into_iter().find(|d| d["metadata"]["name"] == *name),
        replica_sets: of_kind("ReplicaSet"),
        pods: of_kind("Pod"),
        events: of_kind("Event"),
    };
    let target = Target::new(ObjectRef::new("apps/v1", "Deployment", "default", &name));
    let assessment = Tracker::new(target, Graces::default()).assess(MonoTime::ZERO, &snapshot);

    println!("{name}: {:?}, {:?}", assessment.status, assessment.readiness);
    if let Some(cause) = assessment.cause {
        println!("{} ({:?}): {}", cause.kind, cause.certainty, cause.summary);
        for seen in cause.evidence {
            println!("  {} {}: {}", seen.at.as_deref().unwrap_or("now"), seen.object, seen.message);
        }
    }
    Ok(())
}
