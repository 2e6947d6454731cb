//! Starting a container: the rounds a kubelet makes until a process runs, and what it says when one fails.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::container::{Container, Ended, Message, PodName, Reason, State};
use super::desk::Desk;
use super::event::{Say, Tone, Words};
use super::image;
use super::spec::PullPolicy;
use crate::apps::PullError;

/// A failed round is repeated so soon, once.
const FIRST_ROUND: Duration = Duration::from_secs(1);
/// And then at intervals between these.
const ROUNDS: (Duration, Duration) = (Duration::from_secs(11), Duration::from_secs(15));
/// After the end of a back-off a kubelet mostly notices so late.
const LATE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_millis(1500));
/// And once in a while so late, because its queue of retries has intervals of its own.
const VERY_LATE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(16));
/// In a long back-off a kubelet looks at the pod once in between.
const GLANCES: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(90));
/// How long a registry that does not answer is waited for.
const PULL_TIMEOUT: Duration = Duration::from_secs(30);

impl Container {
    fn say(&self, desk: &mut Desk<'_>, tone: Tone, reason: &'static str, message: String) {
        desk.say(&Say { tone, reason, words: Words::Text(message), field: &self.spec.field });
    }

    /// Says what is the same every time it is said of this container with this reason.
    fn say_again(&self, desk: &mut Desk<'_>, tone: Tone, reason: &'static str, words: impl Fn() -> String) {
        desk.say(&Say { tone, reason, words: Words::Known(0, &words), field: &self.spec.field });
    }

    /// The round failed: what it found is shown by the next one.
    fn try_again(&mut self, desk: &Desk<'_>, reason: &'static str, message: String) {
        let message = Message::Text(message);
        self.cached = Some(Arc::new(Reason { reason, message }));
        self.state = State::Trying;
        let n = u64::from(self.tries);
        let pause = if n == 0 { FIRST_ROUND } else { self.dice.of("round").between(n, ROUNDS.0, ROUNDS.1) };
        self.tries += 1;
        self.next = Some(desk.now + pause);
    }

    /// One round: everything up to a made container, or the first thing that is in the way.
    pub(super) fn attempt(&mut self, desk: &mut Desk<'_>) -> bool {
        let spec = Arc::clone(&self.spec);
        let name = &spec.image;
        if let Some(why) = spec.invalid_image.clone() {
            self.say(desk, Tone::Warning, "InspectFailed", why.clone());
            self.say(desk, Tone::Warning, "Failed", "Error: InvalidImageName".to_owned());
            self.try_again(desk, "InvalidImageName", why);
            return false;
        }
        let present = desk.has_image(name);
        match self.spec.pull {
            PullPolicy::Never if !present => {
                let why = format!("Container image \"{name}\" is not present with pull policy of Never");
                self.say(desk, Tone::Warning, "ErrImageNeverPull", why.clone());
                self.say(desk, Tone::Warning, "Failed", "Error: ErrImageNeverPull".to_owned());
                self.try_again(desk, "ErrImageNeverPull", why);
                false
            }
            PullPolicy::IfNotPresent | PullPolicy::Never if present => {
                let there = "already present on machine and can be accessed by the pod";
                self.say_again(desk, Tone::Normal, "Pulled", || {
                    format!("Container image \"{name}\" {there}")
                });
                self.create(desk)
            }
            _ => self.pull(desk),
        }
    }

    fn pull(&mut self, desk: &mut Desk<'_>) -> bool {
        let name = &self.spec.image;
        if let Some((since, why)) = &self.pull_error
            && self.pull.until(*since, desk.now).is_some()
        {
            let waits = format!("Back-off pulling image \"{name}\"");
            let shown = format!("{waits}: ErrImagePull: {why}");
            self.say(desk, Tone::Normal, "BackOff", waits);
            self.say(desk, Tone::Warning, "Failed", "Error: ImagePullBackOff".to_owned());
            self.try_again(desk, "ImagePullBackOff", shown);
            return false;
        }
        self.say(desk, Tone::Normal, "Pulling", format!("Pulling image \"{name}\""));
        self.state = State::Pulling;
        let takes = match self.pull_failure(desk) {
            Some(PullError::Timeout) => PULL_TIMEOUT,
            Some(_) => Duration::from_millis(100),
            None => self.pull_takes(),
        };
        self.next = Some(desk.now + takes);
        false
    }

    fn pull_takes(&self) -> Duration {
        self.spec.script.pull.takes.draw(self.dice.of("pull"), u64::from(self.starts))
    }

    fn pull_failure(&self, desk: &Desk<'_>) -> Option<PullError> {
        let pull = &self.spec.script.pull;
        let fails = pull.fails.filter(|_| pull.times.is_none_or(|times| self.failed_pulls < times));
        fails.or(desk.pull_fault)
    }

    /// A pull has come to its end.
    pub(super) fn pulled(&mut self, desk: &mut Desk<'_>) -> bool {
        let name = self.spec.image.clone();
        if let Some(error) = self.pull_failure(desk) {
            let why = image::pull_error(&name, error);
            self.failed_pulls += 1;
            let since = self.pull_error.as_ref().map_or(desk.now, |(since, _)| *since);
            self.pull.tries(since, desk.now);
            self.pull_error = Some((desk.now, why.clone()));
            self.say(desk, Tone::Warning, "Failed", format!("Failed to pull image \"{name}\": {why}"));
            self.say(desk, Tone::Warning, "Failed", "Error: ErrImagePull".to_owned());
            self.try_again(desk, "ErrImagePull", why);
            if self.failed_pulls == 1 {
                self.next = Some(desk.now + FIRST_ROUND);
            }
            return false;
        }
        desk.keep_image(&name);
        self.pull_error = None;
        let (takes, size) = (go_seconds(self.pull_takes()), self.spec.script.pull.size);
        let message = format!(
            "Successfully pulled image \"{name}\" in {takes} ({takes} including waiting). Image size: {size} bytes."
        );
        self.say(desk, Tone::Normal, "Pulled", message);
        self.create(desk)
    }

    fn create(&mut self, desk: &mut Desk<'_>) -> bool {
        if let Some(why) = desk.missing_config(&self.spec) {
            self.say(desk, Tone::Warning, "Failed", format!("Error: {why}"));
            self.try_again(desk, "CreateContainerConfigError", why);
            return false;
        }
        self.fate.lacks_env = !self.spec.script.needs_env.is_empty() && desk.lacks_env(&self.spec);
        self.say_again(desk, Tone::Normal, "Created", || "Container created".to_owned());
        self.state = State::Created;
        self.next = Some(desk.now + desk.start_takes(self.dice, u64::from(self.starts)));
        false
    }

    /// The process of a made container starts, or cannot.
    pub(super) fn start(&mut self, desk: &mut Desk<'_>) -> bool {
        self.starts += 1;
        let Some(why) = &self.spec.script.cannot_start else {
            self.say_again(desk, Tone::Normal, "Started", || "Container started".to_owned());
            self.begin(desk);
            return true;
        };
        let command = &why.command;
        let message = format!(
            "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create \
             failed: unable to start container process: exec: \"{command}\": stat {command}: no such file or \
             directory: unknown"
        );
        self.say(desk, Tone::Warning, "Failed", format!("Error: {message}"));
        let ended = Ended {
            code: 128,
            reason: "StartError",
            message: Some(message.clone()),
            started: None,
            finished: desk.now,
            id: self.id(),
        };
        self.over(desk, ended);
        self.shown = Some(Arc::new(Reason { reason: "RunContainerError", message: Message::Text(message) }));
        self.cached.clone_from(&self.shown);
        true
    }

    /// What is over is started again, or has to wait.
    pub(super) fn restart(&mut self, desk: &mut Desk<'_>) -> bool {
        let killed = std::mem::take(&mut self.killed);
        let judged = if killed { &self.before } else { &self.ended };
        let Some(since) = judged.as_ref().map(|ended| ended.finished) else {
            return self.attempt(desk);
        };
        let Some(until) = self.crash.until(since, desk.now) else {
            self.crash.tries(since, desk.now);
            let news = self.publish();
            return self.attempt(desk) || news;
        };
        // What counts from now on is the run that has just ended.
        let until = if killed {
            self.ended.as_ref().map_or(until, |e| e.finished + self.crash.wait())
        } else {
            until
        };
        let late = self.late();
        if self.cached.as_ref().is_some_and(|cached| cached.reason == "CrashLoopBackOff") {
            self.next = Some(until + late);
            return self.publish();
        }
        self.wait_for(desk, until, late);
        false
    }

    fn late(&self) -> Duration {
        let (dice, n) = (self.dice.of("late"), u64::from(self.starts));
        let (least, most) = if dice.of("very").below(n, 4) == 0 { VERY_LATE } else { LATE };
        dice.between(n, least, most)
    }

    fn wait_for(&mut self, desk: &mut Desk<'_>, until: Timestamp, late: Duration) {
        let (container, pod) = (Arc::clone(&self.spec.name), PodName::of(desk.pod));
        self.say_again(desk, Tone::Warning, "BackOff", || {
            format!("Back-off restarting failed container {container} in pod {pod}")
        });
        let message = Message::BackOff { wait: self.crash.wait(), container, pod };
        self.cached = Some(Arc::new(Reason { reason: "CrashLoopBackOff", message }));
        // Another round in between shows the reason early: sometimes at once, in long waits always.
        let dice = self.dice.of("glance");
        let n = u64::from(self.starts);
        let glance = if dice.below(n, 4) == 0 {
            desk.now + Duration::from_millis(1500)
        } else {
            desk.now + dice.between(n, GLANCES.0, GLANCES.1)
        };
        self.next = Some(if glance < until { glance } else { until + late });
    }
}

/// A duration as Go prints it: `1.222s`, `10s`, `1m20s`, `5m0s`.
pub(super) fn go_seconds(length: Duration) -> String {
    let (minutes, seconds, millis) = (length.as_secs() / 60, length.as_secs() % 60, length.subsec_millis());
    let mut text = if minutes > 0 { format!("{minutes}m") } else { String::new() };
    if minutes == 0 && seconds == 0 {
        return format!("{millis}ms");
    }
    text.push_str(&seconds.to_string());
    if millis > 0 {
        text.push_str(format!(".{millis:03}").trim_end_matches('0'));
    }
    text.push('s');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_printed_as_go_does() {
        for (millis, text) in [
            (1222, "1.222s"),
            (10_000, "10s"),
            (80_000, "1m20s"),
            (300_000, "5m0s"),
            (100, "100ms"),
            (1500, "1.5s"),
        ] {
            assert_eq!(go_seconds(Duration::from_millis(millis)), text);
        }
    }
}
