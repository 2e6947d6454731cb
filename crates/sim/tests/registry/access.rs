//! Who is let in: passwords, tokens, scopes, and what each repository grants.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use release_sim::registry::{Access, Action, Config, Digest, Event, Grant, Profile, Scheme, User};

use crate::bench::{Bench, Seen};

const BASIC: Profile = Profile { scheme: Scheme::Basic, ..Profile::PLAIN };

/// `ci` may do everything, `dev` may push to `team/…` and read `base/…`, nobody may read `public/…`.
fn access() -> Access {
    let dev =
        vec![Grant::new("team/*", &[Action::Pull, Action::Push]), Grant::new("base/*", &[Action::Pull])];
    Access::Restricted {
        users: vec![User::new("ci", "secret"), User::new("dev", "hunter2").with_grants(dev)],
        anonymous: vec![Grant::new("public/*", &[Action::Pull])],
    }
}

fn bench(profile: Profile) -> Bench {
    let mut bench = Bench::new(Config { profile, access: access(), ..Config::default() });
    for name in ["team/web", "base/os", "public/tool", "secret/plan"] {
        bench.registry.create_repository(name).unwrap();
    }
    bench
}

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

/// Asks for a token as `authorization`, and carries it from then on.
#[track_caller]
fn login(b: &mut Bench, authorization: Option<&str>, scopes: &[&str]) -> Seen {
    b.authorization = None;
    let query = scopes.join("&scope=");
    let headers: Vec<(&str, &str)> =
        authorization.map(|value| ("authorization", value)).into_iter().collect();
    let seen = b.send("GET", &format!("/token?service=release-sim&scope={query}"), &headers, b"").is(200);
    b.authorization = seen.json()["token"].as_str().map(|token| format!("Bearer {token}"));
    seen
}

#[test]
fn passwords_open_what_is_granted() {
    let mut b = bench(BASIC);
    b.get("/v2/team/web/tags/list")
        .refuses(401, "UNAUTHORIZED")
        .header("www-authenticate", r#"Basic realm="release-sim""#);
    b.get("/v2/public/tool/tags/list").is(200);
    for (name, password, method, repository, status) in [
        ("ci", "secret", "GET", "secret/plan", 200),
        ("dev", "hunter2", "GET", "team/web", 200),
        ("dev", "hunter2", "GET", "base/os", 200),
        ("dev", "hunter2", "GET", "secret/plan", 403),
        ("dev", "secret", "GET", "team/web", 401),
        ("nobody", "", "GET", "team/web", 401),
    ] {
        b.authorization = Some(basic(name, password));
        b.send(method, &format!("/v2/{repository}/tags/list"), &[], b"").is(status);
    }
    b.authorization = Some(basic("dev", "hunter2"));
    b.post("/v2/team/web/blobs/uploads/").is(202);
    b.post("/v2/base/os/blobs/uploads/").refuses(403, "DENIED");
    b.delete("/v2/team/web/manifests/v1").refuses(403, "DENIED");
    b.authorization = Some("Basic !!!".to_owned());
    b.get("/v2/").is(401);
}

#[test]
fn a_challenge_says_where_and_what_to_ask_for() {
    let mut b = bench(Profile::PLAIN);
    let realm = r#"Bearer realm="http://registry.test/token",service="release-sim""#;
    b.get("/v2/team/web/tags/list")
        .refuses(401, "UNAUTHORIZED")
        .header("www-authenticate", format!(r#"{realm},scope="repository:team/web:pull""#));
    b.post("/v2/team/web/blobs/uploads/")
        .is(401)
        .header("www-authenticate", format!(r#"{realm},scope="repository:team/web:pull,push""#));
    b.delete("/v2/team/web/manifests/v1")
        .is(401)
        .header("www-authenticate", format!(r#"{realm},scope="repository:team/web:delete""#));
    b.authorization = Some("Bearer invented".to_owned());
    b.get("/v2/team/web/tags/list").is(401).header(
        "www-authenticate",
        format!(r#"{realm},scope="repository:team/web:pull",error="invalid_token""#),
    );
}

#[test]
fn a_token_allows_what_was_asked_for_and_is_granted() {
    let mut b = bench(Profile::PLAIN);
    let dev = basic("dev", "hunter2");
    login(&mut b, Some(&dev), &["repository:team/web:pull,push,delete", "repository:secret/plan:pull"]);
    b.get("/v2/team/web/tags/list").is(200);
    b.post("/v2/team/web/blobs/uploads/").is(202);
    for uri in ["/v2/secret/plan/tags/list", "/v2/base/os/tags/list"] {
        let seen = b.get(uri).is(401);
        assert!(seen.get("www-authenticate").ends_with(r#"error="insufficient_scope""#));
    }
    b.delete("/v2/team/web/manifests/v1").is(401);
    login(&mut b, Some(&dev), &["repository:base/os:pull%20repository:team/web:pull"]);
    b.get("/v2/base/os/tags/list").is(200);
    b.get("/v2/team/web/tags/list").is(200);
}

#[test]
fn a_wrong_password_gets_no_token() {
    let mut b = bench(Profile::PLAIN);
    let wrong = basic("dev", "wrong");
    b.send("GET", "/token?scope=repository:team/web:pull", &[("authorization", &wrong)], b"").is(401);
}

#[test]
fn a_token_ends_when_it_says_it_does() {
    let mut b = bench(Profile::PLAIN);
    let seen = login(&mut b, Some(&basic("ci", "secret")), &["repository:team/web:pull"]);
    assert_eq!(seen.json()["expires_in"], 300);
    b.wait(Duration::from_secs(299));
    b.get("/v2/team/web/tags/list").is(200);
    b.wait(Duration::from_secs(1));
    let seen = b.get("/v2/team/web/tags/list").is(401);
    assert!(seen.get("www-authenticate").contains("invalid_token"));
}

#[test]
fn a_refresh_token_stands_for_the_password() {
    let mut b = bench(Profile::PLAIN);
    let ci = basic("ci", "secret");
    let uri = "/token?offline_token=true&scope=repository:team/web:pull";
    let seen = b.send("GET", uri, &[("authorization", &ci)], b"").is(200);
    let refresh = seen.json()["refresh_token"].as_str().unwrap().to_owned();
    let scope = "scope=repository:team/web:pull,push";
    let form = format!("grant_type=refresh_token&client_id=test&{scope}&refresh_token={refresh}");
    let seen = b.send("POST", "/token", &[], form.as_bytes()).is(200);
    b.authorization = seen.json()["access_token"].as_str().map(|token| format!("Bearer {token}"));
    b.post("/v2/team/web/blobs/uploads/").is(202);
    b.authorization = None;
    for (form, error) in [
        (format!("grant_type=refresh_token&{scope}&refresh_token=invented"), "invalid_grant"),
        (format!("grant_type=password&{scope}&username=ci&password=wrong"), "invalid_grant"),
        (format!("grant_type=magic&{scope}"), "unsupported_grant_type"),
    ] {
        assert_eq!(b.send("POST", "/token", &[], form.as_bytes()).is(400).json()["error"], error);
    }
    let form = format!("grant_type=password&{scope}&username=ci&password=secret");
    b.send("POST", "/token", &[], form.as_bytes()).is(200);
}

#[test]
fn a_form_that_never_ends_is_cut_short() {
    let mut b = bench(Profile::PLAIN);
    b.send("POST", "/token", &[], &vec![b'a'; 100_000]).is(413);
}

#[test]
fn anonymous_pulls_may_need_a_token_all_the_same() {
    let mut b = bench(Profile::PLAIN);
    b.get("/v2/public/tool/tags/list").is(200);
    let mut b = bench(Profile { anonymous_tokens: true, ..Profile::PLAIN });
    b.get("/v2/public/tool/tags/list").is(401);
    login(&mut b, None, &["repository:public/tool:pull,push"]);
    b.get("/v2/public/tool/tags/list").is(200);
    b.post("/v2/public/tool/blobs/uploads/").is(401);
}

#[test]
fn a_mount_needs_the_right_to_read_the_source() {
    let mut b = bench(Profile::PLAIN);
    let ci = basic("ci", "secret");
    login(&mut b, Some(&ci), &["repository:base/os:pull,push", "repository:secret/plan:pull,push"]);
    let readable = b.blob("base/os", b"base");
    let hidden = b.blob("secret/plan", b"plan");
    let dev = basic("dev", "hunter2");
    login(&mut b, Some(&dev), &["repository:team/web:pull,push"]);
    let mount =
        |digest: &Digest, from: &str| format!("/v2/team/web/blobs/uploads/?mount={digest}&from={from}");
    // It could be read, if it had been asked for.
    let seen = b.post(&mount(&readable, "base/os")).is(401);
    assert!(
        seen.get("www-authenticate")
            .contains(r#"scope="repository:team/web:pull,push repository:base/os:pull""#)
    );
    // It cannot be read, and one does not learn whether it is there.
    b.post(&mount(&hidden, "secret/plan")).is(202);
    b.post(&format!("/v2/team/web/blobs/uploads/?mount={hidden}")).is(202);
    login(&mut b, Some(&dev), &["repository:team/web:pull,push", "repository:base/os:pull"]);
    b.post(&mount(&readable, "base/os")).is(201);
}

#[test]
fn the_catalog_shows_what_one_may_read() {
    let mut b = bench(BASIC);
    b.get("/v2/_catalog").is(401);
    b.authorization = Some(basic("dev", "hunter2"));
    assert_eq!(b.get("/v2/_catalog").is(200).list("repositories"), ["base/os", "team/web"]);
}

#[test]
fn secrets_are_in_neither_trace_nor_debug_output() {
    let mut b = bench(BASIC);
    b.authorization = Some(basic("ci", "secret"));
    b.get("/v2/team/web/tags/list?password=secret").is(200);
    let shown = format!("{} {:?}", b.registry.trace(), b.registry.trace());
    assert!(!shown.contains("password") && !shown.contains(&STANDARD.encode("ci:secret")), "{shown}");
    assert!(!format!("{:?}", access()).contains("hunter2"));
    let credentials = |event: &Event| matches!(event, Event::Answered { credentials: true, .. });
    assert!(b.registry.trace().events().any(credentials));
}

#[test]
fn the_root_asks_who_one_is_where_one_can_be_somebody() {
    let nobody = Access::Restricted { users: vec![], anonymous: vec![Grant::new("*", &[Action::Pull])] };
    for (access, profile, status) in [
        (Access::Open, Profile::PLAIN, 200),
        (nobody.clone(), Profile::PLAIN, 200),
        (nobody, Profile::DOCKER_HUB, 401),
        (access(), Profile::PLAIN, 401),
        (access(), BASIC, 401),
        (access(), Profile::OPEN_ROOT, 200),
    ] {
        Bench::new(Config { access, profile, ..Config::default() }).get("/v2/").is(status);
    }
}

#[test]
fn a_challenge_can_lead_elsewhere() {
    let realm = Some("http://evil.test/token".to_owned());
    let mut b = Bench::new(Config { access: access(), realm, ..Config::default() });
    let seen = b.get("/v2/").is(401);
    assert!(seen.get("www-authenticate").starts_with(r#"Bearer realm="http://evil.test/token","#));
}
