//! A folder with a project in it, and the program run there with a clean environment.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A digest that no image has.
pub(crate) const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A project with what most tests need: a service that is built, one that exists, and two environments.
pub(crate) const RADIO: &str = "\
project: radio
registry: registry.example.com/radio
services:
  web:
    image: {dockerfile: Dockerfile}
    port: 8080
  player:
    image: {ref: 'registry.example.com/radio/player@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef'}
environments:
  dev: {context: kind-dev, namespace: radio-dev}
  prod: {context: prod, namespace: radio, gate: manual}
";

/// [`RADIO`] with a registry on this machine that nobody listens at.
pub(crate) fn near() -> String {
    RADIO.replace("registry.example.com", "127.0.0.1:9")
}

/// A kubeconfig with one context, whose server nobody listens at.
pub(crate) const KUBECONFIG: &str = "\
apiVersion: v1
kind: Config
clusters: [{name: dev, cluster: {server: 'http://127.0.0.1:9'}}]
users: [{name: dev, user: {}}]
contexts: [{name: kind-dev, context: {cluster: dev, user: dev}}]
current-context: kind-dev
";

/// A temporary folder. The project is in `radio`, the home in `home`.
pub(crate) struct Folder {
    dir: tempfile::TempDir,
    vars: Vec<(&'static str, String)>,
    stdin: String,
}

/// What a run of the program showed.
pub(crate) struct Told {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) code: i32,
}

impl Folder {
    /// With nothing in it.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        for name in ["radio", "home", "bin"] {
            std::fs::create_dir(dir.path().join(name)).expect("a folder");
        }
        Self { dir, vars: Vec::new(), stdin: String::new() }
    }

    /// With this `release.yaml`.
    pub(crate) fn with(yaml: &str) -> Self {
        let folder = Self::new();
        folder.write("release.yaml", yaml);
        folder
    }

    /// An environment variable of every later run.
    pub(crate) fn var(mut self, name: &'static str, value: &str) -> Self {
        self.vars.push((name, value.to_owned()));
        self
    }

    /// What later runs read on standard input.
    pub(crate) fn stdin(mut self, text: &str) -> Self {
        text.clone_into(&mut self.stdin);
        self
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join("radio").join(path)
    }

    /// Writes a file of the project's folder.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }

    /// `release` with these words, not started yet.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let root = self.dir.path();
        let mut command = Command::new(env!("CARGO_BIN_EXE_release"));
        command
            .args(words)
            .current_dir(root.join("radio"))
            .env_clear()
            // No git, no docker, no credential helper: what is found on this machine must not matter.
            .env("PATH", root.join("bin"))
            .env("HOME", root.join("home"))
            .env("KUBECONFIG", root.join("radio/kubeconfig"))
            .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
            .envs(self.vars.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }

    /// Runs `release` with these words.
    pub(crate) fn run(&self, words: &[&str]) -> Told {
        let mut child = self
            .command(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut stdin = child.stdin.take().expect("it is piped");
        // A program that does not read ends without having read.
        let _ = stdin.write_all(self.stdin.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().expect("the program ends");
        let text = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).expect("UTF-8");
            text.replace(&*self.dir.path().to_string_lossy(), "DIR")
        };
        Told {
            out: text(output.stdout),
            err: text(output.stderr),
            code: output.status.code().expect("not killed"),
        }
    }

    /// Runs every line of `script` and returns what a person would have on the screen.
    pub(crate) fn screen(&self, script: &[&str]) -> String {
        script
            .iter()
            .map(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                format!("$ release {line}\n{}\n", self.run(&words).screen())
            })
            .collect()
    }
}

impl Told {
    /// Both streams and the exit code; `|` is standard output, `!` standard error.
    pub(crate) fn screen(&self) -> String {
        let marked = |mark: char, text: &str| -> String {
            text.lines().map(|line| format!("{mark} {line}").trim_end().to_owned() + "\n").collect()
        };
        format!("{}{}= {}\n", marked('|', &self.out), marked('!', &self.err), self.code)
    }
}

/// Compares with the stored snapshot of that name, whatever time it is.
pub(crate) fn check(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_snapshot_path("snapshots");
    settings.set_omit_expression(true);
    settings.add_filter(r"(?m)^! +\d+\.\ds ", "!    0.0s ");
    settings.add_filter(r#""run":"[0-9a-f-]+""#, r#""run":"RUN""#);
    settings.add_filter(r#""at":"[^"]+""#, r#""at":"TIME""#);
    settings.add_filter(r#""elapsed":[0-9.]+"#, r#""elapsed":0.0"#);
    settings.bind(|| insta::assert_snapshot!(name, text));
}
