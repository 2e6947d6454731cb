//! Against a registry on this machine that gives prepared answers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use release_core::Secret;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// Answers by request line; the last answer of a line is repeated. An answer that is empty hangs up. `HOST` becomes the
/// address.
struct Fake {
    host: String,
    seen: Arc<Mutex<Vec<String>>>,
}

type Answers = HashMap<String, Vec<String>>;

impl Fake {
    async fn start(answers: &[(&str, &[&str])]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let answers: Answers = answers
            .iter()
            .map(|(line, answers)| {
                let answers = answers.iter().rev().map(|answer| answer.replace("HOST", &host)).collect();
                ((*line).to_owned(), answers)
            })
            .collect();
        let answers = Arc::new(Mutex::new(answers));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (all, log) = (answers, seen.clone());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, all.clone(), log.clone()));
            }
        });
        Self { host, seen }
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

/// One request a connection. What is seen: the request line, and what was shown as authentication or sent as a form.
async fn serve(mut socket: TcpStream, answers: Arc<Mutex<Answers>>, seen: Arc<Mutex<Vec<String>>>) {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let n = socket.read(&mut buffer).await.unwrap_or(0);
        bytes.extend_from_slice(&buffer[..n]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            if n == 0 {
                return;
            }
            continue;
        };
        let header = |name: &str| {
            let lines = head.lines().skip(1).filter_map(|line| line.split_once(": "));
            lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).next()
        };
        let length = header("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
        if body.len() < length {
            continue;
        }
        let line = head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
        let shown = header("authorization").unwrap_or_default();
        seen.lock().unwrap().push(format!("{line} {shown}{body}").trim_end().to_owned());
        let answer = {
            let mut answers = answers.lock().unwrap();
            let left = answers.get_mut(&line).unwrap_or_else(|| panic!("nobody expected `{line}`"));
            if left.len() > 1 { left.pop().unwrap() } else { left[0].clone() }
        };
        if !answer.is_empty() {
            let (head, body) = answer.split_once("\n\n").unwrap_or((&answer, ""));
            let head = head.replace('\n', "\r\n");
            let length = body.len();
            let text =
                format!("HTTP/1.1 {head}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
            let _ = socket.write_all(text.as_bytes()).await;
        }
        return;
    }
}

fn registry() -> Registry {
    // Whichever test comes first installs it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut registry = Registry::new().unwrap();
    registry.clients.first_pause = Duration::ZERO;
    registry
}

fn hex(letter: char) -> String {
    letter.to_string().repeat(64)
}

fn basic(password: &str) -> Credentials {
    Credentials::Basic { username: "ci".into(), password: Secret::new(password) }
}

/// Confirms `player@sha256:aaa…`; gives back what came of it and what the registry saw.
async fn check(answers: &[(&str, &[&str])], credentials: Option<Credentials>) -> (String, Vec<String>) {
    let long = |text: &str| text.replace("AAA", &hex('a')).replace("BBB", &hex('b'));
    let owned: Vec<(String, Vec<String>)> =
        answers.iter().map(|(line, all)| (long(line), all.iter().map(|a| long(a)).collect())).collect();
    let borrowed: Vec<(&str, Vec<&str>)> =
        owned.iter().map(|(line, all)| (line.as_str(), all.iter().map(String::as_str).collect())).collect();
    let slices: Vec<(&str, &[&str])> = borrowed.iter().map(|(line, all)| (*line, all.as_slice())).collect();
    let fake = Fake::start(&slices).await;
    let image: PinnedImage = format!("{}/player@sha256:{}", fake.host, hex('a')).parse().unwrap();
    let result = registry().confirm(&image, credentials.as_ref()).await;
    let short =
        |text: &str| text.replace(&fake.host, "HOST").replace(&hex('a'), "AAA").replace(&hex('b'), "BBB");
    let shown = match result {
        Ok(()) => "confirmed".to_owned(),
        Err(error) => {
            let all = format!("{error} {error:?}");
            for secret in ["hunter2", "t0k3n"] {
                assert!(!all.contains(secret), "{all}");
            }
            short(&error.to_string())
        }
    };
    (shown, fake.seen().iter().map(|line| short(line)).collect())
}

const HEAD: &str = "HEAD /v2/player/manifests/sha256:AAA";
const THERE: &str = "200 OK\nDocker-Content-Digest: sha256:AAA";

#[tokio::test]
async fn answers_mean_what_they_say() {
    for (answer, expected) in [
        (THERE, "confirmed"),
        ("404 Not Found", "registry HOST has no image `HOST/player@sha256:AAA`"),
        ("403 Forbidden", "registry HOST does not let anybody without credentials in"),
        ("401 Unauthorized", "registry HOST does not let anybody without credentials in"),
        (
            "401 Unauthorized\nWWW-Authenticate: Basic realm=\"r\"",
            "registry HOST does not let anybody without credentials in",
        ),
        (
            "200 OK\nDocker-Content-Digest: sha256:BBB",
            "registry HOST was asked for sha256:AAA and has sha256:BBB",
        ),
        ("200 OK\nDocker-Content-Digest: nonsense", "registry HOST sent a digest that cannot be understood"),
        ("418 I'm a teapot", "registry HOST answered with status 418"),
        ("400 Bad Request", "registry HOST answered with status 400"),
    ] {
        let (shown, seen) = check(&[(HEAD, &[answer])], None).await;
        assert_eq!((shown.as_str(), seen.len()), (expected, 1), "{answer}");
    }
}

#[tokio::test]
async fn failures_that_may_pass_are_tried_again_and_not_forever() {
    for (answers, expected, requests) in [
        (&["500 Internal Server Error", THERE][..], "confirmed", 2),
        (&["503 Service Unavailable\nRetry-After: 0", "", THERE], "confirmed", 3),
        (&["429 Too Many Requests", "408 Request Timeout", THERE], "confirmed", 3),
        (&["500 Internal Server Error"], "registry HOST answered with status 500", 5),
        (&[""], "cannot reach registry HOST", 5),
        (
            &["429 Too Many Requests\nRetry-After: 3600"],
            "registry HOST answered with status 429 and wants to be asked again in 3600s; it is waited for 30s at most",
            1,
        ),
        (&["502 Bad Gateway", "404 Not Found"], "registry HOST has no image `HOST/player@sha256:AAA`", 2),
    ] {
        let (shown, seen) = check(&[(HEAD, answers)], None).await;
        assert_eq!((shown.as_str(), seen.len()), (expected, requests), "{answers:?}");
    }
}

#[tokio::test]
async fn a_password_is_shown_only_when_asked_for() {
    let asked = "401 Unauthorized\nWWW-Authenticate: Basic realm=\"r\"";
    let (shown, seen) = check(&[(HEAD, &[asked, THERE])], Some(basic("hunter2"))).await;
    assert_eq!(shown, "confirmed");
    assert_eq!(seen, [HEAD.to_owned(), format!("{HEAD} Basic Y2k6aHVudGVyMg==")]);
    let (shown, seen) = check(&[(HEAD, &[asked])], Some(basic("hunter2"))).await;
    assert_eq!(shown, "registry HOST does not let this user in");
    assert_eq!(seen.len(), 2);
}

#[tokio::test]
async fn passwords_and_identity_tokens_are_exchanged_for_tokens() {
    let asked = "401 Unauthorized\nWWW-Authenticate: Bearer realm=\"http://HOST/token\",service=\"reg\",scope=\"repository:player:pull\"";
    let get = "GET /token?scope=repository%3Aplayer%3Apull&service=reg";
    let answers: &[&str] = &[asked, THERE];

    let (shown, seen) = check(&[(HEAD, answers), (get, &["200 OK\n\n{\"token\":\"t0k3n\"}"])], None).await;
    assert_eq!(shown, "confirmed");
    assert_eq!(seen, [HEAD.to_owned(), get.to_owned(), format!("{HEAD} Bearer t0k3n")]);

    let token = &["500 Internal Server Error", "200 OK\n\n{\"access_token\":\"t0k3n\"}"][..];
    let (shown, seen) = check(&[(HEAD, answers), (get, token)], Some(basic("hunter2"))).await;
    assert_eq!(shown, "confirmed");
    assert_eq!(seen[2], format!("{get} Basic Y2k6aHVudGVyMg=="));

    let post = "POST /token";
    let identity = Some(Credentials::IdentityToken(Secret::new("r3fr3sh")));
    let token = &["200 OK\n\n{\"access_token\":\"t0k3n\"}"][..];
    let (shown, seen) = check(&[(HEAD, answers), (post, token)], identity).await;
    assert_eq!(shown, "confirmed");
    assert_eq!(
        seen[1],
        "POST /token grant_type=refresh_token&client_id=release&refresh_token=r3fr3sh&\
         scope=repository%3Aplayer%3Apull&service=reg"
    );

    for (answer, expected) in [
        ("401 Unauthorized\n\nhunter2", "registry HOST does not let this user in"),
        ("418 I'm a teapot", "registry HOST answered with status 418"),
        ("200 OK\n\n{\"token\":\"\"}", "registry HOST sent a token that cannot be understood"),
        ("200 OK\n\nt0k3n", "registry HOST sent a token that cannot be understood"),
    ] {
        let (shown, _) = check(&[(HEAD, answers), (get, &[answer])], Some(basic("hunter2"))).await;
        assert_eq!(shown, expected, "{answer}");
    }
}

#[tokio::test]
async fn a_realm_elsewhere_without_tls_gets_no_secret() {
    let asked = "401 Unauthorized\nWWW-Authenticate: Bearer realm=\"http://r.example.com/token\"";
    let (shown, seen) = check(&[(HEAD, &[asked])], Some(basic("hunter2"))).await;
    assert_eq!(
        shown,
        "registry HOST asks for credentials at `http://r.example.com/token`, which is not secure"
    );
    assert_eq!(seen.len(), 1);
}

#[tokio::test]
async fn tags_resolve_to_what_they_name_now() {
    // The digest of `{}`, for a registry that does not send the header.
    let empty = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    let there = format!("200 OK\nDocker-Content-Digest: sha256:{}", hex('b'));
    let fake = Fake::start(&[
        ("HEAD /v2/player/manifests/v1", &[&there]),
        ("HEAD /v2/player/manifests/latest", &["200 OK"]),
        ("GET /v2/player/manifests/latest", &["200 OK\n\n{}"]),
        ("HEAD /v2/player/manifests/gone", &["404 Not Found"]),
    ])
    .await;
    for (tag, expected) in [(":v1", format!("sha256:{}", hex('b'))), ("", empty.to_owned())] {
        let image: ImageRef = format!("{}/player{tag}", fake.host).parse().unwrap();
        assert_eq!(registry().resolve(&image, None).await.unwrap().as_str(), expected);
    }
    let image: ImageRef = format!("{}/player:gone", fake.host).parse().unwrap();
    let error = registry().resolve(&image, None).await.unwrap_err();
    assert!(matches!(error, ConfirmError::NotFound { .. }), "{error:?}");
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap();
    drop(listener);
    let image: PinnedImage = format!("{host}/player@sha256:{}", hex('a')).parse().unwrap();
    let error = registry().confirm(&image, None).await.unwrap_err();
    assert!(matches!(error, ConfirmError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn endless_answers_are_cut_off() {
    let body = format!("200 OK\n\n{}", "x".repeat(MAX_MANIFEST_BYTES + 1));
    let fake = Fake::start(&[
        ("HEAD /v2/player/manifests/v1", &["200 OK"]),
        ("GET /v2/player/manifests/v1", &[&body]),
    ])
    .await;
    let image: ImageRef = format!("{}/player:v1", fake.host).parse().unwrap();
    let error = registry().resolve(&image, None).await.unwrap_err();
    assert!(matches!(error, ConfirmError::Malformed { what: "an answer", .. }), "{error:?}");
}

#[test]
fn this_machine_is_known_by_its_names() {
    for (host, expected) in [
        ("localhost", true),
        ("localhost:5000", true),
        ("127.0.0.1:5000", true),
        ("127.8.8.8", true),
        ("[::1]:5000", true),
        ("[::1]", true),
        ("r.io", false),
        ("r.io:5000", false),
        ("10.0.0.1:5000", false),
        ("localhost.r.io", false),
        ("127.0.0.1.r.io", false),
    ] {
        assert_eq!(is_loopback(host), expected, "{host}");
    }
}

#[tokio::test]
async fn a_registry_is_greeted_without_reading_or_writing_anything() {
    let greet = async |answers: &[(&str, &[&str])], credentials: Option<Credentials>| {
        let fake = Fake::start(answers).await;
        let repository = format!("{}/player", fake.host).parse().unwrap();
        match registry().greet(&repository, credentials.as_ref()).await {
            Ok(greeting) => format!("{:?} by {:?}", greeting.guest, greeting.software),
            Err(error) => error.to_string().replace(&fake.host, "HOST"),
        }
    };
    let v2 = "GET /v2/";
    let basic_asked = "401 Unauthorized\nWWW-Authenticate: Basic realm=\"r\"";
    let asked = "401 Unauthorized\nWWW-Authenticate: Bearer realm=\"http://HOST/token\",service=\"reg\"";
    let get = "GET /token?scope=repository%3Aplayer%3Apull&service=reg";
    let token = "200 OK\n\n{\"token\":\"t0k3n\"}";
    for (answers, password, expected) in [
        (&[(v2, &["200 OK\nServer: nginx"][..])][..], Some("hunter2"), "Anybody by Some(\"nginx\")"),
        (&[(v2, &[basic_asked, "200 OK"])], Some("hunter2"), "Known by None"),
        (&[(v2, &[basic_asked])], Some("hunter2"), "registry HOST does not let this user in"),
        (&[(v2, &[basic_asked])], None, "registry HOST does not let anybody without credentials in"),
        (&[(v2, &[asked, "200 OK"]), (get, &[token])], None, "Anonymous by None"),
        (
            &[(v2, &[asked]), (get, &["401 Unauthorized"])],
            Some("hunter2"),
            "registry HOST does not let this user in",
        ),
        (&[(v2, &["404 Not Found"])], None, "registry HOST answered with status 404"),
        (&[(v2, &[""])], None, "cannot reach registry HOST"),
    ] {
        assert_eq!(greet(answers, password.map(basic)).await, expected, "{answers:?}");
    }
}
