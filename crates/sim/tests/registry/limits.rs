//! What a registry does not do however it is asked: keep more than it may, take two bodies for one upload, surprise.

use std::time::Duration;

use http::Request;
use release_sim::registry::{Begun, Config, Registry, RepositoryError};

use crate::bench::{Bench, nowhere};

#[test]
fn there_is_a_limit_to_everything() {
    let mut b = Bench::new(Config { max_bytes: 10_000, ..Config::default() });
    let location = b.upload("a");
    b.close(&location, nowhere(), &vec![0; 20_000]).refuses(403, "DENIED");
    let digest = b.blob("a", &[1; 5_000]);
    b.get(&format!("/v2/a/blobs/{digest}")).is(200);
    assert!(b.registry.used_bytes() <= 10_000);
    let mut b = Bench::plain();
    let opened = (0..2_000).find(|_| b.post("/v2/a/blobs/uploads/").0.status() == 429);
    assert_eq!(opened, Some(1_024));
    b.wait(Duration::from_secs(60 * 60));
    b.post("/v2/a/blobs/uploads/").is(202);
}

#[test]
fn an_upload_that_is_left_alone_gives_its_room_back() {
    let mut b = Bench::plain();
    let location = b.upload("a");
    let empty = b.registry.used_bytes();
    let location = b.chunk(&location, 0, &[7; 1_000]).is(202).location();
    assert_eq!(b.registry.used_bytes(), empty + 1_000);
    b.wait(Duration::from_secs(60 * 60));
    b.get(&location).refuses(404, "BLOB_UPLOAD_UNKNOWN");
    assert_eq!(b.registry.used_bytes(), empty);
}

#[test]
fn what_is_refused_in_the_end_leaves_nothing_behind() {
    let mut b = Bench::plain();
    b.registry.create_repository("a").unwrap();
    let empty = b.registry.used_bytes();
    let location = b.upload("a");
    b.close(&location, nowhere(), &[7; 1_000]).refuses(400, "DIGEST_INVALID");
    let location = b.upload("a");
    b.chunk(&location, 0, &[7; 1_000]).is(202);
    b.delete(&location).is(204);
    assert_eq!(b.registry.used_bytes(), empty);
}

#[test]
fn two_requests_cannot_feed_one_upload_at_once() {
    let mut b = Bench::plain();
    let location = b.upload("a");
    let (head, ()) = Request::patch(&location).body(()).unwrap().into_parts();
    let Begun::Wants(mut exchange) = b.registry.begin(&head, b.now) else { panic!("it is an upload") };
    b.registry.piece(&mut exchange, b"0123", b.now).unwrap();
    b.chunk(&location, 4, b"4567").is(416).header("range", "0-3");
    b.registry.abandon(exchange, b.now);
    b.chunk(&location, 4, b"4567").is(202).header("range", "0-7");
}

#[test]
fn registries_can_be_compared_by_seed() {
    let run = |seed| {
        let mut b = Bench { registry: Registry::new(Config { seed, ..Config::default() }), ..Bench::plain() };
        (b.upload("a"), b.upload("a"))
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn repositories_need_a_name_and_room() {
    let mut registry = Registry::new(Config { max_bytes: 1_000, ..Config::default() });
    assert_eq!(registry.create_repository("A"), Err(RepositoryError::Name { name: "A".into() }));
    let full = (0..10).find_map(|i| registry.create_repository(&format!("r{i}")).err());
    assert_eq!(full, Some(RepositoryError::Full { name: "r3".into() }));
}
