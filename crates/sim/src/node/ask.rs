//! What can be asked of a running pod: its log, and answers to HTTP requests.

use std::fmt::Write;
use std::time::Duration;

use jiff::Timestamp;

use super::Nodes;
use super::container::{Container, Ended, State};
use super::machine::Silence;
use super::pod::Pod;
use crate::api::LogQuery;
use crate::apps::{Answer, Run};
use crate::resource::PODS;
use crate::server::ApiServer;
use crate::status::Status;
use crate::time;

/// Without a limit no more lines of a kind are made up.
const MOST_LINES: usize = 1000;

/// What an application answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: String,
    /// How long it took.
    pub latency: Duration,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// Nobody has that address, or its node is lost.
    #[error("no route to host")]
    NoRoute,
    /// Somebody has it, but does not listen.
    #[error("connection refused")]
    Refused,
}

impl Nodes {
    /// The answer of whoever has this address. `nonce` tells requests of one moment apart.
    ///
    /// # Errors
    ///
    /// When nobody has it or nobody listens there.
    pub fn ask_address(
        &self,
        now: Timestamp,
        ip: &str,
        port: u16,
        path: &str,
        nonce: u64,
    ) -> Result<HttpAnswer, NoAnswer> {
        let pod = self.addresses.owner(ip).and_then(|uid| self.pods.of(uid)).ok_or(NoAnswer::NoRoute)?;
        if self.machines.get(&pod.node).is_none_or(|m| m.silence != Silence::None) {
            return Err(NoAnswer::NoRoute);
        }
        pod.answer(now, port, path, nonce).ok_or(NoAnswer::Refused)
    }

    /// The answer of a pod by its name.
    ///
    /// # Errors
    ///
    /// When there is no such pod, it has no address yet or does not listen.
    pub fn ask(
        &self,
        server: &ApiServer,
        now: Timestamp,
        (namespace, pod): (&str, &str),
        port: u16,
        path: &str,
    ) -> Result<HttpAnswer, NoAnswer> {
        let pod = server.store().get(&PODS, namespace, pod).ok_or(NoAnswer::NoRoute)?;
        let ip = pod.pod_ip().ok_or(NoAnswer::NoRoute)?;
        self.ask_address(now, ip, port, path, 0)
    }

    /// The number of a pod's port: given as a number or a name, or left out for its first.
    pub fn port_of(&self, server: &ApiServer, (namespace, pod): (&str, &str), port: &str) -> u16 {
        if let Ok(number) = port.parse() {
            return number;
        }
        let Some(pod) = server.store().get(&PODS, namespace, pod) else { return 0 };
        let containers = pod.field("spec", "containers").as_array().into_iter().flatten();
        let mut ports = containers.flat_map(|c| c["ports"].as_array().into_iter().flatten());
        let found = ports.find(|p| port.is_empty() || p["name"] == port);
        let number = found.and_then(|p| p["containerPort"].as_u64());
        // What a proxy takes when nothing says otherwise.
        number.and_then(|number| u16::try_from(number).ok()).unwrap_or(80)
    }

    /// What a container wrote.
    ///
    /// # Errors
    ///
    /// In the words of the API server: no such pod or container, one that has not started, no previous one.
    pub fn logs(&self, server: &ApiServer, now: Timestamp, query: &LogQuery) -> Result<String, Status> {
        let name = &query.pod;
        let object = server.get(&PODS, &query.namespace, name)?;
        let pod = self
            .pods
            .of(object.uid())
            .ok_or_else(|| Status::bad_request(format!("pod {name} does not have a host assigned")))?;
        let container =
            pod.containers.iter().find(|c| *c.spec.name == *query.container).ok_or_else(|| {
                Status::bad_request(format!("container {} is not valid for pod {name}", query.container))
            })?;
        let lines = container.lines(now, query.previous).ok_or_else(|| {
            let container = &query.container;
            Status::bad_request(if query.previous {
                format!("previous terminated container \"{container}\" in pod \"{name}\" not found")
            } else {
                let why = container_waits(pod, container);
                format!("container \"{container}\" in pod \"{name}\" is waiting to start: {why}")
            })
        })?;
        Ok(cut(lines, now, query))
    }
}

/// The part of a log that is wanted, as text.
fn cut(lines: Vec<(Timestamp, String)>, now: Timestamp, query: &LogQuery) -> String {
    let number = |n: Option<u64>| n.map(|n| usize::try_from(n).unwrap_or(usize::MAX));
    let since = query.since_seconds.map(|seconds| now - Duration::from_secs(seconds));
    let skip = number(query.tail_lines).map_or(0, |tail| lines.len().saturating_sub(tail));
    let mut text = String::new();
    for (at, line) in lines.into_iter().skip(skip).filter(|(at, _)| since.is_none_or(|since| *at >= since)) {
        if query.timestamps {
            // A text takes every write.
            let _ = write!(text, "{} ", time::micros(at));
        }
        text.push_str(&line);
        text.push('\n');
    }
    if let Some(limit) = number(query.limit_bytes) {
        let end = (0..=limit.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or(0));
    }
    text
}

fn container_waits(pod: &Pod, name: &str) -> &'static str {
    let container = pod.containers.iter().find(|c| *c.spec.name == *name);
    match container.and_then(|c| c.shown.as_ref()).map(|shown| shown.reason) {
        Some("ErrImagePull" | "ImagePullBackOff") => "trying and failing to pull image",
        Some(reason) => reason,
        None if pod.containers.iter().any(|c| c.spec.init) => "PodInitializing",
        None => "ContainerCreating",
    }
}

impl Pod {
    /// Who of the containers answers on a port.
    fn answer(&self, now: Timestamp, port: u16, path: &str, nonce: u64) -> Option<HttpAnswer> {
        let listening =
            self.containers.iter().filter(|c| c.run().is_some() && (!c.spec.init || c.spec.sidecar));
        let mut listening: Vec<_> = listening.collect();
        let declares = |c: &&&Container| self.declares(c, port);
        if let Some(at) = listening.iter().position(|c| declares(&c)) {
            listening.swap(0, at);
        }
        let container = listening.first()?;
        if let State::Stopping { deaf_from, .. } = container.state
            && now >= deaf_from
        {
            return None;
        }
        let answer = container.run()?.answer(path, now, nonce)?;
        Some(self.spoil(answer, now, nonce))
    }

    fn declares(&self, container: &Container, port: u16) -> bool {
        let list = if container.spec.init { "initContainers" } else { "containers" };
        let all = self.object.field("spec", list).as_array().into_iter().flatten();
        let mut of_it = all.into_iter().filter(|c| c["name"] == *container.spec.name);
        of_it.any(|c| c["ports"].as_array().into_iter().flatten().any(|p| p["containerPort"] == port))
    }

    /// What a fault makes of an answer.
    fn spoil(&self, answer: Answer, now: Timestamp, nonce: u64) -> HttpAnswer {
        let Answer { mut status, mut body, mut latency } = answer;
        if let Some(bad) = self.fate.answers(now) {
            let moment = u64::try_from(now.as_millisecond()).unwrap_or(0);
            if bad.dice.hits(moment.wrapping_mul(31).wrapping_add(nonce), bad.error_rate) {
                status = bad.status;
                body.clear();
            }
            latency += bad.slower;
        }
        HttpAnswer { status, body, latency }
    }
}

impl Container {
    /// The lines of the run that is there, or was there last, or of the one before it.
    fn lines(&self, now: Timestamp, previous: bool) -> Option<Vec<(Timestamp, String)>> {
        let ended = match (self.run(), previous) {
            (Some(run), false) => return Some(self.lines_of(run, now, None)),
            (Some(_), true) | (None, false) => self.ended.as_ref()?,
            (None, true) => self.before.as_ref()?,
        };
        let back = u32::from(self.run().is_some()) + u32::from(previous && self.run().is_none());
        let restarts = self.restarts().saturating_sub(back);
        let Some(started) = ended.started else { return Some(Vec::new()) };
        let (script, dice, fate) = (&*self.spec.script, self.dice, self.fate);
        let run = Run::new(script, dice, restarts, started, fate);
        Some(self.lines_of(run, ended.finished, Some(ended)))
    }

    fn lines_of(&self, run: Run<'_>, until: Timestamp, ended: Option<&Ended>) -> Vec<(Timestamp, String)> {
        let by_itself = ended.is_some_and(|_| run.end().is_some_and(|end| end.at <= until));
        let lines = run.log(until, by_itself, MOST_LINES);
        let mut lines: Vec<_> = lines.into_iter().map(|(at, line)| (at, line.to_owned())).collect();
        if by_itself && self.fate.lacks_env {
            let missing = self.spec.script.needs_env.join(", ");
            lines.push((until, format!("required environment variable not set: {missing}")));
        } else if by_itself && self.spec.script.writes_root && self.fate.read_only_root {
            lines.push((until, "cannot create file: Read-only file system".to_owned()));
        }
        lines
    }
}
