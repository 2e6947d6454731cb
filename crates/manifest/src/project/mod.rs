//! `release.yaml`: read strictly, merged for an environment, resolved into [`Service`]s.
//!
//! ```text
//! text ── tree ── --set ── spec (all keys, all environments) ─► Project
//!          └── merge(environment) ── variables ── spec ── resolve ─► Environment
//! ```
//!
//! Reading a file, and everything a file name in it refers to, is somebody else's job.

mod check;
mod decode;
mod local;
mod merge;
mod resolve;
mod set;
mod spec;
mod supply;
mod tree;
mod value;
mod vars;

use std::collections::{BTreeMap, BTreeSet};

use release_core::{EnvironmentName, ProjectName, Repository, ServiceName};

pub use local::LOCAL;
pub use set::{Set, SetError};
pub use spec::schema;

use crate::problem::{Problem, ProblemKind, ProjectError, closest, listed};
use crate::{Environment, Gate, ImageSource, Images, Source, Supply};
use resolve::Resolver;
use spec::{EnvironmentSpec, GateSpec, ProjectSpec, ServiceSpec};
use tree::Node;
use vars::Variables;

/// A `release.yaml` that has been read. What is wrong in one environment alone is found when that is asked for.
#[derive(Debug, Clone)]
pub struct Project {
    name: ProjectName,
    services: BTreeSet<ServiceName>,
    environments: BTreeSet<EnvironmentName>,
    supply: Supply,
    tree: Node,
    variables: Variables,
}

impl Project {
    /// Reads a project. `vars` gives the values of `${VAR}`, usually from the process environment; `sets` are
    /// overrides from the command line, later ones winning.
    ///
    /// # Errors
    /// Everything that is wrong whichever environment is chosen, each with its place and the way out.
    pub fn parse(
        source: &Source,
        vars: &dyn Fn(&str) -> Option<String>,
        sets: &[Set],
    ) -> Result<Self, ProjectError> {
        source.check_size()?;
        let mut tree = Node::parse(source)?;
        if tree.value == tree::Value::Null {
            let problem = Problem::new(ProblemKind::Syntax, format!("{} is empty", source.name()));
            return Err(problem.help("`release init` writes a first one").into());
        }
        for set in sets {
            set.apply(&mut tree)?;
        }
        let spec: ProjectSpec = decode::decode(&tree, "")?;
        let mut problems = Vec::new();
        let project = Self {
            name: spec.project.clone(),
            supply: supply::supply(&spec, &tree, &mut problems),
            services: spec.services.keys().cloned().collect(),
            environments: spec.environments.keys().cloned().collect(),
            variables: Variables::collect(&tree, vars),
            tree,
        };
        problems.extend(vars::misplaced(&project.tree));
        problems.extend(check::whole(&spec, &project.tree));
        if problems.is_empty() { Ok(project) } else { Err(sorted(problems)) }
    }

    /// The project's name.
    pub fn name(&self) -> &ProjectName {
        &self.name
    }

    /// The services of the file.
    pub fn service_names(&self) -> &BTreeSet<ServiceName> {
        &self.services
    }

    /// The environments of the file. The environment `local`, which everybody has, need not be among them.
    pub fn environment_names(&self) -> &BTreeSet<EnvironmentName> {
        &self.environments
    }

    /// What can be built or pinned without knowing an environment.
    ///
    /// # Errors
    /// When the image of a service cannot be had, or a variable it names has no value.
    pub fn images(&self) -> Result<Images, ProjectError> {
        let mut tree = self.tree.clone();
        let mut problems = self
            .variables
            .fill(&mut tree, |path| matches!(path, ["registry"] | ["services", _, "image", ..]));
        if !problems.is_empty() {
            return Err(sorted(problems));
        }
        let registry = read_registry(&tree, &mut problems);
        let services = self.each_service(&tree, &mut problems, |resolver, spec| {
            resolver.image(spec.image.as_ref(), spec.manifests.is_some())
        });
        // What needs no engine can be built into an image layout, and that needs no registry.
        let engine = services.values().filter(|image| matches!(image, ImageSource::Dockerfile(_)));
        check::registry_needed(registry.as_ref(), engine, &tree, &mut problems);
        if !problems.is_empty() {
            return Err(sorted(problems));
        }
        let texts = services.iter().map(|(name, image)| (name, image, None));
        let warnings = check::inline_secrets(texts, &tree);
        Ok(Images { registry, supply: self.supply.clone(), warnings, services })
    }

    /// The project in one environment: overrides merged, variables filled in, defaults applied.
    ///
    /// # Errors
    /// When there is no such environment, when a feature is used there that does not exist yet, when a variable has
    /// no value, or when the result makes no sense. Other environments are not looked at.
    pub fn environment(&self, name: &str) -> Result<Environment, ProjectError> {
        let key = self.find_environment(name)?;
        let mut tree = merge::environment(&self.tree, name);
        let mut problems = Vec::new();
        if name == local::LOCAL {
            local::adapt(&mut tree, &self.name, &mut problems);
        }
        problems.extend(self.variables.fill(&mut tree, |_| true));
        if !problems.is_empty() {
            for problem in &mut problems {
                if let Some(key) = problem.path.strip_prefix("environment.") {
                    problem.path = format!("environments.{name}.{key}");
                }
            }
            return Err(sorted(problems));
        }
        let spec = match tree.get("environment") {
            Some(node) => decode::decode::<EnvironmentSpec>(node, &format!("environments.{name}"))?,
            None => EnvironmentSpec::default(),
        };
        let registry = read_registry(&tree, &mut problems);
        #[expect(clippy::redundant_closure_for_method_calls, reason = "the method is bound to one lifetime")]
        let services = self.each_service(&tree, &mut problems, |resolver, spec| resolver.service(spec));
        if problems.is_empty() {
            let graph =
                services.iter().map(|(name, service)| (name, service.needs.iter().collect())).collect();
            problems.extend(check::needs(&graph, &self.services, &tree));
        }
        check::registry_needed(
            registry.as_ref(),
            services.values().map(|service| &service.image),
            &tree,
            &mut problems,
        );
        let gate = match spec.gate {
            None | Some(GateSpec::Auto) => Gate::Auto,
            Some(GateSpec::Manual) => Gate::Manual,
            Some(GateSpec::Earned) => {
                problems.push(
                    not_yet("gate `earned`", &format!("environments.{name}.gate"))
                        .at(Some(tree.locate(&["environment", "gate"]))),
                );
                Gate::Manual
            }
        };
        let signed = supply::signed(spec.policy.as_ref(), name, &tree, &mut problems);
        let namespace = check::namespace(spec.namespace.as_deref(), name, &tree, &mut problems);
        if !problems.is_empty() {
            return Err(sorted(problems));
        }
        let texts = services.values().map(|service| (&service.name, &service.image, Some(&service.env)));
        let warnings = check::inline_secrets(texts, &tree);
        Ok(Environment {
            project: self.name.clone(),
            name: key,
            context: spec.context,
            namespace,
            gate,
            registry,
            pull_secrets: spec.pull_secrets.unwrap_or_default(),
            cluster: spec.cluster,
            supply: self.supply.clone(),
            signed,
            warnings,
            services,
        })
    }

    fn find_environment(&self, name: &str) -> Result<EnvironmentName, ProjectError> {
        if let Some(key) = self.environments.iter().find(|key| key.as_str() == name) {
            return Ok(key.clone());
        }
        if let Some(local) = name.parse().ok().filter(|_| name == local::LOCAL) {
            return Ok(local);
        }
        // Everybody has `local`, whether it is in the file or not.
        let known = || {
            let own =
                self.environments.iter().map(EnvironmentName::as_str).filter(|name| *name != local::LOCAL);
            own.chain([local::LOCAL])
        };
        let problem = Problem::new(ProblemKind::UnknownName, format!("there is no environment `{name}`"))
            .path("environments")
            .at(Some(self.tree.locate(&["environments"])));
        Err(match closest(name, known()) {
            Some(close) => problem.help(format!("did you mean `{close}`?")),
            None if self.environments.is_empty() => {
                problem.help(format!("add one: `environments: {{{name}: {{context: …, namespace: …}}}}`"))
            }
            None => problem.help(format!("environments here are {}", listed(known()))),
        }
        .into())
    }

    /// Decodes every service of a tree and makes something of it.
    fn each_service<T>(
        &self,
        tree: &Node,
        problems: &mut Vec<Problem>,
        make: impl Fn(&mut Resolver<'_>, ServiceSpec) -> Option<T>,
    ) -> BTreeMap<ServiceName, T> {
        let mut services = BTreeMap::new();
        for name in &self.services {
            let Some(entry) = tree.get("services").and_then(|services| services.entry(name.as_str())) else {
                continue;
            };
            match decode::decode::<ServiceSpec>(&entry.node, &format!("services.{name}")) {
                Ok(spec) => {
                    let mut resolver = Resolver::new(name, entry);
                    services.extend(make(&mut resolver, spec).map(|value| (name.clone(), value)));
                    problems.append(&mut resolver.problems);
                }
                Err(error) => problems.extend(error.problems),
            }
        }
        services
    }
}

/// The feature by its name, and that it does not exist.
fn not_yet(feature: &str, path: &str) -> Problem {
    let message = format!("{feature} is not part of this version of release");
    Problem::new(ProblemKind::NotYet, message).path(path)
}

fn read_registry(tree: &Node, problems: &mut Vec<Problem>) -> Option<Repository> {
    let entry = tree.entry("registry")?;
    let tree::Value::Text(text) = &entry.node.value else { return None };
    let message = match text.parse() {
        // Alone, a host name would be read as a repository of Docker Hub.
        Ok(_) if !text.contains('/') => format!("`{text}` has no path"),
        Ok(registry) => return Some(registry),
        Err(error) => error.to_string(),
    };
    let problem = Problem::new(ProblemKind::BadValue, format!("`registry`: {message}")).path("registry");
    problems.push(
        problem
            .at(Some(entry.node.place.clone()))
            .help("write a registry and a path, as in `registry.example.com/radio`"),
    );
    None
}

/// In the order of the file; what has no place, first.
fn sorted(mut problems: Vec<Problem>) -> ProjectError {
    problems.sort_by_key(|problem| problem.place.as_ref().map(|place| place.range.start));
    problems.dedup();
    ProjectError { problems }
}
