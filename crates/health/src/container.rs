//! What one container's state says. States are the cluster's present tense, so they are trusted over events;
//! events only add what a state does not hold: who killed it, and why a pull failed before the back-off.
//!
//! A crash is called a loop at the first evidence for which waiting cannot help, which is the second bad
//! end in a row: `CrashLoopBackOff` (the kubelet restarts at once after the first end and backs off after
//! the second), or a terminated state on top of a terminated last state. A single exit is only a suspicion,
//! because dependencies may be late; while the container runs again it is not even that.

use release_core::CauseKind;
use serde_json::Value;

use crate::events::{Events, probe_failure};
use crate::finding::{Finding, MAX_WORDS};
use crate::json::{is_older, one_line, text, uid};
use crate::pod::Look;
use crate::pull;

/// One container of one pod.
#[derive(Clone, Copy)]
pub(crate) struct Container<'a> {
    pub(crate) pod: &'a Value,
    /// Its entry in the pod's `spec`.
    pub(crate) spec: &'a Value,
    /// Its entry in the pod's `status`.
    pub(crate) status: &'a Value,
    pub(crate) is_init: bool,
}

/// One end of one run.
#[derive(Clone, Copy)]
struct Exit<'a> {
    code: i64,
    reason: &'a str,
    message: &'a str,
    at: Option<&'a str>,
}

impl<'a> Exit<'a> {
    fn of(state: &'a Value) -> Option<Self> {
        let ended = state["terminated"].as_object()?;
        Some(Self {
            code: ended.get("exitCode").and_then(Value::as_i64).unwrap_or(0),
            reason: ended.get("reason").map_or("", text),
            message: ended.get("message").map_or("", text),
            at: ended.get("finishedAt").and_then(Value::as_str),
        })
    }

    /// SIGKILL or SIGTERM, as the shell counts.
    fn is_killed(&self) -> bool {
        matches!(self.code, 137 | 143)
    }

    /// The runtime could not start the command. Containerd's word, and the Docker Engine's.
    fn is_start_error(&self) -> bool {
        matches!(self.reason, "StartError" | "ContainerCannotRun")
    }
}

impl<'a> Container<'a> {
    pub(crate) fn name(&self) -> &'a str {
        text(&self.status["name"])
    }

    pub(crate) fn image(&self) -> &'a str {
        let declared = text(&self.spec["image"]);
        if declared.is_empty() { text(&self.status["image"]) } else { declared }
    }

    pub(crate) fn restarts(&self) -> u64 {
        self.status["restartCount"].as_u64().unwrap_or(0)
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.status["ready"] == true
    }

    fn label(&self) -> String {
        let what = if self.is_init { "init container" } else { "container" };
        format!("{what} {}", self.name())
    }

    /// What is wrong with it, if its state says so.
    pub(crate) fn judge(&self, look: &Look<'_>) -> Option<Finding> {
        if self.is_ready() {
            return None;
        }
        let state = &self.status["state"];
        let finding = if state["waiting"].is_object() {
            self.waiting(look, text(&state["waiting"]["reason"]), text(&state["waiting"]["message"]))
        } else if let Some(exit) = Exit::of(state) {
            self.ended(look, exit)
        } else {
            self.runs_again(look)
        }?;
        Some(finding.in_container(self.name()))
    }

    fn waiting(&self, look: &Look<'_>, reason: &str, message: &str) -> Option<Finding> {
        let finding = match reason {
            "ErrImagePull"
            | "ImagePullBackOff"
            | "InvalidImageName"
            | "ErrImageNeverPull"
            | "ImageInspectError"
            | "RegistryUnavailable"
            | "SignatureValidationFailed" => self.pull(look, reason, message),
            "CreateContainerConfigError" => self.config(look, message),
            "CreateContainerError"
            | "RunContainerError"
            | "PreCreateHookError"
            | "PreStartHookError"
            | "PostStartHookError" => self.cannot_start(look, message),
            "CrashLoopBackOff" => self.exits(look, self.last_exit(look)),
            _ => return self.runs_again(look),
        };
        Some(finding.fact(format!("state waiting of {}", self.label()), reason, message, None))
    }

    fn pull(&self, look: &Look<'_>, reason: &str, message: &str) -> Finding {
        // Older kubelets say only that they back off; the reason is then in the event of the attempt.
        let attempt = look.events.newest(uid(self.pod), |e| {
            e.reason == "Failed" && e.message.starts_with("Failed to pull image") && e.is_about(self.name())
        });
        let mut says = message;
        let mut read = pull::read(message, self.image());
        if read.may_pass
            && reason == "ImagePullBackOff"
            && let Some(event) = attempt
            && !message.contains("ErrImagePull")
        {
            says = event.message;
            read = pull::read(says, self.image());
        }
        let (kind, may_pass) = match reason {
            "InvalidImageName" => (CauseKind::ImageNameInvalid, false),
            "ErrImageNeverPull" => (CauseKind::ImageNotFound, false),
            _ => (read.kind, read.may_pass),
        };
        let why = match reason {
            "InvalidImageName" => "the name is malformed".to_owned(),
            "ErrImageNeverPull" => "not on the node, and imagePullPolicy is Never".to_owned(),
            _ if read.words.is_empty() => one_line(innermost(says), MAX_WORDS),
            _ => read.words.to_owned(),
        };
        let words = format!("cannot pull {}: {why}", self.image());
        let finding = Finding::on_pod(self.pod, kind, words);
        if may_pass { finding.likely(look.graces.image_pull) } else { finding }
    }

    fn config(&self, look: &Look<'_>, message: &str) -> Finding {
        let says = |words: &str| message.contains(words);
        if says("not found") || says("find key") || says("non-existent") {
            let words = format!("cannot get configuration: {}", one_line(message, MAX_WORDS));
            return Finding::on_pod(self.pod, CauseKind::MissingConfig, words)
                .likely_then_terminal(look.graces.missing_config);
        }
        let finding = self.cannot_start(look, message);
        if says("runAsNonRoot") { finding } else { finding.likely(look.graces.cannot_start) }
    }

    fn cannot_start(&self, look: &Look<'_>, message: &str) -> Finding {
        let words = format!("cannot start {}: {}", self.label(), one_line(innermost(message), MAX_WORDS));
        let finding = Finding::on_pod(self.pod, CauseKind::CannotStart, words);
        if is_final(message) { finding } else { finding.likely(look.graces.cannot_start) }
    }

    /// The state is `terminated`: the kubelet has not started it again yet.
    fn ended(&self, look: &Look<'_>, exit: Exit<'_>) -> Option<Finding> {
        let stays_down = self.is_init || look.runs_to_completion;
        if exit.code == 0 && stays_down {
            return None;
        }
        let finding = self.exits(look, Some(exit));
        let again = self.last_exit(look).is_some_and(|last| last.code != 0 || !stays_down);
        if again || (finding.kind == CauseKind::CannotStart && is_final(exit.message)) {
            return Some(finding);
        }
        Some(finding.likely(look.graces.first_exit))
    }

    /// It runs, or is about to, after a run that ended: nothing alone, unless it has become a habit.
    fn runs_again(&self, look: &Look<'_>) -> Option<Finding> {
        let exit = self.last_exit(look)?;
        if self.restarts() == 0 {
            return None;
        }
        let finding = self.exits(look, Some(exit));
        Some(match (self.restarts(), finding.kind) {
            (_, CauseKind::CannotStart) if is_final(exit.message) => finding,
            (1, _) => finding.transient(),
            (_, CauseKind::OomKilled | CauseKind::StartupProbe) => finding,
            _ => finding.likely(look.graces.first_exit),
        })
    }

    /// The end of the run before this one, unless it belongs to an earlier rollout.
    fn last_exit(&self, look: &Look<'_>) -> Option<Exit<'a>> {
        Exit::of(&self.status["lastState"]).filter(|e| !is_older(e.at, look.since))
    }

    /// Why it ended, taken as certain.
    fn exits(&self, look: &Look<'_>, exit: Option<Exit<'_>>) -> Finding {
        let restarts = match self.restarts() {
            0 => String::new(),
            1 => ", 1 restart".to_owned(),
            n => format!(", {n} restarts"),
        };
        let label = self.label();
        let Some(exit) = exit else {
            let words = format!("cannot stay up: {label} is restarted again and again{restarts}");
            return Finding::on_pod(self.pod, CauseKind::CrashLoop, words);
        };
        let (kind, words) = if exit.reason == "OOMKilled" {
            let limit = text(&self.spec["resources"]["limits"]["memory"]);
            let limit = if limit.is_empty() { String::new() } else { format!(" of {limit}") };
            let words =
                format!("cannot stay within memory: {label} was killed at its limit{limit}{restarts}");
            (CauseKind::OomKilled, words)
        } else if exit.is_start_error() {
            let why = one_line(innermost(exit.message), MAX_WORDS);
            (CauseKind::CannotStart, format!("cannot start {label}: {why}"))
        } else if let Some(probe) = self.killing_probe(look.events, exit) {
            let said = probe_failure(look.events, uid(self.pod), self.name(), probe.starts_with);
            let why = said.map_or(String::new(), |e| format!(": {}", one_line(e.message, MAX_WORDS)));
            let words =
                format!("cannot pass the {} probe: {label} was killed for it{restarts}{why}", probe.word);
            (CauseKind::StartupProbe, words)
        } else {
            let said = match last_line(exit.message) {
                "" => String::new(),
                line => format!(": {}", one_line(line, MAX_WORDS)),
            };
            let words = format!("cannot stay up: {label} exited with code {}{restarts}{said}", exit.code);
            (CauseKind::CrashLoop, words)
        };
        let message = if exit.message.is_empty() {
            format!("exit code {}{restarts}", exit.code)
        } else {
            format!("exit code {}{restarts}: {}", exit.code, exit.message)
        };
        Finding::on_pod(self.pod, kind, words).fact(
            format!("state terminated of {label}"),
            exit.reason,
            &message,
            exit.at,
        )
    }

    /// The probe for which the kubelet killed it: by the kubelet's own words, or, while the event is still
    /// on its way, because nobody else kills a container that has such a probe.
    fn killing_probe(&self, events: &Events<'_>, exit: Exit<'_>) -> Option<&'static Probe> {
        let told = |probe: &&Probe| {
            events
                .newest(uid(self.pod), |e| {
                    e.reason == "Killing" && e.is_about(self.name()) && e.message.contains(probe.killed)
                })
                .is_some()
        };
        let declared = |probe: &&Probe| exit.is_killed() && self.spec[probe.field].is_object();
        PROBES.iter().find(told).or_else(|| PROBES.iter().find(declared))
    }
}

/// A probe for which the kubelet kills.
struct Probe {
    word: &'static str,
    field: &'static str,
    killed: &'static str,
    starts_with: &'static str,
}

const PROBES: [Probe; 2] = [
    Probe {
        word: "startup",
        field: "startupProbe",
        killed: "failed startup probe",
        starts_with: "Startup probe",
    },
    Probe {
        word: "liveness",
        field: "livenessProbe",
        killed: "failed liveness probe",
        starts_with: "Liveness probe",
    },
];

/// Whether a start error is the image's or the spec's fault, so that another attempt fails alike.
fn is_final(message: &str) -> bool {
    const STARTING: [&str; 4] =
        ["start container process", "starting container process", "exec:", "runAsNonRoot"];
    const FAULT: [&str; 7] = [
        "no such file or directory",
        "executable file not found",
        "permission denied",
        "exec format error",
        "is a directory",
        "not a directory",
        "runAsNonRoot",
    ];
    STARTING.iter().any(|w| message.contains(w)) && FAULT.iter().any(|w| message.contains(w))
}

/// What is left of a runtime's message without the layers that handed it on.
fn innermost(message: &str) -> &str {
    const LAYERS: [&str; 7] = [
        "container process: ",
        "container process caused: ",
        "failed to do request: ",
        "Error response from daemon: ",
        "ErrImagePull: ",
        "desc = ",
        "Failed to pull image",
    ];
    let inner = LAYERS.iter().find_map(|l| message.rsplit_once(l)).map_or(message, |(_, rest)| rest);
    inner.strip_suffix(": unknown").unwrap_or(inner)
}

/// The last line with something on it: what the application said before it ended.
fn last_line(message: &str) -> &str {
    message.lines().map(str::trim).rfind(|l| !l.is_empty()).unwrap_or_default()
}
