//! One service's keys become a [`Service`]: defaults, rules between keys, and features that do not exist yet.

use std::collections::BTreeMap;
use std::time::Duration;

use release_core::{PinnedImage, ServiceName};

use super::not_yet;
use super::spec::{
    AutoscaleSpec, ConfigSpec, DisruptionSpec, HealthSpec, ImageSpec, IngressSpec, ResourcesSpec,
    RollingSpec, SecuritySpec, ServiceSpec, ShutdownSpec, StrategyMap, StrategyName, StrategySpec,
    VerifySpec,
};
use super::tree::{Entry, Node};
use super::value::{EnvName, EnvText, Period};
use crate::problem::{Problem, ProblemKind};
use crate::{
    Amount, Autoscale, CheckTarget, Config, Disruption, DockerBuild, Health, HttpCheck, ImageSource, Ingress,
    Place, Resources, Rolling, Security, Service, Shutdown,
};

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

    /// Where the image comes from. `elsewhere`: the service has manifests of its own and may go without.
    pub(crate) fn image(&mut self, spec: Option<&ImageSpec>, elsewhere: bool) -> Option<ImageSource> {
        const WAYS: &str = "write `image: {dockerfile: Dockerfile}` or `image: {ref: repository@sha256:…}`";
        let Some(spec) = spec else {
            if !elsewhere {
                let message = format!("service `{}` has no `image`", self.name);
                self.complain(ProblemKind::MissingKey, &[], message, WAYS);
            }
            return None;
        };
        let native = spec.base.is_some() || spec.layers.is_some() || spec.entrypoint.is_some();
        let build =
            spec.context.is_some() || spec.target.is_some() || spec.args.is_some() || spec.platform.is_some();
        match (&spec.dockerfile, &spec.reference) {
            (None, None) if native => {
                self.refuse(
                    true,
                    &["image"],
                    "an image without a Dockerfile (`base`, `layers`, `entrypoint`)",
                );
                None
            }
            (None, None) => {
                self.complain(
                    ProblemKind::MissingKey,
                    &["image"],
                    "`image` says neither `dockerfile` nor `ref`",
                    WAYS,
                );
                None
            }
            (Some(_), Some(_)) => {
                self.complain(
                    ProblemKind::Conflict,
                    &["image", "ref"],
                    "`image` has both `dockerfile` and `ref`",
                    WAYS,
                );
                None
            }
            _ if native => {
                let message =
                    "`base`, `layers` and `entrypoint` do not go together with `dockerfile` or `ref`";
                self.complain(ProblemKind::Conflict, &["image"], message, WAYS);
                None
            }
            (None, Some(_)) if build => {
                let message =
                    "`context`, `target`, `args` and `platform` belong to a `dockerfile`, not to a `ref`";
                self.complain(ProblemKind::Conflict, &["image"], message, WAYS);
                None
            }
            (None, Some(reference)) => match reference.parse::<PinnedImage>() {
                Ok(image) => Some(ImageSource::Pinned(image)),
                Err(error) => {
                    let way = "what runs is always pinned: `docker buildx imagetools inspect IMAGE` shows the digest of a tag";
                    self.complain(ProblemKind::BadValue, &["image", "ref"], error.to_string(), way);
                    None
                }
            },
            (Some(dockerfile), None) => {
                self.relative(dockerfile, &["image", "dockerfile"]);
                if let Some(platform) = spec.platform.as_deref().filter(|platform| !is_platform(platform)) {
                    let message = format!("`{platform}` is not a platform");
                    let help = "write a system and an architecture, as in `linux/amd64` or `linux/arm64`";
                    self.complain(ProblemKind::BadValue, &["image", "platform"], message, help);
                }
                if let Some(context) = &spec.context {
                    self.relative(context, &["image", "context"]);
                }
                Some(ImageSource::Dockerfile(DockerBuild {
                    dockerfile: dockerfile.clone(),
                    context: spec.context.clone().unwrap_or_else(|| ".".to_owned()),
                    target: spec.target.clone(),
                    args: self.texts_by_name(spec.args.clone(), &["image", "args"]),
                    platform: spec.platform.clone(),
                }))
            }
        }
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

    fn strategy(&mut self, spec: Option<StrategySpec>) -> Rolling {
        let map = match spec {
            None | Some(StrategySpec::Name(StrategyName::Rolling)) => return Rolling::default(),
            Some(StrategySpec::Name(name)) => {
                let word = match name {
                    StrategyName::Rolling => "rolling",
                    StrategyName::Recreate => "recreate",
                    StrategyName::BlueGreen => "blue-green",
                    StrategyName::Canary => "canary",
                    StrategyName::Ab => "ab",
                };
                self.refuse(true, &["strategy"], &format!("the strategy `{word}`"));
                return Rolling::default();
            }
            Some(StrategySpec::Map(map)) => map,
        };
        let StrategyMap { rolling, recreate, blue_green, canary, ab } = map;
        let others = [
            ("recreate", recreate.is_some()),
            ("blue-green", blue_green.is_some()),
            ("canary", canary.is_some()),
            ("ab", ab.is_some()),
        ];
        let given = others.iter().filter(|(_, given)| *given).count() + usize::from(rolling.is_some());
        if given > 1 {
            self.complain(
                ProblemKind::Conflict,
                &["strategy"],
                "`strategy` names more than one strategy",
                "keep one",
            );
        } else {
            for (word, given) in others {
                self.refuse(given, &["strategy", word], &format!("the strategy `{word}`"));
            }
        }
        rolling.map(|rolling| self.rolling(&rolling)).unwrap_or_default()
    }

    fn rolling(&mut self, spec: &RollingSpec) -> Rolling {
        let default = Rolling::default();
        let rolling = Rolling {
            soak: spec.soak.as_ref().map_or(default.soak, |period| period.0),
            deadline: spec.deadline.as_ref().map_or(default.deadline, |period| period.0),
            max_surge: spec.max_surge.map(|share| share.0),
            max_unavailable: spec.max_unavailable.map(|share| share.0),
        };
        let keys = ["strategy", "rolling"];
        let zero = |amount| matches!(amount, Some(Amount::Count(0) | Amount::Percent(0)));
        if zero(rolling.max_surge) && zero(rolling.max_unavailable) {
            let message = "`max_surge` and `max_unavailable` are both 0: no pod could ever be replaced";
            self.complain(ProblemKind::Conflict, &keys, message, "let one of them be 1");
        } else if zero(rolling.max_surge) && rolling.max_unavailable.is_none() {
            let message = "without `max_surge` pods must be allowed to be missing";
            self.complain(ProblemKind::Conflict, &keys, message, "add `max_unavailable: 1`");
        }
        if rolling.deadline < Duration::from_secs(10) {
            let message = "`deadline` must be 10 s at least: no pod starts reliably in less";
            self.complain(ProblemKind::BadValue, &[keys[0], keys[1], "deadline"], message, "write `5m`");
        }
        rolling
    }

    fn health(&mut self, spec: HealthSpec, port: Option<u16>) -> Health {
        let default = Health::default();
        let health = Health {
            http: spec.http.map(|path| path.0),
            port: spec.port.map(|port| port.0),
            live: spec.live.map(|path| path.0),
            every: period(spec.every.as_ref(), default.every),
            timeout: period(spec.timeout.as_ref(), default.timeout),
            failures: spec.failures.unwrap_or(default.failures),
            startup: period(spec.startup.as_ref(), default.startup),
        };
        if (health.http.is_some() || health.live.is_some()) && health.port.or(port).is_none() {
            let message = format!("`health` of service `{}` needs a port", self.name);
            self.complain(ProblemKind::MissingKey, &["health"], message, "add `port: 8080` to the service");
        }
        for (key, value) in
            [("every", health.every), ("timeout", health.timeout), ("startup", health.startup)]
        {
            // The kubelet counts in whole seconds.
            if value.as_secs() == 0 || value.subsec_nanos() > 0 {
                let message = format!("`{key}` must be whole seconds, 1 at least");
                self.complain(ProblemKind::BadValue, &["health", key], message, "write `1s`");
            }
        }
        if health.failures == 0 {
            self.complain(
                ProblemKind::BadValue,
                &["health", "failures"],
                "`failures` must be 1 at least",
                "write 3",
            );
        }
        health
    }

    fn checks(&mut self, specs: Vec<VerifySpec>, port: Option<u16>, replicas: u32) -> Vec<HttpCheck> {
        let mut checks: Vec<HttpCheck> = Vec::new();
        for (index, spec) in specs.into_iter().enumerate() {
            let at = index.to_string();
            if let Some(check) = self.check(spec, &at, port, replicas) {
                if checks.iter().any(|other| other.name == check.name) {
                    let message = format!("two checks are called `{}`", check.name);
                    self.complain(
                        ProblemKind::Conflict,
                        &["verify", &at],
                        message,
                        "give one of them a `name`",
                    );
                }
                checks.push(check);
            }
        }
        checks
    }

    fn check(&mut self, spec: VerifySpec, at: &str, port: Option<u16>, replicas: u32) -> Option<HttpCheck> {
        let keys = ["verify", at];
        let given = [spec.http.is_some(), spec.url.is_some(), spec.prometheus.is_some(), spec.job.is_some()];
        if given.iter().filter(|given| **given).count() != 1 {
            let message = "a check is exactly one of `http`, `url`, `prometheus` and `job`";
            self.complain(ProblemKind::Conflict, &keys, message, "write `verify: [{http: /healthz}]`");
            return None;
        }
        self.refuse(spec.prometheus.is_some(), &[keys[0], at, "prometheus"], "a check by `prometheus`");
        self.refuse(spec.job.is_some(), &[keys[0], at, "job"], "a check by `job`");
        let (target, default_name) = if let Some(path) = spec.http {
            let Some(port) = spec.port.map(|port| port.0).or(port) else {
                let message = format!("the check of `{}` needs a port", path.0);
                self.complain(ProblemKind::MissingKey, &keys, message, "add `port: 8080` to the service");
                return None;
            };
            if replicas == 0 {
                let message = "a check asks the pods, and there are none with `replicas: 0`";
                self.complain(ProblemKind::Conflict, &keys, message, "take the check away, or use `url`");
            }
            (CheckTarget::Pod { path: path.0.clone(), port }, format!("http {}", path.0))
        } else {
            let url = spec.url?;
            if !(url.starts_with("http://") || url.starts_with("https://"))
                || url.contains(char::is_whitespace)
            {
                let message =
                    format!("`{url}` is not an address: it must start with `http://` or `https://`");
                let help = "use `http: /path` to ask the pods themselves";
                self.complain(ProblemKind::BadValue, &[keys[0], at, "url"], message, help);
            }
            (CheckTarget::Url(url.clone()), format!("url {url}"))
        };
        Some(HttpCheck {
            name: spec.name.unwrap_or(default_name),
            target,
            status: spec.status.map_or_else(|| vec![200..=299], |statuses| statuses.0),
            body: spec.body,
            latency: spec.latency.map(|period| period.0),
            every: period(spec.every.as_ref(), Duration::from_secs(2)),
            timeout: period(spec.timeout.as_ref(), Duration::from_secs(5)),
            tolerate: spec.tolerate.unwrap_or(2),
            patience: period(spec.patience.as_ref(), Duration::from_secs(30)),
        })
    }

    fn config(&mut self, spec: ConfigSpec) -> Config {
        let mut data = BTreeMap::new();
        for (file, text) in spec.data.unwrap_or_default() {
            if !crate::render::is_config_key(&file) {
                let message = format!("`{file}` cannot name a file of `config`");
                let help = "file names have letters, digits, `-`, `_` and `.`, and there are no folders";
                self.complain(ProblemKind::BadValue, &["config", "data", &file], message, help);
            }
            if let Some(text) = text {
                data.insert(file, text);
            } else {
                let message = format!("`{file}` has no contents");
                self.complain(
                    ProblemKind::MissingKey,
                    &["config", "data", &file],
                    message,
                    "write `\"\"` for an empty file",
                );
            }
        }
        if spec.files.is_none() && data.is_empty() {
            let help = "write `config: {files: FOLDER}` or `config: {data: {app.ini: …}}`";
            self.complain(
                ProblemKind::MissingKey,
                &["config"],
                "`config` has neither `files` nor `data`",
                help,
            );
        }
        if let Some(files) = &spec.files {
            self.relative(files, &["config", "files"]);
        }
        let mount = spec.mount.map_or_else(|| Config::MOUNT.to_owned(), |folder| folder.0);
        Config { files: spec.files, data, mount }
    }

    fn ingress(&mut self, spec: IngressSpec, port: Option<u16>) -> Option<Ingress> {
        if port.is_none() {
            let message = format!("`ingress` of service `{}` needs a port", self.name);
            self.complain(ProblemKind::MissingKey, &["ingress"], message, "add `port: 8080` to the service");
        }
        let Some(host) = spec.host else {
            self.complain(
                ProblemKind::MissingKey,
                &["ingress"],
                "`ingress` has no `host`",
                "add `host: radio.example.com`",
            );
            return None;
        };
        if !is_host(&host) {
            let message = format!("`{host}` is not a host name");
            self.complain(
                ProblemKind::BadValue,
                &["ingress", "host"],
                message,
                "write it without `https://` and path",
            );
        }
        let annotations = spec.annotations.unwrap_or_default();
        Some(Ingress {
            host,
            path: spec.path.map_or_else(|| "/".to_owned(), |path| path.0),
            class: spec.class,
            tls: spec.tls,
            annotations: annotations.into_iter().filter_map(|(key, value)| Some((key, value?))).collect(),
        })
    }

    fn disruption(&mut self, spec: &DisruptionSpec) -> Disruption {
        match (spec.max_unavailable, spec.min_available) {
            (Some(_), Some(_)) => {
                let message = "`disruption` has both `max_unavailable` and `min_available`";
                self.complain(ProblemKind::Conflict, &["disruption"], message, "keep one");
                Disruption::MaxUnavailable(Amount::Count(1))
            }
            (Some(share), None) => Disruption::MaxUnavailable(share.0),
            (None, Some(share)) => Disruption::MinAvailable(share.0),
            (None, None) => Disruption::MaxUnavailable(Amount::Count(1)),
        }
    }

    fn autoscale(&mut self, spec: &AutoscaleSpec, replicas: u32, resources: &Resources) -> Option<Autoscale> {
        let min = spec.min.map_or(replicas.max(1), |min| min.0);
        let Some(max) = spec.max else {
            self.complain(
                ProblemKind::MissingKey,
                &["autoscale"],
                "`autoscale` has no `max`",
                "add `max: 10`",
            );
            return None;
        };
        if min == 0 || max.0 < min {
            let message =
                format!("`autoscale` from {min} to {} is not a range that starts at 1 or above", max.0);
            self.complain(
                ProblemKind::BadValue,
                &["autoscale"],
                message,
                "let `min` be 1 or more, and `max` not less",
            );
        }
        let cpu_percent = spec.cpu.or((spec.memory.is_none()).then_some(80));
        for (key, percent, request) in
            [("cpu", cpu_percent, &resources.cpu), ("memory", spec.memory, &resources.memory)]
        {
            if percent == Some(0) {
                let message = format!("`{key}` must be 1 percent at least");
                self.complain(ProblemKind::BadValue, &["autoscale", key], message, "write 80");
            }
            if percent.is_some() && request.is_none() {
                let message = format!(
                    "`autoscale` by {key} needs `resources.{key}`: the use is measured in percent of it"
                );
                self.complain(
                    ProblemKind::MissingKey,
                    &["autoscale"],
                    message,
                    "add `resources: {cpu: 100m, memory: 128Mi}`",
                );
            }
        }
        Some(Autoscale { min, max: max.0, cpu_percent, memory_percent: spec.memory })
    }

    fn shutdown(&mut self, spec: ShutdownSpec) -> Shutdown {
        let default = Shutdown::default();
        let shutdown = Shutdown {
            drain: period(spec.drain.as_ref(), default.drain),
            command: texts(spec.command),
            grace: spec.grace.map(|period| period.0),
        };
        if shutdown.drain.subsec_nanos() > 0 || shutdown.grace.is_some_and(|grace| grace.subsec_nanos() > 0) {
            let message = "`drain` and `grace` must be whole seconds";
            self.complain(ProblemKind::BadValue, &["shutdown"], message, "write `5s`");
        }
        if shutdown.grace.is_some_and(|grace| grace <= shutdown.drain) {
            let message = "`grace` must be longer than `drain`: it includes it";
            self.complain(
                ProblemKind::Conflict,
                &["shutdown", "grace"],
                message,
                "leave it away for the drain and 25 s",
            );
        }
        shutdown
    }

    fn security(&mut self, spec: SecuritySpec, config: Option<&Config>) -> Security {
        let default = Security::default();
        let security = Security {
            user: spec.user.unwrap_or(default.user),
            root: spec.root.unwrap_or(default.root),
            read_only: spec.read_only.unwrap_or(default.read_only),
            writable: spec
                .writable
                .map_or(default.writable, |folders| folders.into_iter().map(|folder| folder.0).collect()),
        };
        if security.user == 0 && !security.root {
            let message = "user 0 is root";
            self.complain(
                ProblemKind::Conflict,
                &["security", "user"],
                message,
                "write `root: true` if root is meant",
            );
        }
        for (index, folder) in security.writable.iter().enumerate() {
            let twice = security.writable[..index].contains(folder);
            if twice || config.is_some_and(|config| config.mount == *folder) {
                let message = format!(
                    "the folder `{folder}` has two uses: config and `writable` need folders of their own"
                );
                let keys = if twice { ["security", "writable"] } else { ["config", "mount"] };
                self.complain(ProblemKind::Conflict, &keys, message, "choose another folder");
            }
        }
        security
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

/// `os/architecture`, and a variant when there is one: `linux/arm/v7`.
fn is_platform(text: &str) -> bool {
    let parts: Vec<_> = text.split('/').collect();
    let good =
        |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    (2..=3).contains(&parts.len()) && parts.iter().all(good)
}

/// RFC 1123, with a leading `*.` as Ingress allows it.
fn is_host(host: &str) -> bool {
    let host = host.strip_prefix("*.").unwrap_or(host);
    host.len() <= 253
        && host.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        })
}
