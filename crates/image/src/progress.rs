//! What a builder says, folded into events and, when it fails, into an error.
//!
//! BuildKit reports vertexes of a graph that run side by side and write in pieces; the classic builder writes one text.
//! Both become the same [`BuildEvent`]s. Nothing is read from a connection here.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bollard::moby::buildkit::v1::StatusResponse;

use crate::{BuildError, BuildEvent};

/// The longest line that is handed on, in bytes; the rest comes as further lines. Bounds what a step that never ends its
/// line can make us keep.
const LINE_BYTES: usize = 8 * 1024;

/// How BuildKit marks its own work, such as loading the Dockerfile. People did not write it.
const INTERNAL: &str = "[internal]";

/// What is known of a build that is under way.
#[derive(Default)]
pub(crate) struct Progress {
    steps: BTreeMap<String, Step>,
    told: BTreeSet<String>,
    /// The step that failed, when the builder says which.
    failed: Option<String>,
    /// The classic builder's one step at a time.
    current: String,
}

#[derive(Default)]
struct Step {
    name: String,
    /// Bytes after the last line end, of each of the step's streams: stdout and stderr do not share lines.
    rest: BTreeMap<i64, Vec<u8>>,
    last: VecDeque<String>,
}

impl Step {
    fn write(&mut self, stream: i64, bytes: &[u8], tell: &mut (dyn FnMut(BuildEvent) + Send)) {
        let mut rest = self.rest.remove(&stream).unwrap_or_default();
        for byte in bytes {
            if *byte == b'\n' || rest.len() >= LINE_BYTES {
                self.line(&std::mem::take(&mut rest), tell);
            }
            if *byte != b'\n' {
                rest.push(*byte);
            }
        }
        if !rest.is_empty() {
            self.rest.insert(stream, rest);
        }
    }

    fn line(&mut self, bytes: &[u8], tell: &mut (dyn FnMut(BuildEvent) + Send)) {
        let line = String::from_utf8_lossy(bytes).trim_end_matches('\r').to_owned();
        if self.last.len() == BuildError::OUTPUT_LINES {
            self.last.pop_front();
        }
        self.last.push_back(line.clone());
        tell(BuildEvent::Output { line });
    }

    fn flush(&mut self, tell: &mut (dyn FnMut(BuildEvent) + Send)) {
        for rest in std::mem::take(&mut self.rest).into_values() {
            self.line(&rest, tell);
        }
    }
}

impl Progress {
    /// Takes one status of BuildKit's.
    pub(crate) fn buildkit(&mut self, status: &StatusResponse, tell: &mut (dyn FnMut(BuildEvent) + Send)) {
        for vertex in &status.vertexes {
            let step = self.steps.entry(vertex.digest.clone()).or_default();
            step.name.clone_from(&vertex.name);
            if !vertex.error.is_empty() {
                self.failed.get_or_insert_with(|| vertex.digest.clone());
            }
            let began = vertex.started.is_some() || vertex.cached;
            if began && !vertex.name.starts_with(INTERNAL) && self.told.insert(vertex.digest.clone()) {
                tell(BuildEvent::Step { name: vertex.name.clone(), cached: vertex.cached });
            }
        }
        for log in &status.logs {
            self.steps.entry(log.vertex.clone()).or_default().write(log.stream, &log.msg, tell);
        }
        for warning in &status.warnings {
            let short = String::from_utf8_lossy(&warning.short).into_owned();
            let message = if warning.url.is_empty() { short } else { format!("{short} ({})", warning.url) };
            tell(BuildEvent::Notice { message });
        }
        // Last, so that what a step wrote just before its end is still its own.
        for vertex in status.vertexes.iter().filter(|vertex| vertex.completed.is_some()) {
            if let Some(step) = self.steps.get_mut(&vertex.digest) {
                step.flush(tell);
                if self.failed.as_ref() != Some(&vertex.digest) {
                    step.last.clear();
                }
            }
        }
    }

    /// Takes a piece of the classic builder's text.
    pub(crate) fn classic(&mut self, text: &str, tell: &mut (dyn FnMut(BuildEvent) + Send)) {
        let line = text.trim_end();
        if let Some(name) = classic_step(line) {
            self.flush(tell);
            name.clone_into(&mut self.current);
            self.steps.insert(name.to_owned(), Step { name: name.to_owned(), ..Step::default() });
            tell(BuildEvent::Step { name: name.to_owned(), cached: false });
        } else if line == " ---> Using cache" {
            tell(BuildEvent::Step { name: self.current.clone(), cached: true });
        } else if let Some(warning) = line.strip_prefix("[Warning] ") {
            tell(BuildEvent::Notice { message: warning.to_owned() });
        } else if !line.is_empty()
            && !line.starts_with(" ---> ")
            && !line.starts_with("Removing intermediate container ")
        {
            self.steps.entry(self.current.clone()).or_default().write(0, text.as_bytes(), tell);
        }
    }

    /// Says what steps wrote without ending the line.
    pub(crate) fn flush(&mut self, tell: &mut (dyn FnMut(BuildEvent) + Send)) {
        for step in self.steps.values_mut() {
            step.flush(tell);
        }
    }

    /// The error of a build that ended with the builder's `message`.
    pub(crate) fn failure(&mut self, message: String) -> BuildError {
        let failed = self.failed.take().unwrap_or_else(|| self.current.clone());
        let step = self.steps.remove(&failed);
        let exit_code = exit_code(&message);
        BuildError::Failed {
            output: step.as_ref().map(|step| step.last.iter().cloned().collect()).unwrap_or_default(),
            step: step.map(|step| step.name).filter(|name| !name.is_empty()),
            exit_code,
            message,
        }
    }
}

/// `Step 2/3 : RUN make`.
fn classic_step(line: &str) -> Option<&str> {
    let (count, name) = line.strip_prefix("Step ")?.split_once(" : ")?;
    let (n, of) = count.split_once('/')?;
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    (number(n) && number(of)).then_some(name)
}

/// Both builders give a command's exit code in words only, at the end of their message. It is for people; nothing is decided by it.
fn exit_code(message: &str) -> Option<i64> {
    let (_, code) =
        message.rsplit_once("exit code: ").or_else(|| message.rsplit_once("returned a non-zero code: "))?;
    code.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use bollard::moby::buildkit::v1::{Vertex, VertexLog, VertexWarning};

    use super::*;

    /// Folds with `fold`; gives back what was told, and the failure if there is a message for one.
    fn fold(
        message: Option<&str>,
        fold: impl FnOnce(&mut Progress, &mut (dyn FnMut(BuildEvent) + Send)),
    ) -> String {
        let mut shown = Vec::new();
        let mut progress = Progress::default();
        let mut tell = |event| {
            shown.push(match event {
                BuildEvent::Step { name, cached: true } => format!("cached {name}"),
                BuildEvent::Step { name, cached: false } => format!("step {name}"),
                BuildEvent::Output { line } => format!("  {line}"),
                BuildEvent::Notice { message } => format!("notice {message}"),
            });
        };
        fold(&mut progress, &mut tell);
        progress.flush(&mut tell);
        if let Some(message) = message {
            let error = progress.failure(message.to_owned());
            shown.push(format!("error: {error}"));
            if let BuildError::Failed { output, .. } = error {
                shown.extend(output.iter().map(|line| format!("  | {line}")));
            }
        }
        shown.join("\n")
    }

    fn vertex(digest: &str, name: &str) -> Vertex {
        Vertex { digest: digest.into(), name: name.into(), ..Vertex::default() }
    }

    fn logs(pieces: &[(&str, &str)]) -> StatusResponse {
        let log = |(vertex, text): &(&str, &str)| VertexLog {
            vertex: (*vertex).into(),
            msg: text.as_bytes().to_vec(),
            ..VertexLog::default()
        };
        StatusResponse { logs: pieces.iter().map(log).collect(), ..StatusResponse::default() }
    }

    fn vertexes(vertexes: Vec<Vertex>) -> StatusResponse {
        StatusResponse { vertexes, ..StatusResponse::default() }
    }

    #[test]
    fn buildkit_steps_that_run_side_by_side_keep_their_own_output() {
        let now = Some(bollard::moby::buildkit::v1::VertexStatus::default().timestamp.unwrap_or_default());
        let shown = fold(
            Some("process \"/bin/sh -c make\" did not complete successfully: exit code: 2"),
            |progress, tell| {
                progress.buildkit(
                    &vertexes(vec![
                        Vertex { started: now, ..vertex("i", "[internal] load build definition") },
                        Vertex {
                            started: now,
                            completed: now,
                            cached: true,
                            ..vertex("a", "[1/3] FROM base")
                        },
                        Vertex { started: now, ..vertex("b", "[2/3] RUN make") },
                        Vertex { started: now, ..vertex("c", "[other 1/1] RUN sleep") },
                        vertex("d", "[3/3] RUN never"),
                    ]),
                    tell,
                );
                progress.buildkit(&logs(&[("b", "one\ntw"), ("c", "noise\n"), ("b", "o\r\nthree")]), tell);
                progress.buildkit(
                    &vertexes(vec![
                        Vertex {
                            started: now,
                            completed: now,
                            error: "exit code: 2".into(),
                            ..vertex("b", "[2/3] RUN make")
                        },
                        Vertex {
                            completed: now,
                            error: "canceled".into(),
                            ..vertex("c", "[other 1/1] RUN sleep")
                        },
                    ]),
                    tell,
                );
            },
        );
        insta::assert_snapshot!(shown);
    }

    #[test]
    fn warnings_are_noticed() {
        let warning = VertexWarning {
            short: b"FromAsCasing: 'as' and 'FROM' keywords' casing do not match".to_vec(),
            url: "https://docs.docker.com/go/dockerfile/rule/from-as-casing/".into(),
            ..VertexWarning::default()
        };
        let status = StatusResponse { warnings: vec![warning], ..StatusResponse::default() };
        insta::assert_snapshot!(fold(None, |progress, tell| progress.buildkit(&status, tell)));
    }

    #[test]
    fn the_classic_builder_says_the_same_things() {
        let shown =
            fold(Some("The command '/bin/sh -c make' returned a non-zero code: 2"), |progress, tell| {
                for text in [
                    "Step 1/3 : FROM base",
                    "\n",
                    " ---> 0123456789ab\n",
                    "Step 2/3 : COPY . /",
                    "\n",
                    " ---> Using cache\n",
                    " ---> 123456789abc\n",
                    "Step 3/3 : RUN make",
                    "\n",
                    " ---> Running in 23456789abcd\n",
                    "one\ntwo",
                    "\nthree\n",
                    "Removing intermediate container 23456789abcd\n",
                    "[Warning] One or more build-args [X] were not consumed\n",
                ] {
                    progress.classic(text, tell);
                }
            });
        insta::assert_snapshot!(shown);
    }

    #[test]
    fn only_the_last_lines_are_kept_and_no_line_is_endless() {
        let many: String = (0..100).map(|n| format!("line {n}\n")).collect();
        let long = "x".repeat(3 * LINE_BYTES);
        let mut progress = Progress::default();
        let mut lines = Vec::new();
        let mut tell = |event| lines.push(event);
        progress.failed = Some("a".into());
        progress.buildkit(&logs(&[("a", &long), ("a", "\n"), ("a", &many)]), &mut tell);
        let BuildError::Failed { output, step, .. } = progress.failure("broken".into()) else {
            unreachable!()
        };
        assert_eq!((output.len(), output[0].as_str(), step), (BuildError::OUTPUT_LINES, "line 70", None));
        assert_eq!(lines.len(), 103);
    }

    #[test]
    fn exit_codes_are_read_where_there_are_some() {
        for (message, expected) in [
            ("executor failed running [/bin/sh -c exit 3]: exit code: 3", Some(3)),
            ("process \"/bin/sh -c x\" did not complete successfully: exit code: 137", Some(137)),
            ("The command '/bin/sh -c exit 3' returned a non-zero code: 3", Some(3)),
            ("failed to compute cache key: \"/x\" not found: not found", None),
            ("exit code: many", None),
        ] {
            assert_eq!(exit_code(message), expected, "{message}");
        }
    }
}
