//! An independent witness: kubectl watching objects, with the time each change arrived.

use std::io::BufReader;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::Lab;

/// One change that was seen.
#[derive(Debug, Clone)]
pub struct Observed {
    /// Seconds since 1970 when it arrived here.
    pub at: f64,
    /// The object.
    pub object: Value,
}

/// A watch by another client.
pub struct Watch {
    children: Vec<Child>,
    seen: Arc<Mutex<Vec<Observed>>>,
}

impl Watch {
    /// Watches kinds (`pods,events`) in the lab's namespace from now on.
    ///
    /// # Panics
    /// When kubectl is not installed.
    pub fn start(lab: &Lab, kinds: &str) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        // kubectl watches one kind at a time.
        let children = kinds.split(',').map(|kind| follow(lab, kind, &seen)).collect();
        // It must be open before what it is to witness begins.
        std::thread::sleep(std::time::Duration::from_millis(700));
        Self { children, seen }
    }

    /// Everything seen so far.
    ///
    /// # Panics
    /// When the reader panicked.
    pub fn seen(&self) -> Vec<Observed> {
        self.seen.lock().expect("the reader").clone()
    }

    /// When an object like this was first seen.
    pub fn first(&self, like: impl Fn(&Value) -> bool) -> Option<f64> {
        self.seen().into_iter().find(|observed| like(&observed.object)).map(|observed| observed.at)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Seconds since 1970, by the clock that stamps what is observed.
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Starts to watch one kind.
fn follow(lab: &Lab, kind: &str, seen: &Arc<Mutex<Vec<Observed>>>) -> Child {
    let mut command: Command = lab.kubectl_command();
    command.args(["-n", &lab.namespace, "get", kind, "--watch", "-o", "json"]);
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("kubectl is installed");
    if let Some(out) = child.stdout.take() {
        let seen = Arc::clone(seen);
        std::thread::spawn(move || {
            let objects = serde_json::Deserializer::from_reader(BufReader::new(out)).into_iter::<Value>();
            for object in objects.map_while(Result::ok) {
                let at = now();
                if let Ok(mut seen) = seen.lock() {
                    seen.push(Observed { at, object });
                }
            }
        });
    }
    child
}
