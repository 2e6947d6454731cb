//! Inputs in any order: answers that overtake one another, answers that never come, looks at what is not there, time that
//! jumps, aborts and crashes in between. Whatever has happened, a world that behaves from then on brings the release to
//! its end, and one whose process dies first brings it to the same end.

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::properties::{BUSY, IDLE, plans};
use super::resume::kind;
use super::script::{Look, Reply, well};
use super::world::World;
use crate::{Input, ReleasePlan, Version};

/// One thing that happens.
#[derive(Debug, Clone, Copy)]
enum Move {
    Answer(Index, Reply),
    Look(Index, Version, Look),
    Pass(Duration),
    Wake,
    Begin,
    Abort,
    Die,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    use Reply::{Bad, Good, Never, Not, NotEnough, Refuse, Unknown, Wrong};
    let reply =
        select(vec![Good, Good, Good, Good, Good, Good, Refuse, Unknown, Not, Bad, NotEnough, Wrong, Never]);
    let look =
        select(vec![Look::Ready, Look::Ready, Look::Ready, Look::Progressing, Look::Unknown, Look::Failed]);
    let version = select(vec![Version::New, Version::New, Version::Previous]);
    let one = prop_oneof![
        12 => (any::<Index>(), reply).prop_map(|(which, reply)| Move::Answer(which, reply)),
        8 => (any::<Index>(), version, look).prop_map(|(which, version, look)| Move::Look(which, version, look)),
        3 => (0_u64..200).prop_map(|seconds| Move::Pass(Duration::from_secs(seconds))),
        3 => Just(Move::Wake),
        1 => Just(Move::Begin),
        1 => Just(Move::Abort),
        1 => Just(Move::Die),
    ];
    proptest::collection::vec(one, 0..40)
}

fn chaos() -> impl Strategy<Value = (ReleasePlan, Vec<Move>)> {
    (plans([BUSY.as_slice(), IDLE.as_slice()].concat()), moves())
}

impl World {
    fn suffers(&mut self, happens: Move) {
        match happens {
            Move::Answer(which, reply) => self.answers_any(which, reply),
            Move::Look(which, version, look) => self.looks_at_any(which, version, look),
            Move::Pass(time) => self.passes(time),
            Move::Wake => self.feed(Input::Woke),
            Move::Begin => self.feed(Input::Begin),
            Move::Abort => self.feed(Input::Abort { why: "somebody said so".to_owned() }),
            Move::Die => self.die(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn whatever_happens_it_ends_well_or_back((plan, moves) in chaos()) {
        let mut world = World::new(plan, well()).quick();
        for (at, happens) in std::iter::once(Move::Begin).chain(moves).enumerate() {
            world.suffers(happens);
            let whole = world.clone().drive();
            let mut dead = world.clone();
            dead.die();
            let (dead, whole) = (dead.drive().ends(), whole.ends());
            // A question that would never have been answered is asked again after a crash, which may save the day.
            if world.will_answer() {
                prop_assert_eq!(kind(&dead), kind(&whole), "dead after {} inputs", at + 1);
            }
        }
    }
}
