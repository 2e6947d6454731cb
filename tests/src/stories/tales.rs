//! The stories.

use serde_json::{Value, json};

use super::image::reference;
use super::story::{Act, Step, Story, WEB};
use super::until::Until;

/// All stories.
pub fn all() -> Vec<Story> {
    let mut all = going_well();
    all.extend(going_wrong());
    all.extend(going_away());
    all
}

/// A Deployment of so many replicas, with other fields of its spec.
fn web(replicas: u64, tag: &str, extra: &Value) -> Act {
    let mut body = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": WEB},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": WEB}},
            "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {"metadata": {"labels": {"app": WEB}}, "spec": {
                "terminationGracePeriodSeconds": 5,
                "automountServiceAccountToken": false,
                "containers": [{
                    "name": WEB, "image": reference(tag), "imagePullPolicy": "Always",
                    "ports": [{"containerPort": 8080}],
                    "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "initialDelaySeconds": 3, "periodSeconds": 1,
                        "timeoutSeconds": 5, "failureThreshold": 5},
                }],
            }},
        },
    });
    for (key, value) in extra.as_object().into_iter().flatten() {
        body["spec"][key] = value.clone();
    }
    Act::Create(body)
}

fn service() -> Step {
    let body = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": WEB},
        "spec": {"selector": {"app": WEB}, "ports": [{"port": 80, "targetPort": 8080}]}});
    step("service", Act::Create(body), Until::Made)
}

/// The container with another image: a list is replaced as a whole by a merge patch, so it has all of it.
fn image(tag: &str) -> Act {
    let Act::Create(body) = web(0, tag, &Value::Null) else { unreachable!("it creates") };
    let containers = body["spec"]["template"]["spec"]["containers"].clone();
    Act::Change(json!({"spec": {"template": {"spec": {"containers": containers}}}}))
}

/// The same, given up after a short time: as much as a node needs to find out that an image is not there.
fn hasty(act: Act) -> Act {
    within(act, 10)
}

/// The same, with all the time in the world.
fn patient(act: Act) -> Act {
    within(act, 600)
}

fn within(act: Act, seconds: u64) -> Act {
    let Act::Change(mut change) = act else { return act };
    change["spec"]["progressDeadlineSeconds"] = json!(seconds);
    Act::Change(change)
}

fn replicas(count: u64) -> Act {
    Act::Change(json!({"spec": {"replicas": count}}))
}

fn spec(change: &Value) -> Act {
    Act::Change(json!({"spec": change}))
}

fn step(name: &'static str, act: Act, until: Until) -> Step {
    Step { name, act, until }
}

fn story(name: &'static str, steps: Vec<Step>) -> Story {
    Story { name, steps }
}

fn create(count: u64) -> Step {
    create_with(count, &Value::Null)
}

fn create_with(count: u64, extra: &Value) -> Step {
    step("create", web(count, "good-1", extra), Until::Complete)
}

/// A restart, as `kubectl rollout restart` asks for it.
fn restart() -> Act {
    spec(&json!({"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "then"}}}}))
}

fn going_well() -> Vec<Story> {
    use Until::{Available, Complete, Condition};
    vec![
        story("scale-up", vec![create(1), step("to four", replicas(4), Complete)]),
        story(
            "scale-down",
            vec![create(3), step("to one", replicas(1), Complete), step("to none", replicas(0), Complete)],
        ),
        story("new-image", vec![service(), create(2), step("image", image("good-2"), Complete)]),
        story(
            "quarters",
            vec![
                create_with(3, &json!({"strategy": {"type": "RollingUpdate"}})),
                step("image", image("good-2"), Complete),
            ],
        ),
        story(
            "one-unavailable",
            vec![
                service(),
                create_with(
                    2,
                    &json!({"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "50%"}}}),
                ),
                step("image", image("good-2"), Complete),
            ],
        ),
        story(
            "recreate",
            vec![
                service(),
                create_with(2, &json!({"strategy": {"type": "Recreate"}})),
                step("image", image("good-2"), Complete),
            ],
        ),
        story(
            "undo",
            vec![create(2), step("image", image("good-2"), Complete), step("undo", Act::Undo, Complete)],
        ),
        story("restart", vec![create(1), step("restart", restart(), Complete)]),
        story(
            "paused",
            vec![
                create(2),
                step(
                    "pause",
                    spec(&json!({"paused": true})),
                    Condition("Progressing", "Unknown", "DeploymentPaused"),
                ),
                step("image", image("good-2"), Available(2)),
                step("scale", replicas(3), Available(3)),
                step("resume", spec(&json!({"paused": false})), Complete),
            ],
        ),
        story(
            "no-history",
            vec![
                create_with(1, &json!({"revisionHistoryLimit": 0})),
                step("image", image("good-2"), Complete),
            ],
        ),
        story(
            "min-ready",
            vec![create_with(1, &json!({"minReadySeconds": 4})), step("image", image("good-2"), Complete)],
        ),
    ]
}

fn going_wrong() -> Vec<Story> {
    use Until::{Complete, Stuck, TimedOut, Unready};
    vec![
        story(
            "bad-image",
            vec![
                create(2),
                step("image", hasty(image("missing")), Stuck("ImagePullBackOff", 0)),
                step("undo", Act::Undo, Complete),
            ],
        ),
        story(
            "crash",
            vec![
                create(1),
                step("image", hasty(image("crash")), Stuck("CrashLoopBackOff", 1)),
                step("undo", Act::Undo, Complete),
            ],
        ),
        story(
            "never-ready",
            vec![
                create(2),
                step("image", hasty(image("unready")), Unready),
                step("better", patient(image("good-2")), Complete),
            ],
        ),
        story(
            "quota",
            vec![
                step("quota", quota(2), Until::Counted),
                create(2),
                step("image", hasty(image("good-2")), TimedOut),
                step("undo", Act::Undo, Complete),
            ],
        ),
    ]
}

fn quota(pods: u64) -> Act {
    Act::Create(json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "tight"},
        "spec": {"hard": {"pods": pods.to_string()}}}))
}

fn going_away() -> Vec<Story> {
    use Until::{Complete, Gone, Orphaned, Pods};
    vec![
        story("delete-foreground", vec![create(2), step("delete", Act::Delete("Foreground"), Gone)]),
        story("delete-background", vec![create(2), step("delete", Act::Delete("Background"), Gone)]),
        story(
            "delete-orphan",
            vec![
                create(1),
                step("delete", Act::Delete("Orphan"), Orphaned),
                step("adopt", web(1, "good-1", &Value::Null), Complete),
            ],
        ),
        story("pod-deleted", vec![service(), create(2), step("delete", Act::DeletePod, Complete)]),
        story("pod-relabelled", vec![create(1), step("away", Act::Relabel(json!({"app": "else"})), Pods(2))]),
    ]
}
