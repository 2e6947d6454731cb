//! Bad input: the thing, its place, the way out, the documented exit code, and nothing changed.

use release_sim::registry::{Config, Fault, Rule, serve};
use release_tests::{Lab, var};

/// Runs a deploy that must be refused with this code and these words, and checks that nothing was written.
fn refused(lab: &Lab, words: &[&str], code: i32, said: &[&str]) {
    let done = lab.release(words);
    assert_eq!(done.code, code, "{done}");
    for word in said {
        assert!(done.err.contains(word), "`{word}` is missing: {done}");
    }
    assert!(lab.managed("deployments").is_empty() && lab.managed("services").is_empty(), "{done}");
}

const DEPLOY: &[&str] = &["deploy", "--env", "dev"];

#[test]
#[ignore = "needs the real stack: tests/run"]
fn configuration_that_is_wrong() {
    let lab = Lab::new("config");
    lab.project("replica: 3");
    refused(&lab, DEPLOY, 2, &["release.yaml:", "replica", "replicas"]);
    lab.write("release.yaml", "project: [\n");
    refused(&lab, DEPLOY, 2, &["release.yaml:"]);
    lab.project("strategy: {canary: {steps: [10]}}");
    refused(&lab, DEPLOY, 2, &["canary"]);
    lab.project("");
    refused(&lab, &["deploy", "--env", "prod"], 2, &["prod", "dev"]);
    refused(&lab, &["deploy", "--env", "dev", "wbe"], 2, &["wbe", "web"]);
    refused(&lab, &["deploy", "--env", "dev", "--config", "nowhere.yaml"], 2, &["nowhere.yaml"]);
    lab.write("images.lock", "web 127.0.0.1:5000/web:latest\n");
    refused(&lab, &["deploy", "--env", "dev", "--images", "images.lock"], 2, &["line 1", "has no digest"]);
}

#[test]
#[ignore = "needs the real stack: tests/run"]
fn images_that_cannot_be_had() {
    let lab = Lab::new("images");
    lab.project("image: {dockerfile: web/Nowhere, context: web}");
    refused(&lab, DEPLOY, 3, &["web/Nowhere"]);
    lab.project("");
    let sound = std::fs::read_to_string(lab.dir.path().join("web/Dockerfile")).unwrap();
    lab.write("web/Dockerfile", "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"sh\", \"-c\", \"echo compiling; exit 7\"]\n");
    refused(&lab, DEPLOY, 3, &["web", "exit code 7", "| compiling"]);
    let missing = format!("image: {{ref: \"127.0.0.1:5000/nobody/has@sha256:{}\"}}", "a".repeat(64));
    lab.project(&missing);
    refused(&lab, DEPLOY, 4, &["127.0.0.1:5000", "nobody/has"]);
    let nobody = format!("image: {{ref: \"127.0.0.1:9/web@sha256:{}\"}}", "a".repeat(64));
    lab.project(&nobody);
    refused(&lab, DEPLOY, 4, &["127.0.0.1:9"]);
    lab.project("");
    lab.write("web/Dockerfile", &sound);
    lab.write("docker/config.json", "{\"auths\": {\"127.0.0.1:5001\": {\"auth\": \"Y2k6d3Jvbmc=\"}}}");
    let text = std::fs::read_to_string(lab.dir.path().join("release.yaml")).unwrap();
    lab.write(
        "release.yaml",
        &text.replace(&var("RELEASE_TEST_REGISTRY"), &var("RELEASE_TEST_AUTH_REGISTRY")),
    );
    refused(&lab, DEPLOY, 4, &["web", "127.0.0.1:5001", "docker login"]);
    lab.write("release.yaml", &text);
    let done = lab.tool().args(DEPLOY).env("DOCKER_HOST", "unix:///nowhere/docker.sock").output().unwrap();
    let err = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(3), "{err}");
    assert!(err.contains("/nowhere/docker.sock") && err.contains("hint:"), "{err}");
}

#[test]
#[ignore = "needs the real stack: tests/run"]
fn a_registry_that_loses_the_push() {
    let lab = Lab::new("loses");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = Config { rules: vec![Rule::always(Fault::Lost)], ..Config::default() };
    let server = runtime.block_on(serve(config)).unwrap();
    let text = std::fs::read_to_string(lab.dir.path().join("release.yaml")).unwrap();
    let address = server.address().to_string();
    lab.write("release.yaml", &text.replace(&var("RELEASE_TEST_REGISTRY"), &address));
    // The engine believes in the push; the registry is asked, and the release does not begin.
    refused(&lab, DEPLOY, 4, &["does not confirm the image of service `web`", &address]);
    server.with(release_sim::registry::Registry::clear_rules);
    assert_eq!(lab.release(&["push"]).code, 0);
}

#[test]
#[ignore = "needs the real stack: tests/run"]
fn clusters_that_are_wrong() {
    let lab = Lab::new("cluster");
    let text = std::fs::read_to_string(lab.dir.path().join("release.yaml")).unwrap();
    lab.write("release.yaml", &text.replace(&format!("context: {}", lab.context), "context: nowhere"));
    refused(&lab, DEPLOY, 6, &["no context `nowhere`", &lab.context]);
    lab.write("release.yaml", &text.replace(&format!("namespace: {}", lab.namespace), "namespace: not-made"));
    refused(&lab, DEPLOY, 6, &["not-made", "does not exist"]);
    lab.write(
        "release.yaml",
        &text.replace("namespace: ", "cluster: 11111111-2222-3333-4444-555555555555, namespace: "),
    );
    refused(&lab, DEPLOY, 6, &["11111111-2222-3333-4444-555555555555"]);
    // A context from the command line needs a cluster that is known already.
    lab.write("release.yaml", &text.replace(&format!("context: {}", lab.context), "context: other"));
    refused(&lab, &["deploy", "--env", "dev", "--context", &lab.context], 6, &["no record of this project"]);
    lab.write("release.yaml", &text);
    lab.write("broken.kubeconfig", "nonsense: [");
    let done =
        lab.tool().args(DEPLOY).env("KUBECONFIG", lab.dir.path().join("broken.kubeconfig")).output().unwrap();
    assert_eq!(done.status.code(), Some(6), "{}", String::from_utf8_lossy(&done.stderr));
    let config = std::fs::read_to_string(&lab.kubeconfig).unwrap();
    let wrong = config.split("token: \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned();
    lab.write("wrong.kubeconfig", &config.replace(&wrong, "nobodys-token"));
    let done =
        lab.tool().args(DEPLOY).env("KUBECONFIG", lab.dir.path().join("wrong.kubeconfig")).output().unwrap();
    let err = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(6), "{err}");
    assert!(err.contains("does not accept the credentials") && !err.contains("nobodys-token"), "{err}");
    let port =
        config.split("https://127.0.0.1:").nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned();
    lab.write("away.kubeconfig", &config.replace(&format!("127.0.0.1:{port}"), "127.0.0.1:9"));
    let done =
        lab.tool().args(DEPLOY).env("KUBECONFIG", lab.dir.path().join("away.kubeconfig")).output().unwrap();
    let err = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(6), "{err}");
    assert!(err.contains("127.0.0.1:9"), "{err}");
}

#[test]
#[ignore = "needs the real stack: tests/run"]
fn an_immutable_field_is_refused_before_anything_changes() {
    let lab = Lab::new("immutable");
    let text = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 0\n  selector: {matchLabels: {app: old}}\n  template:\n    metadata: {labels: {app: old}}\n    spec: {containers: [{name: web, image: x}]}\n";
    lab.write("old.yaml", text);
    let path = lab.dir.path().join("old.yaml");
    lab.kubectl(&["-n", &lab.namespace, "apply", "-f", &path.to_string_lossy()]);
    let done = lab.release(DEPLOY);
    assert_eq!(done.code, 6, "{done}");
    assert!(done.err.contains("immutable") && done.err.contains("deployment/web"), "{done}");
    assert!(lab.managed("services").is_empty());
    assert!(lab.release(&["history", "--env", "dev", "-o", "json"]).out.trim() == "[]");
}

#[test]
#[ignore = "needs the real stack: tests/run"]
fn fields_of_others_are_not_taken_without_being_asked() {
    let lab = Lab::new("conflict");
    lab.deploy_well();
    let patch = "{\"spec\": {\"replicas\": 3}}";
    lab.kubectl(&["-n", &lab.namespace, "patch", "deployment/web", "--field-manager=somebody", "-p", patch]);
    lab.project("env: {NEW: \"yes\"}");
    let done = lab.release(DEPLOY);
    assert_eq!(done.code, 6, "{done}");
    assert!(done.err.contains("conflict") && done.err.contains("--force-conflicts"), "{done}");
    let forced = lab.release(&["deploy", "--env", "dev", "--force-conflicts"]);
    assert_eq!(forced.code, 0, "{forced}");
    assert_eq!(lab.deployment()["spec"]["replicas"], 2);
}

#[test]
#[ignore = "needs the real stack: tests/run"]
fn two_environments_do_not_share_a_namespace() {
    let lab = Lab::new("shared");
    lab.deploy_well();
    let text = std::fs::read_to_string(lab.dir.path().join("release.yaml")).unwrap();
    let other = format!("  other: {{context: {}, namespace: {}}}\n", lab.context, lab.namespace);
    lab.write("release.yaml", &(text + &other));
    let refused = lab.release(&["deploy", "--env", "other"]);
    assert_eq!(refused.code, 6, "{refused}");
    assert!(refused.err.contains("deployment/web belongs to environment `dev`"), "{refused}");
    assert_eq!(lab.managed("deployments"), ["web"]);
    // Not even a lock or a journal is left of the one that was refused.
    let names = |kind: &str| {
        lab.objects(kind).iter().map(|object| object["metadata"]["name"].to_string()).collect::<String>()
    };
    assert!(
        !names("configmaps").contains("radio.other") && !names("leases").contains("radio.other"),
        "{refused}"
    );
    assert!(lab.release(&["deploy", "--env", "dev"]).out.contains("nothing to do"));
}
