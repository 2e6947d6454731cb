//! Probes: when each is due, what it finds, and what follows from several findings.
//!
//! A probe whose finding cannot change before a known moment is not asked again before it: that is what makes
//! thousands of quiet pods cost nothing.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::apps::Run;

/// How a probe asks.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Action {
    Http { path: String, port: u64, scheme: &'static str },
    Tcp { port: u64 },
    Exec,
    Grpc { port: u64 },
}

/// A probe of a container's spec.
#[derive(Debug, Clone)]
pub(super) struct Probe {
    action: Action,
    delay: Duration,
    period: Duration,
    timeout: Duration,
    successes: u64,
    pub(super) failures: u64,
}

/// Which of the three it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Startup,
    Readiness,
    Liveness,
}

/// How a question fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// Nobody listens.
    Refused,
    /// The answer comes too late.
    TimedOut,
    /// The answer says no, as HTTP does.
    Status(u16),
    /// The answer says no, as others do.
    Unhealthy,
}

impl Failure {
    /// A number that no other failure of any probe of the same container has.
    pub(super) fn number(self, which: Which) -> u32 {
        let failure = match self {
            Self::Status(status) => u32::from(status),
            Self::Refused => 1 << 16,
            Self::TimedOut => 2 << 16,
            Self::Unhealthy => 3 << 16,
        };
        let which = match which {
            Which::Startup => 0,
            Which::Readiness => 1 << 20,
            Which::Liveness => 2 << 20,
        };
        which | failure
    }
}

impl Which {
    pub(super) fn name(self) -> &'static str {
        match self {
            Which::Startup => "Startup",
            Which::Readiness => "Readiness",
            Which::Liveness => "Liveness",
        }
    }
}

impl Probe {
    /// Reads a probe; a container without one has none.
    pub(super) fn read(probe: &Value, container: &Value) -> Option<Self> {
        probe.as_object()?;
        let seconds =
            |field: &str, default: u64| Duration::from_secs(probe[field].as_u64().unwrap_or(default));
        let action = if let Some(get) = probe.get("httpGet") {
            let scheme = if get["scheme"] == "HTTPS" { "https" } else { "http" };
            let path = get["path"].as_str().unwrap_or("/").to_owned();
            Action::Http { path, port: port(&get["port"], container), scheme }
        } else if let Some(tcp) = probe.get("tcpSocket") {
            Action::Tcp { port: port(&tcp["port"], container) }
        } else if let Some(grpc) = probe.get("grpc") {
            Action::Grpc { port: port(&grpc["port"], container) }
        } else {
            Action::Exec
        };
        Some(Self {
            action,
            delay: seconds("initialDelaySeconds", 0),
            period: seconds("periodSeconds", 10).max(Duration::from_secs(1)),
            timeout: seconds("timeoutSeconds", 1),
            successes: probe["successThreshold"].as_u64().unwrap_or(1),
            failures: probe["failureThreshold"].as_u64().unwrap_or(3),
        })
    }

    /// Asks.
    fn ask(&self, which: Which, run: &Run<'_>, now: Timestamp) -> Result<(), Failure> {
        match &self.action {
            Action::Http { path, .. } => {
                let Some((status, _, latency)) = run.reply(path, now, 0) else {
                    return Err(Failure::Refused);
                };
                if latency >= self.timeout {
                    return Err(Failure::TimedOut);
                }
                let unready = which == Which::Readiness && !run.is_ready(now);
                let status = match status {
                    200..400 if unready => run.script.ready.refusal.unwrap_or(503),
                    status => status,
                };
                if (200..400).contains(&status) { Ok(()) } else { Err(Failure::Status(status)) }
            }
            Action::Tcp { .. } => {
                if run.listens(now) {
                    Ok(())
                } else {
                    Err(Failure::Refused)
                }
            }
            Action::Grpc { .. } if !run.listens(now) => Err(Failure::Refused),
            Action::Grpc { .. } | Action::Exec if which != Which::Liveness && !run.is_ready(now) => {
                Err(Failure::Unhealthy)
            }
            Action::Grpc { .. } | Action::Exec => Ok(()),
        }
    }

    /// What an event says of a failure after "probe failed: "; the same every time for a pod with this address.
    pub(super) fn words(&self, failure: Failure, ip: &str) -> String {
        let refused = |port: &u64| format!("dial tcp {ip}:{port}: connect: connection refused");
        match (&self.action, failure) {
            (_, Failure::Status(status)) => format!("HTTP probe failed with statuscode: {status}"),
            (Action::Http { path, port, scheme }, failure) => {
                let why = match failure {
                    Failure::Refused => refused(port),
                    _ => "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
                        .to_owned(),
                };
                format!("Get \"{scheme}://{ip}:{port}{path}\": {why}")
            }
            (Action::Tcp { port }, _) => refused(port),
            (Action::Grpc { port }, Failure::Refused) => format!(
                "timeout: failed to connect service \"{ip}:{port}\" within {}s: context deadline exceeded",
                self.timeout.as_secs()
            ),
            (Action::Grpc { .. }, _) => "service unhealthy (responded with \"NOT_SERVING\")".to_owned(),
            (Action::Exec, _) => "command terminated with exit code 1".to_owned(),
        }
    }

    /// The first time to ask at or after `at`, for a container that started at `started`.
    fn first(&self, started: Timestamp, at: Timestamp) -> Timestamp {
        let at = at.max(started + self.delay);
        let past = Duration::try_from(at.duration_since(started)).unwrap_or_default();
        let rounds = past.as_nanos().div_ceil(self.period.as_nanos());
        started + self.period.saturating_mul(u32::try_from(rounds).unwrap_or(u32::MAX))
    }

    fn is_drawn(&self, run: &Run<'_>, now: Timestamp) -> bool {
        matches!(&self.action, Action::Http { path, .. } if run.is_drawn(path, now))
    }
}

fn port(port: &Value, container: &Value) -> u64 {
    let named = |name: &str| {
        let mut ports = container["ports"].as_array()?.iter();
        ports.find(|p| p["name"] == name)?["containerPort"].as_u64()
    };
    port.as_u64().or_else(|| named(port.as_str()?)).unwrap_or(0)
}

/// A probe at work on a running container.
#[derive(Debug, Clone)]
pub(super) struct Watch {
    pub(super) which: Which,
    /// When it asks next, None if its finding cannot change any more.
    pub(super) next: Option<Timestamp>,
    good: u64,
    bad: u64,
}

/// What one question led to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// How the question failed.
    pub(super) failure: Option<Failure>,
    /// The state all findings together lead to, when this one decided it.
    pub(super) decides: Option<bool>,
}

impl Watch {
    pub(super) fn new(which: Which, probe: &Probe, started: Timestamp, now: Timestamp) -> Self {
        Self { which, next: Some(probe.first(started, now)), good: 0, bad: 0 }
    }

    /// Asks, and plans the next question. `eager`: failures are worth asking for, because events are still written.
    pub(super) fn ask(&mut self, probe: &Probe, run: &Run<'_>, now: Timestamp, eager: bool) -> Finding {
        let failure = probe.ask(self.which, run, now).err();
        (self.good, self.bad) = if failure.is_none() { (self.good + 1, 0) } else { (0, self.bad + 1) };
        let decides = if self.good == probe.successes.max(1) {
            Some(true)
        } else if self.bad == probe.failures.max(1) {
            Some(false)
        } else {
            None
        };
        let settled = self.good >= probe.successes || self.bad >= probe.failures && !eager;
        self.next = if settled && !probe.is_drawn(run, now) {
            run.next_change(now).map(|change| probe.first(run.started, change))
        } else {
            Some(now + probe.period)
        };
        Finding { failure, decides }
    }
}
