//! A registry on this machine that keeps what it is sent, writes down every request, and fails as it is told.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What happens to a request instead of what should.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// This answer, `503 Service Unavailable\nRetry-After: 0`. `HOST` becomes the address.
    Answer(String),
    /// Only so many bytes of the body arrive and are kept; then the connection breaks.
    Cut(usize),
    /// Everything is done, and the answer is lost.
    LoseAnswer,
    /// The token that was given out is not good any more.
    Forget,
    /// Nothing is answered.
    Silence,
}

/// What the registry has and knows.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) host: String,
    pub(crate) blobs: BTreeMap<String, Vec<u8>>,
    pub(crate) manifests: BTreeMap<String, Vec<u8>>,
    uploads: BTreeMap<String, Vec<u8>>,
    /// Faults by the beginning of the request line, each for one request.
    pub(crate) faults: Vec<(&'static str, Fault)>,
    /// Every request: line, and range when there is one.
    pub(crate) log: Vec<String>,
    /// How many bytes of blobs arrived.
    pub(crate) received: usize,
    /// What was shown as authentication.
    pub(crate) shown: Vec<String>,
    /// Whether a token is needed.
    pub(crate) guarded: bool,
    tokens: usize,
    /// Where uploads go; here when empty.
    pub(crate) elsewhere: String,
    /// Whether bytes after the first part are thrown away.
    pub(crate) forgetful: bool,
    /// Whether a manifest whose blobs are not there is answered, and no reason to panic.
    pub(crate) lenient: bool,
    next: usize,
}

pub(crate) struct Server {
    pub(crate) host: String,
    pub(crate) world: Arc<Mutex<World>>,
}

struct Request {
    line: String,
    head: String,
    body: Vec<u8>,
}

impl Request {
    fn header(&self, name: &str) -> String {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.to_owned())
            .next()
            .unwrap_or_default()
    }
}

pub(crate) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let world = Arc::new(Mutex::new(World { host: host.clone(), ..World::default() }));
        let all = world.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, all.clone()));
            }
        });
        Self { host, world }
    }

    pub(crate) fn fail(&self, on: &'static str, fault: Fault) {
        self.world.lock().unwrap().faults.push((on, fault));
    }
}

/// One request a connection.
async fn serve(mut socket: TcpStream, world: Arc<Mutex<World>>) {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 65536];
    let (head, start) = loop {
        let n = socket.read(&mut buffer).await.unwrap_or(0);
        if n == 0 {
            return;
        }
        bytes.extend_from_slice(&buffer[..n]);
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break (String::from_utf8(bytes[..at].to_vec()).unwrap(), at + 4);
        }
    };
    let line = head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
    let mut request = Request { line, head, body: bytes.split_off(start) };
    let fault = {
        let mut world = world.lock().unwrap();
        let at = world.faults.iter().position(|(on, _)| request.line.starts_with(on));
        at.map(|at| world.faults.remove(at).1)
    };
    let length = request.header("content-length").parse().unwrap_or(0);
    let most = if let Some(Fault::Cut(most)) = fault { most.min(length) } else { length };
    while request.body.len() < most {
        let n = socket.read(&mut buffer).await.unwrap_or(0);
        if n == 0 {
            break;
        }
        request.body.extend_from_slice(&buffer[..n]);
    }
    let complete = request.body.len() == length;
    request.body.truncate(most);
    if let Some(Fault::Silence) = fault {
        tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    }
    let answer = world.lock().unwrap().take(&request, fault.as_ref(), complete);
    if let Some(answer) = answer {
        let (head, body) = answer.split_once("\n\n").unwrap_or((&answer, ""));
        let head = head.replace('\n', "\r\n");
        let length = body.len();
        let text = format!("HTTP/1.1 {head}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
        let _ = socket.write_all(text.as_bytes()).await;
        let _ = socket.shutdown().await;
    }
}

impl World {
    fn take(&mut self, request: &Request, fault: Option<&Fault>, complete: bool) -> Option<String> {
        let range = request.header("content-range");
        let range = if range.is_empty() { range } else { format!(" [{range}]") };
        self.log.push(format!("{}{range}", request.line));
        self.shown.push(request.header("authorization"));
        match fault {
            Some(Fault::Answer(answer)) => return Some(answer.replace("HOST", &self.host)),
            Some(Fault::Forget) => self.tokens += 1,
            _ => {}
        }
        let answer = self.answer(request, complete);
        let lost = !complete || matches!(fault, Some(Fault::LoseAnswer | Fault::Silence));
        if lost { None } else { Some(answer) }
    }

    fn answer(&mut self, request: &Request, complete: bool) -> String {
        let (method, target) = request.line.split_once(' ').unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if path == "/token" {
            self.tokens += 1;
            return format!("200 OK\n\n{{\"token\":\"t{}\"}}", self.tokens);
        }
        if self.guarded && request.header("authorization") != format!("Bearer t{}", self.tokens) {
            let host = &self.host;
            return format!(
                "401 Unauthorized\nWWW-Authenticate: Bearer realm=\"http://{host}/token\",service=\"s\",scope=\"narrow\""
            );
        }
        let parameter = |name: &str| {
            url::form_urlencoded::parse(query.as_bytes())
                .find(|(key, _)| key == name)
                .map(|(_, v)| v.into_owned())
        };
        let rest = path.strip_prefix("/v2/player/").unwrap_or_else(|| panic!("nobody expected `{target}`"));
        match (method, rest.split('/').collect::<Vec<_>>().as_slice()) {
            ("HEAD", ["blobs", name]) => {
                if self.blobs.contains_key(*name) {
                    "200 OK".to_owned()
                } else {
                    "404 Not Found".to_owned()
                }
            }
            ("HEAD" | "GET", ["manifests", name]) => match self.manifests.get(*name) {
                Some(bytes) => {
                    let body = if method == "GET" {
                        String::from_utf8(bytes.clone()).unwrap()
                    } else {
                        String::new()
                    };
                    format!("200 OK\nDocker-Content-Digest: {}\n\n{body}", digest(bytes))
                }
                None => "404 Not Found".to_owned(),
            },
            ("POST", ["blobs", "uploads", ""]) => {
                match (parameter("mount"), parameter("from").as_deref()) {
                    (Some(mount), Some("player")) if self.blobs.contains_key(&mount) => {
                        return "201 Created".to_owned();
                    }
                    (Some(mount), Some("other")) if mount == digest(b"config") => {
                        self.blobs.insert(mount, b"config".to_vec());
                        return "201 Created".to_owned();
                    }
                    (Some(_), Some("other")) => return "400 Bad Request".to_owned(),
                    _ => {}
                }
                self.next += 1;
                let id = format!("u{}", self.next);
                self.uploads.insert(id.clone(), Vec::new());
                format!("202 Accepted\nLocation: {}/v2/player/blobs/uploads/{id}?state=x", self.elsewhere)
            }
            (_, ["blobs", "uploads", id]) => self.upload(method, id, parameter("digest"), request, complete),
            ("PUT", ["manifests", name]) => {
                let known = |name: &str| self.blobs.contains_key(name);
                let manifest: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
                let named = manifest["layers"].as_array().into_iter().flatten().chain(manifest.get("config"));
                let below = manifest["manifests"].as_array().into_iter().flatten();
                let whole = named.clone().all(|blob| known(blob["digest"].as_str().unwrap()))
                    && below.clone().all(|one| self.manifests.contains_key(one["digest"].as_str().unwrap()));
                if self.lenient && !whole {
                    return "400 Bad Request\n\n{\"errors\":[{\"code\":\"MANIFEST_BLOB_UNKNOWN\"}]}"
                        .to_owned();
                }
                assert!(whole, "something is missing");
                let digest = digest(&request.body);
                self.manifests.insert((*name).to_owned(), request.body.clone());
                self.manifests.insert(digest.clone(), request.body.clone());
                format!("201 Created\nDocker-Content-Digest: {digest}")
            }
            _ => panic!("nobody expected `{}`", request.line),
        }
    }

    fn upload(
        &mut self,
        method: &str,
        id: &str,
        name: Option<String>,
        request: &Request,
        complete: bool,
    ) -> String {
        let Some(kept) = self.uploads.get_mut(id) else {
            return "404 Not Found\n\n{\"errors\":[{\"code\":\"BLOB_UPLOAD_UNKNOWN\"}]}".to_owned();
        };
        let start = request.header("content-range").split('-').next().and_then(|n| n.parse().ok());
        if start.is_some_and(|start: usize| start != kept.len()) {
            return format!("416 Range Not Satisfiable\nRange: 0-{}", kept.len().saturating_sub(1));
        }
        self.received += request.body.len();
        if !(self.forgetful && method == "PATCH") {
            kept.extend_from_slice(&request.body);
        }
        let last = kept.len().saturating_sub(1);
        // The path only: a location may be relative.
        let location = format!("Location: /v2/player/blobs/uploads/{id}?state={last}\nRange: 0-{last}");
        match (method, name) {
            ("GET", _) => format!("204 No Content\n{location}"),
            ("PATCH", _) => format!("202 Accepted\n{location}"),
            ("PUT", Some(name)) if complete => {
                let bytes = self.uploads.remove(id).unwrap();
                if digest(&bytes) != name {
                    return "400 Bad Request\n\n{\"errors\":[{\"code\":\"DIGEST_INVALID\",\"message\":\"no\"}]}".to_owned();
                }
                self.blobs.insert(name.clone(), bytes);
                format!("201 Created\nDocker-Content-Digest: {name}")
            }
            _ => "500 Internal Server Error".to_owned(),
        }
    }
}
