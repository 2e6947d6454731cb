//! A namespace and a project folder of one test's own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::tool::{Finished, Running};
use crate::var;

/// How long a test waits for something that must come.
const PATIENCE: Duration = Duration::from_secs(90);

/// One test's place. Its namespace is deleted when it goes.
pub struct Lab {
    /// The namespace.
    pub namespace: String,
    /// The folder of the project.
    pub dir: tempfile::TempDir,
    /// The kubeconfig the tool uses.
    pub kubeconfig: PathBuf,
    /// The context the project's environment names.
    pub context: String,
}

impl Lab {
    /// A new namespace, and a folder with an application: busybox's HTTP server with `/healthz` and `/version`.
    ///
    /// # Panics
    /// When the cluster is not there.
    pub fn new(name: &str) -> Self {
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().subsec_nanos();
        let namespace = format!("t-{name}-{:x}", nanos ^ std::process::id());
        let dir = tempfile::tempdir().expect("a temporary folder");
        let lab = Self {
            namespace,
            dir,
            kubeconfig: PathBuf::from(var("RELEASE_TEST_KUBECONFIG")),
            context: var("RELEASE_TEST_CONTEXT"),
        };
        lab.kubectl(&["create", "namespace", &lab.namespace]);
        let www = lab.dir.path().join("web/www");
        std::fs::create_dir_all(&www).expect("a folder");
        std::fs::copy("/bin/busybox", lab.dir.path().join("web/busybox"))
            .expect("busybox-static is installed");
        lab.write("web/www/healthz", "ok\n");
        lab.write("web/www/version", &format!("{name}\n"));
        lab.write(
            "web/Dockerfile",
            "FROM scratch\nCOPY busybox /bin/busybox\nCOPY www /www\nUSER 65532\n\
             ENTRYPOINT [\"/bin/busybox\", \"httpd\", \"-f\", \"-v\", \"-p\", \"8080\", \"-h\", \"/www\"]\n",
        );
        lab.project("");
        lab
    }

    /// Writes a file of the project folder.
    ///
    /// # Panics
    /// When it cannot.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.dir.path().join(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).expect("a folder");
        }
        std::fs::write(path, text).expect("a file");
    }

    /// Writes `release.yaml` with one service `web`; `extra` are lines of the service, without indentation. A line whose key
    /// the usual ones have replaces it.
    pub fn project(&self, extra: &str) {
        let mut lines: Vec<String> = [
            "image: {dockerfile: web/Dockerfile, context: web}",
            "port: 8080",
            "replicas: 2",
            "resources: {cpu: 5m, memory: 16Mi}",
            "health: {http: /healthz}",
            "shutdown: {drain: 0s}",
        ]
        .map(str::to_owned)
        .to_vec();
        for line in extra.lines().filter(|line| !line.trim().is_empty()) {
            let key = line.split(':').next().unwrap_or_default();
            lines.retain(|usual| line.starts_with(' ') || usual.split(':').next() != Some(key));
            lines.push(line.to_owned());
        }
        let service: String = lines.iter().map(|line| format!("    {line}\n")).collect();
        self.yaml(&format!("services:\n  web:\n{service}"));
    }

    /// Writes `release.yaml` with these services.
    pub fn yaml(&self, services: &str) {
        let text = format!(
            "project: radio\nregistry: {}/{}\n{services}environments:\n  dev: {{context: {}, namespace: {}}}\n",
            var("RELEASE_TEST_REGISTRY"),
            self.namespace,
            self.context,
            self.namespace
        );
        self.write("release.yaml", &text);
    }

    /// Runs `release` with these words in the project folder and waits for it.
    pub fn release(&self, words: &[&str]) -> Finished {
        self.start(words).wait()
    }

    /// Releases and expects it to be verified.
    ///
    /// # Panics
    /// When it is not.
    pub fn deploy_well(&self) -> Finished {
        let done = self.release(&["deploy", "--env", "dev"]);
        assert_eq!(done.code, 0, "{done}");
        done
    }

    /// Starts `release` with these words in the project folder.
    pub fn start(&self, words: &[&str]) -> Running {
        Running::start(self.tool().args(words))
    }

    /// The tool, ready to be given words.
    pub fn tool(&self) -> Command {
        let mut command = Command::new(binary());
        command
            .current_dir(self.dir.path())
            .env("KUBECONFIG", &self.kubeconfig)
            .env("DOCKER_HOST", var("RELEASE_TEST_DOCKER_HOST"))
            .env("DOCKER_CONFIG", self.dir.path().join("docker"))
            .env("CI", "true")
            .env("RUST_BACKTRACE", "0");
        command
    }

    /// `kubectl` as the cluster's administrator.
    ///
    /// # Panics
    /// When it fails.
    pub fn kubectl(&self, words: &[&str]) -> String {
        let output = self.kubectl_command().args(words).output().expect("kubectl is installed");
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "kubectl {words:?}: {err}");
        out.trim().to_owned()
    }

    /// `kubectl` as the cluster's administrator, ready to be given words.
    pub fn kubectl_command(&self) -> Command {
        let mut command = Command::new("kubectl");
        command.arg("--kubeconfig").arg(var("RELEASE_TEST_KUBECONFIG"));
        command
    }

    /// Objects of a kind in the namespace.
    ///
    /// # Panics
    /// When they cannot be listed.
    pub fn objects(&self, kind: &str) -> Vec<Value> {
        let text = self.kubectl(&["-n", &self.namespace, "get", kind, "-o", "json"]);
        let list: Value = serde_json::from_str(&text).expect("kubectl writes JSON");
        list["items"].as_array().cloned().unwrap_or_default()
    }

    /// Names of objects of a kind that the tool manages, records left out.
    pub fn managed(&self, kind: &str) -> Vec<String> {
        let ours = |object: &&Value| {
            let labels = &object["metadata"]["labels"];
            labels["app.kubernetes.io/managed-by"] == "release" && labels["release-tool.dev/part"].is_null()
        };
        let objects = self.objects(kind);
        objects
            .iter()
            .filter(ours)
            .filter_map(|object| object["metadata"]["name"].as_str().map(str::to_owned))
            .collect()
    }

    /// The deployment `web`.
    ///
    /// # Panics
    /// When there is none.
    pub fn deployment(&self) -> Value {
        let deployments = self.objects("deployments");
        deployments.into_iter().find(|object| object["metadata"]["name"] == "web").expect("deployment web")
    }

    /// Waits until `condition` holds.
    ///
    /// # Panics
    /// When it does not come to hold.
    pub fn until(&self, what: &str, mut condition: impl FnMut() -> bool) {
        let give_up = Instant::now() + PATIENCE;
        while !condition() {
            assert!(Instant::now() < give_up, "{what} did not come about");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// A kubeconfig of a service account in this namespace, with the given Role (as YAML) or without any.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn account(&self, name: &str, role: Option<&str>) -> PathBuf {
        self.kubectl(&["-n", &self.namespace, "create", "serviceaccount", name]);
        if let Some(role) = role {
            self.write("role.yaml", role);
            let path = self.dir.path().join("role.yaml");
            self.kubectl(&["apply", "-f", &path.to_string_lossy()]);
        }
        let mut token = String::new();
        self.until("the account's token", || {
            let secrets = self.objects("secrets");
            let of = |secret: &&Value| {
                secret["metadata"]["annotations"]["kubernetes.io/service-account.name"] == name
            };
            let found = secrets
                .iter()
                .find(of)
                .and_then(|secret| secret["data"]["token"].as_str().map(str::to_owned));
            token = found.unwrap_or_default();
            !token.is_empty()
        });
        let token = base64_decode(&token);
        let config = std::fs::read_to_string(var("RELEASE_TEST_KUBECONFIG")).expect("the kubeconfig");
        let own: String = config
            .lines()
            .map(|line| {
                if line.starts_with("users:") {
                    format!("users: [{{name: admin, user: {{token: \"{token}\"}}}}]\n")
                } else {
                    format!("{line}\n")
                }
            })
            .collect();
        let path = self.dir.path().join(format!("{name}.kubeconfig"));
        std::fs::write(&path, own).expect("a file");
        path
    }
}

/// Standard base64 with padding, as Kubernetes writes it.
fn base64_decode(text: &str) -> String {
    let mut child = Command::new("base64");
    child.arg("-d").stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = child.spawn().expect("base64 is installed");
    if let Some(mut input) = child.stdin.take() {
        use std::io::Write as _;
        input.write_all(text.as_bytes()).expect("base64 reads");
    }
    String::from_utf8(child.wait_with_output().expect("base64 writes").stdout).expect("a token is text")
}

/// The tool: `RELEASE_TEST_BIN`, else the one this workspace builds.
fn binary() -> PathBuf {
    std::env::var_os("RELEASE_TEST_BIN")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/debug/release"), PathBuf::from)
}

impl Drop for Lab {
    fn drop(&mut self) {
        let words = ["delete", "namespace", &self.namespace, "--wait=false", "--ignore-not-found"];
        let _ = self.kubectl_command().args(words).output();
    }
}
