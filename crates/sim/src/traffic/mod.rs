//! Scripted clients: each sends requests to a Service at a steady rate, to the endpoints as they have reached it, and
//! counts what became of them.
//!
//! Requests are not events of the simulation. They are worked out in one go for the time in which nothing changed,
//! each at its own moment, before the next change happens.

mod endpoints;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

pub(crate) use endpoints::{Backend, backends};

use crate::apps::{Dice, Span};
use crate::faults::Faults;
use crate::node::Nodes;
use crate::resource::ENDPOINT_SLICES;
use crate::server::ApiServer;

/// Somebody who sends requests.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// The namespace of the Service.
    pub namespace: String,
    /// The Service.
    pub service: String,
    /// The number or name of its port; the first if absent.
    #[serde(default)]
    pub port: Option<String>,
    /// The path that is asked for.
    #[serde(default = "root")]
    pub path: String,
    /// How many requests a second.
    pub per_second: f64,
    /// How late changes of endpoints reach it.
    #[serde(default = "usual_lag")]
    pub lag: Span,
    /// An answer that takes longer counts as failed.
    #[serde(default = "usual_timeout")]
    pub timeout: Span,
}

fn root() -> String {
    "/".to_owned()
}

fn usual_lag() -> Span {
    Span { least: Duration::from_millis(100), most: Duration::from_millis(500) }
}

fn usual_timeout() -> Span {
    Span::millis(5000)
}

/// What became of requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Answered with a status below 500 in time.
    pub answered: u64,
    /// Answered with 500 or above, or too late.
    pub failed: u64,
    /// Not answered: nobody was there, or nobody listened.
    pub lost: u64,
}

impl Counts {
    /// All of them.
    pub fn sent(self) -> u64 {
        self.answered + self.failed + self.lost
    }
}

#[derive(Debug)]
struct Stream {
    client: Client,
    begun: Timestamp,
    /// How many requests were sent.
    sent: u64,
    /// What the client knows, and what it will know from when on.
    known: Vec<Backend>,
    coming: VecDeque<(Timestamp, Vec<Backend>)>,
    counts: BTreeMap<Arc<str>, Counts>,
}

/// All clients.
#[derive(Debug)]
pub struct Traffic {
    seed: u64,
    faults: Faults,
    streams: Vec<Stream>,
    seen: u64,
}

impl Traffic {
    /// Nobody sends anything yet.
    pub fn new(seed: u64, faults: Faults) -> Self {
        Self { seed, faults, streams: Vec::new(), seen: 1 }
    }

    /// A client begins to send. Its number is that of its counts.
    pub fn begin(&mut self, server: &ApiServer, now: Timestamp, client: Client) -> usize {
        let known = backends(server, &client.namespace, &client.service, client.port.as_deref());
        let (coming, counts) = (VecDeque::new(), BTreeMap::new());
        self.streams.push(Stream { client, begun: now, sent: 0, known, coming, counts });
        self.streams.len() - 1
    }

    /// What became of a client's requests so far, by the version that should have answered; empty for no endpoint.
    pub fn counts(&self, client: usize) -> impl Iterator<Item = (&str, Counts)> {
        let counts = self.streams.get(client).into_iter().flat_map(|stream| &stream.counts);
        counts.map(|(version, counts)| (&**version, *counts))
    }

    /// The same, all versions together.
    pub fn total(&self, client: usize) -> Counts {
        self.counts(client).fold(Counts::default(), |sum, (_, counts)| Counts {
            answered: sum.answered + counts.answered,
            failed: sum.failed + counts.failed,
            lost: sum.lost + counts.lost,
        })
    }

    /// Sends everything that is to be sent before `now`, to a cluster in which nothing has happened since the last
    /// time.
    pub fn advance(&mut self, server: &ApiServer, nodes: &Nodes, now: Timestamp) {
        if self.streams.is_empty() {
            self.seen = server.store().revision();
            return;
        }
        self.watch(server, now);
        for at in 0..self.streams.len() {
            let dice = Dice::new(self.seed, &self.streams[at].client.service, "traffic").of(&at.to_string());
            self.streams[at].send(nodes, now, dice);
        }
    }

    fn watch(&mut self, server: &ApiServer, now: Timestamp) {
        if server.store().revision() == self.seen {
            return;
        }
        let mut moved: BTreeMap<(String, String), Timestamp> = BTreeMap::new();
        if let Ok(changes) = server.store().changes(&ENDPOINT_SLICES, self.seen) {
            for change in changes {
                let slice = &change.object;
                if let Some(service) = slice.label(endpoints::SERVICE_NAME) {
                    moved.insert((slice.namespace().to_owned(), service.to_owned()), change.at);
                }
            }
        } else {
            let all = self.streams.iter().map(|s| (s.client.namespace.clone(), s.client.service.clone()));
            moved = all.map(|key| (key, now)).collect();
        }
        self.seen = server.store().revision();
        for ((namespace, service), at) in moved {
            let late = self.faults.endpoint_lag(&namespace, &service, at);
            let hit = |s: &&mut Stream| s.client.namespace == namespace && s.client.service == service;
            for stream in self.streams.iter_mut().filter(hit) {
                let dice = Dice::new(self.seed, &service, "lag");
                let lag = stream.client.lag.draw(dice, self.seen) + late;
                let known = backends(server, &namespace, &service, stream.client.port.as_deref());
                // Changes do not overtake one another.
                let at = stream.coming.back().map_or(at + lag, |(before, _)| (at + lag).max(*before));
                stream.coming.push_back((at, known));
            }
        }
    }
}

impl Stream {
    fn send(&mut self, nodes: &Nodes, now: Timestamp, dice: Dice) {
        if self.client.per_second <= 0.0 {
            return;
        }
        let pause = Duration::from_secs_f64(1.0 / self.client.per_second).max(Duration::from_micros(1));
        loop {
            let n = self.sent;
            let at = self.begun + pause.saturating_mul(u32::try_from(n).unwrap_or(u32::MAX));
            if at >= now {
                return;
            }
            self.sent += 1;
            while self.coming.front().is_some_and(|(from, _)| *from <= at) {
                if let Some((_, known)) = self.coming.pop_front() {
                    self.known = known;
                }
            }
            self.request(nodes, at, n, dice);
        }
    }

    fn request(&mut self, nodes: &Nodes, at: Timestamp, n: u64, dice: Dice) {
        let timeout = self.client.timeout.least;
        let count = u64::try_from(self.known.len()).unwrap_or(0);
        let chosen = usize::try_from(dice.below(n, count)).unwrap_or(0);
        let Some(backend) = self.known.get(chosen) else {
            self.counts.entry("".into()).or_default().lost += 1;
            return;
        };
        let counts = match self.counts.get_mut(&backend.version) {
            Some(counts) => counts,
            None => self.counts.entry(Arc::clone(&backend.version)).or_default(),
        };
        match nodes.ask_address(at, &backend.ip, backend.port, &self.client.path, n) {
            Ok(answer) if answer.status < 500 && answer.latency <= timeout => counts.answered += 1,
            Ok(_) => counts.failed += 1,
            Err(_) => counts.lost += 1,
        }
    }
}
