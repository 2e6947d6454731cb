//! The rules, one small made-up cluster at a time.

use std::time::Duration;

use release_core::{Assessment, CauseKind, Certainty, MonoTime, ObjectRef, Status};
use release_health::{Graces, Snapshot, Target, Tracker};
use serde_json::{Value, json};

const T0: &str = "2026-01-01T10:00:00Z";

fn at(seconds: u64) -> MonoTime {
    MonoTime::from_origin(Duration::from_secs(seconds))
}

/// A Deployment `web` of 2 replicas at generation 2, its ReplicaSets and pods, changed as a test needs.
#[derive(Clone)]
struct World {
    workload: Value,
    replica_sets: Vec<Value>,
    pods: Vec<Value>,
    events: Vec<Value>,
}

fn owner(uid: &str) -> Value {
    json!([{"controller": true, "uid": uid}])
}

fn replica_set(name: &str, revision: &str, image: &str, replicas: u64) -> Value {
    json!({
        "kind": "ReplicaSet",
        "metadata": {
            "name": name, "uid": name, "ownerReferences": owner("web"), "creationTimestamp": T0,
            "annotations": {"deployment.kubernetes.io/revision": revision},
        },
        "spec": {
            "replicas": replicas,
            "template": {
                "metadata": {"labels": {"app": "web", "pod-template-hash": name}},
                "spec": {"containers": [{"name": "app", "image": image}]},
            },
        },
        "status": {"replicas": replicas, "readyReplicas": 0},
    })
}

fn pod(name: &str, of: &str, state: &Value) -> Value {
    json!({
        "kind": "Pod",
        "metadata": {"name": name, "uid": name, "ownerReferences": owner(of), "creationTimestamp": T0},
        "spec": {"containers": [{"name": "app", "image": "r/web:v2"}]},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": T0}],
            "containerStatuses": [
                {"name": "app", "ready": false, "started": true, "restartCount": 0, "state": state, "lastState": {}},
            ],
        },
    })
}

fn ready(mut pod: Value) -> Value {
    pod["status"]["conditions"][0]["status"] = json!("True");
    pod["status"]["containerStatuses"][0]["ready"] = json!(true);
    pod["status"]["containerStatuses"][0]["state"] = running();
    pod
}

fn running() -> Value {
    json!({"running": {"startedAt": T0}})
}

fn waiting(reason: &str, message: &str) -> Value {
    json!({"waiting": {"reason": reason, "message": message}})
}

fn exited(code: i64) -> Value {
    json!({"terminated": {"exitCode": code, "reason": "Error", "finishedAt": T0}})
}

fn event(of: &str, reason: &str, message: &str, when: &str) -> Value {
    json!({
        "kind": "Event", "type": "Warning", "reason": reason, "message": message, "lastTimestamp": when,
        "involvedObject": {"uid": of, "fieldPath": "spec.containers{app}"},
    })
}

impl World {
    /// In the middle of an update: the old version serves, the new one has one pod in this state.
    fn updating(state: &Value) -> Self {
        Self {
            workload: json!({
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {
                    "name": "web", "uid": "web", "namespace": "n", "generation": 2,
                    "annotations": {"deployment.kubernetes.io/revision": "2"},
                },
                "spec": {
                    "replicas": 2,
                    "template": {
                        "metadata": {"labels": {"app": "web"}},
                        "spec": {"containers": [{"name": "app", "image": "r/web:v2"}]},
                    },
                },
                "status": {
                    "observedGeneration": 2, "replicas": 3, "updatedReplicas": 1, "availableReplicas": 2,
                    "readyReplicas": 2, "unavailableReplicas": 1,
                },
            }),
            replica_sets: vec![
                replica_set("old", "1", "r/web:v1", 2),
                replica_set("new", "2", "r/web:v2", 1),
            ],
            pods: vec![
                ready(pod("old-a", "old", &running())),
                ready(pod("old-b", "old", &running())),
                pod("new-a", "new", state),
            ],
            events: Vec::new(),
        }
    }

    /// After the update: complete.
    fn updated() -> Self {
        let mut world = Self::updating(&running());
        world.workload["status"] = json!({
            "observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2,
            "readyReplicas": 2,
        });
        world.replica_sets =
            vec![replica_set("old", "1", "r/web:v1", 0), replica_set("new", "2", "r/web:v2", 2)];
        world.pods = vec![ready(pod("new-a", "new", &running())), ready(pod("new-b", "new", &running()))];
        world
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn container(&mut self, pod: usize) -> &mut Value {
        &mut self.pods[pod]["status"]["containerStatuses"][0]
    }

    fn snapshot(&self) -> Snapshot<'_> {
        Snapshot {
            workload: Some(&self.workload),
            replica_sets: self.replica_sets.iter().collect(),
            pods: self.pods.iter().collect(),
            events: self.events.iter().collect(),
        }
    }
}

/// A container that has just begun to run.
const EARLY: Option<(CauseKind, Certainty)> = Some((CauseKind::NeverReady, Certainty::Early));

fn target() -> Target {
    Target {
        min_generation: Some(2),
        uid: Some("web".to_owned()),
        ..Target::new(ObjectRef::new("apps/v1", "Deployment", "n", "web"))
    }
}

fn tracker() -> Tracker {
    Tracker::new(target(), Graces::default())
}

fn assess(world: &World) -> Assessment {
    tracker().assess(at(0), &world.snapshot())
}

/// The first look at `world` concludes this.
fn check(what: &str, world: &World, status: Status, cause: Option<(CauseKind, Certainty)>) {
    let assessment = assess(world);
    let found = assessment.cause.as_ref().map(|c| (c.kind, c.certainty));
    assert_eq!((assessment.status, found), (status, cause), "{what}: {assessment:?}");
}

/// The new pod in this state is seen as this, at once.
fn check_state(state: &Value, cause: CauseKind, certainty: Certainty) {
    let status = if certainty == Certainty::Terminal { Status::Failed } else { Status::Progressing };
    check(&state.to_string(), &World::updating(state), status, Some((cause, certainty)));
}

#[test]
fn ready_only_when_our_generation_is_observed_and_complete() {
    check("complete", &World::updated(), Status::Ready, None);
    for (what, pointer, value, status) in [
        ("our write is not seen yet", "/metadata/generation", json!(1), Status::Unknown),
        ("the controller lags", "/metadata/generation", json!(3), Status::Progressing),
        ("the controller has not begun", "/status", json!({}), Status::Unknown),
        ("one is not updated", "/status/updatedReplicas", json!(1), Status::Progressing),
        ("an old one is left", "/status/replicas", json!(3), Status::Progressing),
        ("one is not available", "/status/availableReplicas", json!(1), Status::Progressing),
        ("more are wanted", "/spec/replicas", json!(3), Status::Progressing),
        ("a count is nonsense", "/status/availableReplicas", json!("2"), Status::Progressing),
    ] {
        let world = World::updated().with(|w| *w.workload.pointer_mut(pointer).unwrap() = value);
        check(what, &world, status, None);
    }
    let terminating = World::updated().with(|w| w.workload["status"]["terminatingReplicas"] = json!(2));
    check("terminating ones do not matter", &terminating, Status::Ready, None);
    let lagging = World::updated().with(|w| {
        w.pods[1]["status"]["conditions"][0]["status"] = json!("False");
    });
    check("a pod already says otherwise", &lagging, Status::Progressing, EARLY);
}

#[test]
fn what_the_old_version_does_is_noise() {
    let looping = json!({"waiting": {"reason": "CrashLoopBackOff", "message": ""}});
    let old_crashes = World::updating(&running()).with(|w| w.pods[0] = pod("old-a", "old", &looping));
    check("an old pod crashes", &old_crashes, Status::Progressing, EARLY);

    let unseen = old_crashes.clone().with(|w| {
        w.replica_sets.pop();
    });
    check("the new ReplicaSet is not in sight", &unseen, Status::Progressing, None);

    let unmarked = World::updating(&looping).with(|w| {
        w.replica_sets[1]["metadata"]["annotations"] = json!({});
    });
    let loops = Some((CauseKind::CrashLoop, Certainty::Terminal));
    check("known by its template", &unmarked, Status::Failed, loops);

    let foreign = World::updating(&running()).with(|w| {
        w.pods.push(pod("other-a", "other", &looping));
        w.replica_sets[0]["metadata"]["ownerReferences"] = owner("somebody");
    });
    check("somebody else's pods", &foreign, Status::Progressing, EARLY);

    let leaving = World::updated().with(|w| {
        let mut gone = pod("new-c", "new", &looping);
        gone["metadata"]["deletionTimestamp"] = json!(T0);
        w.pods.push(gone);
    });
    check("a new pod on its way out", &leaving, Status::Ready, None);
}

#[test]
fn the_words_of_the_docker_engine() {
    use CauseKind::{CannotStart, ImageNotFound, ImagePull, ImageUnauthorized};
    use Certainty::{Likely, Terminal};
    let engine =
        |words: &str| format!("rpc error: code = Unknown desc = Error response from daemon: {words}");
    let absent = "manifest for 127.0.0.1:5000/x@sha256:ab not found: manifest unknown: manifest unknown";
    let refused = "Get http://127.0.0.1:5000/v2/: dial tcp 127.0.0.1:5000: connect: connection refused";
    let start = "OCI runtime create failed: container_linux.go:367: starting container process caused: exec: \"/bin/nothere\": stat /bin/nothere: no such file or directory: unknown";
    for (reason, message, kind, certainty) in [
        ("ErrImagePull", engine(absent), ImageNotFound, Terminal),
        (
            "ErrImagePull",
            engine("repository 127.0.0.1:5000/x not found: name unknown"),
            ImageNotFound,
            Terminal,
        ),
        (
            "ErrImagePull",
            engine("Get https://r/v2/x: no basic auth credentials"),
            ImageUnauthorized,
            Terminal,
        ),
        ("ErrImagePull", engine("unauthorized: authentication required"), ImageUnauthorized, Terminal),
        ("ErrImagePull", engine(refused), ImagePull, Likely),
        ("ImagePullBackOff", "Back-off pulling image \"r/web:v2\"".to_owned(), ImagePull, Likely),
        (
            "RunContainerError",
            format!("failed to start container \"ab\": {}", engine(start)),
            CannotStart,
            Terminal,
        ),
        ("RunContainerError", "context deadline exceeded".to_owned(), CannotStart, Likely),
    ] {
        check_state(&waiting(reason, &message), kind, certainty);
    }
    let cannot_run =
        json!({"terminated": {"exitCode": 127, "reason": "ContainerCannotRun", "message": start}});
    check_state(&cannot_run, CannotStart, Terminal);

    // Kubelets of that time forget the reason while they back off; the event of the attempt has it.
    let backing_off = World::updating(&waiting("ImagePullBackOff", "Back-off pulling image \"r/web:v2\""))
        .with(|w| {
            let failed = format!("Failed to pull image \"r/web:v2\": {}", engine(absent));
            w.events.push(event("new-a", "Failed", &failed, T0));
        });
    check("back-off", &backing_off, Status::Failed, Some((ImageNotFound, Terminal)));
}

#[test]
fn one_exit_is_a_suspicion_and_the_second_is_a_loop() {
    use Certainty::{Likely, Terminal, Transient};
    let once = World::updating(&exited(1));
    check("one exit", &once, Status::Progressing, Some((CauseKind::CrashLoop, Likely)));

    let restarted = World::updating(&running()).with(|w| {
        let container = w.container(2);
        container["restartCount"] = json!(1);
        container["lastState"] = exited(1);
    });
    check("restarted", &restarted, Status::Progressing, Some((CauseKind::CrashLoop, Transient)));

    let twice = restarted.clone().with(|w| w.container(2)["state"] = exited(1));
    check("the second exit", &twice, Status::Failed, Some((CauseKind::CrashLoop, Terminal)));

    let backed_off = restarted.clone().with(|w| w.container(2)["state"] = waiting("CrashLoopBackOff", ""));
    check("back-off", &backed_off, Status::Failed, Some((CauseKind::CrashLoop, Terminal)));

    // An exit of an earlier rollout is no evidence against this one.
    let mut tracker = Tracker::new(
        Target { since: Some("2026-01-01T10:00:01Z".parse().unwrap()), ..target() },
        Graces::default(),
    );
    assert_eq!(tracker.assess(at(0), &twice.snapshot()).cause.map(|c| c.certainty), Some(Likely));

    // It came up after all.
    let mut tracker = self::tracker();
    tracker.assess(at(0), &once.snapshot());
    tracker.assess(at(1), &restarted.snapshot());
    assert_eq!(tracker.assess(at(40), &World::updated().snapshot()).status, Status::Ready);
}

#[test]
fn a_registry_that_comes_back_in_time_is_forgiven() {
    let blip =
        World::updating(&waiting("ErrImagePull", "dial tcp 127.0.0.1:5000: connect: connection refused"));
    let mut tracker = tracker();
    let first = tracker.assess(at(0), &blip.snapshot());
    assert_eq!((first.status, first.revisit_at), (Status::Progressing, Some(at(60))));
    assert_eq!(tracker.assess(at(59), &blip.snapshot()).status, Status::Progressing);
    let back = tracker.assess(at(59), &World::updating(&running()).snapshot());
    assert_eq!(back.cause.map(|c| c.certainty), Some(Certainty::Early));
    assert_eq!(tracker.assess(at(60), &blip.snapshot()).status, Status::Progressing);
    let last = tracker.assess(at(120), &blip.snapshot());
    assert_eq!((last.status, last.revisit_at), (Status::Failed, None));
}

#[test]
fn an_autoscaler_at_work_is_given_time() {
    let unschedulable = World::updating(&running()).with(|w| {
        w.pods[2]["status"] = json!({"phase": "Pending", "conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/1 nodes are available: 1 Insufficient cpu.",
        }]});
    });
    let growing = unschedulable.clone().with(|w| {
        let mut scaling = event("new-a", "TriggeredScaleUp", "pod triggered scale-up", T0);
        scaling["type"] = json!("Normal");
        w.events.push(scaling);
    });
    assert_eq!(assess(&unschedulable).revisit_at, Some(at(90)));
    assert_eq!(assess(&growing).revisit_at, Some(at(600)));
}

#[test]
fn a_quota_fails_at_once_unless_old_pods_make_room() {
    let full = |world: World| {
        world.with(|w| {
            w.pods.pop();
            w.replica_sets[1]["status"] = json!({"replicas": 0, "conditions": [{
                "type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "lastTransitionTime": T0,
                "message": "pods \"new-x\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2",
            }]});
        })
    };
    let stuck = full(World::updating(&running()));
    let quota = |certainty| Some((CauseKind::Quota, certainty));
    // 25 % of 2 rounds down to none: no old pod goes before a new one comes.
    check("no room ever", &stuck, Status::Failed, quota(Certainty::Terminal));
    let leaving = stuck.clone().with(|w| w.pods[0]["metadata"]["deletionTimestamp"] = json!(T0));
    check("an old pod is leaving", &leaving, Status::Progressing, quota(Certainty::Likely));
    let dispensable = stuck.clone().with(|w| {
        w.workload["spec"]["strategy"] = json!({"rollingUpdate": {"maxUnavailable": 1, "maxSurge": 1}});
    });
    check("an old pod may go", &dispensable, Status::Progressing, quota(Certainty::Likely));
    let old_failure = full(World::updating(&running())).with(|w| w.replica_sets.swap(0, 1)).with(|w| {
        w.replica_sets[0]["metadata"]["annotations"] = json!({"deployment.kubernetes.io/revision": "0"});
        w.replica_sets[0]["spec"]["template"] = json!({});
    });
    check("an old ReplicaSet's failure", &old_failure, Status::Progressing, None);
}

#[test]
fn evidence_of_an_earlier_rollout_does_not_count() {
    let mounting = |when: &str| {
        World::updating(&waiting("ContainerCreating", "")).with(|w| {
            w.events.push(event("new-a", "FailedMount", "configmap \"absent\" not found", when));
        })
    };
    let since = Some("2026-01-01T10:00:00.5Z".parse().unwrap());
    let check = |when: &str, kind: Option<CauseKind>| {
        let mut tracker = Tracker::new(Target { since, ..target() }, Graces::default());
        assert_eq!(tracker.assess(at(0), &mounting(when).snapshot()).cause.map(|c| c.kind), kind, "{when}");
    };
    check("2026-01-01T09:59:59Z", None);
    check("2026-01-01T10:00:00Z", Some(CauseKind::MissingConfig));
    check("no time at all", Some(CauseKind::MissingConfig));

    let deadline = World::updating(&running()).with(|w| {
        w.workload["status"]["conditions"] = json!([{
            "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded",
            "lastUpdateTime": "2026-01-01T09:00:00Z",
        }]);
    });
    let mut tracker = Tracker::new(Target { since, ..target() }, Graces::default());
    assert_eq!(tracker.assess(at(0), &deadline.snapshot()).status, Status::Progressing);
    self::check(
        "the same, without a past",
        &deadline,
        Status::Failed,
        Some((CauseKind::ProgressDeadline, Certainty::Terminal)),
    );
}

#[test]
fn a_deadline_of_the_rollout_before_is_not_that_of_a_rollback() {
    let stalled = |when: &str| {
        World::updating(&running()).with(|w| {
            w.workload["spec"]["progressDeadlineSeconds"] = json!(20);
            w.workload["status"]["conditions"] = json!([{
                "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "lastUpdateTime": when,
            }]);
        })
    };
    let since = Some("2026-01-01T10:00:00Z".parse().unwrap());
    for (when, status) in [
        ("2026-01-01T10:00:01Z", Status::Progressing),
        ("2026-01-01T10:00:19Z", Status::Progressing),
        ("2026-01-01T10:00:20Z", Status::Failed),
    ] {
        let mut tracker = Tracker::new(Target { since, ..target() }, Graces::default());
        assert_eq!(tracker.assess(at(0), &stalled(when).snapshot()).status, status, "{when}");
    }
}

#[test]
fn a_mount_that_worked_at_last_is_forgotten() {
    let pulling = World::updating(&waiting("ContainerCreating", "")).with(|w| {
        w.events.push(event("new-a", "FailedMount", "timed out", T0));
        w.events.push(event("new-a", "Pulling", "Pulling image", "2026-01-01T10:00:01Z"));
    });
    check("pulling", &pulling, Status::Progressing, None);
}

#[test]
fn probe_budgets_longer_than_the_floor_are_kept() {
    let slow = World::updating(&running()).with(|w| {
        w.pods[2]["spec"]["containers"][0]["readinessProbe"] =
            json!({"initialDelaySeconds": 60, "periodSeconds": 10, "failureThreshold": 6, "timeoutSeconds": 5});
    });
    let mut tracker = tracker();
    let first = tracker.assess(at(0), &slow.snapshot());
    let certainty = first.cause.map(|c| c.certainty);
    let early = Some(Certainty::Early);
    assert_eq!((certainty, first.revisit_at), (early, Some(at(125))), "early within the probe's own budget");
    let late = tracker.assess(at(125), &slow.snapshot());
    assert_eq!((late.status, late.revisit_at), (Status::Progressing, Some(at(250))));
    assert_eq!(tracker.assess(at(250), &slow.snapshot()).status, Status::Failed);

    let starting = World::updating(&running()).with(|w| {
        w.pods[2]["spec"]["containers"][0]["startupProbe"] = json!({"periodSeconds": 10});
        w.container(2)["started"] = json!(false);
    });
    let mut tracker = self::tracker();
    tracker.assess(at(0), &starting.snapshot());
    let late = tracker.assess(at(9999), &starting.snapshot());
    assert_eq!(late.cause.map(|c| c.certainty), early, "the kubelet's to decide");
}

#[test]
fn deleted_or_replaced_by_somebody_else() {
    let mut tracker = tracker();
    let nothing = Snapshot::default();
    assert_eq!(tracker.assess(at(0), &nothing).status, Status::Unknown);
    assert_eq!(tracker.assess(at(100), &nothing).status, Status::Unknown, "not there yet");
    assert_eq!(tracker.assess(at(100), &World::updated().snapshot()).status, Status::Ready);
    let other = World::updated().with(|w| w.workload["metadata"]["uid"] = json!("other"));
    assert_eq!(tracker.assess(at(101), &other.snapshot()).status, Status::Unknown);
    let gone = tracker.assess(at(106), &other.snapshot());
    assert_eq!(gone.status, Status::Failed);
    assert_eq!(gone.cause.unwrap().kind, CauseKind::Interference);
}

#[test]
fn another_image_than_ours_is_never_ready() {
    let world = |image: &str| {
        let place = "/spec/template/spec/containers/0/image";
        World::updated().with(|w| *w.workload.pointer_mut(place).expect("it is there") = json!(image))
    };
    let target = Target { images: release_health::images(&world("r/web:v2").workload), ..target() };
    assert_eq!(target.images, ["r/web:v2"]);
    let mut tracker = Tracker::new(target, Graces::default());
    assert_eq!(tracker.assess(at(0), &world("r/web:v2").snapshot()).status, Status::Ready);
    let theirs = world("r/web:v3");
    assert_eq!(tracker.assess(at(1), &theirs.snapshot()).status, Status::Progressing);
    let cause = tracker.assess(at(7), &theirs.snapshot()).cause.expect("it is told");
    assert_eq!(cause.kind, CauseKind::Interference);
    assert!(cause.summary.contains("another image: r/web:v3"), "{}", cause.summary);
    assert_eq!(tracker.assess(at(8), &theirs.snapshot()).status, Status::Failed);
    assert_eq!(tracker.assess(at(9), &world("r/web:v2").snapshot()).status, Status::Ready, "it was put back");
}

#[test]
fn kinds_without_a_rollout_are_well_when_they_say_so() {
    let condition =
        |kind: &str, status: &str| json!({"status": {"conditions": [{"type": kind, "status": status}]}});
    for (kind, object, status) in [
        ("ConfigMap", json!({}), Status::Ready),
        ("Service", json!({}), Status::Ready),
        ("PersistentVolumeClaim", json!({"status": {"phase": "Bound"}}), Status::Ready),
        ("PersistentVolumeClaim", json!({"status": {"phase": "Pending"}}), Status::Progressing),
        ("PersistentVolumeClaim", json!({"status": {"phase": "Lost"}}), Status::Failed),
        ("PersistentVolumeClaim", json!({}), Status::Unknown),
        ("Widget", json!({}), Status::Unknown),
        ("Widget", condition("Ready", "True"), Status::Ready),
        ("Widget", condition("Ready", "False"), Status::Progressing),
        ("Widget", condition("Painted", "True"), Status::Unknown),
        ("Job", json!({}), Status::Unknown),
        ("Job", condition("Complete", "True"), Status::Ready),
        ("Job", condition("Failed", "True"), Status::Failed),
        ("DaemonSet", json!({"metadata": {"generation": 1}}), Status::Unknown),
        (
            "DaemonSet",
            json!({"metadata": {"generation": 1}, "status": {"observedGeneration": 1,
                "desiredNumberScheduled": 2, "currentNumberScheduled": 2, "updatedNumberScheduled": 2,
                "numberAvailable": 2, "numberReady": 2}}),
            Status::Ready,
        ),
        (
            "DaemonSet",
            json!({"metadata": {"generation": 1}, "status": {"observedGeneration": 1,
                "desiredNumberScheduled": 2, "currentNumberScheduled": 2, "updatedNumberScheduled": 1,
                "numberAvailable": 2, "numberReady": 2}}),
            Status::Progressing,
        ),
        ("Pod", json!({"status": {"phase": "Pending"}}), Status::Progressing),
        ("Pod", json!({"status": {"phase": "Succeeded"}}), Status::Ready),
        ("Pod", json!({"status": {"phase": "Failed"}}), Status::Failed),
    ] {
        let mut tracker = Tracker::new(Target::new(ObjectRef::new("v1", kind, "n", "x")), Graces::default());
        let snapshot = Snapshot { workload: Some(&object), ..Snapshot::default() };
        assert_eq!(tracker.assess(at(0), &snapshot).status, status, "{kind} {object}");
    }
}
