//! What surrounds a service: its files, its way in, its numbers, its rights.

use std::collections::BTreeMap;

use super::Resolver;
use crate::problem::ProblemKind;
use crate::project::spec::{AutoscaleSpec, ConfigSpec, DisruptionSpec, IngressSpec, SecuritySpec};
use crate::{Amount, Autoscale, Config, Disruption, Ingress, Resources, Security};

impl Resolver<'_> {
    pub(super) fn config(&mut self, spec: ConfigSpec) -> Config {
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

    pub(super) fn ingress(&mut self, spec: IngressSpec, port: Option<u16>) -> Option<Ingress> {
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

    pub(super) fn disruption(&mut self, spec: &DisruptionSpec) -> Disruption {
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

    pub(super) fn autoscale(
        &mut self,
        spec: &AutoscaleSpec,
        replicas: u32,
        resources: &Resources,
    ) -> Option<Autoscale> {
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

    pub(super) fn security(&mut self, spec: SecuritySpec, config: Option<&Config>) -> Security {
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
