//! A project in one environment: what is released, and where.

use std::collections::{BTreeMap, BTreeSet};

use release_core::{EnvironmentName, ProjectName, Repository, ServiceName};

use crate::{ImageSource, Need, Problem, RenderContext, Service, Signed, Supply};

/// A project in one environment, overrides merged and variables filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Environment {
    /// The project.
    pub project: ProjectName,
    /// The environment.
    pub name: EnvironmentName,
    /// The kubeconfig context. `None`: the one given on the command line, or the cluster the tool runs in.
    pub context: Option<String>,
    /// The namespace. It exists already: it is not ours to create.
    pub namespace: String,
    /// Who decides whether a release may start.
    pub gate: Gate,
    /// Where built images are kept, one repository a service below this one.
    pub registry: Option<Repository>,
    /// Secrets in the namespace with which nodes pull images.
    pub pull_secrets: Vec<String>,
    /// The UID of the cluster's `kube-system`, or of the target namespace, if the environment is bound to one.
    pub cluster: Option<String>,
    /// What happens to images that are pushed.
    pub supply: Supply,
    /// What every image must be like to be released here.
    pub signed: Option<Signed>,
    /// The services.
    pub services: BTreeMap<ServiceName, Service>,
    /// What is allowed and probably not meant.
    pub warnings: Vec<Problem>,
}

/// What can be built or pinned without knowing an environment.
#[derive(Debug, Clone, PartialEq)]
pub struct Images {
    /// Where built images are kept, one repository a service below this one.
    pub registry: Option<Repository>,
    /// What happens to images that are pushed.
    pub supply: Supply,
    /// Where each service's image comes from.
    pub services: BTreeMap<ServiceName, ImageSource>,
    /// What is allowed and probably not meant.
    pub warnings: Vec<Problem>,
}

/// Who decides whether a release may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Gate {
    /// Nobody has to.
    Auto,
    /// A person.
    Manual,
}

impl Environment {
    /// Whether it is the one everybody has: a simulated cluster and a registry on this machine.
    pub fn is_local(&self) -> bool {
        self.name.as_str() == crate::LOCAL
    }
    /// The services in the order in which they can be released: every wave needs only services of earlier ones.
    ///
    /// Needs of other projects, and of services that are not in this environment, do not order anything.
    pub fn waves(&self) -> Vec<Vec<ServiceName>> {
        let mut done = BTreeSet::new();
        let mut waves = Vec::new();
        while done.len() < self.services.len() {
            let blocked = |need: &Need| match need {
                Need::Own(name) => self.services.contains_key(name) && !done.contains(name),
                Need::Other { .. } => false,
            };
            let open = || self.services.values().filter(|service| !done.contains(&service.name));
            let mut wave: Vec<_> = open()
                .filter(|service| !service.needs.iter().any(blocked))
                .map(|service| service.name.clone())
                .collect();
            if wave.is_empty() {
                // A cycle: refused when a file is read, possible when services are written in code.
                wave = open().map(|service| service.name.clone()).collect();
            }
            done.extend(wave.iter().cloned());
            waves.push(wave);
        }
        waves
    }

    /// What rendering one service of this environment needs to know; `files` are the contents of its
    /// [`crate::Config::files`] folder.
    pub fn render_context(&self, files: BTreeMap<String, Vec<u8>>) -> RenderContext<'_> {
        RenderContext {
            project: &self.project,
            environment: &self.name,
            namespace: &self.namespace,
            pull_secrets: &self.pull_secrets,
            files,
        }
    }
}
