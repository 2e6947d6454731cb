//! `release sim serve`, and the whole way of a release against it: the real program on both sides.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use crate::folder::{Folder, check};

/// `{}`, and its digest: an empty config does for an image nobody runs.
const CONFIG: &str = "{}";
const CONFIG_DIGEST: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The program serving; ended when dropped.
struct Sim {
    child: Child,
    registry: String,
}

impl Sim {
    fn start(folder: &Folder) -> Self {
        let mut child = folder
            .command(&["sim", "serve", "--kubeconfig", "kubeconfig", "--faults", "faults.yaml", "-o", "json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let out = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut answer = String::new();
        for line in out.lines() {
            let line = line.expect("a line");
            answer.push_str(&line);
            if line == "}" {
                break;
            }
        }
        let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
        assert_eq!(answer["kubeconfig"], "kubeconfig");
        let server = answer["server"].as_str().unwrap_or_default();
        assert!(server.starts_with("https://127.0.0.1:"), "{server}");
        let registry = answer["registry"].as_str().expect("an address").to_owned();
        Self { child, registry }
    }

    /// One request; the headers of its answer.
    fn ask(&self, method: &str, path: &str, kind: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.registry).expect("it listens");
        let len = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-type: {kind}\r\ncontent-length: {len}\r\n\r\n",
            self.registry
        );
        stream.write_all((head + body).as_bytes()).expect("it is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
        answer
    }

    /// Pushes an image that differs by its annotation, and returns its reference.
    fn push(&self, name: &str, version: &str) -> String {
        let blob = format!("/v2/{name}/blobs/uploads/?digest={CONFIG_DIGEST}");
        self.ask("POST", &blob, "application/octet-stream", CONFIG);
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{CONFIG_DIGEST}","size":2}},"layers":[],"annotations":{{"version":"{version}"}}}}"#
        );
        let answer = self.ask("PUT", &format!("/v2/{name}/manifests/{version}"), MANIFEST, &manifest);
        let digest = answer.lines().find_map(|line| line.strip_prefix("docker-content-digest: "));
        format!("{}/{name}@{}", self.registry, digest.expect("a digest").trim())
    }

    fn project(&self, version: &str) -> String {
        let (player, web) = (self.push("radio/player", version), self.push("radio/web", version));
        format!(
            "project: radio
services:
  player:
    image: {{ref: '{player}'}}
    port: 8080
  web:
    image: {{ref: '{web}'}}
    port: 8080
    needs: [player]
    verify: [{{http: /}}]
environments:
  sim: {{context: release-sim, namespace: default}}
"
        )
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        // It is ours and holds nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_release_goes_to_a_simulated_cluster_and_back() {
    let folder = Folder::new();
    // Whoever reads is answered by one of three API servers, and two of them are behind.
    let faults = "faults: [{fault: {stale-reads: {servers: 2, by: 200ms..1s}}, rate: 0.5}]";
    folder.write("faults.yaml", faults);
    let sim = Sim::start(&folder);
    let run = |words: &[&str]| {
        let told = folder.run(words);
        assert_eq!(told.code, 0, "release {words:?}\n{}", told.screen());
        told
    };
    let second = folder.run(&["sim", "serve", "--kubeconfig", "kubeconfig"]);
    assert_eq!(second.code, 2, "{}", second.screen());
    assert!(second.err.contains("kubeconfig leads to a simulation that runs"), "{}", second.screen());
    folder.write("release.yaml", &sim.project("1"));
    run(&["deploy", "--env", "sim", "--version", "1"]);
    run(&["verify", "--env", "sim"]);
    folder.write("release.yaml", &sim.project("2"));
    run(&["deploy", "--env", "sim", "--version", "2"]);
    let status = run(&["status", "--env", "sim"]).out;
    assert!(status.contains("player") && status.contains("web"), "{status}");
    run(&["rollback", "--env", "sim"]);
    let history = run(&["history", "--env", "sim"]).out;
    assert_eq!(history.matches("verified").count(), 3, "{history}");
}

#[test]
fn what_cannot_be_served() {
    let folder = Folder::new();
    folder.write("kubeconfig", "apiVersion: v1\nkind: Config\n");
    folder.write("apps.yaml", "apps:\n  - {image: web, wings: 2}\n");
    folder.write("faults.yaml", "faults:\n  - {fault: hail}\n");
    let script = [
        "sim serve --listen 0.0.0.0:0",
        "sim serve --kubeconfig kubeconfig",
        "sim serve --apps apps.yaml",
        "sim serve --apps none.yaml",
        "sim serve --faults faults.yaml",
    ];
    check("sim_serve_not", &folder.screen(&script));
}
