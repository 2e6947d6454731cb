//! What holds in every world, whatever the script says.

use std::collections::{BTreeMap, BTreeSet};

use release_core::{ObjectRef, ServiceName, Status};

use super::script::Reply;
use super::world::{Event, World};
use crate::{Effect, EffectKind, Phase, ReleaseOutcome, Version};

impl World {
    #[track_caller]
    pub(super) fn assert_sound(&self) {
        let broken = self.broken();
        assert!(broken.is_empty(), "{}\nin\n{}", broken.join("\n"), self.timed().join("\n"));
    }

    fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        self.ids_rise(&mut broken);
        self.deletes_are_planned(&mut broken);
        for service in self.plan.services.keys() {
            self.verified_for_a_reason(service, &mut broken);
            self.nothing_new_after_turning_back(service, &mut broken);
            self.untouched_is_left_alone(service, &mut broken);
            self.in_order(service, &mut broken);
        }
        self.outcome_fits(&mut broken);
        broken
    }

    fn asked(&self) -> impl Iterator<Item = (usize, &Effect)> {
        self.history.iter().enumerate().filter_map(|(at, (_, event))| match event {
            Event::Asked(effect) => Some((at, effect)),
            Event::Answered(..) | Event::Looked(..) | Event::Phase(..) | Event::Died => None,
        })
    }

    fn ids_rise(&self, broken: &mut Vec<String>) {
        let ids: Vec<_> = self.asked().map(|(_, effect)| effect.id).collect();
        if !ids.is_sorted_by(|a, b| a < b && a.seq < b.seq) {
            broken.push(format!("identities do not rise: {ids:?}"));
        }
    }

    fn deletes_are_planned(&self, broken: &mut Vec<String>) {
        for (_, effect) in self.asked() {
            if let EffectKind::Delete { object } = &effect.kind {
                let pruned = self.plan.prune.contains(&(effect.service.clone(), object.clone()));
                let removed = self.plan.services.contains_key(&effect.service)
                    && self.plan.rolling(&effect.service).remove.contains(object);
                let verified = matches!(self.release.outcome(), Some(ReleaseOutcome::Verified));
                if !(if verified { pruned } else { removed }) {
                    broken.push(format!("{object} is deleted"));
                }
            }
        }
    }

    /// Where in the history the service first went to `phase`.
    fn reached(&self, service: &ServiceName, phase: Phase) -> Option<usize> {
        self.history.iter().position(
            |(_, event)| matches!(event, Event::Phase(name, _, to) if name == service && *to == phase),
        )
    }

    fn verified_for_a_reason(&self, service: &ServiceName, broken: &mut Vec<String>) {
        let Some(verified) = self.reached(service, Phase::Verified) else { return };
        let rolling = self.plan.rolling(service);
        let mut ready: BTreeMap<&ObjectRef, Status> = BTreeMap::new();
        let mut checks: BTreeMap<&str, Reply> = BTreeMap::new();
        let mut applied = BTreeSet::new();
        for (_, event) in &self.history[..verified] {
            match event {
                Event::Looked(name, object, Version::New, status) if name == service => {
                    ready.insert(object, *status);
                }
                Event::Answered(effect, reply) if effect.service == *service => match &effect.kind {
                    EffectKind::Apply { object, .. } | EffectKind::ReadBack { object, .. } => {
                        ready.clear();
                        if *reply == Reply::Good {
                            applied.insert(object);
                        }
                    }
                    EffectKind::Check { name, .. } => {
                        let usable = matches!(reply, Reply::Good | Reply::Bad);
                        if usable {
                            checks.insert(name, *reply);
                        }
                    }
                    EffectKind::Delete { .. } | EffectKind::Capture { .. } => {}
                },
                _ => {}
            }
        }
        for object in rolling.apply.iter().filter(|object| !applied.contains(object)) {
            broken.push(format!("{service} is verified without {object}"));
        }
        for workload in rolling.workloads.iter().filter(|it| ready.get(it) != Some(&Status::Ready)) {
            broken.push(format!("{service} is verified although {workload} was not ready"));
        }
        for check in rolling.checks.iter().filter(|it| checks.get(it.name.as_str()) != Some(&Reply::Good)) {
            broken.push(format!("{service} is verified although {} was not good", check.name));
        }
    }

    fn nothing_new_after_turning_back(&self, service: &ServiceName, broken: &mut Vec<String>) {
        let Some(back) = self.reached(service, Phase::RollingBack) else { return };
        for (_, effect) in self.asked().filter(|(at, effect)| *at > back && effect.service == *service) {
            if let EffectKind::Apply { object, version: Version::New } = &effect.kind {
                broken.push(format!("{object} is applied after {service} turned back"));
            }
        }
    }

    /// What nobody asked to write is neither restored nor removed.
    fn untouched_is_left_alone(&self, service: &ServiceName, broken: &mut Vec<String>) {
        let mut written = BTreeSet::new();
        for (_, effect) in self.asked().filter(|(_, effect)| effect.service == *service) {
            match &effect.kind {
                EffectKind::Apply { object, version: Version::New } => {
                    written.insert(object);
                }
                EffectKind::Apply { object, version: Version::Previous } | EffectKind::Delete { object } => {
                    let pruned = self.plan.prune.contains(&(service.clone(), object.clone()));
                    let ours = self.plan.rolling(service).apply.contains(object);
                    if !pruned && (written.is_empty() || ours && !written.contains(object)) {
                        broken.push(format!("{object} is undone, and was never written"));
                    }
                }
                EffectKind::ReadBack { .. } | EffectKind::Check { .. } | EffectKind::Capture { .. } => {}
            }
        }
    }

    /// Forward: what a service needs is verified before. Backward: what needs it is over before.
    fn in_order(&self, service: &ServiceName, broken: &mut Vec<String>) {
        let apply = |effect: &Effect, wanted: Version| matches!(&effect.kind, EffectKind::Apply { version, .. } if *version == wanted);
        let first = |wanted: Version| {
            self.asked().find(|(_, effect)| effect.service == *service && apply(effect, wanted))
        };
        if let Some((at, _)) = first(Version::New) {
            for need in &self.plan.services[service].needs {
                let known = self.plan.services.contains_key(need);
                if known && self.reached(need, Phase::Verified).is_none_or(|verified| verified > at) {
                    broken.push(format!("{service} starts before {need} is verified"));
                }
            }
        }
        if let Some((at, _)) = first(Version::Previous) {
            let dependents = self.plan.services.iter().filter(|(_, plan)| plan.needs.contains(service));
            for (dependent, _) in dependents {
                let over = [Phase::RolledBack, Phase::NotRolledBack, Phase::NotStarted];
                if !over.iter().any(|phase| self.reached(dependent, *phase).is_some_and(|over| over < at)) {
                    broken.push(format!("{service} is restored before {dependent} is"));
                }
            }
        }
    }

    fn outcome_fits(&self, broken: &mut Vec<String>) {
        let fits: &[Phase] = match self.release.outcome() {
            None => return broken.push("there is no outcome".to_owned()),
            Some(ReleaseOutcome::Verified) => &[Phase::Verified],
            Some(ReleaseOutcome::RolledBack { .. }) => &[Phase::RolledBack, Phase::NotStarted],
            Some(ReleaseOutcome::NotRolledBack { .. }) => {
                &[Phase::RolledBack, Phase::NotStarted, Phase::NotRolledBack]
            }
        };
        for (service, phase) in self.release.phases() {
            if !fits.contains(&phase) {
                broken.push(format!("{service} ended {phase:?}"));
            }
        }
        if !self.release.outstanding().is_empty() || self.release.wake_at().is_some() {
            broken.push("something is still waited for".to_owned());
        }
    }
}
