//! The way forward: order, concurrency, writing, becoming ready, pruning.

use super::check;
use super::plans::{check as asking, config, deployment, hasty, plan, port, web};
use super::script::{Look, Reply, well};
use super::world::World;
use crate::{PlanError, Release, ReleaseOutcome, ReleasePlan, RollingPlan};

#[test]
fn a_service_is_written_in_order_and_becomes_ready_and_is_watched() {
    check(
        web(|_| ()),
        well(),
        "verified",
        &[
            "web Applying",
            "apply new configmap/web",
            "apply new deployment/web",
            "apply new service/web",
            "web Progressing",
            "web Soaking",
            "check web health",
            "web Verified",
        ],
    )
    .without(&["web RollingBack", "capture deployment/web", "delete service/web"])
    .times("check web health", 3);
}

#[test]
fn what_is_needed_is_verified_first() {
    check(
        plan(&[("api", &["db"]), ("db", &[]), ("web", &["api", "elsewhere"])]),
        well(),
        "verified",
        &["db Verified", "api Applying", "api Verified", "web Applying", "web Verified"],
    );
}

#[test]
fn as_many_services_as_the_plan_allows_are_on_their_way() {
    for (concurrency, wanted) in [(0, 1), (1, 1), (2, 2), (3, 3), (9, 3)] {
        let services = plan(&[("a", &[]), ("b", &[]), ("c", &[])]);

        let world = check(ReleasePlan { concurrency, ..services }, well(), "verified", &[]);

        let mut under_way = 0_i32;
        let mut most = 0;
        for line in world.trace() {
            under_way += i32::from(line.ends_with("Applying")) - i32::from(line.ends_with("Verified"));
            most = most.max(under_way);
        }
        assert_eq!(most, wanted, "concurrency {concurrency}");
    }
}

#[test]
fn nothing_to_do_is_done_at_once() {
    check(plan(&[]), well(), "verified", &[]);
    let empty = web(|web| *web = RollingPlan::default());
    check(empty, well(), "verified", &["web Verified"]);
    let written = web(|web| {
        hasty(web);
        web.workloads.clear();
    });
    check(written, well(), "verified", &["web Applying", "apply new service/web", "web Verified"]);
}

#[test]
fn a_refused_write_turns_the_service_back() {
    check(
        web(|_| ()),
        well().reply("apply new deployment/web", &[Reply::Refuse]),
        "rolled back: web refused",
        &["web RollingBack", "capture deployment/web", "apply previous configmap/web", "web RolledBack"],
    )
    .without(&["apply new service/web", "web Progressing"]);
}

#[test]
fn a_write_whose_answer_was_lost_is_read_back() {
    check(
        web(|_| ()),
        well().reply("apply new deployment/web", &[Reply::Unknown]),
        "verified",
        &["apply new deployment/web", "read new deployment/web", "apply new service/web"],
    )
    .times("apply new deployment/web", 1);
    check(
        web(|_| ()),
        well()
            .reply("apply new deployment/web", &[Reply::Unknown, Reply::Good])
            .reply("read new deployment/web", &[Reply::Not]),
        "verified",
        &["apply new deployment/web", "read new deployment/web", "apply new deployment/web"],
    )
    .times("read new deployment/web", 1);
}

/// Answers that never settle what became of a write, and how often it is tried.
#[test]
fn writing_is_tried_a_limited_number_of_times() {
    type Case = (&'static [Reply], &'static [Reply], &'static str, usize, usize);
    let unreachable = "rolled back: web unreachable";
    let cases: [Case; 6] = [
        (&[Reply::Unknown], &[Reply::Unknown], unreachable, 1, 4),
        (&[Reply::Unknown], &[Reply::Not], unreachable, 4, 4),
        (&[Reply::Wrong], &[Reply::Wrong], unreachable, 1, 4),
        (&[Reply::Not], &[Reply::Unknown], unreachable, 1, 4),
        (&[Reply::Not], &[Reply::Not], unreachable, 4, 4),
        (&[Reply::Unknown], &[Reply::Refuse], "rolled back: web refused", 1, 1),
    ];
    for (applying, reading, ends, applied, read) in cases {
        let script =
            well().reply("apply new deployment/web", applying).reply("read new deployment/web", reading);
        check(web(|_| ()), script, ends, &["web RollingBack", "web RolledBack"])
            .times("apply new deployment/web", applied)
            .times("read new deployment/web", read);
    }
}

/// An answer takes a second; the rests are 2, 10 and 50 s.
#[test]
fn a_server_that_refuses_to_write_for_a_minute_is_waited_for() {
    let script = || {
        well()
            .reply("apply new deployment/web", &[Reply::Unknown, Reply::Unknown, Reply::Unknown, Reply::Good])
            .reply("read new deployment/web", &[Reply::Not])
    };
    let world = check(web(|_| ()), script(), "verified", &[]);
    let asked = world.timed().into_iter().filter(|line| line.ends_with("apply new deployment/web"));
    let asked: Vec<u64> = asked.map(|line| line[..3].trim().parse().unwrap()).collect();
    assert_eq!(asked, [1, 5, 17, 69]);

    // Nothing is under way in a rest, so that turning back need not wait.
    let world = check(web(|_| ()), script().abort_at(20), "rolled back: nobody aborted", &[]);
    assert!(world.timed().contains(&" 20 apply previous configmap/web".to_owned()), "{:?}", world.timed());

    // A process that takes over in a rest keeps it.
    let mut world = World::until(web(|_| ()), script(), |world| world.now.as_secs() == 20);
    world.die();
    let world = world.drive();
    assert_eq!(world.ends(), "verified");
    assert!(world.timed().contains(&" 69 apply new deployment/web".to_owned()), "{:?}", world.timed());
}

#[test]
fn an_answer_that_never_comes_is_a_lost_one() {
    let script = well().reply("apply new deployment/web", &[Reply::Never]);
    let world = check(web(|_| ()), script, "verified", &["read new deployment/web", "apply new service/web"]);
    assert!(world.timed().contains(&"181 read new deployment/web".to_owned()));

    let script = well()
        .reply("apply new deployment/web", &[Reply::Never])
        .reply("read new deployment/web", &[Reply::Never]);
    check(web(|_| ()), script, "rolled back: web unreachable", &["apply previous deployment/web"])
        .times("read new deployment/web", 4);
}

#[test]
fn a_failed_workload_turns_the_service_back_at_once() {
    check(
        web(|_| ()),
        well().look("new deployment/web", &[Look::Progressing, Look::Failed]),
        "rolled back: web crash-loop",
        &[
            "web Progressing",
            "web RollingBack",
            "capture deployment/web",
            "apply previous configmap/web",
            "apply previous deployment/web",
            "delete service/web",
            "web RolledBack",
        ],
    )
    .without(&["web Soaking", "apply previous service/web"]);
    check(
        web(|_| ()),
        well().look("new deployment/web", &[Look::FailedMutely]),
        "rolled back: web never-ready",
        &[],
    );
}

/// A release with two workloads of which `web` never becomes ready; what its deadline says.
#[track_caller]
fn late(worker: &[Look], main: &[Look]) -> String {
    let plan = web(|web| {
        web.apply.push(deployment("worker"));
        web.workloads.push(deployment("worker"));
    });
    let script = well().look("new deployment/web", main).look("new deployment/worker", worker);
    let world = check(plan, script, "rolled back: web deadline", &["web RollingBack"]);
    let Some(ReleaseOutcome::RolledBack { cause, .. }) = world.release.outcome() else { panic!() };
    format!("{}: {}", cause.object, cause.summary)
}

#[test]
fn a_deadline_tells_what_looked_wrong() {
    let silent = "deployment/web: deployment/web did not become ready within 120 s";
    let crash = format!("{silent}: deployment/web: the script says so");

    assert_eq!(late(&[Look::Ready], &[Look::Suspicious]), crash);
    assert_eq!(late(&[Look::Ready], &[Look::Progressing]), silent);
    assert_eq!(late(&[Look::Progressing], &[Look::Suspicious]), crash, "the other's silence hides it");
    assert_eq!(
        late(&[Look::SuspiciousPod, Look::Ready], &[Look::Progressing]),
        silent,
        "a pod of a workload that is ready is no suspect"
    );
    assert_eq!(late(&[Look::SuspiciousPod], &[Look::Suspicious]), crash, "told about the one that is named");
}

#[test]
fn a_workload_that_stops_being_ready_holds_up_the_others() {
    let script = well()
        .look("new deployment/web", &[Look::Ready, Look::Unknown, Look::Unknown, Look::Ready])
        .look("new deployment/worker", &[Look::Progressing, Look::Ready]);
    let plan = web(|web| {
        hasty(web);
        web.apply.push(deployment("worker"));
        web.workloads.push(deployment("worker"));
    });

    let world = check(plan, script, "verified", &["web Verified"]);

    assert_eq!(world.timed().last().unwrap(), " 20 web Verified");
}

#[test]
fn pruning_waits_for_everyone_and_its_refusal_is_harmless() {
    let plan = |answer| {
        let mut plan = plan(&[("db", &[]), ("web", &["db"])]);
        plan.prune = vec![("web".parse().unwrap(), config("old")), ("gone".parse().unwrap(), port("older"))];
        (plan, well().reply("delete configmap/old", &[answer]))
    };
    for answer in [Reply::Good, Reply::Refuse, Reply::Unknown, Reply::Wrong, Reply::Never] {
        let (plan, script) = plan(answer);
        let world = check(plan, script, "verified", &["db Verified", "web Verified", "delete configmap/old"])
            .times("delete configmap/old", 1)
            .times("delete service/older", 1);
        let asked = world.history.iter().find(|(_, event)| event.to_string() == "delete configmap/old");
        let (asked, _) = asked.unwrap();
        // Any answer will do; only when there is none, the limit ends it.
        let took = if answer == Reply::Never { 30 } else { 1 };
        assert_eq!(world.now.as_secs() - asked.as_secs(), took, "{answer:?}");
    }
    let (plan, script) = plan(Reply::Good);
    check(plan, script.reply("check web health", &[Reply::Bad]), "rolled back: web check-failed", &[])
        .without(&["delete configmap/old", "delete service/older"]);
}

#[test]
fn plans_that_cannot_be_carried_out_are_refused() {
    let circle = plan(&[("a", &["b"]), ("b", &["a"]), ("c", &[])]);
    let itself = plan(&[("a", &["a"])]);
    let strange = web(|web| web.workloads.push(port("strange")));
    let restored = web(|web| web.restore.clear());
    let twice = web(|web| web.checks.push(asking("health")));
    let said = |plan: ReleasePlan| Release::new(plan, 1).unwrap_err().to_string();

    assert_eq!(said(circle), "services need one another in a circle: a, b");
    assert_eq!(said(itself), "services need one another in a circle: a");
    assert_eq!(said(strange), "service `web` waits for service/strange, which it does not apply");
    assert_eq!(said(restored), "service `web` waits for deployment/web, which it does not apply");
    assert_eq!(said(twice), "service `web` has two checks named `health`");
    let twice = web(|web| web.checks.push(asking("health")));
    let error = PlanError::CheckTwice { service: "web".parse().unwrap(), check: "health".to_owned() };
    assert_eq!(Release::new(twice, 1).unwrap_err(), error);
}

#[test]
fn a_soak_takes_its_time() {
    let world = World::run(web(|_| ()), well());

    assert_eq!(world.timed().last().unwrap(), " 35 web Verified");
}
