//! Deployments: the stories of a rollout.

use release_sim::resource::{DEPLOYMENTS, PODS, REPLICA_SETS};
use serde_json::json;

use crate::cluster::{Cluster, deployment};

fn image_of(cluster: &mut Cluster, image: &str) {
    cluster.edit(&DEPLOYMENTS, "web", |d| {
        d["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
    });
}

fn sizes(cluster: &Cluster) -> Vec<i64> {
    cluster.list(&REPLICA_SETS).iter().map(|s| s["spec"]["replicas"].as_i64().unwrap()).collect()
}

#[test]
fn a_new_deployment_becomes_available() {
    let mut cluster = Cluster::new();
    cluster.create(&DEPLOYMENTS, deployment(2, "v1"));
    cluster.pass(10);
    let web = cluster.get(&DEPLOYMENTS, "web");
    assert_eq!(web["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "1");
    let set = &cluster.list(&REPLICA_SETS)[0];
    let counts = json!({"replicas": 2, "fullyLabeledReplicas": 2, "readyReplicas": 2, "availableReplicas": 2,
        "observedGeneration": 1, "terminatingReplicas": 0});
    assert_eq!(set["status"], counts);
    assert_eq!(cluster.list(&PODS).len(), 2);
    assert_eq!(cluster.told("ScalingReplicaSet"), ["Scaled up replica set web-# from 0 to 2"]);
}

#[test]
fn a_new_image_replaces_pods_step_by_step() {
    let mut cluster = Cluster::new();
    cluster.create(&DEPLOYMENTS, deployment(2, "v1"));
    cluster.pass(10);
    image_of(&mut cluster, "v2");
    cluster.pass(30);
    assert_eq!(
        cluster.told("ScalingReplicaSet"),
        [
            "Scaled up replica set web-# from 0 to 2",
            "Scaled up replica set web-# from 0 to 1",
            "Scaled down replica set web-# from 2 to 1",
            "Scaled up replica set web-# from 1 to 2",
            "Scaled down replica set web-# from 1 to 0",
        ]
    );
    assert_eq!(cluster.list(&PODS).len(), 2);
}

#[test]
fn a_bad_image_gets_stuck_and_the_old_pods_stay() {
    let mut cluster = Cluster::new();
    cluster.create(&DEPLOYMENTS, deployment(4, "v1"));
    cluster.pass(10);
    image_of(&mut cluster, "bad");
    cluster.pass(60);
    let progressing = cluster.condition(&DEPLOYMENTS, "web", "Progressing").unwrap();
    assert_eq!(progressing, ("True".to_owned(), "ReplicaSetUpdated".to_owned()));
    cluster.pass(600);
    let progressing = cluster.condition(&DEPLOYMENTS, "web", "Progressing").unwrap();
    assert_eq!(progressing, ("False".to_owned(), "ProgressDeadlineExceeded".to_owned()));
    let available = cluster.condition(&DEPLOYMENTS, "web", "Available").unwrap();
    assert_eq!(available.0, "True");
    let mut sizes = sizes(&cluster);
    sizes.sort_unstable();
    assert_eq!(sizes, [2, 3], "three old pods serve, two new ones try");
}
