//! How a version replaces another, and how it is told whether it is good.

use std::time::Duration;

use super::{Resolver, period, texts};
use crate::problem::ProblemKind;
use crate::project::spec::{
    HealthSpec, RollingSpec, ShutdownSpec, StrategyMap, StrategyName, StrategySpec, VerifySpec,
};
use crate::{Amount, CheckTarget, Health, HttpCheck, Rolling, Shutdown};

impl Resolver<'_> {
    pub(super) fn strategy(&mut self, spec: Option<StrategySpec>) -> Rolling {
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

    pub(super) fn rolling(&mut self, spec: &RollingSpec) -> Rolling {
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

    pub(super) fn health(&mut self, spec: HealthSpec, port: Option<u16>) -> Health {
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

    pub(super) fn checks(
        &mut self,
        specs: Vec<VerifySpec>,
        port: Option<u16>,
        replicas: u32,
    ) -> Vec<HttpCheck> {
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

    pub(super) fn shutdown(&mut self, spec: ShutdownSpec) -> Shutdown {
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
}
