//! The vendors' quirks: each what a client has to get along with.

use std::time::Duration;

use http::{HeaderMap, Request};
use release_sim::registry::{Access, Action, Begun, Chunks, Config, Digest, Event, Grant, Profile, User};

use crate::bench::{Bench, IMAGE, image, with};

const MIB: usize = 1024 * 1024;

fn public(profile: Profile) -> Bench {
    let anonymous = vec![Grant::new("*", &Action::ALL)];
    Bench::new(Config {
        profile,
        access: Access::Restricted { users: vec![], anonymous },
        ..Config::default()
    })
}

fn anonymous_token(b: &mut Bench) {
    let seen = b.get("/token?scope=repository:a:pull,push").is(200);
    b.authorization = seen.json()["token"].as_str().map(|token| format!("Bearer {token}"));
}

#[test]
fn names_find_their_profiles() {
    for profile in Profile::ALL {
        assert_eq!(Profile::named(profile.name), Some(profile));
    }
    assert_eq!(Profile::named("acme"), None);
}

#[test]
fn whatever_the_profile_one_upload_of_the_whole_blob_works() {
    for profile in Profile::ALL {
        let mut b = Bench::of(profile);
        b.registry.create_repository("a").unwrap();
        let digest = b.image("a", "v1", b"layer");
        b.get("/v2/a/manifests/v1").is(200).header("docker-content-digest", digest);
        // As `docker push` does it: one PATCH without a range, and an empty PUT.
        let location = b.upload("a");
        let seen = b.send("PATCH", &location, &[], b"streamed");
        assert!(seen.0.status().is_success(), "{}", profile.name);
        b.close(&seen.location(), Digest::of(b"streamed"), b"").is(201);
    }
}

#[test]
fn ecr_answers_the_second_chunk_201_and_loses_it() {
    let mut b = Bench::of(Profile::ECR);
    b.registry.create_repository("a").unwrap();
    let location = b.upload("a");
    let location = b.chunk(&location, 0, b"0123").is(201).header("range", "0-3").location();
    let location = b.chunk(&location, 4, b"4567").is(201).header("range", "0-3").location();
    b.get(&location).is(204).header("range", "0-3");
    b.close(&location, Digest::of(b"01234567"), b"").refuses(400, "DIGEST_INVALID");
    // What it has is the first chunk, whatever comes with the PUT.
    let location = b.upload("a");
    let location = b.chunk(&location, 0, b"0123").location();
    b.close(&location, Digest::of(b"0123"), b"4567").is(201);
}

#[test]
fn ecr_wants_its_repositories_created_before() {
    let mut b = Bench::of(Profile::ECR);
    b.post("/v2/a/blobs/uploads/").refuses(404, "NAME_UNKNOWN");
    b.manifest("a", "v1", IMAGE, &image(b"layer")).refuses(404, "NAME_UNKNOWN");
    b.registry.create_repository("a").unwrap();
    b.post("/v2/a/blobs/uploads/").is(202);
    assert!(b.registry.create_repository("A").is_err());
}

#[test]
fn ecr_does_not_mount_across_repositories() {
    let mut b = Bench::of(Profile::ECR);
    b.registry.create_repository("a").unwrap();
    b.registry.create_repository("b").unwrap();
    let digest = b.blob("a", b"x");
    b.post(&format!("/v2/b/blobs/uploads/?mount={digest}&from=a")).is(202);
}

#[test]
fn ghcr_takes_no_chunk_of_more_than_4_mib() {
    let mut b = Bench::of(Profile::GHCR);
    let location = b.upload("a");
    let bytes = vec![1; 9 * MIB];
    let large = b.chunk(&location, 0, &bytes[..=4 * MIB]).is(416).header("range", "0-0");
    let mut location = large.location();
    for (i, chunk) in bytes.chunks(4 * MIB).enumerate() {
        location = b.chunk(&location, i * 4 * MIB, chunk).is(202).location();
    }
    b.close(&location, Digest::of(&bytes), b"").is(201);
}

#[test]
fn ghcr_has_no_referrers_api_so_clients_keep_the_tag() {
    let mut b = Bench::of(Profile::GHCR);
    let subject = b.image("a", "v1", b"layer");
    b.get(&format!("/v2/a/referrers/{subject}")).is(404);
    let document = crate::bench::referrer(&subject, "x/sbom");
    b.manifest("a", "sig", IMAGE, &document).is(201).lacks("oci-subject");
    // The fallback tag is a tag like any other.
    let tag = subject.as_str().replace(':', "-");
    let index = crate::bench::index(&[&document]);
    b.manifest("a", &tag, crate::bench::INDEX, &index).is(201);
    b.get(&format!("/v2/a/manifests/{tag}")).is(200);
}

#[test]
fn gar_takes_no_chunks_at_all() {
    let mut b = Bench::of(Profile::GAR);
    let location = b.upload("a");
    b.chunk(&location, 0, b"0123").refuses(405, "UNSUPPORTED");
    b.close(&location, Digest::of(b"0123"), b"0123").is(201);
    let location = b.upload("a");
    let location = b.send("PATCH", &location, &[], b"0123").is(202).location();
    b.send("PATCH", &location, &[], b"4567").refuses(405, "UNSUPPORTED");
}

#[test]
fn docker_hub_limits_the_pulls_of_those_without_a_password() {
    let mut b = public(Profile::DOCKER_HUB);
    b.get("/v2/a/manifests/v1").is(401);
    anonymous_token(&mut b);
    b.image("a", "v1", b"layer");
    for left in (0..100).rev() {
        b.head("/v2/a/manifests/v1").is(200);
        let seen = b.get("/v2/a/manifests/v1").is(200).header("ratelimit-limit", "100;w=21600");
        seen.header("ratelimit-remaining", format!("{left};w=21600"));
    }
    b.head("/v2/a/manifests/v1").is(200);
    b.get("/v2/a/manifests/v1").refuses(429, "TOOMANYREQUESTS").header("retry-after", "21600");
    b.wait(Duration::from_secs(6 * 60 * 60));
    b.authorization = None;
    anonymous_token(&mut b);
    b.get("/v2/a/manifests/v1").is(200);
}

#[test]
fn docker_hub_does_not_limit_users() {
    let users = vec![User::new("ci", "secret")];
    let access = Access::Restricted { users, anonymous: vec![] };
    let mut b = Bench::new(Config { profile: Profile::DOCKER_HUB, access, ..Config::default() });
    let form = b"grant_type=password&username=ci&password=secret&scope=repository:a:pull,push";
    let seen = b.send("POST", "/token", &[], form).is(200);
    b.authorization = seen.json()["token"].as_str().map(|token| format!("Bearer {token}"));
    b.image("a", "v1", b"layer");
    for _ in 0..101 {
        b.get("/v2/a/manifests/v1").is(200).lacks("ratelimit-limit");
    }
}

#[test]
fn docker_hub_takes_bytes_only_at_the_latest_address() {
    let mut b = Bench::of(Profile::DOCKER_HUB);
    let first = b.upload("a");
    assert!(first.starts_with("http://registry.test/v2/a/") && first.contains('?'), "{first}");
    let second = b.chunk(&first, 0, b"0123").is(202).location();
    assert_ne!(first, second);
    b.chunk(&first, 4, b"4567").refuses(400, "BLOB_UPLOAD_INVALID");
    let third = b.get(&first).is(204).header("range", "0-3").location();
    assert_eq!(second, third);
    b.close(&third, Digest::of(b"0123"), b"").is(201);
}

#[test]
fn harbor_refuses_mounts_from_the_top_level() {
    let mut b = Bench::of(Profile::HARBOR);
    let digest = b.blob("top", b"x");
    b.blob("project/a", b"x");
    b.post(&format!("/v2/project/b/blobs/uploads/?mount={digest}&from=top")).is(400);
    b.post(&format!("/v2/project/b/blobs/uploads/?mount={digest}&from=project/a")).is(201);
}

#[test]
fn quay_refuses_mounts_without_a_source() {
    let mut b = Bench::of(Profile::QUAY);
    let digest = b.blob("a", b"x");
    b.post(&format!("/v2/b/blobs/uploads/?mount={digest}")).is(400);
    b.post(&format!("/v2/b/blobs/uploads/?mount={digest}&from=a")).is(201);
}

#[test]
fn gitlab_tokens_end_before_a_large_layer_does() {
    let mut b = public(Profile { anonymous_tokens: true, ..Profile::GITLAB });
    anonymous_token(&mut b);
    let location = b.upload("a");
    let head = |method: &str, location: &str, b: &Bench| {
        let authorization = b.authorization.as_deref().unwrap();
        let request = Request::builder().method(method).uri(location).header("authorization", authorization);
        request.body(()).unwrap().into_parts().0
    };
    let expired = b.authorization.clone().unwrap();
    // An hour of bytes through one request, while others come and go.
    let now = b.now;
    let begun = b.registry.begin(&head("PATCH", &location, &b), now);
    let Begun::Wants(mut exchange) = begun else { panic!("{begun:?}") };
    b.registry.piece(&mut exchange, b"01234567", now).unwrap();
    b.wait(Duration::from_secs(60 * 60));
    b.authorization = None;
    b.get("/v2/").is(401);
    let answer = b.registry.finish(exchange, b.now).unwrap();
    assert_eq!(answer.status(), 202);
    let location = answer.header("location").unwrap().to_owned();
    b.authorization = Some(expired);
    b.close(&location, Digest::of(b"01234567"), b"").refuses(401, "UNAUTHORIZED");
    // A fresh token, and it goes on where it was.
    b.authorization = None;
    anonymous_token(&mut b);
    b.close(&location, Digest::of(b"01234567"), b"").is(201);
}

#[test]
fn cloudflare_lets_no_request_of_more_than_100_mb_through() {
    let mut b = Bench::of(Profile::CLOUDFLARE);
    let location = b.upload("a");
    let large = [("content-length", "100000001")];
    b.send("PATCH", &location, &large, b"").is(413).header("content-type", "text/html");
    b.close(&location, Digest::of(b"x"), b"x").is(201);
}

#[test]
fn cloudflare_finds_out_when_the_length_was_not_announced() {
    let mut b = Bench::of(Profile { max_request_bytes: Some(10), ..Profile::CLOUDFLARE });
    let location = b.upload("a");
    let (mut head, ()) = Request::patch(&location).body(()).unwrap().into_parts();
    head.headers = HeaderMap::new();
    let Begun::Wants(mut exchange) = b.registry.begin(&head, b.now) else { panic!("it is an upload") };
    for _ in 0..3 {
        b.registry.piece(&mut exchange, b"0123", b.now).unwrap();
    }
    assert!(exchange.is_decided());
    assert_eq!(b.registry.finish(exchange, b.now).unwrap().status(), 413);
}

#[test]
fn an_open_root_says_nothing_about_the_repositories() {
    let access = Access::Restricted { users: vec![User::new("ci", "secret")], anonymous: vec![] };
    let mut b = Bench::new(Config { profile: Profile::OPEN_ROOT, access, ..Config::default() });
    b.get("/v2/").is(200);
    b.get("/v2/a/tags/list").is(401);
}

#[test]
fn before_1_1_there_is_no_single_post_and_types_that_are_not_accepted_are_hidden() {
    let mut b = Bench::of(Profile::BEFORE_1_1);
    let uri = with("/v2/a/blobs/uploads/", "digest", Digest::of(b"x").as_str());
    let seen = b.send("POST", &uri, &[], b"x").is(202).header("range", "0-0");
    b.close(&seen.location(), Digest::of(b"x"), b"x").is(201);
    b.image("a", "v1", b"layer");
    let docker = "application/vnd.docker.distribution.manifest.v2+json";
    let uri = "/v2/a/manifests/v1";
    b.send("GET", uri, &[("accept", docker)], b"").refuses(404, "MANIFEST_UNKNOWN");
    for accept in [IMAGE, "*/*", &format!("{docker}, {IMAGE};q=0.5")] {
        b.send("GET", uri, &[("accept", accept)], b"").is(200);
    }
    b.delete(uri).refuses(405, "UNSUPPORTED");
}

#[test]
fn a_smallest_chunk_is_told_and_held() {
    let chunks = Chunks::InOrder { min_bytes: Some(4), max_bytes: None };
    let mut b = Bench::of(Profile { chunks, ..Profile::PLAIN });
    let location = b.post("/v2/a/blobs/uploads/").header("oci-chunk-min-length", "4").location();
    let location = b.chunk(&location, 0, b"0123").is(202).location();
    let location = b.chunk(&location, 4, b"45").is(202).location();
    b.chunk(&location, 6, b"6789").refuses(400, "SIZE_INVALID");
    b.close(&location, Digest::of(b"012345"), b"").is(201);
}

#[test]
fn a_warning_is_on_every_answer() {
    let mut b = Bench::of(Profile { warning: Some("moving soon"), ..Profile::PLAIN });
    b.get("/v2/").is(200).header("warning", r#"299 - "moving soon""#);
    b.get("/v2/a/tags/list").is(404).header("warning", r#"299 - "moving soon""#);
}

#[test]
fn sparse_indexes_are_taken_where_they_are_allowed() {
    let mut b = Bench::of(Profile { sparse_indexes: true, ..Profile::PLAIN });
    b.manifest("a", "all", crate::bench::INDEX, &crate::bench::index(&[&image(b"layer")])).is(201);
}

#[test]
fn downloads_are_redirected_to_a_storage_host_that_wants_no_credentials() {
    let storage = Some("http://storage.test".to_owned());
    let mut b = Bench::new(Config { profile: Profile::GHCR, storage, ..Config::default() });
    let digest = b.blob("a", b"0123456789");
    let address = b.get(&format!("/v2/a/blobs/{digest}")).is(307).location();
    assert!(address.starts_with("http://storage.test/storage/a/sha256:"), "{address}");
    b.get(&address).is(200).header("docker-content-digest", &digest).body(b"0123456789");
    b.head(&address).is(200).header("content-length", "10");
    b.send("GET", &address, &[("range", "bytes=8-")], b"").is(206).body(b"89");
    b.send("GET", &address, &[("authorization", "Bearer x")], b"").is(400);
    let leaked = |event: &Event| matches!(event, Event::CredentialsLeaked { .. });
    assert_eq!(b.registry.trace().events().filter(|event| leaked(event)).count(), 1);
    b.get(&address.replace("signature=", "signature=0")).refuses(403, "DENIED");
    b.wait(Duration::from_secs(20 * 60));
    b.get(&address).refuses(403, "DENIED");
}

#[test]
fn what_a_profile_does_not_delete_stays() {
    let mut b = Bench::of(Profile::GHCR);
    let digest = b.image("a", "v1", b"layer");
    b.delete("/v2/a/manifests/v1").refuses(405, "UNSUPPORTED");
    b.delete(&format!("/v2/a/manifests/{digest}")).refuses(405, "UNSUPPORTED");
    b.delete(&format!("/v2/a/blobs/{}", Digest::of(b"layer"))).refuses(405, "UNSUPPORTED");
    b.head("/v2/a/manifests/v1").is(200);
    b.get("/v2/_catalog").refuses(405, "UNSUPPORTED");
}
