//! What a story plays on: a simulated cluster in virtual time, a connection to it, and clients that send requests.

use std::collections::BTreeMap;

use release_cluster::{Cluster, Conflicts, Store};
use release_pipeline::{Desired, Options};
use release_sim::apps::Span;
use release_sim::trace::Keep;
use release_sim::traffic::Client;
use release_sim::{By, Clock, NodeConfig, SimService, Simulation, SimulationConfig, resource};
use serde_json::{Value, json};

use crate::gauge::Gauge;
use crate::{Rehearsal, ServiceOutcome};

/// Nodes: enough that one can go.
const NODES: u32 = 3;

/// Requests a second of each client: one is lost for every tenth of a second without an answer.
const PER_SECOND: f64 = 10.0;

/// A cluster with everything around it.
pub(crate) struct Stage {
    pub(crate) service: SimService<Simulation>,
    pub(crate) cluster: Cluster,
    pub(crate) store: Store,
    pub(crate) options: Options,
    gauge: Gauge,
    /// The scripted clients' numbers, by service.
    clients: BTreeMap<String, usize>,
}

impl Stage {
    /// Sets up a cluster in which the environment's namespace is there and nothing else. Runs inside a paused runtime.
    ///
    /// # Errors
    /// A sentence, when the stage itself cannot be set up.
    pub(crate) fn new(rehearsal: &Rehearsal, seed: u64) -> Result<Self, String> {
        let environment = &rehearsal.environment;
        let nodes = NodeConfig { count: NODES, ..NodeConfig::default() };
        let apps = rehearsal.apps.clone();
        let config =
            SimulationConfig { seed, apps, nodes, keep: Keep::Nothing, ..SimulationConfig::default() };
        let mut simulation = Simulation::whole(config);
        let gauge = Gauge::new(&environment.namespace, workloads(&rehearsal.versions[1]));
        simulation.add(gauge.clone());
        let now = simulation.now();
        let namespace = json!({"metadata": {"name": environment.namespace}});
        // `default` is there already.
        let made = simulation.server_mut().create(
            now,
            &resource::NAMESPACES,
            "",
            namespace,
            &By::manager("rehearsal"),
        );
        if let Err(status) = made.map(drop)
            && status.code != 409
        {
            return Err(format!("namespace {}: {}", environment.namespace, status.message));
        }
        simulation.advance(std::time::Duration::from_secs(1));
        let clock = Clock::starting_at(simulation.now());
        let service = SimService::new(simulation, clock);
        let cluster = Cluster::from_service(
            service.clone(),
            &environment.namespace,
            "rehearsal",
            release_cluster::Clock::with_wall(move || clock.now()),
        )
        .map_err(|error| error.to_string())?;
        let store = Store::new(&cluster, &environment.project, &environment.name);
        let options = Options {
            project: environment.project.clone(),
            environment: environment.name.clone(),
            version: None,
            actor: "rehearsal".to_owned(),
            holder: "rehearsal".to_owned(),
            lock_timeout: std::time::Duration::from_secs(60),
            conflicts: Conflicts::Refuse,
            only: std::collections::BTreeSet::new(),
            tape: release_pipeline::Tape::default(),
        };
        Ok(Self { service, cluster, store, options, gauge, clients: BTreeMap::new() })
    }

    /// From now on requests are sent, ready pods are counted, and faults happen.
    pub(crate) fn begin(&mut self, rehearsal: &Rehearsal, faults: &[release_sim::faults::Fault]) {
        let namespace = &rehearsal.environment.namespace;
        let clients = &mut self.clients;
        let gauge = &self.gauge;
        self.service.with(|simulation, now| {
            simulation.step_to(now);
            gauge.begin(simulation.server());
            for (service, name, path) in addresses(rehearsal) {
                let number = simulation.begin_traffic(Client {
                    namespace: namespace.clone(),
                    service: name,
                    port: None,
                    path,
                    per_second: PER_SECOND,
                    lag: Span {
                        least: std::time::Duration::from_millis(100),
                        most: std::time::Duration::from_millis(500),
                    },
                    timeout: Span::millis(5000),
                });
                clients.insert(service, number);
            }
            simulation.begin_faults(faults);
        });
    }

    /// What was seen of the services since.
    pub(crate) fn services(&self) -> BTreeMap<String, ServiceOutcome> {
        let reading = self.gauge.reading();
        self.service.with(|simulation, now| {
            simulation.step_to(now);
            let mut all: BTreeMap<_, ServiceOutcome> = BTreeMap::new();
            for (name, (wanted, least_ready)) in reading {
                all.insert(name, ServiceOutcome { wanted, least_ready, ..ServiceOutcome::default() });
            }
            for (name, number) in &self.clients {
                let total = simulation.traffic().total(*number);
                let seen = all.entry(name.clone()).or_default();
                (seen.sent, seen.lost, seen.failed) = (total.sent(), total.lost, total.failed);
            }
            all
        })
    }
}

fn of_kind<'a>(desired: &'a Desired, kind: &'a str) -> impl Iterator<Item = (String, &'a Value)> {
    desired.services.iter().flat_map(move |(service, desired)| {
        let objects = desired.objects.iter().filter(move |(object, _)| object.kind == kind);
        objects.map(move |(_, body)| (service.to_string(), body))
    })
}

fn name_of(body: &Value) -> String {
    body["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

fn workloads(desired: &Desired) -> Vec<(String, String)> {
    of_kind(desired, "Deployment").map(|(service, body)| (service, name_of(body))).collect()
}

/// Service, name of its Service object, and the path that is asked for: that of its first check, else the root. Nobody asks a
/// service that shall have no pods.
fn addresses(rehearsal: &Rehearsal) -> Vec<(String, String, String)> {
    let desired = &rehearsal.versions[0];
    let path_of = |service: &str| {
        let (_, desired) = desired.services.iter().find(|(name, _)| name.as_str() == service)?;
        desired.record.checks.values().find_map(|check| match &check.http.target {
            release_cluster::Target::Pods { path, .. } => path.split('?').next().map(str::to_owned),
            release_cluster::Target::Url { .. } => None,
        })
    };
    let sleeps = |service: &str| {
        of_kind(desired, "Deployment").any(|(of, body)| of == service && body["spec"]["replicas"] == 0)
    };
    let with_port = of_kind(desired, "Service").filter(|(service, body)| {
        body["spec"]["ports"].as_array().is_some_and(|ports| !ports.is_empty()) && !sleeps(service)
    });
    with_port
        .map(|(service, body)| {
            let path = path_of(&service).unwrap_or_else(|| "/".to_owned());
            (service, name_of(body), path)
        })
        .collect()
}
