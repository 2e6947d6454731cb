//! The process dies after any step, and another one takes over.

use std::time::Duration;

use super::plans::{plan, web};
use super::script::{Look, Reply, well};
use super::stories::{Story, busy, idle};
use super::world::World;
use crate::{PlanError, ResumeError};

pub(super) fn kind(ends: &str) -> &str {
    ends.split(':').next().unwrap_or(ends)
}

#[test]
fn whenever_the_process_dies_the_release_ends_the_same_way() {
    for Story { name, plan, script } in busy().into_iter().chain(idle()) {
        let whole = World::run_quickly(plan.clone(), script.clone());
        for steps in 1..=whole.steps() {
            let world = World::run_quickly(plan.clone(), script.clone().dies_after(steps));

            assert!(world.trace().contains(&"died".to_owned()));
            assert_eq!(kind(&world.ends()), kind(&whole.ends()), "{name}, dead after {steps} steps");
        }
    }
}

/// Nothing but the landing of a write was waited for, and that ended with the process.
#[test]
fn a_rollback_goes_on_by_itself_after_a_crash() {
    let script = well().abort_at(1);
    let world =
        World::until(web(|_| ()), script, |world| world.trace().contains(&"web RollingBack".to_owned()));
    let suspended = world.release.suspend(world.machine_now());

    let (_, effects) = suspended.resume(world.plan.clone(), world.machine_now(), 8).unwrap();

    let asked: Vec<_> = effects.iter().map(super::world::question).collect();
    assert_eq!(asked, ["apply previous configmap/web"]);
}

#[test]
fn deadlines_keep_the_time_that_remains() {
    let world = World::until(web(|_| ()), well(), |world| world.now.as_secs() == 5);
    let suspended = world.release.suspend(world.machine_now());
    let left = world.release.wake_at().unwrap().since(world.machine_now());

    let later = release_core::MonoTime::ZERO;
    let (release, _) = suspended.resume(world.plan.clone(), later, 8).unwrap();

    assert_eq!(release.wake_at().unwrap().since(later), left);
}

#[test]
fn another_plan_is_refused() {
    let suspended = || World::new(web(|_| ()), well()).release.suspend(release_core::MonoTime::ZERO);
    let resume = |plan| suspended().resume(plan, release_core::MonoTime::ZERO, 2).unwrap_err();

    assert_eq!(resume(plan(&[("other", &[])])), ResumeError::OtherPlan);
    assert!(matches!(resume(plan(&[("web", &["web"])])), ResumeError::Plan(PlanError::Cycle { .. })));
}

/// The old question's time is nearly over when the process dies; the one that is asked instead is as good as new.
#[test]
fn a_question_asked_again_has_its_whole_time() {
    let crash = || well().look("new deployment/web", &[Look::Failed]);
    for (question, script, whole) in [
        ("apply new configmap/web", well(), 180),
        ("check web health", well(), 180),
        ("capture deployment/web", crash(), 10),
        ("apply previous configmap/web", crash(), 180),
        ("delete service/web", crash(), 180),
    ] {
        let plan = web(|web| web.soak = Duration::from_secs(1_000));
        let script = script.reply(question, &[Reply::Never]);
        let mut world = World::until(plan, script, |world| world.trace().contains(&question.to_owned()));
        world.passes(Duration::from_secs(whole - 1));
        world.die();

        let left = world.release.wake_at().unwrap().since(world.machine_now());
        assert_eq!(left.as_secs(), whole, "{question}");
    }
}
