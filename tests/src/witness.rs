//! An independent counter of API requests: kubectl's proxy stands between the tool and the API server, and logs each of them.

use std::fmt;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::{Lab, var};

/// How long the proxy may take to listen, and to write down the last request.
const PATIENCE: Duration = Duration::from_secs(20);

/// A proxy that counts.
pub struct Witness {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    /// A kubeconfig that leads through the proxy, with the cluster administrator's rights.
    pub kubeconfig: PathBuf,
}

/// Requests by what they are for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Requests {
    /// All but those below.
    pub ordinary: usize,
    /// Watches opened.
    pub watches: usize,
    /// Reads and writes of the lock.
    pub lock: usize,
    /// Writes to anything but the lock and the record: dry runs left out.
    pub workload_writes: usize,
}

impl Witness {
    /// Starts a proxy for the lab's cluster.
    ///
    /// # Panics
    /// When kubectl does not come up.
    pub fn start(lab: &Lab) -> Self {
        let mut command: Command = lab.kubectl_command();
        command.args(["proxy", "--port=0", "-v=6"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("kubectl is installed");
        let log = Arc::new(Mutex::new(Vec::new()));
        if let Some(out) = child.stdout.take() {
            read(out, Arc::clone(&log));
        }
        if let Some(err) = child.stderr.take() {
            read(err, Arc::clone(&log));
        }
        let port = wait_for(|| {
            let log = log.lock().expect("the log");
            let line = log.iter().find_map(|line| line.split("Starting to serve on 127.0.0.1:").nth(1))?;
            line.trim().parse::<u16>().ok()
        });
        let context = var("RELEASE_TEST_CONTEXT");
        let text = format!(
            "apiVersion: v1\nkind: Config\nclusters: [{{name: c, cluster: {{server: \"http://127.0.0.1:{port}\"}}}}]\n\
             users: [{{name: u, user: {{}}}}]\ncontexts: [{{name: {context}, context: {{cluster: c, user: u}}}}]\n"
        );
        lab.write("counted.kubeconfig", &text);
        let kubeconfig = lab.dir.path().join("counted.kubeconfig");
        Self { child, log, kubeconfig }
    }

    /// Counts what has been asked for since the last call.
    ///
    /// # Panics
    /// When the reader panicked.
    pub fn take(&self) -> Requests {
        // The log is written when the answer's head is there; let the last line arrive.
        std::thread::sleep(Duration::from_millis(300));
        let lines = std::mem::take(&mut *self.log.lock().expect("the log"));
        let mut requests = Requests::default();
        for (verb, url) in lines.iter().filter_map(|line| request(line)) {
            if url.contains("/leases") {
                requests.lock += 1;
            } else if url.contains("watch=") {
                requests.watches += 1;
            } else {
                requests.ordinary += 1;
                let is_write = matches!(verb, "POST" | "PUT" | "PATCH" | "DELETE");
                let is_question = url.contains("dryRun=") || url.contains("authorization.k8s.io");
                let is_record =
                    url.contains("/configmaps/release.") || url.ends_with("/configmaps?fieldManager=release");
                requests.workload_writes += usize::from(is_write && !is_question && !is_record);
            }
        }
        requests
    }
}

/// The verb and URL of a line about an answered request, in either form kubectl writes it.
fn request(line: &str) -> Option<(&str, &str)> {
    let at = line.find("http://").or_else(|| line.find("https://"))?;
    let before =
        line[..at].trim_end_matches(['"', ' ']).trim_end_matches("url=").trim_end_matches(['"', ' ']);
    let verb = before.rsplit([' ', '"']).next()?;
    let url = line[at..].split([' ', '"']).next()?;
    let is_answer = line.contains("milliseconds");
    (is_answer && ["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&verb)).then_some((verb, url))
}

fn read(from: impl std::io::Read + Send + 'static, log: Arc<Mutex<Vec<String>>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if let Ok(mut log) = log.lock() {
                log.push(line);
            }
        }
    });
}

fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let give_up = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < give_up, "kubectl proxy did not come up");
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl fmt::Display for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} and {} for the lock, {} watches opened", self.ordinary, self.lock, self.watches)
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_log_lines_are_read() {
        let old = "I1125 06:54:45.036911   25159 round_trippers.go:560] GET https://h:1/api/v1/pods?watch=true 200 OK in 2 milliseconds";
        let new = "I0101 00:00:00.000000   1 round_trippers.go:632] \"Response\" verb=\"PATCH\" url=\"https://h:1/apis/apps/v1/x?force=false\" status=\"200 OK\" milliseconds=3";
        assert_eq!(request(old), Some(("GET", "https://h:1/api/v1/pods?watch=true")));
        assert_eq!(request(new), Some(("PATCH", "https://h:1/apis/apps/v1/x?force=false")));
        assert_eq!(request("Filter accepting GET /api/v1/namespaces/default 127.0.0.1"), None);
    }
}
