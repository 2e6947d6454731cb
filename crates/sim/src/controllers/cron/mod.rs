//! CronJobs: Jobs by the clock.

mod schedule;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::conditions;
use super::cursor::{Cursor, never_had};
use super::events::{Recorder, Tone};
use super::job::is_over;
use super::key::Key;
use super::queue::{Outcome, Queue};
use super::read::{int, items, moment, size, text};
use super::write::{self, unless_empty};
use crate::actor::Actor;
use crate::controllers::turns::Watcher;
use crate::object::Object;
use crate::resource::{CRON_JOBS, JOBS, Resources};
use crate::server::{ApiServer, By};
use crate::time;
use schedule::Schedule;

/// From so many missed moments on, somebody is told.
const TOO_MANY_MISSED: usize = 100;

/// The controller of CronJobs.
#[derive(Debug, Clone)]
pub struct CronJobs {
    cursor: Cursor,
    queue: Queue<Key>,
    events: Recorder,
}

impl Default for CronJobs {
    fn default() -> Self {
        Self {
            cursor: Cursor::default(),
            queue: Queue::default(),
            events: Recorder::new("cronjob-controller"),
        }
    }
}

impl Actor for CronJobs {
    fn act(&mut self, server: &mut ApiServer, now: Timestamp) -> Option<Timestamp> {
        if never_had(server.store(), &CRON_JOBS) {
            return None;
        }
        let Self { cursor, queue, .. } = self;
        cursor.look(server.store(), &[&CRON_JOBS, &JOBS], |news| {
            if *news.object.resource() == CRON_JOBS {
                if !news.is_only_status() {
                    queue.add(Key::of(news.object));
                }
            } else if let Some(owner) = Key::of_controller(news.object, "CronJob") {
                queue.add(owner);
            }
        });
        while let Some(key) = self.queue.pop(now) {
            let cron = server.store().get(&CRON_JOBS, &key.namespace, &key.name).cloned();
            let outcome = match cron.filter(|cron| !cron.is_terminating()) {
                Some(cron) => self.reconcile(server, now, &cron),
                None => Outcome::Done,
            };
            self.queue.settle(key, now, outcome);
        }
        self.queue.next_at()
    }
}

impl Watcher for CronJobs {
    fn watched(&self) -> Resources {
        const { Resources::of(&[&CRON_JOBS, &JOBS]) }
    }

    fn cursor(&mut self) -> &mut Cursor {
        &mut self.cursor
    }
}

/// What the status is about to say.
struct Draft {
    active: Vec<Value>,
    scheduled: Value,
    succeeded: Value,
}

impl CronJobs {
    fn reconcile(&mut self, server: &mut ApiServer, now: Timestamp, cron: &Arc<Object>) -> Outcome {
        let status = &cron["status"];
        let mut draft = Draft {
            active: items(&status["active"]).cloned().collect(),
            scheduled: status["lastScheduleTime"].clone(),
            succeeded: status["lastSuccessfulTime"].clone(),
        };
        let jobs = jobs_of(server, cron);
        self.see_ends(server, now, cron, &jobs, &mut draft);
        let outcome = self.start_if_due(server, now, cron, &jobs, &mut draft);
        let next = json!({
            "active": unless_empty(draft.active),
            "lastScheduleTime": draft.scheduled,
            "lastSuccessfulTime": draft.succeeded,
        });
        write::status(server, now, cron, next);
        outcome
    }

    /// Takes Jobs that have ended from the list of active ones, and deletes the oldest.
    fn see_ends(
        &mut self,
        server: &mut ApiServer,
        now: Timestamp,
        cron: &Object,
        jobs: &[Arc<Object>],
        draft: &mut Draft,
    ) {
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for job in jobs.iter().filter(|job| is_over(job)) {
            let succeeded = conditions::is_true(&job["status"], "Complete");
            if succeeded {
                good.push(job);
                let end = &job["status"]["completionTime"];
                if text(end) > text(&draft.succeeded) {
                    draft.succeeded = end.clone();
                }
            } else {
                bad.push(job);
            }
            if draft.active.iter().any(|a| a["uid"] == job.uid()) {
                draft.active.retain(|a| a["uid"] != job.uid());
                let condition = if succeeded { "Complete" } else { "Failed" };
                let message = format!("Saw completed job: {}, condition: {condition}", job.name());
                self.events.record(server, now, cron, Tone::Normal, "SawCompletedJob", &message);
            }
        }
        draft.active.retain(|a| jobs.iter().any(|job| a["uid"] == job.uid()));
        let spec = &cron["spec"];
        for (mut ended, limit) in [
            (good, int(&spec["successfulJobsHistoryLimit"], 3)),
            (bad, int(&spec["failedJobsHistoryLimit"], 1)),
        ] {
            ended.sort_by_key(|job| text(&job["status"]["startTime"]).to_owned());
            let surplus = ended.len().saturating_sub(size(limit));
            for job in &ended[..surplus] {
                if write::delete(server, now, &JOBS, &Key::of(job)).is_ok() {
                    let message = format!("Deleted job {}", job.name());
                    self.events.record(server, now, cron, Tone::Normal, "SuccessfulDelete", &message);
                }
            }
        }
    }

    fn start_if_due(
        &mut self,
        server: &mut ApiServer,
        now: Timestamp,
        cron: &Object,
        jobs: &[Arc<Object>],
        draft: &mut Draft,
    ) -> Outcome {
        let spec = &cron["spec"];
        if spec["suspend"] == true {
            return Outcome::Done;
        }
        let Some(schedule) = Schedule::parse(text(&spec["schedule"])) else {
            let message = format!("unparseable schedule: {}", text(&spec["schedule"]));
            self.events.record(server, now, cron, Tone::Warning, "UnparseableSchedule", &message);
            return Outcome::Done;
        };
        let zone = zone_of(spec);
        let next = Outcome::at(schedule.next(now, &zone));
        let created = moment(&cron["metadata"]["creationTimestamp"]).unwrap_or(now);
        let deadline =
            spec["startingDeadlineSeconds"].as_i64().map(|s| Duration::from_secs(s.max(0).unsigned_abs()));
        let mut since = moment(&draft.scheduled).unwrap_or(created);
        if let Some(deadline) = deadline {
            since = since.max(now - deadline - Duration::from_nanos(1));
        }
        let Some((due, missed)) = latest(&schedule, &zone, since, now) else { return next };
        if missed > TOO_MANY_MISSED {
            let message = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check \
                           clock skew";
            self.events.record(server, now, cron, Tone::Warning, "TooManyMissedTimes", message);
        }
        let is_running = !draft.active.is_empty();
        if spec["concurrencyPolicy"] == "Forbid" && is_running {
            let message =
                "Not starting job because prior execution is running and concurrency policy is Forbid";
            self.events.record(server, now, cron, Tone::Normal, "JobAlreadyActive", message);
            return next;
        }
        if spec["concurrencyPolicy"] == "Replace" {
            for job in jobs.iter().filter(|job| !is_over(job)) {
                if write::delete(server, now, &JOBS, &Key::of(job)).is_ok() {
                    let message = format!("Deleted job {}", job.name());
                    self.events.record(server, now, cron, Tone::Normal, "SuccessfulDelete", &message);
                }
            }
            draft.active.clear();
        }
        if self.start(server, now, cron, due, draft) { next } else { Outcome::Failed }
    }

    fn start(
        &mut self,
        server: &mut ApiServer,
        now: Timestamp,
        cron: &Object,
        due: Timestamp,
        draft: &mut Draft,
    ) -> bool {
        let template = &cron["spec"]["jobTemplate"];
        let minutes = due.as_second().div_euclid(60);
        let mut metadata = json!({
            "name": format!("{}-{minutes}", cron.name()),
            "annotations": {"batch.kubernetes.io/cronjob-scheduled-timestamp": time::seconds(due)},
            "ownerReferences": [write::controller_reference(cron)],
        });
        if let Some(labels) = template["metadata"]["labels"].as_object() {
            metadata["labels"] = json!(labels);
        }
        for (key, value) in template["metadata"]["annotations"].as_object().into_iter().flatten() {
            metadata["annotations"][key] = value.clone();
        }
        let body = json!({"metadata": metadata, "spec": template["spec"]});
        match server.create(now, &JOBS, cron.namespace(), body, &By::nobody()) {
            Ok(job) => {
                let message = format!("Created job {}", job.name());
                self.events.record(server, now, cron, Tone::Normal, "SuccessfulCreate", &message);
                draft.active.push(json!({
                    "apiVersion": job.kind().api_version(),
                    "kind": "Job",
                    "name": job.name(),
                    "namespace": job.namespace(),
                    "uid": job.uid(),
                    "resourceVersion": job.revision().to_string(),
                }));
                draft.scheduled = json!(time::seconds(due));
                true
            }
            Err(why) if why.reason == "AlreadyExists" => {
                draft.scheduled = json!(time::seconds(due));
                true
            }
            Err(why) => {
                let message = format!("Error creating job: {why}");
                self.events.record(server, now, cron, Tone::Warning, "FailedCreate", &message);
                false
            }
        }
    }
}

fn jobs_of(server: &ApiServer, cron: &Object) -> Vec<Arc<Object>> {
    let owned = server.store().owned_by(cron.uid());
    owned.filter(|o| *o.resource() == JOBS && o.controller() == Some(cron.uid())).cloned().collect()
}

fn zone_of(spec: &Value) -> TimeZone {
    spec["timeZone"].as_str().and_then(|name| TimeZone::get(name).ok()).unwrap_or(TimeZone::UTC)
}

/// The last scheduled moment in `(since, now]`, and how many there were; more than the limit are not counted.
fn latest(
    schedule: &Schedule,
    zone: &TimeZone,
    since: Timestamp,
    now: Timestamp,
) -> Option<(Timestamp, usize)> {
    let mut found = None;
    let mut at = since;
    let mut missed = 0;
    while let Some(next) = schedule.next(at, zone).filter(|next| *next <= now) {
        found = Some(next);
        at = next;
        missed += 1;
        if missed > 2 * TOO_MANY_MISSED {
            // Far behind: go on from a day ago, or from the last hour.
            let day = now - Duration::from_secs(24 * 3600);
            at = at.max(if day > at { day } else { now - Duration::from_secs(61 * 60) });
        }
    }
    found.map(|found| (found, missed))
}
