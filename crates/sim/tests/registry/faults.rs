//! The faults: each strikes where it is told to, is written down, and leaves a registry that a good client copes with.

use std::time::Duration;

use release_core::MonoTime;
use release_sim::registry::{
    Access, Action, Config, Digest, Event, Fault, Grant, MountAnswer, Profile, Rule, Target,
};

use crate::bench::{Bench, IMAGE, image, with};

#[test]
fn a_token_expires_in_the_middle_of_an_upload() {
    let anonymous = vec![Grant::new("*", &Action::ALL)];
    let mut b = Bench::new(Config {
        access: Access::Restricted { users: vec![], anonymous },
        profile: Profile { anonymous_tokens: true, ..Profile::PLAIN },
        rules: vec![Rule {
            from: MonoTime::from_origin(Duration::from_secs(5)),
            ..Rule::once(Fault::TokenExpires)
        }],
        ..Config::default()
    });
    let token = |b: &mut Bench| {
        b.authorization = None;
        let seen = b.get("/token?scope=repository:a:pull,push").is(200);
        b.authorization = seen.json()["token"].as_str().map(|token| format!("Bearer {token}"));
    };
    token(&mut b);
    let location = b.upload("a");
    let location = b.chunk(&location, 0, b"0123").is(202).location();
    b.wait(Duration::from_secs(10));
    let seen = b.chunk(&location, 4, b"4567").refuses(401, "UNAUTHORIZED");
    assert!(seen.get("www-authenticate").contains("invalid_token"));
    token(&mut b);
    // Nothing is lost, and nothing was taken.
    let location = b.get(&location).is(204).header("range", "0-3").location();
    let location = b.chunk(&location, 4, b"4567").is(202).location();
    b.close(&location, Digest::of(b"01234567"), b"").is(201);
    assert_eq!(b.struck("token-expires"), 1);
}

#[test]
fn a_download_is_truncated_and_only_the_digest_tells() {
    let mut b = Bench::with_rule(Rule::once(Fault::Truncated));
    let digest = b.blob("a", b"0123456789");
    let seen = b.get(&format!("/v2/a/blobs/{digest}")).is(200);
    let body = seen.0.body().to_bytes();
    assert!(body.len() < 10 && b"0123456789".starts_with(&body));
    let seen = seen.header("content-length", body.len().to_string());
    seen.header("docker-content-digest", &digest);
    b.get(&format!("/v2/a/blobs/{digest}")).is(200).body(b"0123456789");
    assert_eq!(b.struck("truncated"), 1);
}

#[test]
fn a_download_has_one_wrong_bit() {
    let mut b = Bench::with_rule(Rule::once(Fault::BitFlipped));
    let digest = b.blob("a", b"0123456789");
    let body = b.get(&format!("/v2/a/blobs/{digest}")).is(200).0.body().to_bytes();
    let wrong: u32 = body.iter().zip(b"0123456789").map(|(a, b)| (a ^ b).count_ones()).sum();
    assert_eq!((body.len(), wrong), (10, 1));
    b.get(&format!("/v2/a/blobs/{digest}")).is(200).body(b"0123456789");
    assert_eq!(b.struck("bit-flipped"), 1);
}

#[test]
fn a_blob_that_was_accepted_is_seen_later() {
    let mut b = Bench::with_rule(Rule::once(Fault::Late(Duration::from_secs(3))));
    let layer = b.blob("a", b"layer");
    b.blob("a", b"{}");
    b.head(&format!("/v2/a/blobs/{layer}")).is(404);
    b.get(&format!("/v2/a/blobs/{layer}")).refuses(404, "BLOB_UNKNOWN");
    b.manifest("a", "v1", IMAGE, &image(b"layer")).refuses(404, "MANIFEST_BLOB_UNKNOWN");
    b.post(&format!("/v2/b/blobs/uploads/?mount={layer}&from=a")).is(202);
    b.wait(Duration::from_secs(3));
    b.head(&format!("/v2/a/blobs/{layer}")).is(200);
    b.manifest("a", "v1", IMAGE, &image(b"layer")).is(201);
    assert_eq!(b.struck("late"), 1);
}

#[test]
fn a_manifest_is_accepted_and_lost() {
    let mut b = Bench::with_rule(Rule::once(Fault::Lost));
    b.blob("a", b"layer");
    b.blob("a", b"{}");
    b.manifest("a", "v1", IMAGE, &image(b"layer")).is(201);
    b.head("/v2/a/manifests/v1").is(404);
    b.manifest("a", "v1", IMAGE, &image(b"layer")).is(201);
    b.head("/v2/a/manifests/v1").is(200);
    assert_eq!(b.struck("lost"), 1);
}

#[test]
fn a_mount_is_answered_as_some_registries_do() {
    for (answer, status) in [
        (MountAnswer::Accepted, 202),
        (MountAnswer::BadRequest, 400),
        (MountAnswer::Unauthorized, 401),
        (MountAnswer::NotAllowed, 405),
    ] {
        let mut b = Bench::with_rule(Rule::once(Fault::Mount(answer)));
        let digest = b.blob("a", b"x");
        let uri = format!("/v2/b/blobs/uploads/?mount={digest}&from=a");
        let seen = b.post(&uri).is(status);
        if answer == MountAnswer::Accepted {
            b.close(&seen.location(), &digest, b"x").is(201);
        }
        // Whoever does not give up can still push the blob.
        b.blob("b", b"x");
        b.post(&uri).is(201);
        assert_eq!(b.struck("mount"), 1);
    }
}

#[test]
fn somebody_else_moves_a_tag() {
    let target = Target { reference: Some("v1".into()), ..Target::default() };
    let mut b = Bench::with_rule(Rule { target, ..Rule::once(Fault::TagMoves(Duration::from_secs(2))) });
    let mine = b.image("a", "v1", b"layer");
    b.manifest("a", "v2", IMAGE, &image(b"layer")).is(201);
    b.head("/v2/a/manifests/v1").is(200).header("docker-content-digest", &mine);
    b.wait(Duration::from_secs(2));
    let theirs = b.head("/v2/a/manifests/v1").is(200).get("docker-content-digest").to_owned();
    assert_ne!(theirs, mine.as_str());
    assert_eq!(b.registry.resolve("a", "v1").map(Digest::as_str), Some(theirs.as_str()));
    assert_eq!(b.registry.resolve("a", "v2"), Some(&mine));
    // Theirs is a real image, and mine is still there.
    let manifest = b.get(&format!("/v2/a/manifests/{theirs}")).is(200).json();
    b.get(&format!("/v2/a/blobs/{}", manifest["config"]["digest"].as_str().unwrap())).is(200);
    b.get(&format!("/v2/a/manifests/{mine}")).is(200);
    let moved = |event: &Event| matches!(event, Event::TagMoved { tag, .. } if tag == "v1");
    assert_eq!(b.registry.trace().events().filter(|event| moved(event)).count(), 1);
}

#[test]
fn a_read_is_redirected_to_another_host() {
    let to = Fault::Redirect("http://elsewhere.test/".into());
    let mut b = Bench::with_rule(Rule { times: Some(2), ..Rule::always(to) });
    let digest = b.image("a", "v0", b"x");
    assert_eq!(b.struck("redirect"), 0, "only reads are redirected");
    let path = format!("/v2/a/manifests/{digest}");
    b.get(&path).is(307).header("location", format!("http://elsewhere.test{path}"));
    b.head("/v2/a/manifests/v1").is(307).header("location", "http://elsewhere.test/v2/a/manifests/v1");
    b.get(&path).is(200);
    assert_eq!(b.struck("redirect"), 2);
}

#[test]
fn a_read_is_redirected_to_a_host_nobody_trusts() {
    let mut b = Bench::with_rule(Rule::once(Fault::Untrusted));
    let digest = b.image("a", "v0", b"x");
    let path = format!("/v2/a/manifests/{digest}");
    b.get(&path).is(307).header("location", &format!("https://untrusted.invalid{path}"));
    b.get(&path).is(200);
    assert_eq!(b.struck("untrusted"), 1);
}

#[test]
fn a_partition_lets_nothing_through_while_it_lasts() {
    let at = |secs| MonoTime::from_origin(Duration::from_secs(secs));
    let mut b =
        Bench::with_rule(Rule { from: at(10), until: Some(at(20)), ..Rule::always(Fault::Partition) });
    let digest = b.blob("a", b"x");
    b.wait(Duration::from_secs(10));
    for _ in 0..3 {
        assert!(b.attempt("GET", "/v2/", &[], b"").is_err());
        assert!(b.attempt("DELETE", &format!("/v2/a/blobs/{digest}"), &[], b"").is_err());
    }
    b.wait(Duration::from_secs(10));
    b.get(&format!("/v2/a/blobs/{digest}")).is(200);
    assert_eq!(b.struck("partition"), 6);
}

#[test]
fn a_busy_registry_does_nothing_and_says_when_to_come_back() {
    for (status, retry_after, said) in [(429, Some(Duration::from_secs(7)), Some("7")), (503, None, None)] {
        let mut b = Bench::plain();
        let digest = b.blob("a", b"x");
        b.registry.add_rule(Rule::once(Fault::Busy { status, retry_after }));
        let seen = b.delete(&format!("/v2/a/blobs/{digest}")).is(status);
        assert_eq!(seen.0.header("retry-after"), said);
        b.get(&format!("/v2/a/blobs/{digest}")).is(200);
        assert_eq!(b.struck("busy"), 1);
    }
}

#[test]
fn an_answer_is_lost_and_what_was_asked_for_is_done() {
    let mut b = Bench::plain();
    let digest = b.image("a", "v1", b"one");
    b.registry.add_rule(Rule { times: Some(2), ..Rule::always(Fault::AnswerLost) });
    let headers = [("content-type", IMAGE)];
    let document = image(b"one").to_string();
    assert!(b.attempt("PUT", "/v2/a/manifests/v2", &headers, document.as_bytes()).is_err());
    assert!(b.attempt("DELETE", "/v2/a/manifests/v1", &[], b"").is_err());
    b.head("/v2/a/manifests/v1").is(404);
    b.head("/v2/a/manifests/v2").is(200).header("docker-content-digest", digest);
    assert_eq!(b.struck("answer-lost"), 2);
}

#[test]
fn an_upload_breaks_and_goes_on_at_the_exact_byte() {
    let target = Target { repository: Some("a".into()), ..Target::default() };
    let mut b = Bench::with_rule(Rule { target, ..Rule::once(Fault::Reset) });
    let bytes: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    let location = b.upload("a");
    assert!(b.attempt("PATCH", &location, &[], &bytes).is_err());
    let seen = b.get(&location).is(204);
    let end: usize = seen.get("range").strip_prefix("0-").unwrap().parse().unwrap();
    assert!(end > 0 && end < bytes.len() - 1, "{end}");
    let location = b.chunk(&seen.location(), end + 1, &bytes[end + 1..]).is(202).location();
    b.close(&location, Digest::of(&bytes), b"").is(201);
    assert_eq!(b.struck("reset"), 1);
}

#[test]
fn an_upload_that_breaks_as_a_whole_can_be_done_again() {
    let mut b = Bench::with_rule(Rule::once(Fault::Reset));
    let location = b.upload("a");
    let uri = with(&location, "digest", Digest::of(&[1; 1_000]).as_str());
    assert!(b.attempt("PUT", &uri, &[], &[1; 1_000]).is_err());
    b.blob("a", &[1; 1_000]);
    let mut b = Bench::with_rule(Rule::once(Fault::Reset));
    let uri = with("/v2/a/blobs/uploads/", "digest", Digest::of(b"01234567").as_str());
    assert!(b.attempt("POST", &uri, &[], b"01234567").is_err());
    b.send("POST", &uri, &[], b"01234567").is(201);
}

#[test]
fn a_download_breaks_before_its_end_and_can_be_resumed() {
    let mut b = Bench::plain();
    let digest = b.blob("a", b"0123456789");
    b.registry.add_rule(Rule::once(Fault::Reset));
    let path = format!("/v2/a/blobs/{digest}");
    let seen = b.get(&path).is(200).header("content-length", "10");
    let first = seen.0.body().to_bytes();
    assert_eq!(seen.0.breaks_after, Some(first.len() as u64));
    assert!(first.len() < 10);
    let range = format!("bytes={}-", first.len());
    let rest = b.send("GET", &path, &[("range", &range)], b"").is(206).0.body().to_bytes();
    assert_eq!([first, rest].concat(), b"0123456789");
}

#[test]
fn faults_come_and_go_while_the_registry_runs() {
    let mut b = Bench::plain();
    b.registry.add_rule(Rule::always(Fault::Partition));
    assert!(b.attempt("GET", "/v2/", &[], b"").is_err());
    b.registry.clear_rules();
    b.get("/v2/").is(200);
}

/// A client without any sense, and all faults at once.
fn story(seed: u64) -> String {
    let sometimes = |fault| Rule::sometimes(fault, 0.2);
    let mut b = Bench::new(Config {
        rules: vec![
            sometimes(Fault::Partition),
            sometimes(Fault::AnswerLost),
            sometimes(Fault::Busy { status: 503, retry_after: None }),
            sometimes(Fault::Truncated),
            sometimes(Fault::BitFlipped),
            sometimes(Fault::Reset),
            sometimes(Fault::Late(Duration::from_secs(5))),
            sometimes(Fault::TagMoves(Duration::from_secs(1))),
            sometimes(Fault::Mount(MountAnswer::NotAllowed)),
        ],
        seed,
        ..Config::default()
    });
    let document = image(b"layer").to_string();
    for round in 0..5_u8 {
        for bytes in [b"{}".as_slice(), b"layer", &[round; 100]] {
            let uri = with("/v2/a/blobs/uploads/", "digest", Digest::of(bytes).as_str());
            let _ = b.attempt("POST", &uri, &[], bytes);
            let digest = Digest::of(bytes);
            let _ = b.attempt("POST", &format!("/v2/b/blobs/uploads/?mount={digest}&from=a"), &[], b"");
            let _ = b.attempt("GET", &format!("/v2/a/blobs/{digest}"), &[], b"");
        }
        let headers = [("content-type", IMAGE)];
        let _ = b.attempt("PUT", "/v2/a/manifests/v1", &headers, document.as_bytes());
        b.wait(Duration::from_secs(1));
        let _ = b.attempt("GET", "/v2/a/manifests/v1", &[], b"");
    }
    b.registry.trace().to_string()
}

#[test]
fn the_same_seed_tells_the_same_story() {
    for seed in 0..100 {
        assert_eq!(story(seed), story(seed), "seed {seed}");
    }
    assert_ne!(story(1), story(2));
    let all: String = (0..100).map(story).collect();
    for fault in [
        "partition",
        "answer-lost",
        "busy",
        "truncated",
        "bit-flipped",
        "reset",
        "late",
        "tag-moves",
        "mount",
    ] {
        assert!(all.contains(&format!("fault {fault} ")), "{fault} never struck");
    }
}
