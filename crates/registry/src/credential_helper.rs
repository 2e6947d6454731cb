//! Credential helpers: programs named `docker-credential-NAME` that keep the secrets.
//!
//! The [protocol](https://github.com/docker/docker-credential-helpers): `get`, the registry on stdin, JSON on stdout; a
//! known sentence on stdout and a failure when there is nothing. Only `get` is ever called.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use release_core::Secret;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

/// How long a helper may take. Some ask a cloud's service for a fresh token, none a person that long.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The most a helper may say. Cloud tokens have some 3 KiB.
const MAX_BYTES: u64 = 256 * 1024;

/// How much of a helper's complaint is repeated, in characters: a line or two.
const MAX_COMPLAINT: usize = 300;

/// What helpers say when they know nobody, word for word.
const NOTHING: &str = "credentials not found in native keychain";

/// Why a helper did not help.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// The name could lead out of the search path.
    #[error("the name is not made of letters, digits, `-`, `_` and `.`")]
    Name,
    /// The program cannot be run.
    #[error("cannot run it: is it installed, and in PATH?")]
    Run(#[source] io::Error),
    /// The program does not end.
    #[error("it did not answer within {} seconds", TIMEOUT.as_secs())]
    Timeout,
    /// The program says too much.
    #[error("it said more than {MAX_BYTES} bytes")]
    TooMuch,
    /// The program failed.
    #[error("it failed: {said}")]
    Failed {
        /// What it complained about. Helpers complain before they know any secret.
        said: String,
    },
    /// The program's answer is not the protocol's. The answer is not repeated, as it may hold the secret.
    #[error("its answer is not the JSON that is agreed on")]
    Answer,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Username")]
    username: String,
    #[serde(rename = "Secret")]
    secret: String,
}

/// Asks `docker-credential-{name}` for the user and the secret of `registry`.
pub(crate) async fn get(name: &str, registry: &str) -> Result<Option<(String, Secret)>, HelperError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !name.chars().all(plain) {
        return Err(HelperError::Name);
    }
    ask(&format!("docker-credential-{name}"), registry).await
}

async fn ask(program: &str, registry: &str) -> Result<Option<(String, Secret)>, HelperError> {
    let mut child = Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(HelperError::Run)?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let talk = async {
        if let Some(mut stdin) = stdin {
            // A helper that does not read its question may still have an answer.
            let _ = stdin.write_all(registry.as_bytes()).await;
        }
        let (stdout, stderr) = tokio::try_join!(bounded(stdout), bounded(stderr))?;
        let status = child.wait().await.map_err(HelperError::Run)?;
        Ok((status, stdout, stderr))
    };
    let (status, stdout, stderr) =
        tokio::time::timeout(TIMEOUT, talk).await.map_err(|_| HelperError::Timeout)??;
    if status.success() {
        let answer: Answer = serde_json::from_slice(&stdout).map_err(|_| HelperError::Answer)?;
        // Some helpers say that they know nobody by an empty answer.
        let known = !answer.secret.is_empty();
        return Ok(known.then(|| (answer.username, Secret::new(answer.secret))));
    }
    let said = String::from_utf8_lossy(if stdout.is_empty() { &stderr } else { &stdout }).trim().to_owned();
    if said.contains(NOTHING) {
        return Ok(None);
    }
    let mut said: String = said.chars().take(MAX_COMPLAINT).collect();
    if said.is_empty() {
        said = status.to_string();
    }
    Err(HelperError::Failed { said })
}

async fn bounded(from: Option<impl AsyncRead + Unpin>) -> Result<Vec<u8>, HelperError> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        from.take(MAX_BYTES + 1).read_to_end(&mut bytes).await.map_err(HelperError::Run)?;
    }
    if bytes.len() as u64 > MAX_BYTES { Err(HelperError::TooMuch) } else { Ok(bytes) }
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    async fn check(script: &str, expected: &str) {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("helper");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let shown = match ask(program.to_str().unwrap(), "r.io").await {
            Ok(None) => "nobody".to_owned(),
            Ok(Some((user, secret))) => format!("{user} {}", secret.expose()),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected, "{script}");
    }

    #[tokio::test]
    async fn helpers_are_understood() {
        for (script, expected) in [
            (
                r#"read r; echo "{\"ServerURL\":\"$r\",\"Username\":\"$1-$r\",\"Secret\":\"s\"}""#,
                "get-r.io s",
            ),
            (r#"echo '{"ServerURL":"","Username":"","Secret":""}'"#, "nobody"),
            ("echo 'credentials not found in native keychain'; exit 1", "nobody"),
            ("echo 'credentials not found in native keychain' >&2; exit 1", "nobody"),
            ("echo 'the keychain is locked'; exit 1", "it failed: the keychain is locked"),
            ("exit 3", "it failed: exit status: 3"),
            ("echo hunter2", "its answer is not the JSON that is agreed on"),
            ("head -c 300000 /dev/zero; exit 0", "it said more than 262144 bytes"),
        ] {
            check(script, expected).await;
        }
    }

    #[tokio::test]
    async fn a_name_cannot_lead_elsewhere() {
        for name in ["../x", "a/b", "a b", "a;b"] {
            assert!(matches!(get(name, "r.io").await, Err(HelperError::Name)), "{name}");
        }
    }
}
