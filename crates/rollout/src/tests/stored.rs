//! The stored format, in every phase and stage. A change of these snapshots is a change of what an interrupted release
//! of an older program can be taken up by.

use serde_json::Value;

use super::plans::{plan, port};
use super::script::{Look, Reply, Script, well};
use super::world::World;

fn stored(world: &World) -> Value {
    serde_json::to_value(world.release.suspend(world.machine_now())).unwrap()
}

/// Takes a snapshot of the first state in which `service` is in `phase` (and, on the way back, at `stage`).
fn check(service: &str, phase: &str, stage: Option<&str>, script: Script) {
    let mut plan = plan(&[("db", &[]), ("last", &["web"]), ("web", &["db"])]);
    plan.prune = vec![("db".parse().unwrap(), port("old"))];
    let reached = |stored: &Value| {
        let at = &stored["rollouts"][service];
        at["phase"] == phase && stage.is_none_or(|stage| at["stage"]["stage"] == stage)
    };
    let world = World::until(plan, script, |world| reached(&stored(world)));
    let name = format!("{service}-{phase}{}", stage.map(|stage| format!("-{stage}")).unwrap_or_default());
    insta::assert_json_snapshot!(name, stored(&world));
}

#[test]
fn on_the_way_forward() {
    check("db", "applying", None, well());
    check("db", "progressing", None, well());
    check("db", "soaking", None, well());
    check("db", "verified", None, well());
}

#[test]
fn on_the_way_back() {
    let crash = || well().look("new deployment/web", &[Look::Suspicious, Look::Failed]);
    check("web", "rolling-back", Some("saving"), crash());
    check("db", "rolling-back", Some("held"), crash());
    check("web", "rolling-back", Some("restoring"), crash());
    check("web", "rolling-back", Some("removing"), crash());
    let refused = || crash().reply("delete service/web", &[Reply::Refuse]);
    check("web", "rolling-back", Some("resting"), refused());
    check("web", "rolling-back", Some("settling"), crash());
    check("web", "rolled-back", None, crash());
    check("web", "not-rolled-back", None, refused());
}

#[test]
fn suspicions_and_workloads_that_stopped_being_ready() {
    let at = |seconds, looks: &[Look]| {
        let script = well().look("new deployment/db", looks);
        stored(&World::until(plan(&[("db", &[])]), script, |world| world.now.as_secs() >= seconds))
    };
    insta::assert_json_snapshot!("a-suspicion", at(5, &[Look::SuspiciousPod]));
    insta::assert_json_snapshot!("unready-in-the-soak", at(10, &[Look::Ready, Look::Suspicious]));
}

#[test]
fn the_release_as_a_whole() {
    let world = World::new(plan(&[("web", &[])]), well());
    insta::assert_json_snapshot!("planned", stored(&world));

    let mut web = plan(&[("web", &[])]);
    web.prune = vec![("web".parse().unwrap(), port("old"))];
    let pruning = World::until(web.clone(), well(), |world| stored(world)["stage"]["stage"] == "pruning");
    insta::assert_json_snapshot!("pruning", stored(&pruning));
    insta::assert_json_snapshot!("done-verified", stored(&World::run(web.clone(), well())));

    let script = well().abort_at(9).look("previous deployment/web", &[Look::FailedMutely]);
    insta::assert_json_snapshot!("done-not-rolled-back", stored(&World::run(web, script)));
}
