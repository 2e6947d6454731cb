//! A process that is killed at any request, and the one that comes after it.

use super::fake::Fake;
use super::process::{BAD, NEW, OLD, entry, image, journal_was_ahead, release, running_old};
use super::record::NAME;

/// Releases `new`, and kills the process when its `request`-th request was carried out; `false` when it ended before.
async fn killed_at(fake: &Fake, holder: &str, new: &str, request: usize) -> bool {
    fake.dies_at(Some(request));
    let killed = tokio::select! {
        _ = release(fake, holder, new) => false,
        () = fake.died() => true,
    };
    fake.dies_at(None);
    killed
}

/// What must be true after a second process has ended: the release ended as it would have without the kill.
async fn recovers(fake: &Fake, new: &str, at: &str, ends: &str, runs: &str) {
    let left = entry(fake);
    let lease = fake.object(&format!("leases/{NAME}")).unwrap_or_default();
    let fence = lease["spec"]["leaseTransitions"].as_u64().unwrap_or(0);
    let next = release(fake, "eve", new).await;
    assert_eq!(next.ended, ends, "killed at {at}: {:#?}\n{:#?}", next.events, fake.log());
    assert_eq!(image(fake), runs, "killed at {at}");
    assert_eq!(next.resumed, !left["running"].is_null(), "killed at {at}: the journal was lost");
    assert_eq!(next.fence, fence + 1, "killed at {at}");
    assert!(entry(fake)["running"].is_null(), "killed at {at}: left open");
    journal_was_ahead(fake);
}

async fn kill_everywhere(new: &str, ends: &str, runs: &str) -> usize {
    for request in 1.. {
        let fake = running_old().await;
        if !killed_at(&fake, "ada", new, request).await {
            return request;
        }
        recovers(&fake, new, &format!("request {request}"), ends, runs).await;
    }
    unreachable!("a release has an end")
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_request_a_good_version_still_gets_through() {
    let requests = kill_everywhere(NEW, "verified", NEW).await;
    assert!(requests > 20, "{requests}");
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_request_a_bad_version_is_still_rolled_back() {
    let requests = kill_everywhere(BAD, "rolled-back", OLD).await;
    assert!(requests > 20, "{requests}");
}

#[tokio::test(start_paused = true)]
async fn killed_twice_it_is_still_rolled_back() {
    for (first, second) in
        (8..40).step_by(3).flat_map(|first| (4..30).step_by(5).map(move |second| (first, second)))
    {
        let fake = running_old().await;
        killed_at(&fake, "ada", BAD, first).await;
        killed_at(&fake, "bob", BAD, second).await;
        let last = release(&fake, "eve", BAD).await;
        assert_eq!((last.ended.as_str(), image(&fake).as_str()), ("rolled-back", OLD), "{first}, {second}");
        journal_was_ahead(&fake);
    }
}
