//! The engine: an API server, everybody who works in the cluster, and virtual time.
//!
//! Time moves only when somebody says so ([`Simulation::advance`]), and stops at every moment at which something is
//! due. At each, everybody acts again and again until nobody writes any more.

mod snapshot;

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use crate::actor::Actor;
use crate::api::{LogQuery, Model, Proxied, ProxyTarget};
use crate::apps::{Apps, Dice};
use crate::controllers::Controllers;
use crate::face::{Clock, SimService};
use crate::faults::{Chaos, Fault, Faults, Meddling};
use crate::node::{HttpAnswer, NoAnswer, NodeConfig, Nodes};
use crate::profile::ApiProfile;
use crate::server::{ApiServer, Seed};
use crate::status::Status;
use crate::store::Retention;
use crate::time::earlier;
use crate::trace::{Keep, Trace};
use crate::traffic::{Traffic, backends};

pub(crate) use snapshot::Kept;
pub use snapshot::{Snapshot, SnapshotError};

/// How often everybody acts at one moment before the rest is left to the next one. Quiet clusters need two rounds; a
/// chain of controllers as long as this does not exist, two that undo each other's writes do.
const MOST_ROUNDS: usize = 64;

/// What is due "now" again after everything settled is due so much later.
const TICK: Duration = Duration::from_millis(1);

/// How a simulation starts.
#[derive(Debug, Clone)]
pub struct SimulationConfig {
    /// Everything that is drawn is drawn from this.
    pub seed: u64,
    /// Which version of Kubernetes is played.
    pub profile: ApiProfile,
    /// What time it is at the start.
    pub start: Timestamp,
    /// How much history the API server keeps.
    pub retention: Retention,
    /// The nodes.
    pub nodes: NodeConfig,
    /// What container images do.
    pub apps: Apps,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// How much of what happens is written down.
    pub keep: Keep,
}

impl Default for SimulationConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            profile: ApiProfile::CURRENT,
            // Any fixed moment does: 2026-01-01T00:00:00Z.
            start: Timestamp::constant(1_767_225_600, 0),
            retention: Retention::default(),
            nodes: NodeConfig::default(),
            apps: Apps::default(),
            faults: Vec::new(),
            keep: Keep::default(),
        }
    }
}

impl SimulationConfig {
    fn server_seed(&self) -> Seed {
        Seed { seed: self.seed, retention: self.retention, profile: self.profile }
    }
}

/// A cluster in virtual time.
pub struct Simulation {
    server: ApiServer,
    now: Timestamp,
    nodes: Nodes,
    chaos: Chaos,
    /// What goes wrong, also between the API server and its clients.
    faults: Faults,
    traffic: Traffic,
    controllers: Option<Controllers>,
    /// Until when the controllers do nothing.
    paused: Option<Timestamp>,
    /// The revision at which the controllers had nothing left to do, and when they want to act although nobody writes.
    rested: Option<(u64, Option<Timestamp>)>,
    actors: Vec<Box<dyn Actor + Send>>,
    wake: Option<Timestamp>,
    /// The last revision everybody has acted on.
    settled: u64,
    trace: Trace,
    seed: u64,
    asked: u64,
}

impl fmt::Debug for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulation").field("now", &self.now).field("wake", &self.wake).finish_non_exhaustive()
    }
}

impl Simulation {
    /// A cluster with nodes and nobody else; controllers are added.
    pub fn new(config: SimulationConfig) -> Self {
        Self::around(ApiServer::new(config.start, &config.server_seed()), config)
    }

    /// A cluster with this server.
    fn around(mut server: ApiServer, config: SimulationConfig) -> Self {
        let SimulationConfig { seed, profile: _, start, retention: _, nodes, apps, faults, keep } = config;
        let faults = Faults::new(seed, start, faults);
        server.set_faults(faults.clone());
        let nodes = Nodes::new(&mut server, start, apps, nodes, faults.clone(), seed);
        Self {
            nodes,
            chaos: Chaos::new(faults.clone()),
            traffic: Traffic::new(seed, faults.clone()),
            controllers: None,
            faults,
            paused: None,
            rested: None,
            actors: Vec::new(),
            wake: Some(start),
            settled: 0,
            trace: Trace::new(start, keep),
            now: start,
            seed,
            asked: 0,
            server,
        }
    }

    /// A whole cluster: nodes and all controllers.
    pub fn whole(config: SimulationConfig) -> Self {
        Self::new(config).with_controllers()
    }

    fn with_controllers(mut self) -> Self {
        let mut controllers = Controllers::default();
        controllers.scheduler.faults = self.faults.clone();
        self.controllers = Some(controllers);
        self
    }

    /// A whole cluster behind its API, which goes on by itself on this runtime: what most tests need. On a paused clock its time is
    /// virtual.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn start(config: SimulationConfig) -> SimService<Self> {
        let simulation = Self::whole(config);
        let clock = Clock::starting_at(simulation.now());
        let service = SimService::new(simulation, clock);
        tokio::spawn(service.clone().drive());
        service
    }

    /// Adds somebody who works in the cluster; those added first act first.
    pub fn add(&mut self, actor: impl Actor + Send + 'static) {
        self.actors.push(Box::new(actor));
        self.wake = Some(self.now);
    }

    /// What time it is.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The API server, to look at.
    pub fn server(&self) -> &ApiServer {
        &self.server
    }

    /// The API server, to write to. What follows from a write happens with the next step, even one of no length.
    pub fn server_mut(&mut self) -> &mut ApiServer {
        &mut self.server
    }

    /// The nodes.
    pub fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    /// The nodes and the server, for losing some or changing what images do.
    pub fn nodes_mut(&mut self) -> (&mut Nodes, &mut ApiServer) {
        self.wake = Some(self.now);
        (&mut self.nodes, &mut self.server)
    }

    /// The clients.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// A client begins to send requests now; its number is that of its counts.
    pub fn begin_traffic(&mut self, client: crate::traffic::Client) -> usize {
        self.traffic.begin(&self.server, self.now, client)
    }

    /// Other things go wrong from now on; their windows are counted from here.
    pub fn begin_faults(&mut self, plan: &[Fault]) {
        self.faults.begin(self.now, plan);
        self.server.begin_faults(self.now, plan);
        self.nodes.begin_faults(self.now, plan);
        self.chaos.begin(&mut self.server, self.now, plan);
        self.traffic.begin_faults(self.now, plan);
        self.rested = None;
        self.wake = Some(self.now);
    }

    /// What happened.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// When something happens next without anybody's doing.
    pub fn next_wake(&self) -> Option<Timestamp> {
        earlier(self.wake, self.unsettled())
    }

    /// When somebody wrote something nobody has acted on.
    fn unsettled(&self) -> Option<Timestamp> {
        let store = self.server.store();
        if store.revision() == self.settled {
            return None;
        }
        let last = store.all_changes(store.revision() - 1).ok().and_then(Iterator::last);
        Some(last.map_or(self.now, |change| change.at.max(self.now)))
    }

    /// Lets time pass.
    pub fn advance(&mut self, by: Duration) {
        self.step_to(self.now + by);
    }

    /// Lets everything happen that is due until `now`, which is not before the last one.
    pub fn step_to(&mut self, now: Timestamp) {
        while let Some(due) = self.next_wake().filter(|due| *due <= now) {
            self.settle(due.max(self.now));
        }
        self.now = self.now.max(now);
        self.traffic.advance(&self.server, &self.nodes, self.now);
    }

    /// One moment: everybody acts until nobody writes.
    fn settle(&mut self, at: Timestamp) {
        self.traffic.advance(&self.server, &self.nodes, at);
        self.now = at;
        let mut wake;
        let mut rounds = 0;
        loop {
            let before = self.server.store().revision();
            wake = earlier(self.chaos.act(&mut self.server, at), self.control(at));
            for actor in &mut self.actors {
                wake = earlier(wake, actor.act(&mut self.server, at));
            }
            wake = earlier(wake, self.nodes.act(&mut self.server, at));
            rounds += 1;
            if self.server.store().revision() == before || rounds == MOST_ROUNDS {
                break;
            }
        }
        self.wake = wake.map(|wake| wake.max(at + TICK));
        self.settled = self.server.store().revision();
        let mut notes = self.chaos.take_notes();
        if let Some(controllers) = &mut self.controllers {
            notes.append(&mut controllers.scheduler.take_notes());
        }
        notes.append(&mut self.nodes.take_notes());
        for note in notes {
            self.trace.note(&note);
        }
        self.note_of_server();
        self.trace.follow(self.server.store());
    }

    /// Writes down what faults did to writes.
    fn note_of_server(&mut self) {
        for note in self.server.take_notes() {
            self.trace.note(&note);
        }
    }

    /// The controllers act, unless a fault keeps them from it.
    fn control(&mut self, at: Timestamp) -> Option<Timestamp> {
        let controllers = self.controllers.as_mut()?;
        let Some((until, note)) = self.faults.controllers_pause(at) else {
            self.paused = None;
            if let Some((revision, next)) = self.rested
                && revision == self.server.store().revision()
                && next.is_none_or(|next| next > at)
            {
                return next;
            }
            let next = controllers.act(&mut self.server, at);
            self.rested = Some((self.server.store().revision(), next));
            return next;
        };
        if self.paused.replace(until) != Some(until) {
            self.trace.note(&note);
        }
        Some(until)
    }

    /// The answer of a pod to a request through the API server's proxy.
    ///
    /// # Errors
    ///
    /// When nobody answers.
    pub fn ask_pod(&mut self, pod: (&str, &str), port: u16, path: &str) -> Result<HttpAnswer, NoAnswer> {
        self.nodes.ask(&self.server, self.now, pod, port, path)
    }

    /// The answer of a Service to a request through the API server's proxy, from one of its endpoints.
    ///
    /// # Errors
    ///
    /// When it has none, or nobody answers.
    pub fn ask_service(
        &mut self,
        (namespace, service): (&str, &str),
        port: Option<&str>,
        path: &str,
    ) -> Result<HttpAnswer, NoAnswer> {
        let all = backends(&self.server, namespace, service, port);
        self.asked += 1;
        let count = u64::try_from(all.len()).unwrap_or(0);
        let chosen = Dice::new(self.seed, service, "proxy").below(self.asked, count);
        let backend = usize::try_from(chosen).ok().and_then(|at| all.get(at)).ok_or(NoAnswer::NoRoute)?;
        self.nodes.ask_address(self.now, &backend.ip, backend.port, path, self.asked)
    }
}

/// What the HTTP face asks of a cluster.
impl Model for Simulation {
    fn server(&self) -> &ApiServer {
        &self.server
    }

    fn server_mut(&mut self) -> &mut ApiServer {
        &mut self.server
    }

    fn advance(&mut self, now: Timestamp) -> Option<Timestamp> {
        self.step_to(now);
        self.next_wake()
    }

    fn meddle(&mut self, now: Timestamp, parts: &http::request::Parts) -> Meddling {
        let mut notes = Vec::new();
        let meddling = self.faults.request(parts, now, &mut notes);
        for note in notes {
            self.trace.note(&note);
        }
        if meddling.compacts {
            // Whoever works in the cluster has seen everything; who reads from afar may not have.
            self.step_to(now);
            self.trace.follow(self.server.store());
            self.server.store_mut().compact(now, true);
        }
        meddling
    }

    fn answered(&mut self, _now: Timestamp) {
        self.note_of_server();
    }

    fn log(&mut self, now: Timestamp, query: &LogQuery) -> Result<Bytes, Status> {
        self.step_to(now);
        self.nodes.logs(&self.server, self.now, query).map(Bytes::from)
    }

    fn proxy(
        &mut self,
        now: Timestamp,
        target: &ProxyTarget,
        request: http::Request<Bytes>,
    ) -> Result<Proxied, Status> {
        self.step_to(now);
        let unavailable = |why: String| Status::new(503, "ServiceUnavailable", why);
        let place = (target.namespace.as_str(), target.name.as_str());
        let path = request.uri().path();
        let answer = if target.is_service {
            let port = Some(target.port.as_str()).filter(|port| !port.is_empty());
            if backends(&self.server, place.0, place.1, port).is_empty() {
                return Err(unavailable(format!("no endpoints available for service \"{}\"", place.1)));
            }
            self.ask_service(place, port, path)
        } else {
            self.ask_pod(place, self.nodes.port_of(&self.server, place, &target.port), path)
        };
        let answer = answer.map_err(|why| unavailable(format!("error trying to reach service: {why}")))?;
        Ok(Proxied {
            status: http::StatusCode::from_u16(answer.status).unwrap_or(http::StatusCode::BAD_GATEWAY),
            headers: http::HeaderMap::new(),
            body: Bytes::from(answer.body),
            after: answer.latency,
        })
    }
}
