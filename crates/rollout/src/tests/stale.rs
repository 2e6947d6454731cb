//! Late, repeated, stale and strange inputs: after every step of every world of these tests, none of them changes
//! anything.

use release_core::{MonoTime, ObjectRef};

use super::plans::{port, web};
use super::script::{Look, Reply, assessment, outcome, well};
use super::world::{Event, World};
use crate::{Answer, EffectId, EffectKind, Input, Outcome, Phase, Version};

/// How many of the latest replies come again.
const REPEATED: usize = 4;

impl World {
    /// Throws at the machine what it must not listen to.
    #[track_caller]
    pub(super) fn assert_deaf(&self) {
        let now = self.machine_now();
        let mut inputs = vec![Input::Begin];
        if self.release.wake_at().is_none_or(|at| at > now) {
            inputs.push(Input::Woke);
        }
        inputs.extend(self.stale_replies());
        inputs.extend(self.stale_looks());
        if self.release.outcome().is_some() {
            inputs.push(Input::Abort { why: "too late".to_owned() });
        }
        for input in inputs {
            self.assert_nothing_follows(now, &input);
        }
    }

    #[track_caller]
    fn assert_nothing_follows(&self, now: MonoTime, input: &Input) {
        let (after, effects) = self.release.clone().step(now, input.clone());
        assert_eq!(effects, [], "{input:?} in\n{}", self.trace().join("\n"));
        assert_eq!(after, self.release, "{input:?} in\n{}", self.trace().join("\n"));
    }

    fn stale_replies(&self) -> Vec<Input> {
        let answers = self.answered();
        let repeated = answers.iter().rev().take(REPEATED);
        let mut inputs: Vec<_> = repeated
            .map(|(effect, outcome)| Input::Replied { id: effect.id, outcome: outcome.clone() })
            .collect();
        for effect in self.release.outstanding() {
            for reply in [Reply::Good, Reply::Refuse, Reply::Unknown] {
                let Some(outcome) = outcome(&effect.kind, reply) else { continue };
                let id = EffectId { fence: effect.id.fence - 1, seq: effect.id.seq };
                inputs.push(Input::Replied { id, outcome: outcome.clone() });
                let id = EffectId { fence: effect.id.fence + 1, seq: effect.id.seq };
                inputs.push(Input::Replied { id, outcome });
            }
        }
        let id = EffectId { fence: 7, seq: 1_000_000 };
        inputs.push(Input::Replied { id, outcome: Outcome::Ok(Answer::Applied) });
        inputs
    }

    /// Looks at the wrong version, at things nobody waits for, and at services nobody knows.
    fn stale_looks(&self) -> Vec<Input> {
        let mut inputs = Vec::new();
        let mut look = |service: &str, object: ObjectRef, version, look| {
            let assessment = assessment(&object, look);
            inputs.push(Input::Assessed { service: service.parse().unwrap(), object, version, assessment });
        };
        for (service, phase) in self.release.phases() {
            let rolling = self.plan.rolling(&service);
            for found in [Look::Ready, Look::Suspicious, Look::Failed] {
                for version in [Version::New, Version::Previous] {
                    look(service.as_str(), port("strange"), version, found);
                }
                if phase != Phase::RollingBack {
                    rolling.restore_workloads.iter().for_each(|workload| {
                        look(service.as_str(), workload.clone(), Version::Previous, found);
                    });
                }
                if phase != Phase::Progressing && phase != Phase::Soaking {
                    rolling.workloads.iter().for_each(|workload| {
                        look(service.as_str(), workload.clone(), Version::New, found);
                    });
                }
                look("stranger", port("strange"), Version::New, found);
            }
        }
        inputs
    }
}

#[test]
fn a_late_reply_of_the_way_forward_does_not_satisfy_the_way_back() {
    let world = World::until(
        web(|_| ()),
        well().reply("check web health", &[Reply::Bad]).reply("capture deployment/web", &[Reply::Never]),
        |world| world.trace().contains(&"apply previous configmap/web".to_owned()),
    );
    let forward = world.history.iter().find_map(|(_, event)| match event {
        Event::Asked(effect) if matches!(effect.kind, EffectKind::Apply { .. }) => Some(effect.id),
        _ => None,
    });

    let id = forward.unwrap();
    world.assert_nothing_follows(
        world.machine_now(),
        &Input::Replied { id, outcome: Outcome::Ok(Answer::Applied) },
    );
}

#[test]
fn nothing_begins_by_itself() {
    let world = World::new(web(|_| ()), well());

    for input in [
        Input::Woke,
        Input::Assessed {
            service: "web".parse().unwrap(),
            object: super::plans::deployment("web"),
            version: Version::New,
            assessment: assessment(&super::plans::deployment("web"), Look::Ready),
        },
    ] {
        world.assert_nothing_follows(world.machine_now(), &input);
    }
}
