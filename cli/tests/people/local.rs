//! The demo, and the environment `local`: whole releases by the real binary, with nothing but this machine.

use release_pipeline::{Ending, Report, read, releases};

use crate::folder::{Folder, check};

/// A project without any environment of its own.
const PROJECT: &str = "\
project: shop
services:
  web:
    image: {base: scratch, layers: [{from: www, to: /www/}], entrypoint: [/www/serve]}
    port: 8080
    replicas: 2
    health: {http: /healthz}
    verify: [{http: /basket, body: 'items'}]
    strategy: {rolling: {soak: 10m}}
  worker:
    image: {dockerfile: worker/Dockerfile, context: worker}
";

/// What a bad version does: it is ready, and answers errors.
const BAD: &str = "\
apps:
  - image: '*/shop/web@*'
    log: [{line: 'basket: no such table'}]
    http: [{path: /basket, status: 500, body: sorry}, {path: /healthz, body: ok}]
";

/// The project under a name of its own: its registry has a port of its own then.
fn shop(name: &str) -> Folder {
    let folder = Folder::with(&PROJECT.replace("shop", name));
    folder.write("www/index.html", "one");
    folder.write("worker/Dockerfile", "FROM scratch\nCOPY worker /\n");
    folder.write("worker/worker", "#!/bin/sh\n");
    folder
}

#[test]
fn the_demo_is_a_release_and_a_rollback() {
    let folder = Folder::new();
    let told = folder.run(&["demo", "-o", "json", "--report", "demo.html"]);
    assert_eq!((told.code, &*told.err), (0, ""));
    let envelopes = read(&told.out).expect("events");
    for two in envelopes.windows(2) {
        let (elapsed, at) =
            (two[1].elapsed - two[0].elapsed, two[1].at.duration_since(two[0].at).as_secs_f64());
        let same = two[0].run == two[1].run;
        assert!(at >= 0.0, "one clock says when: {two:#?}");
        assert!(!same || (at - elapsed).abs() < 5.0, "and it goes as time passes: {two:#?}");
    }
    let reports: Vec<_> = releases(&envelopes).into_iter().map(Report::of).collect();
    let [first, second] = reports.as_slice() else { panic!("two releases, not {}", reports.len()) };
    assert_eq!(first.ending, Some(Ending::Verified));
    let Some(Ending::RolledBack { cause, .. }) = &second.ending else { panic!("{:?}", second.ending) };
    assert!(cause.summary.contains("/api/now") && cause.summary.contains("500"), "{}", cause.summary);
    assert!(second.seconds > 20.0, "time passed in the cluster: {} s", second.seconds);

    let page = std::fs::read_to_string(folder.path("demo.html")).expect("the page");
    assert_eq!(page.matches("<h1>").count(), 2, "a report of each release");
    let mut ids: Vec<_> = page.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "no id is there twice");
    let again = folder.run(&["report", "demo.html"]);
    let tail = "schedule.json: unknown field";
    assert!(again.out.contains(tail), "the log of the bad version is in the report: {}", again.out);
}

#[test]
fn the_demo_leaves_nothing_behind() {
    let folder = Folder::new().var("TMPDIR", "tmp");
    folder.write("tmp/here", "");
    let told = folder.run(&["demo", "--quiet"]);
    assert_eq!(told.code, 0, "{}", told.err);
    assert!(told.out.contains("release 1 verified") && told.out.contains("rolled back to release 1"));
    let left = |path: &str| std::fs::read_dir(folder.path(path)).expect("a folder").count();
    assert_eq!((left("tmp"), left("../home"), left(".")), (1, 0, 1));
}

#[test]
fn local_is_an_environment_that_remembers() {
    let folder = shop("shop");
    let deploy = ["deploy", "--env", "local", "--version", "v1"];
    let first = folder.run(&deploy);
    assert_eq!(first.code, 0, "{}", first.err);
    assert!(first.out.starts_with("release 1 verified in 10m"), "{}", first.out);
    assert!(first.err.contains("the build context of worker stands in for its image"), "{}", first.err);
    let again = folder.run(&deploy);
    assert!(again.out.starts_with("nothing to do"), "{}{}", again.out, again.err);

    let status = folder.run(&["status", "--env", "local"]).out;
    let healthy = |name: &str| status.lines().any(|line| line.starts_with(name) && line.contains("healthy"));
    assert!(healthy("web") && healthy("worker"), "{status}");
    assert_eq!(folder.run(&["verify", "--env", "local"]).code, 0);
    assert_eq!(folder.run(&["doctor", "--env", "local"]).code, 0);

    folder.write("www/index.html", "two");
    folder.write("bad.yaml", BAD);
    let second = folder.run(&["deploy", "--env", "local", "--version", "v2", "--apps", "bad.yaml"]);
    assert_eq!(second.code, 7, "{}", second.err);
    folder.write("good.yaml", "apps: []");
    let third = folder.run(&["deploy", "--env", "local", "--version", "v3", "--apps", "good.yaml"]);
    assert_eq!(third.code, 0, "{}", third.err);
    let back = folder.run(&["rollback", "--env", "local", "--to", "1"]);
    assert_eq!(back.code, 0, "{}", back.err);
    let history = folder.run(&["history", "--env", "local"]).out;
    let ended = |word: &str| history.lines().filter(|line| line.contains(word)).count();
    assert_eq!(
        (history.lines().count(), ended("rolled-back"), ended("rollback to 1")),
        (5, 1, 1),
        "{history}"
    );
    let report = folder.run(&["report", "2", "--env", "local"]);
    assert!(report.out.contains("basket: no such table"), "{}", report.out);

    let reset = folder.run(&["deploy", "--env", "local", "--reset"]);
    assert!(reset.out.starts_with("release 1 verified"), "{}{}", reset.out, reset.err);
}

#[test]
fn images_made_once_go_into_local_as_they_are() {
    let folder = shop("kiosk");
    let lock = folder.run(&["push", "--env", "local"]);
    assert_eq!(lock.code, 0, "{}", lock.err);
    folder.write("images.lock", &lock.out);
    folder.write("www/index.html", "changed since");
    let told = folder.run(&["deploy", "--env", "local", "--images", "images.lock", "-o", "json"]);
    assert_eq!(told.code, 0, "{}", told.err);
    let report = Report::of(&read(&told.out).expect("events"));
    for (name, service) in &report.services {
        let image = service.image.as_ref().expect("an image").to_string();
        assert!(lock.out.contains(&format!("{name} {image}")), "{image}\n{}", lock.out);
    }
}

#[test]
fn another_program_on_the_registrys_port_is_no_obstacle() {
    let folder = shop("booth");
    let rendered = folder.run(&["render", "web", "--env", "local"]).out;
    let at = rendered.find("127.0.0.1:").expect("an image of the embedded registry");
    let address = rendered[at..].split('/').next().expect("an address");
    let _other = std::net::TcpListener::bind(address).expect("a free port");
    let told = folder.run(&["deploy", "--env", "local"]);
    assert_eq!(told.code, 0, "{}", told.err);
    assert!(told.err.contains(&format!("another program listens on {address}")), "{}", told.err);
}

#[test]
fn words_that_mean_nothing_in_local_or_only_there() {
    let folder = shop("shop");
    folder.write("real.yaml", &format!("{PROJECT}environments: {{local: {{context: kind, cluster: x}}}}\n"));
    folder.write(
        "dev.yaml",
        &format!("registry: registry.example.com/shop\n{PROJECT}environments: {{dev: {{context: kind-dev, namespace: shop}}}}\n"),
    );
    folder.write("kubeconfig", crate::folder::KUBECONFIG);
    folder.write("apps.yaml", "apps: [{imag: x}]");
    let script = [
        "deploy --env local --context kind-dev",
        "deploy --env local --apps apps.yaml",
        "deploy --env local --apps nowhere.yaml",
        "status --env local --config real.yaml",
    ];
    check("local_words", &folder.screen(&script));
}

#[test]
fn what_is_damaged_is_named_with_the_way_out() {
    let folder = shop("stand");
    folder.write("../home/.local/state/release/local/stand/cluster.json", "{");
    check("local_damaged", &folder.screen(&["status --env local"]));
    let reset = folder.run(&["deploy", "--env", "local", "--reset"]);
    assert_eq!(reset.code, 0, "{}", reset.err);
}

/// A process that holds the lock is played by the test: the lock is what counts, and what is written in it is who is named.
#[test]
fn who_works_in_local_is_named_and_looking_does_not_wait() {
    let folder = shop("corner");
    assert_eq!(folder.run(&["deploy", "--env", "local", "-q"]).code, 0);
    let path = folder.path("../home/.local/state/release/local/corner/lock");
    let lock = std::fs::OpenOptions::new().write(true).open(&path).expect("the lock");
    lock.lock().expect("nobody holds it");
    let worker = "{\"command\":\"release deploy\",\"process\":4711,\"since\":\"2026-11-24T08:00:00Z\"}";
    std::fs::write(&path, worker).expect("it can be written");
    let began = std::time::Instant::now();
    let looked = folder.run(&["status", "--env", "local"]);
    assert_eq!(looked.code, 0, "{}", looked.screen());
    assert!(looked.out.contains("release 1") && looked.out.contains("healthy"), "{}", looked.screen());
    let history = folder.run(&["history", "--env", "local"]);
    assert!(history.out.contains("verified"), "{}", history.screen());
    assert!(began.elapsed() < std::time::Duration::from_secs(15), "nobody waited");
    check(
        "local_busy",
        &[
            format!("$ release status --env local\n! {}", looked.err),
            folder
                .screen(&["deploy --env local --lock-timeout 0s", "rollback --env local --lock-timeout 0s"]),
        ]
        .join("\n"),
    );
    drop(lock);
    assert_eq!(folder.run(&["status", "--env", "local"]).err, "");
}
