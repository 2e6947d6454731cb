//! The write-ahead journal: compare-and-swap, lost answers, fences, damage.

use release_core::MonoTime;
use release_rollout::{Input, Release};
use serde_json::{Value, json};

use super::fake::{Act, Fake};
use super::record::{NAME, plan, store};
use crate::{Journal, Running, StoreError};

fn path() -> String {
    format!("configmaps/{NAME}.journal")
}

/// Where a release stands before its first step, or after it.
fn running(begun: bool) -> Running {
    let mut release = Release::new(plan(), 1).expect("a sound plan");
    if begun {
        release = release.step(MonoTime::ZERO, Input::Begin).0;
    }
    Running { release: 1, machine: release.suspend(MonoTime::ZERO) }
}

async fn opened(fake: &Fake, fence: u64) -> Journal {
    store(fake).journal(fence).await.expect("the journal")
}

fn entry(fake: &Fake) -> Value {
    let object = fake.object(&path()).expect("the journal");
    serde_json::from_str(object["data"]["entry"].as_str().expect("an entry")).expect("JSON")
}

fn ended<T>(result: &Result<T, StoreError>) -> &'static str {
    match result {
        Ok(_) => "written",
        Err(StoreError::Fenced { .. }) => "fenced",
        Err(StoreError::Damaged { .. }) => "damaged",
        Err(StoreError::Newer { .. }) => "newer",
        Err(StoreError::Api(_)) => "api",
        Err(StoreError::NoSuchRelease { .. }) => "no such release",
    }
}

#[tokio::test(start_paused = true)]
async fn every_write_names_the_version_it_replaces() {
    let fake = Fake::new();
    let mut journal = opened(&fake, 1).await;
    journal.append(running(false)).await.expect("written");
    journal.append(running(true)).await.expect("written");
    let put = format!("PUT {}", path());
    assert_eq!(fake.log(), [format!("GET {}", path()), "POST configmaps".to_owned(), put.clone(), put]);
    assert_eq!((entry(&fake)["fence"].as_u64(), entry(&fake)["seq"].as_u64()), (Some(1), Some(3)));
    assert_eq!(journal.running(), Some(&running(true)));
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_was_lost_is_read_back_and_not_repeated() {
    let fake = Fake::new();
    let mut journal = opened(&fake, 1).await;
    fake.on("PUT journal", 1, Act::DieAfter);
    journal.append(running(true)).await.expect("written");
    journal.close().await.expect("written");
    assert_eq!(fake.times(&format!("PUT {}", path())).len(), 2);
    assert!(entry(&fake)["running"].is_null());
}

#[tokio::test(start_paused = true)]
async fn a_journal_of_which_every_answer_is_lost_is_written_all_the_same() {
    let fake = Fake::new();
    fake.on("POST configmaps", usize::MAX, Act::DieAfter);
    fake.on("PUT journal", usize::MAX, Act::DieAfter);
    let mut journal = opened(&fake, 1).await;
    for begun in [false, true, false, true] {
        journal.append(running(begun)).await.expect("written");
    }
    assert_eq!(fake.times(&format!("PUT {}", path())).len(), 4);
    assert_eq!(entry(&fake)["seq"], 5);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_did_not_happen_is_written_again() {
    for act in [Act::DieBefore, Act::status(500, "", "etcd"), Act::status(504, "Timeout", "slow")] {
        let fake = Fake::new();
        fake.on("POST configmaps", 1, act.clone());
        let mut journal = opened(&fake, 1).await;
        fake.on("PUT journal", 2, act);
        journal.append(running(true)).await.expect("written");
        assert_eq!(entry(&fake)["running"]["release"], 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_some_seconds_is_outlasted_and_a_longer_one_is_told() {
    let fake = Fake::new();
    let mut journal = opened(&fake, 1).await;
    fake.on("PUT journal", usize::MAX, Act::status(503, "ServiceUnavailable", "no"));
    let other = fake.clone();
    tokio::spawn(async move {
        tokio::time::sleep(std::time::Duration::from_secs(30)).await;
        other.heal();
    });
    assert_eq!(ended(&journal.append(running(false)).await), "written");

    fake.on("PUT journal", usize::MAX, Act::status(503, "ServiceUnavailable", "no"));
    fake.forget_log();
    assert_eq!(ended(&journal.append(running(true)).await), "api");
    assert!(fake.times(&format!("PUT {}", path())).len() < 20);
}

#[tokio::test(start_paused = true)]
async fn somebody_else_touching_the_object_does_not_stop_us() {
    let fake = Fake::new();
    let mut journal = opened(&fake, 1).await;
    let mut touched = fake.object(&path()).expect("the journal");
    touched["metadata"]["annotations"] = json!({"seen": "yes"});
    fake.put(touched);
    journal.append(running(true)).await.expect("written");
    assert_eq!(fake.object(&path()).expect("the journal")["metadata"]["annotations"]["seen"], "yes");
    assert_eq!(entry(&fake)["running"]["release"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_holder_whose_lock_was_taken_cannot_write_any_more() {
    let fake = Fake::new();
    let mut old = opened(&fake, 1).await;
    old.append(running(false)).await.expect("written");
    let new = opened(&fake, 2).await;
    assert_eq!(new.running(), Some(&running(false)));
    assert_eq!(ended(&old.append(running(true)).await), "fenced");
    assert_eq!(ended(&old.close().await), "fenced");
    assert_eq!(entry(&fake)["fence"], 2);
    assert_eq!(ended(&store(&fake).journal(1).await), "fenced");
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_holder_wrote_at_the_last_moment_is_taken_over() {
    let fake = Fake::new();
    let mut old = opened(&fake, 1).await;
    old.append(running(false)).await.expect("written");
    // The new holder has read the journal; before it writes, the old one gets further.
    let store = store(&fake);
    fake.on("GET journal", 1, Act::Slow(std::time::Duration::from_secs(2)));
    let late = async {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        old.append(running(true)).await.expect("written");
    };
    let (new, ()) = tokio::join!(store.journal(2), late);
    let new = new.expect("the journal");
    assert_ne!(running(false), running(true));
    assert_eq!(new.running(), Some(&running(true)));
    assert_eq!((entry(&fake)["fence"].as_u64(), entry(&fake)["seq"].as_u64()), (Some(2), Some(4)));
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_was_deleted_under_us_is_not_made_anew() {
    let fake = Fake::new();
    let mut journal = opened(&fake, 1).await;
    fake.delete(&path());
    assert_ne!(ended(&journal.append(running(true)).await), "written");
    assert!(fake.object(&path()).is_none());
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_cannot_be_read_is_told_and_left_alone() {
    let newer = r#"{"v":2,"fence":1,"seq":1,"at":"2026-01-01T00:00:00Z"}"#;
    for (text, word) in
        [("", "damaged"), ("{", "damaged"), ("[]", "damaged"), (r#"{"v":1}"#, "damaged"), (newer, "newer")]
    {
        let fake = Fake::new();
        opened(&fake, 1).await;
        let mut object = fake.object(&path()).expect("the journal");
        object["data"] = json!({"entry": text});
        fake.put(object.clone());
        assert_eq!(ended(&store(&fake).journal(2).await), word, "{text}");
        assert_eq!(ended(&store(&fake).peek().await), word, "{text}");
        assert_eq!(fake.object(&path()).expect("the journal")["data"], object["data"]);
    }
}

#[tokio::test(start_paused = true)]
async fn looking_needs_no_lock_and_writes_nothing() {
    let fake = Fake::new();
    assert!(store(&fake).peek().await.expect("a look").is_none());
    opened(&fake, 1).await.append(running(true)).await.expect("written");
    fake.forget_log();
    let entry = store(&fake).peek().await.expect("a look").expect("an entry");
    assert_eq!(entry.running, Some(running(true)));
    assert_eq!(fake.log(), [format!("GET {}", path())]);
}
