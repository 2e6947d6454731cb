//! One service's keys become a [`Service`]: defaults, rules between keys, and features that do not exist yet.

mod docker;
mod image;
mod native;
mod pod;
mod rollout;

use std::collections::BTreeMap;
use std::time::Duration;

use release_core::ServiceName;

use super::not_yet;
use super::spec::{ResourcesSpec, ServiceSpec};
use super::tree::{Entry, Node};
use super::value::{EnvName, EnvText, Period};
use crate::problem::{Problem, ProblemKind};
use crate::{Place, Resources, Service};

/// Collects what is wrong with one service while it is put together.
pub(crate) struct Resolver<'a> {
    name: &'a ServiceName,
    node: &'a Node,
    key: Place,
    pub(crate) problems: Vec<Problem>,
}

impl<'a> Resolver<'a> {
    /// `entry` is the service's entry in the merged tree.
    pub(crate) fn new(name: &'a ServiceName, entry: &'a Entry) -> Self {
        Self { name, node: &entry.node, key: entry.place.clone(), problems: Vec::new() }
    }

    fn place(&self, problem: Problem, keys: &[&str]) -> Problem {
        let path = ["services", self.name.as_str()].into_iter().chain(keys.iter().copied());
        problem.path(path.collect::<Vec<_>>().join(".")).at(Some(if keys.is_empty() {
            self.key.clone()
        } else {
            self.node.locate(keys)
        }))
    }

    fn complain(&mut self, kind: ProblemKind, keys: &[&str], message: impl Into<String>, help: &str) {
        let problem = self.place(Problem::new(kind, message).help(help), keys);
        self.problems.push(problem);
    }

    fn refuse(&mut self, present: bool, keys: &[&str], feature: &str) {
        if present {
            let problem = self.place(not_yet(feature, ""), keys);
            self.problems.push(problem);
        }
    }

    /// The service, or `None` when something in it is wrong.
    pub(crate) fn service(&mut self, spec: ServiceSpec) -> Option<Service> {
        self.refuse(spec.manifests.is_some(), &["manifests"], "`manifests` (own manifests of a service)");
        self.refuse(spec.before.is_some(), &["before"], "`before` (migrations)");
        self.refuse(spec.secrets.is_some(), &["secrets"], "`secrets`");
        self.refuse(spec.policy.is_some(), &["policy"], "`policy`");
        let image = self.image(spec.image.as_ref(), spec.manifests.is_some());
        let rolling = self.strategy(spec.strategy);
        let port = spec.port.map(|port| port.0);
        let health = self.health(spec.health.unwrap_or_default(), port);
        let replicas = spec.replicas.map_or(1, |replicas| replicas.0);
        let verify = self.checks(spec.verify.unwrap_or_default(), health.port.or(port), replicas);
        let resources = resources(spec.resources.unwrap_or_default());
        let mut service = Service::new(self.name.clone(), image?);
        service.command = texts(spec.command);
        service.args = texts(spec.args);
        service.port = port;
        service.replicas = replicas;
        service.env = self.texts_by_name(spec.env, &["env"]);
        service.config = spec.config.map(|config| self.config(config));
        service.health = health;
        service.needs = spec.needs.unwrap_or_default().into_iter().map(|need| need.0).collect();
        service.rolling = rolling;
        service.verify = verify;
        service.ingress = spec.ingress.and_then(|ingress| self.ingress(ingress, port));
        service.disruption = spec.disruption.map(|disruption| self.disruption(&disruption));
        service.autoscale = spec.autoscale.and_then(|scale| self.autoscale(&scale, replicas, &resources));
        service.resources = resources;
        service.shutdown = self.shutdown(spec.shutdown.unwrap_or_default());
        service.security = self.security(spec.security.unwrap_or_default(), service.config.as_ref());
        self.problems.is_empty().then_some(service)
    }

    fn relative(&mut self, path: &str, keys: &[&str]) {
        if path.is_empty() || path.starts_with('/') {
            let message = format!("`{path}` must be a path relative to the folder of this file");
            self.complain(ProblemKind::BadValue, keys, message, "use `.` for the folder itself");
        }
    }

    fn texts_by_name(
        &mut self,
        values: Option<BTreeMap<EnvName, Option<EnvText>>>,
        keys: &[&str],
    ) -> BTreeMap<String, String> {
        let mut texts = BTreeMap::new();
        for (EnvName(name), value) in values.unwrap_or_default() {
            if let Some(EnvText(text)) = value {
                texts.insert(name, text);
            } else {
                let message = format!("`{name}` has no value");
                let keys = [keys, &[&name]].concat();
                self.complain(ProblemKind::MissingKey, &keys, message, "write `\"\"` for an empty text");
            }
        }
        texts
    }
}

fn period(given: Option<&Period>, default: Duration) -> Duration {
    given.map_or(default, |period| period.0)
}

fn texts(values: Option<Vec<EnvText>>) -> Vec<String> {
    values.unwrap_or_default().into_iter().map(|text| text.0).collect()
}

fn resources(spec: ResourcesSpec) -> Resources {
    Resources {
        cpu: spec.cpu.map(|amount| amount.0),
        cpu_limit: spec.cpu_limit.map(|amount| amount.0),
        memory: spec.memory.map(|amount| amount.0),
    }
}
