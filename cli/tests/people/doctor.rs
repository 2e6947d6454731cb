//! `release doctor`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;

use crate::folder::{DIGEST, Folder, KUBECONFIG, RADIO, check, near};

#[test]
fn nothing_is_there() {
    let folder = Folder::new();
    check(
        "doctor_nothing",
        &folder.screen(&["doctor", "doctor -o json", "doctor -o yaml", "doctor --env dev"]),
    );
}

#[test]
fn a_project_and_no_cluster() {
    let folder = Folder::with(&near());
    folder.write("kubeconfig", KUBECONFIG);
    check("doctor_no_cluster", &folder.screen(&["doctor --env prod", "doctor --env dve"]));
}

#[test]
fn an_engine_and_dockerfiles_are_wanted_only_by_services_that_are_built() {
    let native = "project: radio\nservices:\n  web: {image: {base: scratch, layers: [{from: site, to: /srv}]";
    let site = |folder: Folder| {
        folder.write("site/web", "a program");
        folder
    };
    let told = Folder::with(&format!("{native}}}}}\n")).run(&["doctor"]);
    assert!(told.out.contains("`image` does not say what is started"), "{}", told.screen());
    let native = &format!("{native}, entrypoint: [/srv/web]}}}}\n");
    let told = site(Folder::with(native)).run(&["doctor"]);
    assert_eq!(told.code, 0, "{}", told.screen());
    assert!(!told.out.contains("docker"), "{}", told.screen());
    let told = Folder::with(&near()).run(&["doctor"]);
    assert!(told.out.contains("is built from Dockerfile, which is not there"), "{}", told.screen());
}

/// A registry that lets in whoever knows the password, which is nowhere in what is shown.
#[test]
fn what_a_project_names_is_looked_at_a_line_each() {
    let registry = Registry::start();
    let yaml = format!(
        "project: radio\nregistry: {host}/radio\nsign: {{key: env://SIGNING_KEY}}\nservices:\n  \
         web: {{image: {{base: 'oci:base', layers: [{{from: site, to: /srv/}}], rust: {{bin: web}}}}}}\n  \
         api: {{image: {{dockerfile: api/Dockerfile}}}}\n  \
         old: {{image: {{ref: '127.0.0.1:9/radio/old@{DIGEST}'}}}}\n\
         environments:\n  dev: {{context: kind-dev, namespace: radio, policy: {{signed: {{keys: [release.pub]}}}}}}\n",
        host = registry.host
    );
    let folder = Folder::with(&yaml);
    folder.write("kubeconfig", KUBECONFIG);
    let screen = |folder: &Folder| folder.screen(&["doctor --env dev"]).replace(&registry.host, "HOST");
    let before = screen(&folder);
    for path in ["base/oci-layout", "site/index.html", "target/release/web", "api/Dockerfile"] {
        folder.write(path, "");
    }
    assert_eq!(folder.run(&["key", "generate", "-q"]).code, 0);
    let key = std::fs::read_to_string(folder.path("release.pem")).unwrap();
    let folder = folder.var("SIGNING_KEY", &key);
    let anonymous = screen(&folder);
    let login = |password: &str| {
        let auth = if password == "hunter2" { "Y2k6aHVudGVyMg==" } else { "Y2k6aHVudGVyMQ==" };
        let config = format!("{{\"auths\":{{\"{}\":{{\"auth\":\"{auth}\"}}}}}}", registry.host);
        std::fs::create_dir_all(folder.path("../home/.docker")).unwrap();
        std::fs::write(folder.path("../home/.docker/config.json"), config).unwrap();
        screen(&folder)
    };
    let screens = [before, anonymous, login("hunter1"), login("hunter2")].join("");
    assert!(!screens.contains("hunter") && !screens.contains("PRIVATE"), "{screens}");
    check("doctor_named", &screens);
}

/// `GET /v2/` and nothing else, with one password: `ci:hunter2`.
struct Registry {
    host: String,
}

impl Registry {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let host = listener.local_addr().expect("an address").to_string();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
                let head: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
                assert_eq!(head.first().map(String::as_str), Some("GET /v2/ HTTP/1.1"));
                let known = head.iter().any(|line| line.ends_with("Basic Y2k6aHVudGVyMg=="));
                let answer =
                    if known { "200 OK" } else { "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"r\"" };
                let rest = "Server: test\r\nConnection: close\r\nContent-Length: 0";
                let _ = write!(stream, "HTTP/1.1 {answer}\r\n{rest}\r\n\r\n");
            }
        });
        Self { host }
    }
}

#[test]
fn a_project_that_is_not_sound() {
    check("doctor_project", &Folder::with("project: radio\nservces: {}\nx: 1\n").screen(&["doctor"]));
}

#[test]
fn the_role_a_release_needs() {
    let folder = Folder::with(RADIO);
    check("doctor_role", &folder.screen(&["doctor --rbac -n radio", "doctor --rbac"]));
    let named = folder.run(&["doctor", "--rbac", "ci", "--env", "dev"]);
    assert!(
        named.out.contains("name: ci") && named.out.contains("namespace: radio-dev"),
        "{}",
        named.screen()
    );
    let json = folder.run(&["doctor", "--rbac", "-n", "radio", "-o", "json"]);
    let list: serde_json::Value = serde_json::from_str(&json.out).expect("one JSON value");
    assert_eq!(list["items"][0]["kind"], "Role");
}
