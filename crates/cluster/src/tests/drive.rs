//! Driving a release from the lock to the record, and what happens to it on the way.

use std::time::Duration;

use release_rollout::Phase;
use serde_json::json;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::fake::{Act, Fake};
use super::process::{
    BAD, NEW, OLD, Ran, entry, image, journal_was_ahead, process, release, running_old, writes,
};
use crate::{Event, TTL};

fn phases(ran: &Ran) -> Vec<Phase> {
    ran.events
        .iter()
        .filter_map(|event| match event {
            Event::PhaseEntered { phase, .. } => Some(*phase),
            _ => None,
        })
        .collect()
}

fn count(fake: &Fake, line: &str) -> usize {
    fake.log().iter().filter(|seen| *seen == line).count()
}

/// Asks a process to stop after some time.
async fn stopped_after(fake: &Fake, after: Duration) -> Ran {
    let stop = CancellationToken::new();
    let asked = stop.clone();
    tokio::spawn(async move {
        sleep(after).await;
        asked.cancel();
    });
    process(fake, "ada", NEW, &stop).await
}

#[tokio::test(start_paused = true)]
async fn a_release_goes_through_and_is_written_down_before_it_is_done() {
    let fake = running_old().await;
    let ran = release(&fake, "ada", NEW).await;
    assert_eq!((ran.ended.as_str(), image(&fake).as_str()), ("verified", NEW));
    assert_eq!(
        phases(&ran),
        [Phase::Applying, Phase::Progressing, Phase::Soaking, Phase::Verified],
        "{:?}",
        ran.events
    );
    let journal = "PUT configmaps/release.radio.dev.journal";
    let apply = ["PATCH configmaps/web", "PATCH deployments/web", "PATCH poddisruptionbudgets/web"];
    let mut wanted = vec!["POST configmaps"; 3];
    wanted.extend(apply.iter().flat_map(|apply| [journal, apply]));
    // Progressing, soaking, verified; the header; nothing is under way any more.
    wanted.extend([journal, journal, journal, "PUT configmaps/release.radio.dev.1", journal]);
    assert_eq!(writes(&fake), wanted);
    journal_was_ahead(&fake);
    assert!(entry(&fake)["running"].is_null());
}

#[tokio::test(start_paused = true)]
async fn a_bad_version_is_rolled_back() {
    let fake = running_old().await;
    let ran = release(&fake, "ada", BAD).await;
    assert_eq!((ran.ended.as_str(), image(&fake).as_str()), ("rolled-back", OLD));
    assert!(ran.events.iter().any(|event| matches!(event, Event::CauseFound { .. })));
    assert!(ran.events.iter().any(|event| matches!(event, Event::Captured { .. })));
    journal_was_ahead(&fake);
}

/// What an API server says when another manager owns these fields.
fn conflict(fields: &[&str]) -> Act {
    let causes: Vec<_> = fields
        .iter()
        .map(|field| json!({"reason": "FieldManagerConflict", "message": "conflict with \"kubectl\"", "field": field}))
        .collect();
    let mut body = super::fake::status(409, "Conflict", "Apply failed with conflicts");
    body["details"] = json!({"causes": causes});
    Act::Answer(409, body.to_string())
}

#[tokio::test(start_paused = true)]
async fn a_rollback_does_not_stop_because_somebody_has_scaled_meanwhile() {
    let scaled = [".spec.replicas"];
    let more = [".spec.replicas", ".spec.template.spec.containers[name=\"web\"].image"];
    for (fields, times, ended, left) in
        [(&scaled[..], 1, "rolled-back", Some(&scaled)), (&more[..], usize::MAX, "not-rolled-back", None)]
    {
        let fake = running_old().await;
        fake.after("PATCH deployments/web", 1, times, conflict(fields));
        let ran = release(&fake, "ada", BAD).await;
        assert_eq!(ran.ended, ended, "{fields:?}");
        let told = ran.events.iter().find_map(|event| match event {
            Event::ObjectApplied { left, .. } if !left.is_empty() => Some(left.as_slice()),
            _ => None,
        });
        assert_eq!(told.map(<[String]>::to_vec), left.map(|all| all.map(str::to_owned).to_vec()));
    }
    // On the way there it is a refusal: nobody has said that the other one may decide.
    let fake = running_old().await;
    fake.on("PATCH deployments/web", 1, conflict(&scaled));
    assert_eq!(release(&fake, "ada", NEW).await.ended, "rolled-back");
}

#[tokio::test(start_paused = true)]
async fn an_apply_whose_answer_was_lost_is_read_back_and_not_repeated() {
    for act in [Act::DieAfter, Act::Slow(Duration::from_secs(100))] {
        let fake = running_old().await;
        fake.on("PATCH deployments/web", 1, act);
        let ran = release(&fake, "ada", NEW).await;
        assert_eq!((ran.ended.as_str(), image(&fake).as_str()), ("verified", NEW));
        assert_eq!(count(&fake, "PATCH deployments/web"), 1);
        assert_eq!(count(&fake, "TRY deployments/web"), 1);
        assert!(ran.events.iter().any(|event| matches!(event, Event::OutcomeUnknown { .. })));
        journal_was_ahead(&fake);
    }
}

#[tokio::test(start_paused = true)]
async fn an_apply_that_did_not_happen_is_done_after_reading_back() {
    let unavailable = Act::status(503, "ServiceUnavailable", "no");
    for act in [Act::DieBefore, Act::Hang, unavailable, Act::status(500, "InternalError", "etcd")] {
        let fake = running_old().await;
        fake.on("PATCH deployments/web", 1, act);
        let ran = release(&fake, "ada", NEW).await;
        assert_eq!((ran.ended.as_str(), image(&fake).as_str()), ("verified", NEW));
        assert_eq!(count(&fake, "PATCH deployments/web"), 2);
        assert_eq!(count(&fake, "TRY deployments/web"), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_in_trouble_for_a_minute_does_not_fail_the_release() {
    for code in [429, 500, 503] {
        let fake = running_old().await;
        let trouble = Act::status(code, "", "the server has trouble");
        fake.on("PATCH deployments/web", usize::MAX, trouble.clone());
        fake.on("GET deployments/web", usize::MAX, trouble);
        let other = fake.clone();
        tokio::spawn(async move {
            sleep(Duration::from_secs(60)).await;
            other.heal();
        });
        let ran = release(&fake, "ada", NEW).await;
        assert_eq!((ran.ended.as_str(), image(&fake).as_str()), ("verified", NEW), "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_apply_that_is_refused_is_rolled_back_and_told() {
    let fake = running_old().await;
    fake.on("PATCH deployments/web", 1, Act::status(422, "Invalid", "spec.selector: field is immutable"));
    let ran = release(&fake, "ada", NEW).await;
    assert_eq!((ran.ended.as_str(), image(&fake).as_str()), ("rolled-back", OLD));
    assert!(ran.events.iter().any(|event| matches!(event, Event::WriteRefused { .. })));
    assert_eq!(count(&fake, "PATCH poddisruptionbudgets/web"), 0);
}

#[tokio::test(start_paused = true)]
async fn asked_to_stop_it_starts_nothing_new_and_the_journal_says_where_it_stands() {
    let fake = running_old().await;
    fake.on("PATCH configmaps/web", 1, Act::Slow(Duration::from_secs(2)));
    let ran = stopped_after(&fake, Duration::from_secs(1)).await;
    assert_eq!(ran.ended, "stopped");
    assert_eq!(count(&fake, "PATCH configmaps/web"), 1);
    assert_eq!(count(&fake, "PATCH deployments/web"), 0, "it was asked for and not started");
    let outstanding = entry(&fake)["running"]["machine"]["outstanding"].clone();
    assert_eq!(outstanding[0]["kind"]["object"]["kind"], "Deployment");
    fake.forget_log();
    let next = release(&fake, "eve", NEW).await;
    assert_eq!((next.ended.as_str(), next.resumed, next.fence), ("verified", true, 2));
    assert_eq!(count(&fake, "PATCH configmaps/web"), 0, "what had landed is not done again");
    assert_eq!(image(&fake), NEW);
}

#[tokio::test(start_paused = true)]
async fn asked_to_stop_it_does_not_wait_long_for_an_answer() {
    let fake = running_old().await;
    fake.on("PATCH configmaps/web", 1, Act::Hang);
    let began = fake.api().clock.now();
    let ran = stopped_after(&fake, Duration::from_secs(1)).await;
    assert_eq!(ran.ended, "stopped");
    assert!(fake.api().clock.now().since(began) < Duration::from_secs(8));
    assert_eq!(release(&fake, "eve", NEW).await.ended, "verified");
}

#[tokio::test(start_paused = true)]
async fn stopped_while_pods_are_replaced_the_next_goes_on_watching() {
    let fake = running_old().await;
    assert_eq!(stopped_after(&fake, Duration::from_secs(1)).await.ended, "stopped");
    fake.forget_log();
    assert_eq!(release(&fake, "eve", NEW).await.ended, "verified");
    assert!(!writes(&fake).iter().any(|line| line.starts_with("PATCH")), "{:?}", writes(&fake));
}

#[tokio::test(start_paused = true)]
async fn without_the_lock_nothing_more_is_written() {
    // Nobody can renew, and the journal is slow: its answer comes when the lock is long gone.
    let fake = running_old().await;
    fake.after("PUT leases", 0, usize::MAX, Act::Hang);
    fake.after("GET leases/release", 1, usize::MAX, Act::Hang);
    fake.after("PUT journal", 1, 1, Act::Slow(Duration::from_secs(18)));
    let began = fake.api().clock.now();
    let ran = release(&fake, "ada", NEW).await;
    assert_eq!(ran.ended, "lock lost");
    assert!(fake.api().clock.now().since(began) < TTL, "the journal was waited for");
    sleep(Duration::from_secs(120)).await;
    assert_eq!(count(&fake, "PATCH configmaps/web"), 1);
    assert_eq!(count(&fake, "PATCH deployments/web"), 0);
    fake.heal();
    let next = release(&fake, "eve", NEW).await;
    assert_eq!((next.ended.as_str(), next.resumed), ("verified", true));
}

#[tokio::test(start_paused = true)]
async fn a_process_whose_journal_was_taken_over_stops() {
    let fake = running_old().await;
    let other = fake.clone();
    tokio::spawn(async move {
        sleep(Duration::from_secs(1)).await;
        // The lock still looks like ours: only the journal knows.
        super::record::store(&other).journal(9).await.expect("the journal");
    });
    let ran = release(&fake, "ada", NEW).await;
    assert!(ran.ended.contains("another release has taken over"), "{}", ran.ended);
    assert_eq!(entry(&fake)["fence"], 9);
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_may_not_be_watched_is_told_once_and_nothing_is_taken_for_well() {
    let fake = running_old().await;
    fake.on("GET events", usize::MAX, Act::status(403, "Forbidden", "events is forbidden"));
    let ran = release(&fake, "ada", NEW).await;
    let told = ran.events.iter().filter(|event| matches!(event, Event::WatchTroubled { .. })).count();
    assert_eq!(told, 1);
    assert_ne!(ran.ended, "verified");
}
