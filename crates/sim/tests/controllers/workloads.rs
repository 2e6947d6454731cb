//! StatefulSets, DaemonSets, Jobs and CronJobs.

use release_sim::resource::{
    CONTROLLER_REVISIONS, CRON_JOBS, DAEMON_SETS, JOBS, PERSISTENT_VOLUME_CLAIMS, PODS, STATEFUL_SETS,
};
use serde_json::{Value, json};

use crate::cluster::{Cluster, template};

fn stateful_set(replicas: i64, image: &str) -> Value {
    json!({"metadata": {"name": "db"}, "spec": {
        "replicas": replicas, "serviceName": "db", "selector": {"matchLabels": {"app": "db"}},
        "template": template("db", image),
    }})
}

fn names(cluster: &Cluster) -> Vec<String> {
    cluster.list(&PODS).iter().map(|p| p.name().to_owned()).collect()
}

fn image_of(cluster: &mut Cluster, resource: &release_sim::Resource, name: &str, image: &str) {
    cluster.edit(resource, name, |o| {
        o["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
    });
}

#[test]
fn pods_of_a_stateful_set_come_and_go_in_order() {
    let mut cluster = Cluster::new();
    cluster.create(&STATEFUL_SETS, stateful_set(3, "v1"));
    for want in [&["db-0"][..], &["db-0", "db-1"], &["db-0", "db-1", "db-2"]] {
        cluster.pass(1);
        assert_eq!(names(&cluster), want);
        cluster.pass(1);
    }
    cluster.pass(5);
    let set = cluster.get(&STATEFUL_SETS, "db");
    let status = &set["status"];
    let revision = cluster.list(&CONTROLLER_REVISIONS)[0].name().to_owned();
    let want = json!({"observedGeneration": 1, "replicas": 3, "readyReplicas": 3, "availableReplicas": 3,
        "currentReplicas": 3, "updatedReplicas": 3, "currentRevision": revision, "updateRevision": revision,
        "collisionCount": 0});
    assert_eq!(*status, want);
    let told = cluster.told("SuccessfulCreate");
    assert_eq!(told[0], "Create Pod db-0 in StatefulSet db successful");
    let pod = cluster.get(&PODS, "db-1");
    assert_eq!(pod["spec"]["hostname"], "db-1");
    assert_eq!(pod.label("controller-revision-hash"), Some(&*revision));
    cluster.edit(&STATEFUL_SETS, "db", |d| d["spec"]["replicas"] = json!(1));
    cluster.pass(0);
    assert!(cluster.get(&PODS, "db-2").is_terminating());
    assert!(!cluster.get(&PODS, "db-1").is_terminating());
    cluster.pass(10);
    assert_eq!(names(&cluster), ["db-0"]);
}

#[test]
fn a_stateful_set_is_replaced_from_the_end_down_to_its_partition() {
    let mut cluster = Cluster::new();
    cluster.create(&STATEFUL_SETS, stateful_set(3, "v1"));
    cluster.pass(20);
    cluster.edit(&STATEFUL_SETS, "db", |d| {
        d["spec"]["updateStrategy"] = json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 1}});
    });
    image_of(&mut cluster, &STATEFUL_SETS, "db", "v2");
    cluster.pass(0);
    let going: Vec<bool> = cluster.list(&PODS).iter().map(|p| p.is_terminating()).collect();
    assert_eq!(going, [false, false, true]);
    cluster.pass(30);
    let image = |pod: &str| cluster.get(&PODS, pod)["spec"]["containers"][0]["image"].clone();
    assert_eq!([image("db-0"), image("db-1"), image("db-2")], ["v1", "v2", "v2"]);
    let status = &cluster.get(&STATEFUL_SETS, "db")["status"];
    assert_eq!((&status["currentReplicas"], &status["updatedReplicas"]), (&json!(1), &json!(2)));
    assert_ne!(status["currentRevision"], status["updateRevision"]);
    cluster
        .edit(&STATEFUL_SETS, "db", |d| d["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = json!(0));
    cluster.pass(20);
    let status = &cluster.get(&STATEFUL_SETS, "db")["status"];
    assert_eq!(status["currentRevision"], status["updateRevision"]);
}

#[test]
fn a_bad_stateful_set_gets_stuck_at_its_last_pod() {
    let mut cluster = Cluster::new();
    cluster.create(&STATEFUL_SETS, stateful_set(2, "v1"));
    cluster.pass(20);
    image_of(&mut cluster, &STATEFUL_SETS, "db", "bad");
    cluster.pass(60);
    let status = &cluster.get(&STATEFUL_SETS, "db")["status"];
    assert_eq!((&status["updatedReplicas"], &status["readyReplicas"]), (&json!(1), &json!(1)));
}

#[test]
fn claims_stay_when_their_pods_go() {
    let mut cluster = Cluster::new();
    let mut body = stateful_set(2, "v1");
    body["spec"]["volumeClaimTemplates"] = json!([{"metadata": {"name": "data"}, "spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}]);
    cluster.create(&STATEFUL_SETS, body);
    cluster.pass(20);
    assert_eq!(cluster.get(&STATEFUL_SETS, "db")["status"]["readyReplicas"], 2);
    cluster.edit(&STATEFUL_SETS, "db", |d| d["spec"]["replicas"] = json!(0));
    cluster.pass(20);
    let claims = cluster.list(&PERSISTENT_VOLUME_CLAIMS);
    let claims: Vec<_> = claims.iter().map(|c| (c.name(), c["status"]["phase"].as_str().unwrap())).collect();
    assert_eq!(claims, [("data-db-0", "Bound"), ("data-db-1", "Bound")]);
    cluster.delete(&PERSISTENT_VOLUME_CLAIMS, "data-db-0", &release_sim::DeleteOptions::default());
    cluster.pass(1);
    assert_eq!(cluster.list(&PERSISTENT_VOLUME_CLAIMS).len(), 1);
}

#[test]
fn a_daemon_set_has_one_pod_on_each_node_and_replaces_one_at_a_time() {
    let mut cluster = Cluster::new();
    for node in ["node2", "node3"] {
        cluster.node(node, &json!({"cpu": "4", "memory": "8Gi", "pods": "110"}));
    }
    cluster.create(
        &DAEMON_SETS,
        json!({"metadata": {"name": "agent"}, "spec": {
        "selector": {"matchLabels": {"app": "agent"}}, "template": template("agent", "v1")}}),
    );
    cluster.pass(10);
    let status = cluster.get(&DAEMON_SETS, "agent")["status"].clone();
    assert_eq!(
        status,
        json!({"currentNumberScheduled": 3, "desiredNumberScheduled": 3, "numberMisscheduled": 0,
        "numberReady": 3, "numberAvailable": 3, "updatedNumberScheduled": 3, "observedGeneration": 1})
    );
    cluster.check = |server| {
        let down = server
            .store()
            .list(&PODS, None)
            .filter(|p| p.is_terminating() || p["status"]["containerStatuses"][0]["ready"] != true);
        assert!(down.count() <= 1);
    };
    image_of(&mut cluster, &DAEMON_SETS, "agent", "v2");
    cluster.pass(30);
    let images: Vec<_> =
        cluster.list(&PODS).iter().map(|p| p["spec"]["containers"][0]["image"].clone()).collect();
    assert_eq!(images, ["v2", "v2", "v2"]);
    cluster.node("node4", &json!({"cpu": "4", "memory": "8Gi", "pods": "110"}));
    cluster.pass(0);
    assert_eq!(cluster.list(&PODS).len(), 4);
}

fn job(name: &str, image: &str, spec: &Value) -> Value {
    let mut template = template(name, image);
    template["spec"]["restartPolicy"] = json!("Never");
    let mut body = json!({"metadata": {"name": name}, "spec": {"template": template}});
    for (key, value) in spec.as_object().unwrap() {
        body["spec"][key] = value.clone();
    }
    body
}

#[test]
fn a_job_runs_to_its_end() {
    let mut cluster = Cluster::new();
    cluster.create(&JOBS, job("migrate", "ends", &json!({"completions": 3, "parallelism": 2})));
    cluster.pass(1);
    assert_eq!(cluster.get(&JOBS, "migrate")["status"]["active"], 2);
    cluster.pass(20);
    let status = &cluster.get(&JOBS, "migrate")["status"];
    assert_eq!(status["succeeded"], 3);
    assert_eq!(status["completionTime"], "2026-01-01T00:00:04Z");
    let kinds: Vec<_> = status["conditions"].as_array().unwrap().iter().map(|c| c["type"].clone()).collect();
    assert_eq!(kinds, ["SuccessCriteriaMet", "Complete"]);
    assert_eq!(cluster.told("Completed"), ["Job completed"]);
}

#[test]
fn a_failing_job_tries_again_with_growing_pauses() {
    let mut cluster = Cluster::new();
    cluster.create(&JOBS, job("migrate", "fails", &json!({"backoffLimit": 3})));
    cluster.pass(200);
    let mut made: Vec<_> = cluster
        .list(&PODS)
        .iter()
        .map(|p| p["metadata"]["creationTimestamp"].as_str().unwrap()[14..19].to_owned())
        .collect();
    made.sort_unstable();
    // Each runs for 2 s, then 10, 20 and 40 s of pause.
    assert_eq!(made, ["00:00", "00:12", "00:34", "01:16"]);
    let failed = cluster.condition(&JOBS, "migrate", "Failed").unwrap();
    assert_eq!(failed, ("True".to_owned(), "BackoffLimitExceeded".to_owned()));
    assert_eq!(cluster.get(&JOBS, "migrate")["status"]["failed"], 4);
    assert_eq!(cluster.told("BackoffLimitExceeded"), ["Job has reached the specified backoff limit"]);
}

#[test]
fn a_job_has_a_deadline_and_a_time_to_live() {
    let mut cluster = Cluster::new();
    let spec = json!({"activeDeadlineSeconds": 30, "ttlSecondsAfterFinished": 60});
    cluster.create(&JOBS, job("slow", "runs", &spec));
    cluster.pass(29);
    assert_eq!(cluster.get(&JOBS, "slow")["status"]["active"], 1);
    cluster.pass(5);
    let failed = cluster.condition(&JOBS, "slow", "Failed").unwrap();
    assert_eq!(failed, ("True".to_owned(), "DeadlineExceeded".to_owned()));
    assert!(cluster.list(&PODS).is_empty());
    cluster.pass(70);
    assert!(cluster.list(&JOBS).is_empty());
}

#[test]
fn a_suspended_job_waits() {
    let mut cluster = Cluster::new();
    cluster.create(&JOBS, job("later", "ends", &json!({"suspend": true})));
    cluster.pass(5);
    assert!(cluster.list(&PODS).is_empty());
    assert_eq!(cluster.condition(&JOBS, "later", "Suspended").unwrap().0, "True");
    cluster.edit(&JOBS, "later", |j| j["spec"]["suspend"] = json!(false));
    cluster.pass(5);
    assert_eq!(cluster.condition(&JOBS, "later", "Complete").unwrap().0, "True");
}

#[test]
fn an_indexed_job_completes_each_index() {
    let mut cluster = Cluster::new();
    let spec = json!({"completions": 3, "parallelism": 3, "completionMode": "Indexed"});
    cluster.create(&JOBS, job("parts", "ends", &spec));
    cluster.pass(10);
    assert_eq!(cluster.get(&JOBS, "parts")["status"]["completedIndexes"], "0-2");
}

fn cron(policy: &str, image: &str) -> Value {
    let template = job("tick", image, &json!({}))["spec"].clone();
    json!({"metadata": {"name": "tick"}, "spec": {"schedule": "*/5 * * * *", "concurrencyPolicy": policy,
        "successfulJobsHistoryLimit": 2, "jobTemplate": {"spec": template}}})
}

#[test]
fn a_cron_job_makes_jobs_by_the_clock() {
    let mut cluster = Cluster::new();
    cluster.create(&CRON_JOBS, cron("Allow", "ends"));
    cluster.pass(299);
    assert!(cluster.list(&JOBS).is_empty());
    cluster.pass(1);
    let name = cluster.list(&JOBS)[0].name().to_owned();
    assert_eq!(name, format!("tick-{}", 1_767_225_900 / 60));
    assert_eq!(cluster.get(&CRON_JOBS, "tick")["status"]["active"][0]["name"], name);
    cluster.pass(30);
    let status = &cluster.get(&CRON_JOBS, "tick")["status"];
    assert_eq!(status["lastScheduleTime"], "2026-01-01T00:05:00Z");
    assert_eq!(status["lastSuccessfulTime"], "2026-01-01T00:05:02Z");
    assert!(status["active"].is_null());
    cluster.pass(3600);
    assert_eq!(cluster.list(&JOBS).len(), 2, "older ones were deleted");
    assert_eq!(cluster.list(&PODS).len(), 2);
}

#[test]
fn policies_decide_about_jobs_that_still_run() {
    for (policy, running) in [("Allow", 3), ("Forbid", 1), ("Replace", 1)] {
        let mut cluster = Cluster::new();
        cluster.create(&CRON_JOBS, cron(policy, "runs"));
        cluster.pass(16 * 60);
        let jobs = cluster.list(&JOBS);
        assert_eq!(jobs.len(), running, "{policy}");
        let first = format!("tick-{}", 1_767_225_900 / 60);
        assert_eq!(jobs.iter().any(|j| j.name() == first), policy != "Replace");
    }
}
