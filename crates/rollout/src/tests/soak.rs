//! The soak: checks, patience, and workloads that do not stay ready.

use std::time::Duration;

use super::check;
use release_core::ObjectRef;

use super::plans::{SOAK, check as asking, deployment, hasty, web};
use super::script::{Look, Reply, well};

#[test]
fn without_a_soak_and_checks_ready_is_verified_in_the_same_step() {
    check(web(hasty), well(), "verified", &["web Progressing", "web Verified"]).without(&["web Soaking"]);
}

#[test]
fn without_a_soak_checks_run_once() {
    check(web(|web| web.soak = Duration::ZERO), well(), "verified", &["web Soaking", "web Verified"])
        .times("check web health", 1);
}

#[test]
fn without_checks_the_soak_takes_its_time() {
    let world = check(web(|web| web.checks.clear()), well(), "verified", &["web Soaking", "web Verified"]);

    assert_eq!(world.timed().last().unwrap(), " 35 web Verified");
}

/// Answers of a check that tolerates one bad answer, and how it ends after how many questions. The soak takes 30 s; a
/// question comes 10 s after an answer, which takes a second.
#[test]
fn checks_decide() {
    use Reply::{Bad, Good, Never, NotEnough, Refuse, Unknown, Wrong};
    let failed = "rolled back: web check-failed";
    let cases: [(&[Reply], &str, usize); 16] = [
        (&[Good], "verified", 3),
        (&[Bad, Good], "verified", 3),
        (&[Good, Bad, Good], "verified", 3),
        (&[Bad, Good, Bad, Good], "verified", 4),
        (&[Good, Good, Bad, Good], "verified", 4),
        (&[Bad], failed, 2),
        (&[Good, Bad, Bad], failed, 3),
        (&[Good, Good, Bad, Bad], failed, 4),
        (&[Bad, NotEnough, Bad], failed, 3),
        (&[NotEnough], failed, 6),
        (&[Unknown], failed, 6),
        (&[Refuse], failed, 6),
        (&[Wrong], failed, 6),
        (&[Never], failed, 1),
        (&[Never, Good], failed, 1),
        (&[NotEnough, NotEnough, NotEnough, NotEnough, NotEnough, Good], "verified", 6),
    ];
    for (answers, ends, asked) in cases {
        let script = well().reply("check web health", answers);
        check(web(|_| ()), script, ends, &["web Soaking"]).times("check web health", asked);
    }
}

#[test]
fn a_check_that_was_good_once_and_then_says_nothing_does_not_fail() {
    let script = well().reply("check web health", &[Reply::Good, Reply::NotEnough]);
    check(web(|_| ()), script, "verified", &["web Verified"]).times("check web health", 3);
}

/// A tolerated bad answer stands in the way until there is a good one; when none comes, patience ends it.
#[test]
fn a_bad_last_answer_does_not_hold_up_the_release_for_ever() {
    let script = well().reply("check web health", &[Reply::Good, Reply::Bad, Reply::NotEnough]);
    let world = check(web(|_| ()), script, "rolled back: web check-failed", &["web RollingBack"]);

    let turned = world.timed().into_iter().find(|line| line.ends_with("web RollingBack"));
    assert_eq!(turned.unwrap(), " 77 web RollingBack", "60 s after the bad answer at 17 s");
}

#[test]
fn bad_answers_are_tolerated_however_long_they_take() {
    let plan = web(|web| {
        web.checks[0].tolerate = 20;
        web.checks[0].every = Duration::from_secs(15);
    });
    let mut answers = vec![Reply::Good];
    answers.extend([Reply::Bad; 20]);
    answers.push(Reply::Good);
    check(plan, well().reply("check web health", &answers), "verified", &[]).times("check web health", 22);
}

#[test]
fn patience_shorter_than_an_interval_is_kept() {
    let plan = web(|web| {
        web.checks[0].patience = Duration::from_secs(3);
    });
    let script = well().reply("check web health", &[Reply::NotEnough]);
    let world = check(plan, script, "rolled back: web check-failed", &[]).times("check web health", 1);

    let turned = world.timed().into_iter().find(|line| line.ends_with("web RollingBack"));
    assert_eq!(turned.unwrap(), "  8 web RollingBack");
}

#[test]
fn every_check_has_to_be_good() {
    let plan = web(|web| web.checks.push(asking("metrics")));
    let script = well().reply("check web metrics", &[Reply::NotEnough]);
    check(plan, script, "rolled back: web check-failed", &["check web health", "check web metrics"]);
}

#[test]
fn a_check_without_an_interval_does_not_keep_the_machine_busy() {
    let plan = web(|web| {
        web.checks[0].every = Duration::ZERO;
    });
    let world = check(plan.clone(), well(), "verified", &["web Verified"]);
    let asked = world.trace().iter().filter(|line| *line == "check web health").count();
    assert!(asked <= 30, "{asked}");

    // However fast the answers come.
    let mut world = super::World::until(plan, well(), |world| world.trace().contains(&"web Soaking".into()));
    world.answers_at_once();
    assert!(world.release.wake_at().unwrap() > world.machine_now());
}

#[test]
fn a_workload_that_stops_being_ready_holds_up_the_promotion() {
    let looks = [Look::Ready, Look::Progressing, Look::Progressing, Look::Ready];
    check(web(|_| ()), well().look("new deployment/web", &looks), "verified", &["web Soaking"]);

    let mut long = vec![Look::Ready];
    long.extend([Look::Unknown; 12]);
    long.push(Look::Ready);
    let world = check(web(|_| ()), well().look("new deployment/web", &long), "verified", &["web Soaking"]);
    let end = world.timed().pop().unwrap();
    assert_eq!(end, " 70 web Verified", "5 s for each of 14 looks, longer than the soak of {SOAK:?}");
}

#[test]
fn a_good_answer_stays_good_when_the_next_one_never_comes() {
    let script = well().reply("check web health", &[Reply::Good, Reply::Never]);
    let world = check(web(|_| ()), script, "verified", &["web Verified"]).times("check web health", 2);

    assert_eq!(world.timed().last().unwrap(), "196 web Verified", "asked at 16 s, given up 180 s later");
}

/// Two workloads called the same in two namespaces: one stops being ready, the other stays so.
#[test]
fn workloads_with_the_same_name_are_told_apart() {
    let other = ObjectRef::new("apps/v1", "Deployment", "elsewhere", "web");
    let plan = web(|web| {
        web.checks.clear();
        web.apply.push(other.clone());
        web.workloads.push(other);
    });
    let mut looks = vec![Look::Ready, Look::Ready];
    looks.extend([Look::Progressing, Look::Ready].repeat(8));
    looks.push(Look::Ready);
    let world = check(plan, well().look("new deployment/web", &looks), "verified", &["web Soaking"]);

    assert_eq!(world.timed().last().unwrap(), " 50 web Verified", "5 s for each of 10 looks");
}

/// Three workloads take turns in being ready: each of them soon is again, and never are all.
#[test]
fn workloads_that_come_and_go_do_not_hold_up_the_promotion_for_ever() {
    use Look::{Progressing, Ready};

    let plan = web(|web| {
        for name in ["wheel", "worker"] {
            web.apply.push(deployment(name));
            web.workloads.push(deployment(name));
        }
    });
    let turns = |turns: [Look; 3]| [vec![Look::Ready], turns.repeat(500)].concat();
    let script = well()
        .look("new deployment/web", &turns([Progressing, Progressing, Ready]))
        .look("new deployment/wheel", &turns([Ready, Progressing, Progressing]))
        .look("new deployment/worker", &turns([Progressing, Ready, Progressing]));
    let world = check(plan, script, "rolled back: web deadline", &["web Soaking", "web RollingBack"]);

    let Some(crate::ReleaseOutcome::RolledBack { cause, .. }) = world.release.outcome() else { panic!() };
    assert!(
        cause.summary.ends_with("was not ready for good after the soak within 120 s"),
        "{}",
        cause.summary
    );
    let turned = world.timed().into_iter().find(|line| line.ends_with("web RollingBack"));
    assert_eq!(turned.unwrap(), "155 web RollingBack", "ready at 5 s, 30 s of soak and 120 s after it");
}

#[test]
fn a_workload_that_stays_unready_is_turned_back_with_what_looked_wrong() {
    let looks = [Look::Ready, Look::Progressing, Look::Suspicious];
    let script = well().look("new deployment/web", &looks);
    let world = check(web(|_| ()), script, "rolled back: web deadline", &["web Soaking", "web RollingBack"]);

    let Some(crate::ReleaseOutcome::RolledBack { cause, .. }) = world.release.outcome() else { panic!() };
    assert_eq!(
        cause.summary,
        "deployment/web stopped being ready and was not again within 120 s: deployment/web: the script says so"
    );
}

#[test]
fn a_workload_that_fails_during_the_soak_is_turned_back_at_once() {
    let script = well().look("new deployment/web", &[Look::Ready, Look::Ready, Look::Failed]);
    let story = ["web Soaking", "web RollingBack", "apply previous deployment/web", "web RolledBack"];
    check(web(|_| ()), script, "rolled back: web crash-loop", &story).times("capture deployment/web", 1);
}
