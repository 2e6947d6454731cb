//! The Deployment: what runs, how it is replaced without losing requests, and what it may do.

use std::collections::BTreeSet;
use std::time::Duration;

use release_core::PinnedImage;
use serde_json::{Map, Value, json};

use super::{Names, RenderError, put};
use crate::{Amount, Health, Rolling, Service, Shutdown};

/// How many old ReplicaSets are kept: as many as releases are kept from prune.
const REVISIONS: u32 = 10;
/// How often a starting process is asked whether it is there. Often, because a rollout waits for the answer.
const STARTUP_PERIOD_SECS: u64 = 1;

/// The Deployment. `config` is the name of the ConfigMap, if there is one.
pub(super) fn deployment(
    names: &Names<'_>,
    image: &PinnedImage,
    config: Option<&str>,
) -> Result<Value, RenderError> {
    let service = names.service;
    let mut spec = Map::new();
    if service.autoscale.is_none() {
        spec.insert("replicas".to_owned(), service.replicas.into());
    }
    spec.insert("revisionHistoryLimit".to_owned(), REVISIONS.into());
    spec.insert("progressDeadlineSeconds".to_owned(), service.rolling.deadline.as_secs().into());
    spec.insert("selector".to_owned(), json!({"matchLabels": names.selector()}));
    spec.insert("strategy".to_owned(), strategy(service));
    let pod = pod(names, image, config)?;
    spec.insert("template".to_owned(), json!({"metadata": {"labels": names.labels()}, "spec": pod}));
    Ok(names.object("apps/v1", "Deployment", service.name.as_str(), json!({ "spec": spec })))
}

pub(super) fn amount(amount: Amount) -> Value {
    match amount {
        Amount::Count(count) => count.into(),
        Amount::Percent(percent) => format!("{percent}%").into(),
    }
}

fn strategy(service: &Service) -> Value {
    let replicas = service.autoscale.as_ref().map_or(service.replicas, |scale| scale.min);
    let (surge, unavailable) = if replicas <= Rolling::SMALL {
        (Amount::Count(1), Amount::Count(0))
    } else {
        (Amount::Percent(25), Amount::Percent(10))
    };
    let surge = service.rolling.max_surge.unwrap_or(surge);
    let unavailable = service.rolling.max_unavailable.unwrap_or(unavailable);
    json!({
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": amount(surge), "maxUnavailable": amount(unavailable)},
    })
}

fn pod(names: &Names<'_>, image: &PinnedImage, config: Option<&str>) -> Result<Value, RenderError> {
    let service = names.service;
    let (volumes, mounts) = volumes(service, config)?;
    let mut pod = Map::new();
    put(&mut pod, "serviceAccountName", service.name.as_str().into());
    // Otherwise every Service of the namespace becomes a handful of variables, which shadow the service's own.
    put(&mut pod, "enableServiceLinks", false.into());
    put(&mut pod, "terminationGracePeriodSeconds", grace(&service.shutdown).as_secs().into());
    let mut security = Map::new();
    if !service.security.root {
        security.insert("runAsNonRoot".to_owned(), true.into());
        security.insert("runAsUser".to_owned(), service.security.user.into());
    }
    security.insert("seccompProfile".to_owned(), json!({"type": "RuntimeDefault"}));
    put(&mut pod, "securityContext", security.into());
    // Soft, so that a small cluster is enough; always, so that scaling from 1 to 2 does not change the template.
    let spread = json!([{
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": names.selector()},
    }]);
    put(&mut pod, "topologySpreadConstraints", spread);
    put(&mut pod, "containers", json!([container(service, image, mounts)]));
    put(&mut pod, "volumes", volumes.into());
    Ok(pod.into())
}

fn container(service: &Service, image: &PinnedImage, mounts: Vec<Value>) -> Value {
    let mut container = Map::new();
    put(&mut container, "name", service.name.as_str().into());
    put(&mut container, "image", image.to_string().into());
    put(&mut container, "command", service.command.clone().into());
    put(&mut container, "args", service.args.clone().into());
    if let Some(port) = service.port {
        put(&mut container, "ports", json!([{"name": "http", "containerPort": port, "protocol": "TCP"}]));
    }
    let env: Vec<_> = service.env.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    put(&mut container, "env", env.into());
    put(&mut container, "resources", resources(service));
    probes(&mut container, &service.health, service.port);
    put(&mut container, "lifecycle", lifecycle(service));
    put(&mut container, "securityContext", security(service));
    put(&mut container, "volumeMounts", mounts.into());
    container.into()
}

fn security(service: &Service) -> Value {
    let mut security = Map::new();
    security.insert("allowPrivilegeEscalation".to_owned(), false.into());
    security.insert("readOnlyRootFilesystem".to_owned(), service.security.read_only.into());
    // A root process without any capability cannot even read other users' files; whoever asks for root needs them.
    if !service.security.root {
        security.insert("capabilities".to_owned(), json!({"drop": ["ALL"]}));
    }
    security.into()
}

fn resources(service: &Service) -> Value {
    let wanted = &service.resources;
    let text = |quantity: Option<&crate::Quantity>| {
        quantity.map_or(Value::Null, |quantity| quantity.as_str().into())
    };
    let (mut requests, mut limits) = (Map::new(), Map::new());
    put(&mut requests, "cpu", text(wanted.cpu.as_ref()));
    put(&mut requests, "memory", text(wanted.memory.as_ref()));
    put(&mut limits, "cpu", text(wanted.cpu_limit.as_ref()));
    put(&mut limits, "memory", text(wanted.memory.as_ref()));
    let mut resources = Map::new();
    put(&mut resources, "requests", requests.into());
    put(&mut resources, "limits", limits.into());
    resources.into()
}

/// Readiness keeps requests away from a pod that cannot serve; the startup probe gives a slow start its time, and
/// decides when it has had enough.
fn probes(container: &mut Map<String, Value>, health: &Health, port: Option<u16>) {
    let Some(port) = health.port.or(port) else { return };
    let (action, question) = match &health.http {
        Some(path) => ("httpGet", json!({"path": path, "port": port, "scheme": "HTTP"})),
        None => ("tcpSocket", json!({"port": port})),
    };
    let timeout = health.timeout.as_secs();
    container.insert(
        "startupProbe".to_owned(),
        json!({
            action: question,
            "periodSeconds": STARTUP_PERIOD_SECS,
            "timeoutSeconds": timeout,
            "failureThreshold": (health.startup.as_secs() / STARTUP_PERIOD_SECS).max(1),
        }),
    );
    let regular = |action: &str, question: Value| {
        json!({
            action: question,
            "periodSeconds": health.every.as_secs(),
            "timeoutSeconds": timeout,
            "failureThreshold": health.failures,
        })
    };
    container.insert("readinessProbe".to_owned(), regular(action, question));
    if let Some(path) = &health.live {
        let question = json!({"path": path, "port": port, "scheme": "HTTP"});
        container.insert("livenessProbe".to_owned(), regular("httpGet", question));
    }
}

/// The pod is taken out of the load balancers at the same moment in which its process is told to end, and they learn
/// of it later: until then it goes on serving.
fn lifecycle(service: &Service) -> Value {
    let Shutdown { drain, command, .. } = &service.shutdown;
    if !command.is_empty() {
        return json!({"preStop": {"exec": {"command": command}}});
    }
    if drain.as_secs() == 0 || service.port.is_none() {
        return Value::Null;
    }
    json!({"preStop": {"sleep": {"seconds": drain.as_secs()}}})
}

fn grace(shutdown: &Shutdown) -> Duration {
    shutdown.grace.unwrap_or(shutdown.drain + Shutdown::AFTER_DRAIN)
}

fn volumes(service: &Service, config: Option<&str>) -> Result<(Vec<Value>, Vec<Value>), RenderError> {
    let (mut volumes, mut mounts) = (Vec::new(), Vec::new());
    let mut taken = BTreeSet::new();
    let mut take = |path: &str| {
        if taken.insert(path.to_owned()) {
            Ok(())
        } else {
            Err(RenderError::MountedTwice { service: service.name.clone(), path: path.to_owned() })
        }
    };
    if let (Some(name), Some(config)) = (config, &service.config) {
        take(&config.mount)?;
        volumes.push(json!({"name": "config", "configMap": {"name": name}}));
        mounts.push(json!({"name": "config", "mountPath": config.mount, "readOnly": true}));
    }
    for (index, path) in service.security.writable.iter().enumerate() {
        take(path)?;
        let name = format!("writable-{index}");
        volumes.push(json!({"name": name, "emptyDir": {}}));
        mounts.push(json!({"name": name, "mountPath": path}));
    }
    Ok((volumes, mounts))
}
