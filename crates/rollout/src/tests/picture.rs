//! The picture in `docs/design/release-machine.md` and the code tell the same.

use std::collections::BTreeSet;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use super::properties::{any_world, busy as busy_worlds};
use super::script::Script;
use super::stories::{Story, busy, idle};
use super::world::World;
use crate::ReleasePlan;

const PICTURE: &str = include_str!("../../../../docs/design/release-machine.md");
const WORLDS: usize = 300;

type Arrows = BTreeSet<(String, String)>;

/// The arrows of the first mermaid diagram, without the beginning and the ends.
fn drawn() -> Arrows {
    let diagram = PICTURE.split("```mermaid").nth(1).unwrap().split("```").next().unwrap();
    let arrows = diagram.lines().filter_map(|line| line.trim().split_once(" --> "));
    let arrows = arrows.map(|(from, to)| (from, to.split(':').next().unwrap_or(to).trim()));
    let inner = arrows.filter(|(from, to)| *from != "[*]" && *to != "[*]");
    inner.map(|(from, to)| (from.to_owned(), to.to_owned())).collect()
}

fn taken(stories: Vec<Story>, worlds: impl Strategy<Value = (ReleasePlan, Script)>) -> Arrows {
    let mut runner = TestRunner::deterministic();
    let seeded = (0..WORLDS).map(|_| worlds.new_tree(&mut runner).unwrap().current());
    let told = stories.into_iter().map(|story| (story.plan, story.script));
    let arrows = told.chain(seeded).flat_map(|(plan, script)| World::run_quickly(plan, script).arrows());
    arrows.map(|(from, to)| (format!("{from:?}"), format!("{to:?}"))).collect()
}

#[test]
fn the_arrows_drawn_are_the_arrows_taken() {
    assert_eq!(drawn(), taken(busy(), busy_worlds()));
}

/// A box in which there is nothing to do is passed in one step: what looks like a new arrow follows drawn ones.
#[test]
fn shortcuts_follow_the_arrows_drawn() {
    let drawn = drawn();
    for (from, to) in taken(idle(), any_world()) {
        let mut reached = BTreeSet::from([from.clone()]);
        loop {
            let next: BTreeSet<_> =
                drawn.iter().filter(|(a, _)| reached.contains(a)).map(|(_, b)| b.clone()).collect();
            let before = reached.len();
            reached.extend(next);
            if reached.len() == before {
                break;
            }
        }
        assert!(reached.contains(&to), "{from} to {to}");
    }
}
