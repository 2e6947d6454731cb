//! A way to the registry that counts requests. It passes bytes on as they are, and reads along only as far as it takes to
//! know where a request ends: heads, lengths and chunks of HTTP/1.1.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// The longest head of a request that is understood.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// A listener on loopback. Its threads end with the process.
pub(crate) struct Proxy {
    port: u16,
    seen: Arc<Seen>,
}

/// What went by, towards the registry.
struct Seen {
    requests: AtomicU64,
    bytes: AtomicU64,
    /// After how many bytes the connection that brings them is closed, once.
    cut: AtomicU64,
}

impl Proxy {
    pub(crate) fn start(registry: &str) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let never = AtomicU64::new(u64::MAX);
        let seen = Arc::new(Seen { requests: AtomicU64::default(), bytes: AtomicU64::default(), cut: never });
        let (shared, registry) = (Arc::clone(&seen), registry.to_owned());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (seen, registry) = (Arc::clone(&shared), registry.clone());
                thread::spawn(move || pass(&client, &registry, &seen));
            }
        });
        Ok(Self { port, seen })
    }

    /// Closes the connection on which so many bytes are complete, once.
    pub(crate) fn cut_once(&self, after: u64) {
        self.seen.cut.store(after, Ordering::Relaxed);
    }

    /// How many bytes came for the registry.
    pub(crate) fn sent(&self) -> u64 {
        self.seen.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// How many requests there were so far.
    pub(crate) fn requests(&self) -> u64 {
        self.seen.requests.load(Ordering::Relaxed)
    }
}

/// One connection, until one side closes it. Its errors are those of a connection that ends.
fn pass(client: &TcpStream, registry: &str, seen: &Seen) {
    let Ok(server) = TcpStream::connect(registry) else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut counter = Counter { count: &seen.requests, state: State::Head(Vec::new()) };
            let whole = copy(client, &server, |bytes| {
                counter.see(bytes);
                let so_far = seen.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                let cut = seen.cut.load(Ordering::Relaxed);
                let here = so_far + bytes.len() as u64 >= cut;
                !(here
                    && seen.cut.compare_exchange(cut, u64::MAX, Ordering::Relaxed, Ordering::Relaxed).is_ok())
            });
            if whole.is_err() {
                let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
            }
        });
        let _ = copy(&server, client, |_| true);
    });
}

/// Until the end, or until `see` says that it is enough.
fn copy(mut from: &TcpStream, mut to: &TcpStream, mut see: impl FnMut(&[u8]) -> bool) -> io::Result<()> {
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let n = from.read(&mut buffer)?;
        if n == 0 {
            return to.shutdown(Shutdown::Write);
        }
        if !see(&buffer[..n]) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        to.write_all(&buffer[..n])?;
    }
}

enum State {
    /// Within a head, which is this so far.
    Head(Vec<u8>),
    /// So many bytes of a body are left.
    Body(u64),
    /// Within the line that tells how long a chunk is.
    ChunkLength(Vec<u8>),
    /// So many bytes of a chunk are left, with the line end behind it.
    Chunk(u64),
}

/// Finds where requests begin.
struct Counter<'a> {
    count: &'a AtomicU64,
    state: State,
}

impl Counter<'_> {
    fn see(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match &mut self.state {
                State::Body(left) | State::Chunk(left) => {
                    let n = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    *left -= n as u64;
                    bytes = &bytes[n..];
                    if *left == 0 {
                        let chunk = matches!(self.state, State::Chunk(_));
                        self.state =
                            if chunk { State::ChunkLength(Vec::new()) } else { State::Head(Vec::new()) };
                    }
                }
                State::ChunkLength(line) => {
                    line.push(bytes[0]);
                    bytes = &bytes[1..];
                    if line.ends_with(b"\r\n") {
                        let text = String::from_utf8_lossy(line);
                        let digits = text.trim_end().split(';').next().unwrap_or_default();
                        let length = u64::from_str_radix(digits, 16).unwrap_or(0);
                        // The last chunk has a line end behind it, as others have; trailers are not in use.
                        self.state = if length == 0 { State::Body(2) } else { State::Chunk(length + 2) };
                    }
                }
                State::Head(head) => {
                    head.push(bytes[0]);
                    bytes = &bytes[1..];
                    if head.ends_with(b"\r\n\r\n") || head.len() > MAX_HEAD_BYTES {
                        self.count.fetch_add(1, Ordering::Relaxed);
                        self.state = after(&String::from_utf8_lossy(head).to_ascii_lowercase());
                    }
                }
            }
        }
    }
}

/// What follows a head.
fn after(head: &str) -> State {
    let value = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    if value("transfer-encoding:") == Some("chunked") {
        return State::ChunkLength(Vec::new());
    }
    match value("content-length:").and_then(|length| length.parse().ok()) {
        None | Some(0) => State::Head(Vec::new()),
        Some(length) => State::Body(length),
    }
}
