//! An image without a Dockerfile on an image that the Docker Engine has built and the registry has, in a real cluster.

use release_tests::{Lab, var};
use serde_json::Value;

const REST: &str = "    port: 8080\n    replicas: 1\n    resources: {cpu: 5m, memory: 16Mi}\n    \
                    health: {http: /healthz}\n    shutdown: {drain: 0s}\n";

/// What is told about the base, and about layers that were taken over from its repository.
fn about(events: &[Value], image: &str) -> Vec<Value> {
    events.iter().filter(|event| event["image"] == image).cloned().collect()
}

#[test]
#[ignore = "needs a real cluster: tests/run"]
fn an_image_on_a_base_of_a_registry_runs_with_the_bases_program_and_its_own_files() {
    let lab = Lab::new("base");
    // Nobody has this base yet.
    lab.write("web/www/unique", &lab.namespace);
    lab.yaml(&format!("services:\n  base:\n    image: {{dockerfile: web/Dockerfile, context: web}}\n{REST}"));
    let base = lab.release(&["push", "base", "--version", "v1", "-q"]);
    assert_eq!(base.code, 0, "{base}");
    let pinned = base.out.trim().strip_prefix("base ").expect("an image lock").to_owned();
    let name = format!("{}/{}/base:v1", var("RELEASE_TEST_REGISTRY"), lab.namespace);
    lab.write("own/version", "built without a Dockerfile\n");
    let on = |base: &str| {
        lab.yaml(&format!(
            "services:\n  web:\n    image: {{base: '{base}', layers: [{{from: own/version, to: /www/version}}]}}\n{REST}"
        ));
    };
    on(&name);
    let pushed = lab.release(&["push", "--version", "v1", "-o", "json"]);
    assert_eq!(pushed.code, 0, "{pushed}");
    let told = about(&pushed.events(), "base-pulled");
    assert_eq!(told[0]["reference"], pinned.as_str());
    assert!(told[0]["fetched"].as_u64() > Some(0), "{told:?}");
    assert_eq!(about(&pushed.events(), "blob-mounted").len(), 2, "both layers of the base: {pushed}");
    // By its digest, and from the cache.
    on(&pinned);
    let deployed = lab.release(&["deploy", "--env", "dev", "--version", "v1", "-o", "json"]);
    assert_eq!(deployed.code, 0, "{deployed}");
    assert_eq!(about(&deployed.events(), "base-pulled")[0]["fetched"], 0);
    let pod = ["-n", &lab.namespace, "exec", "deployment/web", "--"];
    let said = lab.kubectl(&[&pod[..], &["/bin/busybox", "cat", "/www/version"]].concat());
    assert_eq!(said.trim(), "built without a Dockerfile");
}
