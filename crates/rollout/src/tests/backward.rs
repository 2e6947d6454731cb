//! The way back: saving, the order of services, restoring, removing, settling, and aborts at any time.

use super::check;
use super::plans::{first, plan, web};
use super::script::{Look, Reply, Script, well};

const WEB_FAILS: (&str, &[Look]) = ("new deployment/web", &[Look::Failed]);

fn web_fails() -> Script {
    well().look(WEB_FAILS.0, WEB_FAILS.1)
}

#[test]
fn what_explains_the_failure_is_saved_before_anything_is_restored() {
    let story = ["capture deployment/web", "apply previous configmap/web"];
    for reply in [Reply::Good, Reply::Refuse, Reply::Unknown, Reply::Wrong] {
        let script = web_fails().reply("capture deployment/web", &[reply]);
        let world = check(web(|_| ()), script, "rolled back: web crash-loop", &story);
        assert!(world.timed().contains(&"  6 apply previous configmap/web".to_owned()));
    }
    let script = web_fails().reply("capture deployment/web", &[Reply::Never]);
    let world = check(web(|_| ()), script, "rolled back: web crash-loop", &story);
    assert!(world.timed().contains(&" 15 apply previous configmap/web".to_owned()), "saving is given up");
}

#[test]
fn dependents_are_restored_before_what_they_need() {
    check(
        plan(&[("api", &["db"]), ("db", &[]), ("web", &["api"])]),
        web_fails(),
        "rolled back: web crash-loop",
        &[
            "api Verified",
            "web RollingBack",
            "web RolledBack",
            "apply previous configmap/api",
            "api RolledBack",
            "apply previous configmap/db",
            "delete service/db",
            "db RolledBack",
        ],
    )
    .without(&["capture deployment/api", "capture deployment/db"]);
}

#[test]
fn siblings_under_way_are_turned_back_and_waiting_ones_are_not_started() {
    check(
        plan(&[("api", &[]), ("later", &["api"]), ("web", &[])]),
        web_fails().look("new deployment/api", &[Look::Progressing]),
        "rolled back: web crash-loop",
        &["api Progressing", "api RollingBack", "api RolledBack"],
    )
    .times("later NotStarted", 1)
    .without(&["apply new configmap/later", "apply previous configmap/later", "later RollingBack"]);
}

#[test]
fn siblings_know_who_failed() {
    let world = check(
        plan(&[("api", &[]), ("web", &[])]),
        web_fails(),
        "rolled back: web crash-loop",
        &["api RolledBack"],
    );
    let stored = serde_json::to_value(world.release.suspend(world.machine_now())).unwrap();

    let cause = &stored["rollouts"]["api"]["cause"];
    assert_eq!(cause["kind"], "sibling");
    assert_eq!(cause["summary"], "web failed: deployment/web: the script says so");
}

#[test]
fn a_first_release_is_removed_completely() {
    check(
        web(first),
        web_fails(),
        "rolled back: web crash-loop",
        &["delete service/web", "delete deployment/web", "delete configmap/web", "web RolledBack"],
    )
    .without(&["apply previous configmap/web", "apply previous deployment/web"]);
}

/// What cannot be restored, and why the release is not rolled back. Everything else is restored all the same.
#[test]
fn trouble_with_one_object_does_not_keep_the_others() {
    type Case = (&'static str, &'static [Reply], &'static str, &'static [Reply], &'static str);
    use Reply::{Good, Not, Refuse, Unknown, Wrong};

    let cases: [Case; 9] = [
        ("apply previous configmap/web", &[Refuse], "", &[], "refused"),
        ("apply previous deployment/web", &[Refuse], "", &[], "refused"),
        (
            "apply previous configmap/web",
            &[Unknown],
            "read previous configmap/web",
            &[Unknown],
            "unreachable",
        ),
        ("apply previous configmap/web", &[Unknown], "read previous configmap/web", &[Not], "unreachable"),
        ("delete service/web", &[Refuse], "", &[], "refused"),
        ("delete service/web", &[Unknown], "", &[], "unreachable"),
        ("delete service/web", &[Wrong], "", &[], "refused"),
        ("apply previous configmap/web", &[Unknown], "read previous configmap/web", &[Good], ""),
        ("delete service/web", &[Unknown, Unknown, Unknown, Unknown, Good], "", &[], ""),
    ];
    for (question, replies, then, answers, why) in cases {
        let mut script = web_fails().reply(question, replies);
        if !then.is_empty() {
            script = script.reply(then, answers);
        }
        let ends = match why {
            "" => "rolled back: web crash-loop".to_owned(),
            why => format!("not rolled back: web crash-loop, {why}"),
        };
        let story = ["apply previous configmap/web", "apply previous deployment/web", "delete service/web"];
        let world = check(web(|_| ()), script, &ends, &story);
        // Six rounds in five minutes, of five attempts each at most.
        assert!(world.trace().iter().filter(|line| *line == question).count() <= 6 * 5, "{question}");
        assert!(world.now.as_secs() < 600, "{question}: {:?}", world.now);
    }
}

#[test]
fn what_is_refused_on_the_way_back_is_tried_again_and_the_others_do_not_wait() {
    for (question, others) in [
        ("apply previous configmap/web", ["apply previous deployment/web", "delete service/web"]),
        ("apply previous deployment/web", ["apply previous configmap/web", "delete service/web"]),
        ("delete service/web", ["apply previous configmap/web", "apply previous deployment/web"]),
    ] {
        // Refused for two and a half minutes.
        let replies = [&[Reply::Refuse; 4][..], &[Reply::Good]].concat();
        let script = web_fails().reply(question, &replies);
        let world = check(web(|_| ()), script, "rolled back: web crash-loop", &[question, question]);
        for other in others {
            assert_eq!(world.trace().iter().filter(|line| *line == other).count(), 1, "{question}: {other}");
            let at = |wanted: &str| world.trace().iter().rposition(|line| line == wanted);
            assert!(at(other) < at(question), "{question}: {other}");
        }
    }
}

#[test]
fn a_refusal_that_lasts_five_minutes_is_for_good() {
    let script = web_fails().reply("apply previous deployment/web", &[Reply::Refuse]);
    let world = check(web(|_| ()), script, "not rolled back: web crash-loop, refused", &[]);
    let asked = world.timed().into_iter().filter(|line| line.ends_with("apply previous deployment/web"));
    let asked: Vec<u64> = asked.map(|line| line[..3].trim().parse().unwrap()).collect();
    assert_eq!(asked, [7, 19, 40, 81, 162, 308]);
}

#[test]
fn a_process_that_dies_between_two_rounds_does_not_begin_anew() {
    let replies = [Reply::Refuse, Reply::Refuse, Reply::Good];
    let script = web_fails().reply("apply previous configmap/web", &replies);
    let mut world = super::World::until(web(|_| ()), script, |world| {
        world.trace().iter().filter(|line| *line == "apply previous configmap/web").count() == 2
    });
    world.die();
    let world = world.drive();
    assert_eq!(world.ends(), "rolled back: web crash-loop");
    assert_eq!(world.trace().iter().filter(|line| *line == "apply previous deployment/web").count(), 1);
}

#[test]
fn the_first_trouble_is_the_one_told() {
    let script = web_fails()
        .reply("apply previous configmap/web", &[Reply::Refuse])
        .look("previous deployment/web", &[Look::Failed]);
    check(web(|_| ()), script, "not rolled back: web crash-loop, refused", &["web NotRolledBack"]);
}

#[test]
fn a_deletion_is_tried_five_times_a_round() {
    let mut replies = vec![Reply::Unknown; 5];
    replies.push(Reply::Good);
    let script = web_fails().reply("delete service/web", &replies);
    let world = check(web(|_| ()), script, "rolled back: web crash-loop", &[]);
    let asked = world.timed().into_iter().filter(|line| line.ends_with("delete service/web"));
    let asked: Vec<u64> = asked.map(|line| line[..3].trim().parse().unwrap()).collect();
    assert_eq!(asked.len(), 6);
    assert_eq!((asked[4] - asked[0], asked[5] - asked[4]), (4, 11), "{asked:?}");
}

#[test]
fn the_previous_version_has_to_become_ready() {
    for (looks, ends) in [
        (&[Look::Progressing, Look::Suspicious, Look::Ready][..], "rolled back: web crash-loop"),
        (&[Look::Progressing], "not rolled back: web crash-loop, deadline"),
        (&[Look::Unknown], "not rolled back: web crash-loop, deadline"),
    ] {
        let script = web_fails().look("previous deployment/web", looks);
        check(web(|_| ()), script, ends, &["apply previous deployment/web", "delete service/web"]);
    }
}

/// A look every 5 s: the last of them comes just before the deadline of 90 s.
#[test]
fn what_would_end_the_way_forward_is_waited_for_on_the_way_back() {
    let failed = [Look::Failed; 16];
    let recovers = [&failed[..], &[Look::Ready]].concat();
    for (looks, ends) in [
        (&recovers[..], "rolled back: web crash-loop"),
        (&[Look::FailedMutely, Look::Ready], "rolled back: web crash-loop"),
        (&[Look::Progressing, Look::Failed], "not rolled back: web crash-loop, deadline"),
        (&[Look::FailedMutely], "not rolled back: web crash-loop, deadline"),
    ] {
        let script = web_fails().look("previous deployment/web", looks);
        check(web(|_| ()), script, ends, &["apply previous deployment/web", "delete service/web"]);
    }
}

#[test]
fn what_somebody_deletes_after_it_was_restored_is_restored_again() {
    let again = "apply previous deployment/web";
    let script = web_fails().look("previous deployment/web", &[Look::Gone, Look::Ready]);
    let world = check(web(|_| ()), script, "rolled back: web crash-loop", &[again, again]);
    assert_eq!(world.trace().iter().filter(|line| *line == "apply previous configmap/web").count(), 1);

    let script = web_fails().look("previous deployment/web", &[Look::Gone]);
    let world = check(web(|_| ()), script, "not rolled back: web crash-loop, deadline", &[again, again]);
    assert!(world.now.as_secs() < 600, "{:?}", world.now);
}

#[test]
fn a_rollback_that_takes_too_long_tells_what_looked_wrong() {
    for (look, what) in [
        (Look::SuspiciousPod, "pod/web-1: the script says so"),
        (Look::Failed, "deployment/web: the script says so"),
        (Look::FailedMutely, "deployment/web failed for an unknown reason"),
    ] {
        let script = web_fails().look("previous deployment/web", &[look]);
        let world = check(web(|_| ()), script, "not rolled back: web crash-loop, deadline", &[]);

        let Some(crate::ReleaseOutcome::NotRolledBack { why, .. }) = world.release.outcome() else {
            panic!()
        };
        let summary = format!("deployment/web did not become ready again within 90 s: {what}");
        assert_eq!(why.summary, summary);
    }
}

#[test]
fn one_service_that_stays_broken_does_not_keep_the_others() {
    check(
        plan(&[("db", &[]), ("web", &["db"])]),
        web_fails().reply("apply previous deployment/web", &[Reply::Refuse]),
        "not rolled back: web crash-loop, refused",
        &["web NotRolledBack", "apply previous configmap/db", "db RolledBack"],
    );
}

/// `web` takes 0–3 s to be written, is ready at 5 s and verified at 35 s; then `last` begins.
#[test]
fn an_abort_is_heard_in_every_phase() {
    let aborted = "rolled back: nobody aborted";
    for (at, story, undone) in [
        (1, "web Applying", "apply previous configmap/web"),
        (2, "web Applying", "apply previous deployment/web"),
        (3, "web Applying", "delete service/web"),
        (4, "web Progressing", "delete service/web"),
        (9, "web Soaking", "delete service/web"),
        (36, "web Verified", "delete service/web"),
    ] {
        check(
            plan(&[("last", &["web"]), ("web", &[])]),
            well().abort_at(at),
            aborted,
            &[story, "web RollingBack", undone, "web RolledBack"],
        )
        .without(&["last Verified", "capture deployment/web"]);
    }
    let script = web_fails().abort_at(6);
    check(web(|_| ()), script, "rolled back: web crash-loop", &["web RolledBack"])
        .times("web RollingBack", 1);
}

#[test]
fn an_abort_before_the_beginning_leaves_nothing_to_do() {
    let world = super::World::new(plan(&[("db", &[]), ("web", &["db"])]), well());

    let abort = crate::Input::Abort { why: "never mind".to_owned() };
    let (release, effects) = world.release.clone().step(world.machine_now(), abort);

    assert_eq!(effects, []);
    assert!(release.phases().values().all(|phase| *phase == crate::Phase::NotStarted));
    assert!(matches!(
        release.outcome(),
        Some(crate::ReleaseOutcome::RolledBack { service: None, cause }) if cause.summary == "never mind"
    ));
}

#[test]
fn a_write_under_way_lands_before_anything_is_restored() {
    // The abort comes at 1 s, before the answer to the write that was asked for at 0 s.
    for reply in [Reply::Good, Reply::Refuse, Reply::Unknown] {
        let script = well().reply("apply new configmap/web", &[reply]).abort_at(1);
        let mut world = super::World::until(web(|_| ()), script, |world| {
            world.trace().contains(&"web RollingBack".to_owned())
        });
        assert!(!world.trace().iter().any(|line| line.starts_with("apply previous")));

        world.answers_at_once();

        assert!(world.trace().contains(&"apply previous configmap/web".to_owned()));
    }
}

/// After an answer that does not come for three minutes, the write counts as landed or lost.
#[test]
fn a_write_that_never_lands_does_not_hold_up_the_way_back() {
    let script = well().reply("apply new configmap/web", &[Reply::Never]).abort_at(1);
    let world = check(web(|_| ()), script, "rolled back: nobody aborted", &["apply previous configmap/web"]);

    assert!(world.timed().contains(&"180 apply previous configmap/web".to_owned()));
}

/// What is refused, and what is undone then: only what may have been written.
#[test]
fn what_was_not_written_is_not_undone() {
    type Case<'a> = (&'a str, &'a [Reply], &'a [&'a str], &'a [&'a str]);
    let all = ["apply previous configmap/web", "apply previous deployment/web", "delete service/web"];
    let (config, both) = (&all[..1], &all[..2]);
    let cases: [Case; 5] = [
        ("apply new configmap/web", &[Reply::Refuse], &[], &all),
        ("apply new deployment/web", &[Reply::Refuse], config, &all[1..]),
        ("apply new service/web", &[Reply::Refuse], both, &all[2..]),
        ("apply new deployment/web", &[Reply::Unknown, Reply::Refuse], both, &all[2..]),
        ("apply new service/web", &[Reply::Unknown, Reply::Refuse], &all, &[]),
    ];
    for (question, replies, undone, left_alone) in cases {
        let read = question.replace("apply", "read");
        let script = well().reply(question, replies).reply(&read, &[Reply::Not]);
        check(web(|_| ()), script, "rolled back: web refused", undone).without(left_alone);
    }
}

#[test]
fn an_account_without_rights_leaves_nothing_to_roll_back() {
    let mut script = well();
    for object in ["configmap/web", "deployment/web", "service/web"] {
        for verb in ["apply new", "apply previous", "delete"] {
            script = script.reply(&format!("{verb} {object}"), &[Reply::Refuse]);
        }
    }
    for plan in [web(|_| ()), web(first)] {
        let world = check(plan, script.clone(), "rolled back: web refused", &["web RolledBack"]);
        assert_eq!(world.trace(), ["web Applying", "apply new configmap/web", "web RolledBack"]);
    }
}

/// The process that took over cannot know what became of the write of the one that died.
#[test]
fn a_write_that_is_refused_after_a_crash_may_have_been_written() {
    let script = well().reply("apply new configmap/web", &[Reply::Never, Reply::Refuse]).dies_after(1);
    check(web(|_| ()), script, "rolled back: web refused", &["died", "apply previous configmap/web"])
        .without(&["apply previous deployment/web"]);
}

#[test]
fn answers_that_never_come_do_not_hold_up_the_way_back() {
    for (question, ends) in [
        ("apply previous configmap/web", "rolled back: web crash-loop"),
        ("delete service/web", "not rolled back: web crash-loop, unreachable"),
    ] {
        let script = web_fails().reply(question, &[Reply::Never]);
        check(web(|_| ()), script, ends, &["apply previous deployment/web", "delete service/web"]);
    }
}

#[test]
fn an_abort_after_everything_is_verified_comes_too_late() {
    let mut plan = web(|_| ());
    plan.prune = vec![("web".parse().unwrap(), super::plans::port("old"))];
    let script = well().reply("delete service/old", &[Reply::Never]).abort_at(40);
    check(plan, script, "verified", &["web Verified", "delete service/old"]);
}
