//! One look at one Deployment.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::condition::{Claim, Conditions};
use super::maths::{self, Part, Room};
use super::plan::Plan;
use super::set::{self, Set, annotations};
use super::status::{self, Counts, DeploymentStatus, Facts, PROGRESSING, Stored, TIMED_OUT};
use crate::controllers::events::{Recorder, Tone};
use crate::controllers::key::Key;
use crate::controllers::pods;
use crate::controllers::queue::Outcome;
use crate::controllers::read::size;
use crate::controllers::replica_set::SetStatus;
use crate::controllers::write::{self, Refused};
use crate::object::Object;
use crate::resource::REPLICA_SETS;
use crate::server::ApiServer;

pub(super) struct Sync<'a> {
    pub(super) server: &'a mut ApiServer,
    pub(super) events: &'a mut Recorder,
    pub(super) now: Timestamp,
    pub(super) deployment: Arc<Object>,
    /// What its spec says.
    pub(super) plan: Arc<Plan>,
    pub(super) desired: i64,
    pub(super) room: Room,
    /// The ReplicaSet of the current template.
    pub(super) new: Option<Set>,
    /// The others, oldest first.
    pub(super) old: Vec<Set>,
    pub(super) conditions: Conditions,
    pub(super) collisions: Option<i64>,
    /// The counts of the stored status.
    before: Counts,
}

impl<'a> Sync<'a> {
    pub(super) fn new(
        server: &'a mut ApiServer,
        events: &'a mut Recorder,
        now: Timestamp,
        deployment: Arc<Object>,
        mut old: Vec<Set>,
        new: Option<usize>,
    ) -> Self {
        let plan = deployment.reading::<Plan>("spec").unwrap_or_default();
        let new = new.map(|at| old.remove(at));
        let Stored { conditions, collisions, counts: before } = Stored::of(&deployment);
        let (desired, room) = (plan.desired, plan.room);
        Self {
            server,
            events,
            now,
            deployment,
            plan,
            desired,
            room,
            new,
            old,
            conditions,
            collisions,
            before,
        }
    }

    pub(super) fn run(mut self) -> Outcome {
        if self.deployment.is_terminating() {
            return self.write_status(false);
        }
        self.note_pause();
        let result = if self.is_paused() || self.is_scaled() {
            self.sync_scale()
        } else if self.is_recreated() {
            self.recreate()
        } else {
            self.roll()
        };
        let judged = !self.is_paused() && !matches!(result, Ok(Judged::No));
        let outcome = self.write_status(judged);
        if result.is_err() { Outcome::Failed } else { outcome }
    }

    fn is_paused(&self) -> bool {
        self.plan.is_paused
    }

    pub(super) fn is_recreated(&self) -> bool {
        self.plan.is_recreated
    }

    /// Whether the Deployment was scaled since its ReplicaSets were written.
    fn is_scaled(&self) -> bool {
        self.old
            .iter()
            .chain(&self.new)
            .filter(|s| s.spec > 0)
            .any(|s| s.marks().desired.is_some_and(|desired| desired != self.desired))
    }

    pub(super) fn deadline_seconds(&self) -> Option<i64> {
        self.plan.deadline_seconds
    }

    fn note_pause(&mut self) {
        if self.deadline_seconds().is_none() {
            return;
        }
        let reason = self.conditions.reason(PROGRESSING);
        if reason == Some(TIMED_OUT) {
            return;
        }
        let was_paused = reason == Some("DeploymentPaused");
        let (reason, message) = match (self.is_paused(), was_paused) {
            (true, false) => ("DeploymentPaused", "Deployment is paused"),
            (false, true) => ("DeploymentResumed", "Deployment is resumed"),
            _ => return,
        };
        let claim = Claim { kind: PROGRESSING, status: "Unknown", reason };
        self.conditions.set(self.now, claim, || message.to_owned());
        if was_paused {
            self.say_at_once();
        }
    }

    /// Writes the conditions as they are now: what follows in the same look would cover them up.
    pub(super) fn say_at_once(&mut self) {
        let mut status = self.deployment["status"].clone();
        status["conditions"] = Value::Array(self.conditions.to_values());
        write::status(self.server, self.now, &self.deployment, status);
        let of = &self.deployment;
        if let Some(written) = self.server.store().get(of.resource(), of.namespace(), of.name()) {
            self.deployment = Arc::clone(written);
        }
    }

    fn roll(&mut self) -> Result<Judged, Refused> {
        self.require_new()?;
        if self.resize_new()? {
            return Ok(Judged::Yes);
        }
        let new = self.new.as_ref().map(Set::count).unwrap_or_default();
        let old: Vec<_> = self.old.iter().map(Set::count).collect();
        let steps = maths::shrink_old(self.desired, self.room.unavailable, &old, new);
        for (at, size) in &steps {
            self.scale_old(*at, *size)?;
        }
        if steps.is_empty() {
            self.clean_up_if_complete();
        }
        Ok(Judged::Yes)
    }

    fn resize_new(&mut self) -> Result<bool, Refused> {
        let Some(new) = &self.new else { return Ok(false) };
        let total = self.old.iter().map(|s| s.spec).sum::<i64>() + new.spec;
        let at_once = new.spec >= self.desired || self.is_recreated();
        let size = if at_once {
            self.desired
        } else {
            maths::size_of_new(self.desired, self.room.surge, total, new.spec)
        };
        self.scale_new(size)
    }

    fn recreate(&mut self) -> Result<Judged, Refused> {
        self.update_new()?;
        let mut scaled = false;
        for at in 0..self.old.len() {
            scaled |= self.scale_old(at, 0)?;
        }
        if scaled || self.has_old_pods() {
            return Ok(Judged::Yes);
        }
        self.require_new()?;
        self.resize_new()?;
        self.clean_up_if_complete();
        Ok(Judged::Yes)
    }

    fn has_old_pods(&self) -> bool {
        let store = self.server.store();
        self.old.iter().any(|s| s.replicas > 0)
            || self
                .old
                .iter()
                .flat_map(|s| pods::controlled_by(store, s.object.uid()))
                .any(|pod| !pods::is_finished(pod))
    }

    fn sync_scale(&mut self) -> Result<Judged, Refused> {
        self.update_new()?;
        self.scale_all()?;
        if self.is_paused() {
            self.clean_up();
        }
        Ok(Judged::No)
    }

    fn scale_all(&mut self) -> Result<(), Refused> {
        let active: Vec<usize> = (0..self.old.len()).filter(|at| self.old[*at].spec > 0).collect();
        let new_is_active = self.new.as_ref().is_some_and(|s| s.spec > 0);
        match (new_is_active, active.as_slice()) {
            (true, []) => return self.scale_new(self.desired).map(drop),
            (false, [one]) => return self.scale_old(*one, self.desired).map(drop),
            (false, []) if self.new.is_some() => return self.scale_new(self.desired).map(drop),
            (false, []) => {
                let Some(latest) = self.old.len().checked_sub(1) else { return Ok(()) };
                return self.scale_old(latest, self.desired).map(drop);
            }
            _ => {}
        }
        let is_saturated = self.new.as_ref().is_some_and(|s| {
            s.spec == self.desired && s.available == self.desired && s.marks().desired == Some(self.desired)
        });
        if is_saturated {
            for at in active {
                self.scale_old(at, 0)?;
            }
            return Ok(());
        }
        if self.is_recreated() {
            return Ok(());
        }
        self.scale_in_proportion(active, new_is_active)
    }

    fn scale_in_proportion(&mut self, active: Vec<usize>, with_new: bool) -> Result<(), Refused> {
        let mut places: Vec<Option<usize>> = active.into_iter().map(Some).collect();
        places.extend(with_new.then_some(None));
        let set = |at: &Option<usize>| match at {
            Some(at) => Some(&self.old[*at]),
            None => self.new.as_ref(),
        };
        let total: i64 = places.iter().filter_map(set).map(|s| s.spec).sum();
        let grows = self.desired > 0 && self.desired + self.room.surge > total;
        places.sort_by(|a, b| {
            let key = |at| set(at).map(|s| (s.spec, s.marks().created.clone()));
            let (a, b) = (key(a), key(b));
            let size = |k: &Option<(i64, String)>| k.as_ref().map(|k| k.0);
            let age = if grows { b.cmp(&a) } else { a.cmp(&b) };
            size(&b).cmp(&size(&a)).then(age)
        });
        let parts: Vec<Part> =
            places.iter().filter_map(set).map(|s| Part { spec: s.spec, max_before: s.marks().max }).collect();
        let before = self.before.replicas;
        let sizes = maths::in_proportion(self.desired, self.room.surge, before, &parts);
        for (place, size) in places.into_iter().zip(sizes) {
            match place {
                Some(at) => self.scale_old(at, size)?,
                None => self.scale_new(size)?,
            };
        }
        Ok(())
    }

    fn scale_old(&mut self, at: usize, size: i64) -> Result<bool, Refused> {
        let (set, scaled) = self.scale(self.old[at].clone(), size)?;
        self.old[at] = set;
        Ok(scaled)
    }

    fn scale_new(&mut self, size: i64) -> Result<bool, Refused> {
        let Some(set) = self.new.clone() else { return Ok(false) };
        let (set, scaled) = self.scale(set, size)?;
        self.new = Some(set);
        Ok(scaled)
    }

    fn scale(&mut self, set: Set, to: i64) -> Result<(Set, bool), Refused> {
        if set.spec == to && set.marks().desired == Some(self.desired) {
            return Ok((set, false));
        }
        let max = self.desired + self.room.surge;
        let mut annotations = annotations(&set.object);
        let annotated = set::annotate_size(&mut annotations, self.desired, max);
        if set.spec == to && !(annotated && self.is_scaled()) {
            return Ok((set, false));
        }
        let spec = [("replicas", json!(to))];
        let written = write::spec(self.server, self.now, &set.object, spec, Some(annotations))?;
        let name = set.name().to_owned();
        if set.spec == to {
            return Ok((Set { object: written, ..set }, false));
        }
        self.tell_scaled(&name, set.spec, to);
        Ok((Set { object: written, spec: to, ..set }, true))
    }

    pub(super) fn tell_scaled(&mut self, name: &str, from: i64, to: i64) {
        let way = if to > from { "up" } else { "down" };
        let from = if self.server.profile().scaled_from { format!(" from {from}") } else { String::new() };
        let message = format!("Scaled {way} replica set {name}{from} to {to}");
        self.tell(Tone::Normal, "ScalingReplicaSet", &message);
    }

    pub(super) fn tell(&mut self, tone: Tone, reason: &'static str, message: &str) {
        let deployment = Arc::clone(&self.deployment);
        self.events.record(self.server, self.now, &deployment, tone, reason, message);
    }

    fn clean_up_if_complete(&mut self) {
        if Counts::of(&self.old, self.new.as_ref()).is_complete(self.desired) {
            self.clean_up();
        }
    }

    /// Deletes the oldest revisions beyond the limit.
    fn clean_up(&mut self) {
        let Some(limit) = self.plan.history_limit else { return };
        let alive: Vec<_> = self.old.iter().filter(|s| !s.object.is_terminating()).collect();
        let Some(surplus) = alive.len().checked_sub(size(limit)).filter(|s| *s > 0) else { return };
        let mut by_age = alive;
        by_age.sort_by_key(|s| s.marks().revision);
        let gone: Vec<Key> = by_age[..surplus]
            .iter()
            .filter(|s| {
                let observed = SetStatus::of(&s.object).generation;
                s.spec == 0 && s.replicas == 0 && s.object.generation() <= observed
            })
            .map(|s| Key::of(&s.object))
            .collect();
        for key in gone {
            let deleted = write::delete(self.server, self.now, &REPLICA_SETS, &key);
            if deleted.is_ok() {
                self.old.retain(|s| *s.name() != *key.name);
            }
        }
    }

    fn write_status(mut self, judged: bool) -> Outcome {
        let deployment = Arc::clone(&self.deployment);
        let counts = Counts::of(&self.old, self.new.as_ref());
        let deadline_seconds = self.deadline_seconds();
        let mut conditions = std::mem::take(&mut self.conditions);
        let facts = Facts {
            now: self.now,
            name: deployment.name(),
            desired: self.desired,
            unavailable: self.room.unavailable,
            deadline_seconds,
            old: &self.old,
            new: self.new.as_ref(),
        };
        facts.judge_availability(&mut conditions, counts);
        if judged {
            facts.judge_progress(&mut conditions, counts, self.before);
            facts.pass_on_failures(&mut conditions);
        }
        let again = if judged { status::recheck(&conditions, deadline_seconds) } else { None };
        let sets = (&self.old[..], self.new.as_ref());
        let next = DeploymentStatus::new(
            deployment.generation(),
            counts,
            sets,
            self.collisions,
            conditions,
            self.server.profile().terminating_replicas,
        );
        write::status_facts(self.server, self.now, &deployment, next);
        Outcome::at(again)
    }
}

/// Whether progress is judged in the status that follows.
enum Judged {
    Yes,
    No,
}
