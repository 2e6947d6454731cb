//! A run of the tool: what it said, and how it ended.

use std::fmt;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

/// A release that takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(240);

/// A run under way.
pub struct Running {
    child: Child,
    out: Arc<Mutex<String>>,
    err: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

/// A run that has ended.
pub struct Finished {
    /// The exit code; -1 when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the tool is built");
        let (out, err) = (Arc::default(), Arc::default());
        let mut readers = Vec::new();
        if let Some(pipe) = child.stdout.take() {
            readers.push(drain(pipe, Arc::clone(&out)));
        }
        if let Some(pipe) = child.stderr.take() {
            readers.push(drain(pipe, Arc::clone(&err)));
        }
        Self { child, out, err, readers }
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has said so far, on both streams.
    ///
    /// # Panics
    /// When a reader panicked.
    pub fn said(&self) -> String {
        format!("{}{}", self.out.lock().expect("output"), self.err.lock().expect("output"))
    }

    /// Waits until it has said this.
    ///
    /// # Panics
    /// When it ends, or takes too long, without saying it.
    pub fn until_it_says(&mut self, words: &str) {
        let give_up = Instant::now() + PATIENCE;
        while !self.said().contains(words) {
            let ended = self.child.try_wait().expect("a child");
            std::thread::sleep(Duration::from_millis(5));
            let late = Instant::now() > give_up;
            assert!(
                (ended.is_none() && !late) || self.said().contains(words),
                "`{words}` was not said: {}",
                self.said()
            );
        }
    }

    /// Sends it a signal, `INT`, `TERM` or `KILL`.
    ///
    /// # Panics
    /// When there is no `kill`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status();
        assert!(sent.expect("kill is installed").success());
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it takes too long.
    pub fn wait(mut self) -> Finished {
        let give_up = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                break status;
            }
            if Instant::now() > give_up {
                let _ = self.child.kill();
                panic!("the tool hangs: {}", self.said());
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        for reader in self.readers {
            let _ = reader.join();
        }
        let text = |text: &Arc<Mutex<String>>| text.lock().map(|text| text.clone()).unwrap_or_default();
        Finished { code: status.code().unwrap_or(-1), out: text(&self.out), err: text(&self.err) }
    }
}

fn drain(mut pipe: impl Read + Send + 'static, into: Arc<Mutex<String>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(count) = pipe.read(&mut bytes) {
            if count == 0 {
                return;
            }
            if let Ok(mut text) = into.lock() {
                text.push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        }
    })
}

impl Finished {
    /// The events of a run with `-o json`.
    ///
    /// # Panics
    /// When a line is not JSON.
    pub fn events(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).expect("JSON Lines")).collect()
    }

    /// The first event of a type.
    pub fn event(&self, kind: &str) -> Option<Value> {
        self.events().into_iter().find(|event| event["type"] == kind)
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit code {}\n--- stdout\n{}--- stderr\n{}", self.code, self.out, self.err)
    }
}
