//! The machine under test: small plans, a scripted world on virtual time, and what must hold in every one of them.

mod backward;
mod chaos;
mod forward;
mod invariants;
mod picture;
mod plans;
mod properties;
mod resume;
mod script;
mod soak;
mod stale;
mod stored;
mod stories;
mod world;

use crate::ReleasePlan;
use script::Script;
use world::World;

/// Drives `plan` through the world of `script`, and compares how it ends and what happened on the way: `story` must
/// be found in the trace in that order.
#[track_caller]
fn check(plan: ReleasePlan, script: Script, ends: &str, story: &[&str]) -> World {
    let world = World::run(plan, script);
    let trace = world.trace();
    assert_eq!(world.ends(), ends, "{}", trace.join("\n"));
    let mut left = story.iter().peekable();
    for line in &trace {
        left.next_if(|wanted| *wanted == line);
    }
    assert_eq!(left.next(), None, "not in this order in\n{}", trace.join("\n"));
    world
}

impl World {
    /// What never happened.
    #[track_caller]
    fn without(self, lines: &[&str]) -> Self {
        let trace = self.trace();
        for line in lines {
            assert!(!trace.iter().any(|happened| happened == line), "`{line}` in\n{}", trace.join("\n"));
        }
        self
    }

    /// How often something happened.
    #[track_caller]
    fn times(self, line: &str, times: usize) -> Self {
        let trace = self.trace();
        let found = trace.iter().filter(|happened| *happened == line).count();
        assert_eq!(found, times, "`{line}` in\n{}", trace.join("\n"));
        self
    }
}
