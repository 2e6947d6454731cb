//! Deployments: the stories of a rollout.

use release_sim::resource::{DEPLOYMENTS, PODS, REPLICA_SETS};
use release_sim::{DeleteOptions, Propagation};
use serde_json::json;

use crate::cluster::{Cluster, deployment, template};

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

#[test]
fn scaling_up_and_down_keeps_the_replica_set() {
    let mut cluster = Cluster::new();
    cluster.create(&DEPLOYMENTS, deployment(2, "v1"));
    cluster.pass(10);
    for n in [5, 1, 0, 3] {
        cluster.edit(&DEPLOYMENTS, "web", |d| d["spec"]["replicas"] = json!(n));
        cluster.pass(10);
        assert_eq!(cluster.list(&PODS).len(), n);
        assert_eq!(sizes(&cluster), [i64::try_from(n).unwrap()]);
        let desired = &cluster.list(&REPLICA_SETS)[0]["metadata"]["annotations"];
        assert_eq!(desired["deployment.kubernetes.io/desired-replicas"], n.to_string());
    }
    assert_eq!(cluster.condition(&DEPLOYMENTS, "web", "Available").unwrap().0, "True");
    let told = cluster.told("ScalingReplicaSet");
    assert_eq!(
        told[1..],
        [
            "Scaled up replica set web-# from 2 to 5",
            "Scaled down replica set web-# from 5 to 1",
            "Scaled down replica set web-# from 1 to 0",
            "Scaled up replica set web-# from 0 to 3",
        ]
    );
}

#[test]
fn going_back_to_an_old_template_revives_its_replica_set() {
    let mut cluster = Cluster::new();
    cluster.create(&DEPLOYMENTS, deployment(2, "v1"));
    cluster.pass(10);
    image_of(&mut cluster, "bad");
    cluster.pass(30);
    image_of(&mut cluster, "v1");
    cluster.pass(30);
    let web = cluster.get(&DEPLOYMENTS, "web");
    assert_eq!(web["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "3");
    assert_eq!(web["status"]["updatedReplicas"], 2);
    let sets = cluster.list(&REPLICA_SETS);
    assert_eq!(sets.len(), 2);
    let active = sets.iter().find(|s| s["spec"]["replicas"] == 2).unwrap();
    assert_eq!(active["metadata"]["annotations"]["deployment.kubernetes.io/revision-history"], "1");
    assert_eq!(cluster.condition(&DEPLOYMENTS, "web", "Progressing").unwrap().1, "NewReplicaSetAvailable");
}

#[test]
fn old_revisions_beyond_the_limit_go() {
    let mut cluster = Cluster::new();
    let mut body = deployment(1, "v0");
    body["spec"]["revisionHistoryLimit"] = json!(2);
    cluster.create(&DEPLOYMENTS, body);
    for n in 1..6 {
        cluster.pass(20);
        image_of(&mut cluster, &format!("v{n}"));
    }
    cluster.pass(20);
    let mut revisions: Vec<_> = cluster
        .list(&REPLICA_SETS)
        .iter()
        .map(|s| {
            s["metadata"]["annotations"]["deployment.kubernetes.io/revision"].as_str().unwrap().to_owned()
        })
        .collect();
    revisions.sort_unstable();
    assert_eq!(revisions, ["4", "5", "6"]);
}

#[test]
fn a_paused_deployment_waits() {
    let mut cluster = Cluster::new();
    cluster.create(&DEPLOYMENTS, deployment(2, "v1"));
    cluster.pass(10);
    cluster.edit(&DEPLOYMENTS, "web", |d| d["spec"]["paused"] = json!(true));
    image_of(&mut cluster, "v2");
    cluster.edit(&DEPLOYMENTS, "web", |d| d["spec"]["replicas"] = json!(3));
    cluster.pass(20);
    assert_eq!(sizes(&cluster), [3], "scaled, but not rolled out");
    let progressing = cluster.condition(&DEPLOYMENTS, "web", "Progressing").unwrap();
    assert_eq!(progressing, ("Unknown".to_owned(), "DeploymentPaused".to_owned()));
    cluster.edit(&DEPLOYMENTS, "web", |d| d["spec"]["paused"] = json!(false));
    cluster.pass(30);
    assert_eq!(cluster.get(&DEPLOYMENTS, "web")["status"]["updatedReplicas"], 3);
    assert_eq!(cluster.condition(&DEPLOYMENTS, "web", "Progressing").unwrap().1, "NewReplicaSetAvailable");
}

#[test]
fn recreate_waits_for_the_end_of_the_old_pods() {
    let mut cluster = Cluster::new();
    let mut body = deployment(2, "v1");
    body["spec"]["strategy"] = json!({"type": "Recreate"});
    cluster.create(&DEPLOYMENTS, body);
    cluster.pass(10);
    cluster.check = |server| {
        let images: std::collections::BTreeSet<_> = server
            .store()
            .list(&PODS, None)
            .map(|p| p["spec"]["containers"][0]["image"].as_str().unwrap().to_owned())
            .collect();
        assert!(images.len() <= 1, "{images:?}");
    };
    image_of(&mut cluster, "v2");
    cluster.pass(30);
    assert_eq!(cluster.get(&DEPLOYMENTS, "web")["status"]["availableReplicas"], 2);
    assert_eq!(
        cluster.told("ScalingReplicaSet"),
        [
            "Scaled up replica set web-# from 0 to 2",
            "Scaled down replica set web-# from 2 to 0",
            "Scaled up replica set web-# from 0 to 2",
        ]
    );
}

#[test]
fn min_ready_seconds_hold_the_rollout_back() {
    let mut cluster = Cluster::new();
    let mut body = deployment(1, "v1");
    body["spec"]["minReadySeconds"] = json!(30);
    cluster.create(&DEPLOYMENTS, body);
    cluster.pass(20);
    let status = &cluster.get(&DEPLOYMENTS, "web")["status"];
    assert_eq!((&status["readyReplicas"], &status["availableReplicas"]), (&json!(1), &json!(null)));
    cluster.pass(15);
    assert_eq!(cluster.get(&DEPLOYMENTS, "web")["status"]["availableReplicas"], 1);
}

#[test]
fn a_replica_set_of_somebody_else_with_the_same_name_is_a_collision() {
    let mut cluster = Cluster::new();
    cluster.create(&DEPLOYMENTS, deployment(1, "v1"));
    cluster.pass(10);
    let name = cluster.list(&REPLICA_SETS)[0].name().to_owned();
    cluster.delete(&DEPLOYMENTS, "web", &DeleteOptions::default());
    cluster.pass(10);
    let labels = json!({"app": "other"});
    let other = json!({"metadata": {"name": name}, "spec": {"replicas": 0, "selector": {"matchLabels": labels},
        "template": template("other", "x")}});
    cluster.create(&REPLICA_SETS, other);
    cluster.create(&DEPLOYMENTS, deployment(1, "v1"));
    cluster.pass(10);
    let web = cluster.get(&DEPLOYMENTS, "web");
    assert_eq!(
        (&web["status"]["collisionCount"], &web["status"]["availableReplicas"]),
        (&json!(1), &json!(1))
    );
}

#[test]
fn a_deployment_adopts_what_matches() {
    let mut cluster = Cluster::new();
    cluster.create(&DEPLOYMENTS, deployment(2, "v1"));
    cluster.pass(10);
    let before: Vec<_> = cluster.list(&PODS).iter().map(|p| p.uid().to_owned()).collect();
    let orphan = DeleteOptions { propagation: Some(Propagation::Orphan), ..DeleteOptions::default() };
    cluster.delete(&DEPLOYMENTS, "web", &orphan);
    cluster.pass(5);
    assert!(cluster.list(&REPLICA_SETS)[0].controller().is_none());
    cluster.create(&DEPLOYMENTS, deployment(2, "v1"));
    cluster.pass(10);
    let after: Vec<_> = cluster.list(&PODS).iter().map(|p| p.uid().to_owned()).collect();
    assert_eq!(before, after);
    assert!(cluster.list(&REPLICA_SETS)[0].controller().is_some());
}
