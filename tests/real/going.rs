//! Releases that go well, and what stays of them.

use release_tests::{Lab, var};

#[test]
#[ignore = "needs the real stack: tests/run"]
fn first_release_then_unchanged_then_second_then_rollback() {
    let lab = Lab::new("going");
    lab.project("config: {data: {greeting: hello}}\nenv: {LOG: info}\nverify: [{http: /healthz, body: ok}]");
    let first = lab.deploy_well();
    assert!(first.out.contains("release 1 verified"), "{first}");
    let image = lab.deployment()["spec"]["template"]["spec"]["containers"][0]["image"].to_string();
    assert!(image.contains("@sha256:"), "{image}");
    let config = lab.managed("configmaps");

    // Unchanged: no object gets another resourceVersion.
    let versions = |lab: &Lab| {
        let kinds = ["deployments", "services", "serviceaccounts", "configmaps"];
        let all = kinds.iter().flat_map(|kind| lab.objects(kind));
        let ours = all.filter(|object| object["metadata"]["labels"]["app.kubernetes.io/part-of"] == "radio");
        ours.map(|object| object["metadata"]["resourceVersion"].to_string()).collect::<Vec<_>>()
    };
    let before = versions(&lab);
    assert_eq!(before.len(), 4);
    let unchanged = lab.deploy_well();
    assert!(unchanged.out.contains("nothing to do: release 1 runs"), "{unchanged}");
    assert_eq!(versions(&lab), before);

    // A change of config alone rolls the pods and keeps the old generation for a rollback.
    lab.project(
        "config: {data: {greeting: goodbye}}\nenv: {LOG: info}\nverify: [{http: /healthz, body: ok}]",
    );
    let second = lab.deploy_well();
    assert!(second.out.contains("release 2 verified"), "{second}");
    let configs = lab.managed("configmaps");
    assert_eq!(configs.len(), 2);
    assert!(configs.contains(&config[0]));
    let mounted = |lab: &Lab| lab.deployment()["spec"]["template"]["spec"]["volumes"].to_string();
    assert!(!mounted(&lab).contains(&config[0]));

    // Image and config together, without a checkout.
    let namespace = lab.namespace.clone();
    let place = ["--env", "dev", "--project", "radio", "-n", &namespace, "--context", &lab.context];
    lab.write("elsewhere/x", "");
    let mut tool = lab.tool();
    let done =
        tool.current_dir(lab.dir.path().join("elsewhere")).arg("rollback").args(place).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(mounted(&lab).contains(&config[0]));

    let history = lab.release(&["history", "--env", "dev", "-o", "json"]);
    let releases: serde_json::Value = serde_json::from_str(&history.out).unwrap();
    let states: Vec<_> =
        releases.as_array().unwrap().iter().map(|release| release["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["verified", "verified", "verified"]);
    assert_eq!(releases[0]["action"]["to"], 1, "the newest is first");
    let now = lab.release(&["status", "--env", "dev"]);
    assert!(now.out.contains("release 3") && now.out.contains("2/2") && now.out.contains("healthy"), "{now}");
    let verified = lab.release(&["verify", "--env", "dev"]);
    assert_eq!(verified.code, 0, "{verified}");
}

#[test]
#[ignore = "needs the real stack: tests/run"]
fn prepared_images_are_released_without_building() {
    let lab = Lab::new("prepared");
    let pushed = lab.release(&["push"]);
    assert_eq!(pushed.code, 0, "{pushed}");
    let line = pushed.out.trim();
    assert!(line.starts_with("web ") && line.contains("@sha256:") && line.lines().count() == 1, "{pushed}");
    lab.write("images.lock", &pushed.out);
    std::fs::remove_file(lab.dir.path().join("web/Dockerfile")).unwrap();
    let done = lab.release(&["deploy", "--env", "dev", "--images", "images.lock"]);
    assert_eq!(done.code, 0, "{done}");
    assert!(!done.err.contains("building"), "{done}");
    let running =
        lab.deployment()["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap().to_owned();
    assert_eq!(line.split(' ').nth(1).unwrap(), running);
}

#[test]
#[ignore = "needs the real stack: tests/run"]
fn services_start_when_what_they_need_is_verified() {
    let lab = Lab::new("needs");
    let service = |needs: &str| {
        format!(
            "    image: {{dockerfile: web/Dockerfile, context: web}}\n    port: 8080\n    resources: {{cpu: 5m, memory: 16Mi}}\n    health: {{http: /healthz}}\n    shutdown: {{drain: 0s}}\n{needs}"
        )
    };
    lab.yaml(&format!("services:\n  api:\n{}  store:\n{}", service("    needs: [store]\n"), service("")));
    let done = lab.release(&["deploy", "--env", "dev", "-o", "json"]);
    assert_eq!(done.code, 0, "{done}");
    let phase = |service: &str, phase: &str| {
        let is = |event: &serde_json::Value| {
            event["type"] == "phase-entered" && event["service"] == service && event["phase"] == phase
        };
        done.events().iter().position(is).unwrap()
    };
    assert!(phase("store", "verified") < phase("api", "applying"));

    // One of them fails: both are as before, and the one that was verified already is restored, too.
    let before = lab.kubectl(&[
        "-n",
        &lab.namespace,
        "get",
        "deployments",
        "-o",
        "jsonpath={.items[*].spec.template}",
    ]);
    lab.yaml(&format!(
        "services:\n  api:\n{}  store:\n{}",
        service("    needs: [store]\n    command: [/bin/busybox, \"false\"]\n"),
        service("    env: {NEW: \"yes\"}\n")
    ));
    let failed = lab.release(&["deploy", "--env", "dev"]);
    assert_eq!(failed.code, 7, "{failed}");
    let after = lab.kubectl(&[
        "-n",
        &lab.namespace,
        "get",
        "deployments",
        "-o",
        "jsonpath={.items[*].spec.template}",
    ]);
    assert_eq!(before, after);
}

#[test]
#[ignore = "needs the real stack: tests/run"]
fn a_removed_service_is_pruned_and_others_objects_stay() {
    let lab = Lab::new("prune");
    let service = |name: &str| {
        format!(
            "  {name}:\n    image: {{dockerfile: web/Dockerfile, context: web}}\n    port: 8080\n    resources: {{cpu: 5m, memory: 16Mi}}\n    shutdown: {{drain: 0s}}\n"
        )
    };
    lab.kubectl(&["-n", &lab.namespace, "create", "configmap", "somebody-elses", "--from-literal=a=b"]);
    lab.yaml(&format!("services:\n{}{}", service("a"), service("b")));
    lab.deploy_well();
    lab.yaml(&format!("services:\n{}", service("a")));
    let done = lab.deploy_well();
    assert!(done.err.contains("deleted deployment/b"), "{done}");
    assert_eq!(lab.managed("deployments"), ["a"]);
    assert_eq!(lab.managed("services"), ["a"]);
    assert!(lab.objects("configmaps").iter().any(|object| object["metadata"]["name"] == "somebody-elses"));
}

#[test]
#[ignore = "needs the real stack: tests/run"]
fn a_manual_gate_stops_before_the_first_write() {
    let lab = Lab::new("gate");
    let pushed = lab.release(&["push"]);
    lab.write("images.lock", &pushed.out);
    let text = std::fs::read_to_string(lab.dir.path().join("release.yaml")).unwrap();
    lab.write("release.yaml", &text.replace("namespace: ", "gate: manual, namespace: "));
    let closed = lab.release(&["deploy", "--env", "dev", "--images", "images.lock"]);
    assert_eq!(closed.code, 10, "{closed}");
    assert!(closed.err.contains("+ deployment/web") && closed.err.contains("--approve"), "{closed}");
    assert!(lab.managed("deployments").is_empty());
    assert!(lab.objects("leases").is_empty());
    // Building and pushing would be writes, too.
    assert_eq!(lab.release(&["deploy", "--env", "dev"]).code, 10);
    let open = lab.release(&["deploy", "--env", "dev", "--images", "images.lock", "--approve"]);
    assert_eq!(open.code, 0, "{open}");
}

#[test]
#[ignore = "needs the real stack: tests/run"]
fn credentials_come_from_dockers_configuration() {
    let lab = Lab::new("login");
    let open = var("RELEASE_TEST_REGISTRY");
    let closed = var("RELEASE_TEST_AUTH_REGISTRY");
    let text = std::fs::read_to_string(lab.dir.path().join("release.yaml")).unwrap();
    lab.write("release.yaml", &text.replace(&format!("registry: {open}/"), &format!("registry: {closed}/")));
    let refused = lab.release(&["push"]);
    assert_eq!(refused.code, 4, "{refused}");
    assert!(refused.err.contains(&closed) && refused.err.contains("docker login"), "{refused}");
    let (user, password) = (var("RELEASE_TEST_AUTH_USER"), var("RELEASE_TEST_AUTH_PASSWORD"));
    let helper = format!(
        "#!/bin/sh\nread registry\n[ \"$registry\" = \"{closed}\" ] && printf '{{\"Username\":\"{user}\",\"Secret\":\"{password}\"}}'\n"
    );
    lab.write("bin/docker-credential-test", &helper);
    let made = std::process::Command::new("chmod")
        .arg("+x")
        .arg(lab.dir.path().join("bin/docker-credential-test"))
        .status();
    assert!(made.unwrap().success());
    lab.write("docker/config.json", &format!("{{\"credHelpers\": {{\"{closed}\": \"test\"}}}}"));
    let path = format!("{}:{}", lab.dir.path().join("bin").display(), std::env::var("PATH").unwrap());
    let pushed = lab.tool().arg("push").env("PATH", path).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&pushed.stdout), String::from_utf8_lossy(&pushed.stderr));
    assert!(pushed.status.success(), "{err}");
    assert!(out.contains("@sha256:") && !out.contains(&password) && !err.contains(&password));
}
