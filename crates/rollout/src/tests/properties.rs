//! Random plans in random worlds.

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::plans::{check, config, deployment, first, hasty, port, service};
use super::script::{Look, Reply, Script, well};
use super::world::World;
use crate::{ReleasePlan, RollingPlan, Strategy as Way};

const NAMES: [&str; 4] = ["api", "db", "feed", "web"];

/// What is special about a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Usual,
    First,
    TwoWorkloads,
    TwoChecks,
    OnlySoak,
    OnlyChecks,
    Hasty,
    NoWorkloads,
    NothingToUndo,
    Empty,
}

pub(super) const BUSY: [Kind; 6] =
    [Kind::Usual, Kind::First, Kind::TwoWorkloads, Kind::TwoChecks, Kind::OnlySoak, Kind::OnlyChecks];
pub(super) const IDLE: [Kind; 4] = [Kind::Hasty, Kind::NoWorkloads, Kind::NothingToUndo, Kind::Empty];

fn shape(rolling: &mut RollingPlan, kind: Kind, name: &str) {
    match kind {
        Kind::Usual => {}
        Kind::First => first(rolling),
        Kind::TwoWorkloads => {
            let second = deployment(&format!("{name}-worker"));
            rolling.apply.push(second.clone());
            rolling.workloads.push(second.clone());
            rolling.restore.push(second.clone());
            rolling.restore_workloads.push(second);
        }
        Kind::TwoChecks => rolling.checks.push(check("metrics")),
        Kind::OnlySoak => rolling.checks.clear(),
        Kind::OnlyChecks => rolling.soak = Duration::ZERO,
        Kind::Hasty => hasty(rolling),
        Kind::NoWorkloads => {
            rolling.workloads.clear();
            rolling.restore_workloads.clear();
        }
        Kind::NothingToUndo => {
            rolling.restore.clear();
            rolling.restore_workloads.clear();
            rolling.remove.clear();
        }
        Kind::Empty => *rolling = RollingPlan::default(),
    }
}

pub(super) fn plans(kinds: Vec<Kind>) -> impl Strategy<Value = ReleasePlan> {
    let one = (select(kinds), proptest::collection::vec(any::<bool>(), NAMES.len()));
    (proptest::collection::vec(one, 1..=NAMES.len()), 0_usize..4, any::<bool>(), Just(NAMES).prop_shuffle())
        .prop_map(|(services, concurrency, prune, names)| {
            let services = services.iter().enumerate().map(|(at, (kind, needs))| {
                // In an order that has nothing to do with the alphabet.
                let needs: Vec<_> = names
                    .iter()
                    .take(at)
                    .zip(needs)
                    .filter(|(_, need)| **need)
                    .map(|(name, _)| *name)
                    .collect();
                let (name, mut plan) = service(names[at], &needs);
                let Way::Rolling(rolling) = &mut plan.strategy;
                shape(rolling, *kind, name.as_str());
                (name, plan)
            });
            let prune = prune.then(|| (names[0].parse().unwrap(), port("old")));
            ReleasePlan { services: services.collect(), concurrency, prune: prune.into_iter().collect() }
        })
}

/// Every question a plan can lead to.
fn questions(plan: &ReleasePlan) -> Vec<String> {
    let mut questions = vec!["delete service/old".to_owned()];
    for name in plan.services.keys() {
        let name = name.as_str();
        for object in [config(name), deployment(name), port(name)] {
            for verb in ["apply new", "read new", "apply previous", "read previous", "delete"] {
                questions.push(format!("{verb} {object}"));
            }
            questions.push(format!("capture {object}"));
        }
        questions.push(format!("check {name} health"));
        questions.push(format!("check {name} metrics"));
    }
    questions
}

fn replies() -> impl Strategy<Value = Vec<Reply>> {
    use Reply::{Bad, Good, Never, Not, NotEnough, Refuse, Unknown, Wrong};
    let one = select(vec![Good, Good, Good, Refuse, Unknown, Not, Bad, NotEnough, Wrong, Never]);
    proptest::collection::vec(one, 1..5)
}

fn looks() -> impl Strategy<Value = Vec<Look>> {
    use Look::{Failed, Gone, Progressing, Ready, Suspicious, SuspiciousPod, Unknown};
    let one =
        select(vec![Ready, Ready, Ready, Progressing, Unknown, Suspicious, SuspiciousPod, Failed, Gone]);
    proptest::collection::vec(one, 1..7)
}

type Mischief = (Vec<(Index, Vec<Reply>)>, Vec<(Index, Vec<Look>)>, Option<u64>, Option<usize>);

fn mischief() -> impl Strategy<Value = Mischief> {
    (
        proptest::collection::vec((any::<Index>(), replies()), 0..8),
        proptest::collection::vec((any::<Index>(), looks()), 0..4),
        proptest::option::weighted(0.3, 0_u64..120),
        proptest::option::weighted(0.5, 1_usize..60),
    )
}

fn script(plan: &ReleasePlan, (replies, looks, abort, dies): Mischief) -> Script {
    let questions = questions(plan);
    let mut workloads = Vec::new();
    for name in plan.services.keys() {
        for workload in [deployment(name.as_str()), deployment(&format!("{name}-worker"))] {
            workloads.push(format!("new {workload}"));
            workloads.push(format!("previous {workload}"));
        }
    }
    let mut script = well();
    for (at, replies) in replies {
        let question = at.get(&questions);
        script = script.reply(question, &replies);
    }
    for (at, looks) in looks {
        let workload: &String = at.get(&workloads);
        script = script.look(workload, &looks);
    }
    script.aborts = abort.map(Duration::from_secs);
    script.dies = dies;
    script
}

fn worlds(kinds: Vec<Kind>) -> impl Strategy<Value = (ReleasePlan, Script)> {
    (plans(kinds), mischief()).prop_map(|(plan, mischief)| {
        let script = script(&plan, mischief);
        (plan, script)
    })
}

/// Plans in which every box has something to do.
pub(super) fn busy() -> impl Strategy<Value = (ReleasePlan, Script)> {
    worlds(BUSY.to_vec())
}

pub(super) fn any_world() -> impl Strategy<Value = (ReleasePlan, Script)> {
    worlds([BUSY.as_slice(), IDLE.as_slice()].concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// It ends, within limits, for a reason, and without listening to what is stale: see `World`.
    #[test]
    fn every_release_ends_soundly((plan, script) in any_world()) {
        World::run(plan, script);
    }
}
