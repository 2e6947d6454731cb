//! A process that releases: lock, journal, record, drive, record, unlock. What another one left is taken up.

use std::time::Duration;

use release_rollout::{Release, ReleaseOutcome};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::fake::Fake;
use super::record::{NAME, bodies, header, job, objects, store};
use crate::{DriveError, Driven, Event, Hold, State, drive};

pub(super) const OLD: &str = "web:old";
pub(super) const NEW: &str = "web:new";
pub(super) const BAD: &str = "web:bad";

/// A cluster in which `OLD` runs.
pub(super) async fn running_old() -> Fake {
    let fake = Fake::new();
    let api = fake.api();
    for (object, body) in bodies(OLD) {
        api.apply(&object, &body, crate::object::Mode::Write, crate::Conflicts::Refuse)
            .await
            .expect("applied");
    }
    tokio::time::sleep(super::fake::ROLLOUT * 2).await;
    fake.forget_log();
    fake
}

/// What a process did.
#[derive(Debug, Default)]
pub(super) struct Ran {
    /// How it ended: the release's state, `stopped`, or an error.
    pub(super) ended: String,
    /// The fence it had.
    pub(super) fence: u64,
    /// Whether it took up what another had left.
    pub(super) resumed: bool,
    pub(super) events: Vec<Event>,
}

/// Releases `image` as `holder` would: the first takes `OLD` for what ran before.
pub(super) async fn process(fake: &Fake, holder: &str, image: &str, stop: &CancellationToken) -> Ran {
    let (cluster, store) = (fake.cluster(), store(fake));
    let mut ran = Ran::default();
    let lock = cluster.lock(NAME, holder, Duration::from_secs(60), |_| {}).await.expect("the lock");
    ran.fence = lock.fence();
    let journal = store.journal(lock.fence()).await.expect("the journal");
    let mut hold = Hold { lock, journal };
    let recorded = store.headers().await.expect("headers").into_iter().next();
    let left = hold.journal.running().cloned();
    let (mut header, release, first) = match (recorded, left) {
        (Some(header), Some(left)) => {
            ran.resumed = true;
            assert_eq!(store.objects(&header).await.expect("objects"), objects(image));
            let now = cluster.clock().now();
            let (release, first) =
                left.machine.resume(header.plan.clone(), now, ran.fence).expect("a machine that goes on");
            (header, release, first)
        }
        (Some(header), None) if header.state != State::Running => {
            ran.ended = header.state.to_string();
            hold.lock.unlock().await;
            return ran;
        }
        (None, Some(_)) => panic!("a journal without a record"),
        (_, None) => {
            let mut header = header(fake, 1);
            store.begin(&mut header, &objects(image)).await.expect("the record");
            let release = Release::new(header.plan.clone(), ran.fence).expect("a sound plan");
            (header, release, Vec::new())
        }
    };
    let job = job(image, OLD);
    let mut events = Vec::new();
    let driven =
        drive(&cluster, &job, release, first, &mut hold, &mut |event| events.push(event), stop).await;
    ran.events = events;
    let release = match driven {
        Ok(Driven::Ended(release)) => release,
        Ok(Driven::Stopped(_)) => {
            ran.ended = "stopped".to_owned();
            hold.lock.unlock().await;
            return ran;
        }
        Err(error) => {
            let lost = matches!(error, DriveError::LockLost);
            ran.ended = if lost { "lock lost".to_owned() } else { crate::api::chain(&error) };
            return ran;
        }
    };
    header.state = match release.outcome().expect("an outcome") {
        ReleaseOutcome::Verified => State::Verified,
        ReleaseOutcome::RolledBack { .. } => State::RolledBack,
        ReleaseOutcome::NotRolledBack { .. } => State::NotRolledBack,
    };
    store.update(&header).await.expect("the record");
    hold.journal.close().await.expect("the journal");
    hold.lock.unlock().await;
    ran.ended = header.state.to_string();
    ran
}

/// As [`process`], never asked to stop.
pub(super) async fn release(fake: &Fake, holder: &str, image: &str) -> Ran {
    process(fake, holder, image, &CancellationToken::new()).await
}

/// The image the Deployment has.
pub(super) fn image(fake: &Fake) -> String {
    let live = fake.object("deployments/web").expect("the Deployment");
    live["spec"]["template"]["spec"]["containers"][0]["image"].as_str().expect("an image").to_owned()
}

/// The journal's entry.
pub(super) fn entry(fake: &Fake) -> Value {
    let object = fake.object(&format!("configmaps/{NAME}.journal")).unwrap_or_default();
    serde_json::from_str(object["data"]["entry"].as_str().unwrap_or("null")).expect("JSON")
}

/// Requests that change something, without the lock's.
pub(super) fn writes(fake: &Fake) -> Vec<String> {
    let all = fake.log().into_iter();
    all.filter(|line| !["GET ", "WATCH ", "TRY "].iter().any(|read| line.starts_with(read)))
        .filter(|line| !line.contains("leases"))
        .collect()
}

/// Nothing of the release was written that the journal did not announce.
#[track_caller]
pub(super) fn journal_was_ahead(fake: &Fake) {
    let mut outstanding = Value::Null;
    let mut generation = Value::from(1);
    for (key, object) in fake.history() {
        if key == format!("configmaps/{NAME}.journal") {
            let entry: Value = serde_json::from_str(object["data"]["entry"].as_str().expect("an entry"))
                .expect("the journal is JSON");
            outstanding = entry["running"]["machine"]["outstanding"].clone();
            continue;
        }
        let is_old = outstanding.is_null();
        let is_status = key.starts_with("deployments") && object["metadata"]["generation"] == generation;
        if !key.ends_with("/web") || is_old || is_status {
            continue;
        }
        if key.starts_with("deployments") {
            generation = object["metadata"]["generation"].clone();
        }
        let announced = outstanding.as_array().is_some_and(|effects| {
            effects.iter().any(|effect| effect["kind"]["object"]["kind"] == object["kind"])
        });
        assert!(announced, "{key} was written, and the journal only knew {outstanding}");
    }
}
