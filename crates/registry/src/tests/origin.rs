//! A server on this machine that says what it was told to say, whoever asks, and writes down who asked for what.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// One answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    /// Status and headers: `200 OK\nContent-Type: x/y`. `HOST` becomes the address.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// Whether the length is said, so that a body that is cut off is noticed.
    pub(crate) announced: Option<usize>,
}

impl Reply {
    pub(crate) fn new(head: &str, body: &[u8]) -> Self {
        Self { head: head.to_owned(), body: body.to_vec(), announced: Some(body.len()) }
    }

    pub(crate) fn ok(body: &[u8]) -> Self {
        Self::new("200 OK", body)
    }
}

#[derive(Debug, Default)]
pub(crate) struct World {
    /// By path, the last one again and again.
    replies: BTreeMap<String, Vec<Reply>>,
    /// `GET /path`, with what was shown as authentication, and the range that was wanted.
    pub(crate) log: Vec<String>,
}

pub(crate) struct Origin {
    pub(crate) host: String,
    pub(crate) world: Arc<Mutex<World>>,
}

impl Origin {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let world = Arc::new(Mutex::new(World::default()));
        let (all, name) = (world.clone(), host.clone());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, all.clone(), name.clone()));
            }
        });
        Self { host, world }
    }

    pub(crate) fn says(&self, path: &str, reply: Reply) {
        self.world.lock().unwrap().replies.entry(path.to_owned()).or_default().push(reply);
    }

    /// As [`Origin::says`], where nothing was said so far.
    pub(crate) fn says_otherwise(&self, path: &str, reply: Reply) {
        self.world.lock().unwrap().replies.entry(path.to_owned()).or_insert_with(|| vec![reply]);
    }

    pub(crate) fn log(&self) -> Vec<String> {
        self.world.lock().unwrap().log.clone()
    }
}

/// One request a connection.
async fn serve(mut socket: TcpStream, world: Arc<Mutex<World>>, host: String) {
    let (mut head, mut buffer) = (Vec::new(), [0; 4096]);
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        match socket.read(&mut buffer).await {
            Ok(n @ 1..) => head.extend_from_slice(&buffer[..n]),
            _ => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let header = |name: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| format!(" {value}")).next()
    };
    let line = head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
    let path =
        line.split_once(' ').map_or("", |(_, target)| target).split('?').next().unwrap_or("").to_owned();
    let reply = {
        let mut world = world.lock().unwrap();
        let shown = header("authorization").unwrap_or_default();
        world.log.push(format!("{line}{shown}{}", header("range").unwrap_or_default()));
        match world.replies.get_mut(&path) {
            Some(left) if left.len() > 1 => left.remove(0),
            Some(left) => left[0].clone(),
            None => Reply::new("404 Not Found", b""),
        }
    };
    let head = reply.head.replace("HOST", &host).replace('\n', "\r\n");
    let length = reply.announced.map(|length| format!("Content-Length: {length}\r\n")).unwrap_or_default();
    let text = format!("HTTP/1.1 {head}\r\nConnection: close\r\n{length}\r\n");
    let _ = socket.write_all(text.as_bytes()).await;
    if !line.starts_with("HEAD") {
        let _ = socket.write_all(&reply.body).await;
    }
    let _ = socket.shutdown().await;
}
