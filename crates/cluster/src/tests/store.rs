//! Records: chunks, headers, forgetting.

use std::time::Duration;

use serde_json::{Value, json};

use super::fake::{Act, Fake};
use super::record::{NAME, header, objects, store};
use crate::{Header, Objects, State, StoreError};

/// Objects that do not compress: about three MiB.
fn large() -> Objects {
    let mut random = fastrand::Rng::with_seed(7);
    let noise: String = std::iter::repeat_with(|| random.alphanumeric()).take(3 << 20).collect();
    Objects::from([("web".parse().expect("a name"), vec![json!({"data": noise})])])
}

fn count(fake: &Fake, line: &str) -> usize {
    fake.times(line).len()
}

/// How the log shows that the header of release 1 was replaced.
fn header_put() -> String {
    format!("PUT configmaps/{NAME}.1")
}

async fn recorded(fake: &Fake, number: u64, objects: &Objects) -> Header {
    let mut header = header(fake, number);
    store(fake).begin(&mut header, objects).await.expect("written");
    header
}

#[tokio::test(start_paused = true)]
async fn a_record_comes_back_as_it_was_written() {
    let fake = Fake::new();
    let written = recorded(&fake, 1, &objects("a")).await;
    assert_eq!(written.chunks, 1);
    let headers = store(&fake).headers().await.expect("headers");
    assert_eq!(headers, [written]);
    assert_eq!(store(&fake).objects(&headers[0]).await.expect("objects"), objects("a"));
}

#[tokio::test(start_paused = true)]
async fn a_large_record_is_split_and_its_header_comes_last() {
    let fake = Fake::new();
    let objects = large();
    let written = recorded(&fake, 1, &objects).await;
    assert!(written.chunks > 2, "{}", written.chunks);
    assert_eq!(fake.log().len(), written.chunks + 1);
    assert_eq!(store(&fake).objects(&written).await.expect("objects"), objects);
    for index in 0..written.chunks {
        let chunk = fake.object(&format!("configmaps/{NAME}.1.{index}")).expect("a chunk");
        assert!(chunk.to_string().len() < 1 << 20, "chunk {index} does not fit into an object");
    }
    // Killed before the last request, there are chunks and no header.
    let killed = Fake::new();
    killed.after("POST configmaps", written.chunks, 1, Act::status(403, "Forbidden", "no"));
    let mut header = header(&killed, 1);
    assert!(store(&killed).begin(&mut header, &objects).await.is_err());
    assert!(store(&killed).headers().await.expect("headers").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_record_with_a_missing_or_broken_chunk_is_damaged() {
    let fake = Fake::new();
    let written = recorded(&fake, 1, &large()).await;
    let path = format!("configmaps/{NAME}.1.1");
    let whole = fake.object(&path).expect("a chunk");
    let mut broken: Vec<Option<Value>> = vec![None];
    for text in ["", "????", "aGVsbG8="] {
        let mut chunk = whole.clone();
        chunk["binaryData"]["objects"] = json!(text);
        broken.push(Some(chunk));
    }
    for chunk in broken {
        match chunk {
            Some(chunk) => fake.put(chunk),
            None => fake.delete(&path),
        }
        let read = store(&fake).objects(&written).await;
        // The header is what has to go, so that the rest can be read again.
        let words = read.expect_err("damaged").to_string();
        assert!(words.starts_with(&format!("configmap/{NAME}.1 is damaged")), "{words}");
    }
    fake.put(whole);
    assert!(store(&fake).objects(&written).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_header_that_claims_absurd_chunks_is_damaged_without_a_request() {
    let fake = Fake::new();
    let header = Header { chunks: usize::MAX, ..header(&fake, 1) };
    assert!(matches!(store(&fake).objects(&header).await, Err(StoreError::Damaged { .. })));
    assert!(fake.log().is_empty());
}

#[tokio::test(start_paused = true)]
async fn headers_come_oldest_first_and_a_damaged_one_is_told() {
    let fake = Fake::new();
    for number in [10, 9, 2] {
        recorded(&fake, number, &objects("a")).await;
    }
    let numbers = |headers: Vec<Header>| headers.iter().map(|header| header.number).collect::<Vec<_>>();
    assert_eq!(numbers(store(&fake).headers().await.expect("headers")), [2, 9, 10]);
    let mut newer = fake.object(&format!("configmaps/{NAME}.9")).expect("a header");
    let text = newer["data"]["header"].as_str().expect("text").replacen("\"v\":1", "\"v\":2", 1);
    newer["data"]["header"] = json!(text);
    fake.put(newer);
    match store(&fake).headers().await {
        Err(StoreError::Newer { object, form }) => {
            assert_eq!((object.to_string(), form), (format!("configmap/{NAME}.9"), 2));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn records_of_other_environments_are_not_seen() {
    let fake = Fake::new();
    recorded(&fake, 1, &objects("a")).await;
    let name = |text: &str| text.parse().expect("a name");
    let other = crate::Store::new(&fake.cluster(), &name("radio"), &"prod".parse().expect("a name"));
    assert!(other.headers().await.expect("headers").is_empty());
}

#[tokio::test(start_paused = true)]
async fn writing_a_header_again_replaces_it_and_lost_answers_do_no_harm() {
    for act in [None, Some(Act::DieAfter), Some(Act::DieBefore), Some(Act::status(503, "", "no"))] {
        let fake = Fake::new();
        if let Some(act) = act {
            fake.on("POST configmaps", 1, act.clone());
            fake.on("PUT configmaps", 2, act);
        }
        let mut header = recorded(&fake, 1, &objects("a")).await;
        header.state = State::Verified;
        store(&fake).update(&header).await.expect("written");
        assert_eq!(store(&fake).headers().await.expect("headers"), [header]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_of_which_every_answer_is_lost_is_written_once_and_read_back() {
    let fake = Fake::new();
    fake.on("POST configmaps", usize::MAX, Act::DieAfter);
    fake.on("PUT configmaps", usize::MAX, Act::DieAfter);
    let mut header = recorded(&fake, 1, &objects("a")).await;
    header.state = State::RolledBack;
    store(&fake).update(&header).await.expect("written");
    assert!(store(&fake).keep_events(1, "one\n").await.expect("kept"));
    assert_eq!(store(&fake).headers().await.expect("headers"), [header]);
    // A chunk, the header, the events; and the header again.
    assert_eq!((count(&fake, "POST configmaps"), count(&fake, &header_put())), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn a_record_outlasts_half_a_minute_of_an_api_server_in_trouble() {
    for act in [Act::DieBefore, Act::status(500, "InternalError", "etcd"), Act::status(409, "Conflict", "no")]
    {
        let fake = Fake::new();
        let header = recorded(&fake, 1, &objects("a")).await;
        fake.on("PUT configmaps", usize::MAX, act.clone());
        let other = fake.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(30)).await;
            other.heal();
        });
        let ended = Header { state: State::Verified, ..header };
        store(&fake).update(&ended).await.expect("written");
        assert_eq!(store(&fake).headers().await.expect("headers"), std::slice::from_ref(&ended));

        fake.on("PUT configmaps", usize::MAX, act);
        let error = store(&fake).update(&Header { state: State::RolledBack, ..ended }).await;
        assert!(matches!(error, Err(StoreError::Api(_))), "it never got better: {error:?}");
        assert!(count(&fake, &header_put()) < 40, "{}", count(&fake, &header_put()));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_replaced_is_named_so_that_an_old_write_cannot_undo_a_later_one() {
    let fake = Fake::new();
    let header = recorded(&fake, 1, &objects("a")).await;
    // Between our look and our write somebody else touches the object.
    fake.on("GET dev.1", 1, Act::Slow(Duration::from_secs(2)));
    let (other, path) = (fake.clone(), format!("configmaps/{NAME}.1"));
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut touched = other.object(&path).expect("the header");
        touched["metadata"]["annotations"] = json!({"seen": "yes"});
        other.put(touched);
    });
    let ended = Header { state: State::Verified, ..header };
    store(&fake).update(&ended).await.expect("written");
    assert_eq!(store(&fake).headers().await.expect("headers"), [ended]);
    assert_eq!(count(&fake, &header_put()), 2, "the first is refused");
}

#[tokio::test(start_paused = true)]
async fn a_header_that_is_as_wanted_is_not_written_again() {
    let fake = Fake::new();
    let header = recorded(&fake, 1, &objects("a")).await;
    store(&fake).update(&header).await.expect("nothing to do");
    assert_eq!(count(&fake, &header_put()), 0);
    // One that was deleted by somebody comes back.
    fake.delete(&format!("configmaps/{NAME}.1"));
    store(&fake).update(&header).await.expect("written");
    assert_eq!(store(&fake).headers().await.expect("headers"), [header]);
}

#[tokio::test(start_paused = true)]
async fn what_is_forgotten_is_gone_and_its_header_goes_first() {
    let fake = Fake::new();
    let kept = recorded(&fake, 1, &objects("a")).await;
    let large = recorded(&fake, 2, &large()).await;
    fake.forget_log();
    store(&fake).forget(&large).await.expect("forgotten");
    assert_eq!(fake.log()[0], format!("DELETE configmaps/{NAME}.2"));
    // The header, the chunks, the events.
    assert_eq!(fake.log().len(), large.chunks + 2);
    assert_eq!(store(&fake).headers().await.expect("headers"), [kept]);
    assert!(fake.object(&format!("configmaps/{NAME}.2.0")).is_none());
    // Forgetting twice, after a crash half-way, is no error.
    store(&fake).forget(&large).await.expect("forgotten");
}

#[tokio::test(start_paused = true)]
async fn events_are_kept_beside_the_record_and_go_with_it() {
    let fake = Fake::new();
    let header = recorded(&fake, 1, &objects("a")).await;
    let store = store(&fake);
    assert_eq!(store.events(1).await.expect("nothing"), None, "an earlier version kept none");
    assert!(store.keep_events(1, "one\n").await.expect("kept"));
    assert!(store.keep_events(1, "one\ntwo\n").await.expect("kept again"));
    assert_eq!(store.events(1).await.expect("events").as_deref(), Some("one\ntwo\n"));
    assert_eq!(store.headers().await.expect("headers"), std::slice::from_ref(&header), "they are no header");
    store.forget(&header).await.expect("forgotten");
    assert_eq!(store.events(1).await.expect("nothing"), None);
}

#[tokio::test(start_paused = true)]
async fn events_that_do_not_fit_are_not_written() {
    let fake = Fake::new();
    let mut random = fastrand::Rng::with_seed(7);
    let noise: String = std::iter::repeat_with(|| random.alphanumeric()).take(1 << 20).collect();
    assert!(!store(&fake).keep_events(1, &noise).await.expect("asked"));
    assert!(fake.log().is_empty(), "{:?}", fake.log());
    // The smallest size that is tried always fits.
    assert!(store(&fake).keep_events(1, &noise[..512 << 10]).await.expect("kept"));
}

#[tokio::test(start_paused = true)]
async fn damaged_events_are_named() {
    let fake = Fake::new();
    store(&fake).keep_events(1, "one\n").await.expect("kept");
    let key = format!("configmaps/{NAME}.1.events");
    let mut object = fake.object(&key).expect("it was written");
    for damage in ["", "not base64", "AAAA"] {
        object["binaryData"]["events"] = damage.into();
        fake.put(object.clone());
        let error = store(&fake).events(1).await.expect_err("damaged").to_string();
        assert!(error.starts_with(&format!("configmap/{NAME}.1.events is damaged")), "{error}");
    }
}
