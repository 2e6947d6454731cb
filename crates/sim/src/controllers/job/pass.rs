//! One look at one Job.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Memory, is_over, maths};
use crate::controllers::conditions;
use crate::controllers::events::{Recorder, Tone};
use crate::controllers::key::Key;
use crate::controllers::pods;
use crate::controllers::queue::Outcome;
use crate::controllers::read::{count, int, len, moment, size, text};
use crate::controllers::write::{self, Refused, unless_empty, unless_zero};
use crate::object::Object;
use crate::resource::JOBS;
use crate::server::ApiServer;
use crate::time;

const INDEX: &str = "batch.kubernetes.io/job-completion-index";

pub(super) struct Pass<'a> {
    server: &'a mut ApiServer,
    events: &'a mut Recorder,
    now: Timestamp,
    job: Arc<Object>,
    memory: &'a mut Memory,
    conditions: Vec<Value>,
    succeeded: i64,
    failed: i64,
    start: Option<Value>,
    end: Option<Value>,
    again: Option<Timestamp>,
}

/// How a Job ends: the condition that says so beforehand, the one at the end, why.
struct End {
    before: &'static str,
    last: &'static str,
    reason: &'static str,
    message: &'static str,
}

impl<'a> Pass<'a> {
    pub(super) fn run(
        server: &'a mut ApiServer,
        events: &'a mut Recorder,
        now: Timestamp,
        job: Arc<Object>,
        memory: &'a mut Memory,
    ) -> Outcome {
        if is_over(&job) {
            return clean_up(server, now, &job);
        }
        let status = &job["status"];
        let given = |v: &Value| (!v.is_null()).then(|| v.clone());
        let mut pass = Self {
            conditions: conditions::of(status),
            succeeded: count(&status["succeeded"]),
            failed: count(&status["failed"]),
            start: given(&status["startTime"]),
            end: None,
            again: None,
            server,
            events,
            now,
            job,
            memory,
        };
        pass.count_ends();
        let result = pass.act();
        pass.write_status();
        if result.is_err() { Outcome::Failed } else { Outcome::at(pass.again) }
    }

    fn pods(&self) -> Vec<Arc<Object>> {
        pods::controlled_by(self.server.store(), self.job.uid()).cloned().collect()
    }

    fn active(&self) -> Vec<Arc<Object>> {
        self.pods().into_iter().filter(|pod| pods::is_active(pod)).collect()
    }

    fn is_indexed(&self) -> bool {
        self.job["spec"]["completionMode"] == "Indexed"
    }

    /// Counts pods that have ended since the last look.
    fn count_ends(&mut self) {
        for pod in self.pods().iter().filter(|pod| pods::is_finished(pod)) {
            if !self.memory.counted.insert(Arc::clone(&pod.uid)) {
                continue;
            }
            if pods::phase(pod) == "Failed" {
                self.count_failure();
                continue;
            }
            self.memory.failures_in_a_row = 0;
            match index_of(pod).filter(|_| self.is_indexed()) {
                Some(index) => self.succeeded += i64::from(self.memory.indexes.insert(index)),
                None => self.succeeded += 1,
            }
        }
        for _ in 0..std::mem::take(&mut self.memory.lost) {
            self.count_failure();
        }
    }

    fn count_failure(&mut self) {
        self.failed += 1;
        self.memory.failures_in_a_row += 1;
        self.memory.last_failure = Some(self.now);
    }

    fn act(&mut self) -> Result<(), Refused> {
        if self.job["spec"]["suspend"] == true {
            return self.suspend();
        }
        if conditions::find(&self.conditions, "Suspended").is_some_and(|c| c["status"] == "True") {
            self.say("Suspended", "False", "JobResumed", "Job resumed");
            self.tell(Tone::Normal, "Resumed", "Job resumed");
            self.start = None;
        }
        if self.start.is_none() {
            self.start = Some(json!(time::seconds(self.now)));
        }
        if let Some(end) = self.verdict() {
            return self.finish(&end);
        }
        self.manage()
    }

    fn suspend(&mut self) -> Result<(), Refused> {
        self.start = None;
        for pod in self.active() {
            self.delete(&pod)?;
        }
        let is_known = conditions::find(&self.conditions, "Suspended").is_some_and(|c| c["status"] == "True");
        if !is_known {
            self.say("Suspended", "True", "JobSuspended", "Job suspended");
            self.tell(Tone::Normal, "Suspended", "Job suspended");
        }
        Ok(())
    }

    /// Whether the Job ends now, and how.
    fn verdict(&mut self) -> Option<End> {
        let job = Arc::clone(&self.job);
        let spec = &job["spec"];
        let failure =
            |reason, message| Some(End { before: "FailureTarget", last: "Failed", reason, message });
        let known = conditions::reason(&self.conditions, "FailureTarget");
        if known == Some("BackoffLimitExceeded") || self.failures() > int(&spec["backoffLimit"], 6) {
            return failure("BackoffLimitExceeded", "Job has reached the specified backoff limit");
        }
        let start = self.start.as_ref().and_then(moment);
        if let (Some(start), Some(seconds)) = (start, spec["activeDeadlineSeconds"].as_i64()) {
            let deadline = start + Duration::from_secs(seconds.max(0).unsigned_abs());
            if self.now >= deadline || known == Some("DeadlineExceeded") {
                return failure("DeadlineExceeded", "Job was active longer than specified deadline");
            }
            self.wake_at(deadline);
        }
        let is_complete = match spec["completions"].as_i64() {
            Some(completions) => self.succeeded >= completions,
            None => self.succeeded > 0 && self.active().is_empty(),
        };
        let (before, last) = ("SuccessCriteriaMet", "Complete");
        let (reason, message) = ("CompletionsReached", "Reached expected number of succeeded pods");
        is_complete.then_some(End { before, last, reason, message })
    }

    /// Failed pods, and containers that were started again in their pod.
    fn failures(&self) -> i64 {
        let in_place = self.job["spec"]["template"]["spec"]["restartPolicy"] == "OnFailure";
        let restarts: i64 =
            if in_place { self.active().iter().map(|pod| pods::restarts(pod)).sum() } else { 0 };
        self.failed + restarts
    }

    /// Says how it ends, ends what runs, and when nothing runs says that it has ended.
    fn finish(&mut self, end: &End) -> Result<(), Refused> {
        self.say(end.before, "True", end.reason, end.message);
        for pod in self.active() {
            self.delete(&pod)?;
        }
        if self.pods().iter().any(|pod| !pods::is_finished(pod)) {
            return Ok(());
        }
        self.say(end.last, "True", end.reason, end.message);
        if end.last == "Complete" {
            self.end = Some(json!(time::seconds(self.now)));
            self.tell(Tone::Normal, "Completed", "Job completed");
        } else {
            self.tell(Tone::Warning, end.reason, end.message);
        }
        let ttl = self.job["spec"]["ttlSecondsAfterFinished"].as_i64();
        if let Some(ttl) = ttl {
            self.wake_at(self.now + Duration::from_secs(ttl.max(0).unsigned_abs()));
        }
        Ok(())
    }

    fn manage(&mut self) -> Result<(), Refused> {
        let spec = &self.job["spec"];
        let active = self.active();
        let there = len(active.len());
        let completions = spec["completions"].as_i64();
        let wanted = maths::wanted(int(&spec["parallelism"], 1), completions, self.succeeded, there);
        if there > wanted {
            let mut victims = active;
            victims.sort_by_key(|pod| (pods::is_ready(pod), pod.name().to_owned()));
            for pod in &victims[..size(there - wanted)] {
                self.delete(pod)?;
            }
            return Ok(());
        }
        if there == wanted {
            return Ok(());
        }
        if let Some(last) = self.memory.last_failure {
            let due = last + maths::backoff(self.memory.failures_in_a_row);
            if due > self.now {
                self.wake_at(due);
                return Ok(());
            }
        }
        let mut taken: BTreeSet<i64> = active.iter().filter_map(|pod| index_of(pod)).collect();
        taken.extend(&self.memory.indexes);
        for _ in there..wanted {
            let free = (0..=len(taken.len())).find(|index| !taken.contains(index));
            let index = free.filter(|_| self.is_indexed());
            taken.extend(index);
            self.create(index)?;
        }
        Ok(())
    }

    fn create(&mut self, index: Option<i64>) -> Result<(), Refused> {
        let job = Arc::clone(&self.job);
        let mut pod = write::pod_from_template(&job, &job["spec"]["template"]);
        if let Some(index) = index {
            pod["metadata"]["generateName"] = json!(format!("{}-{index}-", job.name()));
            pod["metadata"]["annotations"][INDEX] = json!(index.to_string());
            pod["metadata"]["labels"][INDEX] = json!(index.to_string());
            pod["spec"]["hostname"] = json!(format!("{}-{index}", job.name()));
        }
        write::create_pod_and_tell(self.server, self.now, self.events, &job, pod)
    }

    fn delete(&mut self, pod: &Object) -> Result<(), Refused> {
        let job = Arc::clone(&self.job);
        write::delete_pod_and_tell(self.server, self.now, self.events, &job, pod)
    }

    fn tell(&mut self, tone: Tone, reason: &'static str, message: &str) {
        let job = Arc::clone(&self.job);
        self.events.record(self.server, self.now, &job, tone, reason, message);
    }

    fn wake_at(&mut self, at: Timestamp) {
        self.again = Some(self.again.map_or(at, |a| a.min(at)));
    }

    fn say(&mut self, kind: &str, status: &str, reason: &str, message: &str) {
        if conditions::find(&self.conditions, kind).is_some_and(|c| c["status"] == status) {
            return;
        }
        let at = time::seconds(self.now);
        conditions::remove(&mut self.conditions, kind);
        self.conditions.push(json!({
            "type": kind,
            "status": status,
            "reason": reason,
            "message": message,
            "lastProbeTime": at,
            "lastTransitionTime": at,
        }));
    }

    fn write_status(&mut self) {
        let (mut active, mut ready, mut terminating) = (0, 0, 0);
        for pod in self.pods().iter().filter(|pod| !pods::is_finished(pod)) {
            if pod.is_terminating() {
                terminating += 1;
            } else {
                active += 1;
                ready += i64::from(pods::is_ready(pod));
            }
        }
        let indexes = (self.is_indexed() && !self.memory.indexes.is_empty())
            .then(|| maths::ranges(self.memory.indexes.iter().copied()));
        let status = json!({
            "active": unless_zero(active),
            "ready": ready,
            "succeeded": unless_zero(self.succeeded),
            "failed": unless_zero(self.failed),
            "terminating": terminating,
            "completedIndexes": indexes,
            "startTime": self.start,
            "completionTime": self.end,
            "conditions": unless_empty(std::mem::take(&mut self.conditions)),
            "uncountedTerminatedPods": {},
        });
        write::status(self.server, self.now, &self.job, status);
    }
}

fn index_of(pod: &Object) -> Option<i64> {
    text(&pod["metadata"]["annotations"][INDEX]).parse().ok()
}

/// Deletes a Job that has ended when its time has come.
fn clean_up(server: &mut ApiServer, now: Timestamp, job: &Object) -> Outcome {
    let Some(ttl) = job["spec"]["ttlSecondsAfterFinished"].as_i64() else { return Outcome::Done };
    let ended = conditions::of(&job["status"])
        .iter()
        .filter(|c| matches!(text(&c["type"]), "Complete" | "Failed") && c["status"] == "True")
        .find_map(|c| moment(&c["lastTransitionTime"]));
    let Some(ended) = ended else { return Outcome::Done };
    let due = ended + Duration::from_secs(ttl.max(0).unsigned_abs());
    if due > now {
        return Outcome::At(due);
    }
    match write::delete(server, now, &JOBS, &Key::of(job)) {
        Ok(_) => Outcome::Done,
        Err(_) => Outcome::Failed,
    }
}
