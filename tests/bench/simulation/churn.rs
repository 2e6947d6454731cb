//! A cluster in which much happens: Deployments with Services are made, rolled out and scaled, and their applications
//! start, become ready, crash and flap. Everything a simulation has takes part: all controllers, kubelets with probes and
//! events, endpoints, history.

use std::time::Duration;

use release_sim::trace::Keep;
use release_sim::{Apps, By, Change, NodeConfig, Simulation, SimulationConfig, resource};
use serde_json::{Value, json};

use crate::cost;

/// Applications that behave, that flap, and that crash again and again.
const APPS: &str = "
apps:
  - {image: '*/steady:*', start: 1s..4s, stop: {takes: 500ms}}
  - {image: '*/flapping:*', start: 1s..4s, ready: {up: 6s..12s, down: 3s..8s}}
  - {image: '*/crashing:*', start: 1s..4s, exit: {after: 20s..60s, code: 1}}
";

/// What the pods of a churn are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mix {
    /// What the line is called.
    pub(crate) name: &'static str,
    /// How many Deployments of ten behave, flap, and crash.
    pub(crate) tenths: [usize; 3],
    /// Every so many seconds a tenth of the Deployments gets another image, and another tenth another size; 0: never.
    pub(crate) rolls_every: u64,
    /// The pods belong to nobody: no Deployments and no Services.
    pub(crate) alone: bool,
}

/// What a churn came to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sum {
    /// Stored changes of a pod's phase or readiness.
    pub(crate) transitions: u64,
    /// All writes.
    pub(crate) writes: u64,
    /// CPU time of the simulation itself.
    pub(crate) cpu_seconds: f64,
}

impl Sum {
    /// Transitions per second of CPU time.
    pub(crate) fn rate(self) -> f64 {
        cost::per_second(self.transitions, self.cpu_seconds)
    }

    /// Both together.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            transitions: self.transitions + other.transitions,
            writes: self.writes + other.writes,
            cpu_seconds: self.cpu_seconds + other.cpu_seconds,
        }
    }
}

/// How many Deployments there are.
const DEPLOYMENTS: usize = 300;

/// How many pods each shall have.
const REPLICAS: usize = 6;

/// Plays so many virtual seconds.
pub(crate) fn play(mix: Mix, seconds: u64) -> Sum {
    let apps = Apps::read(APPS).unwrap_or_default();
    let nodes = NodeConfig { count: 50, cpu: 64, images_present: true, ..NodeConfig::default() };
    let config = SimulationConfig { apps, nodes, keep: Keep::Nothing, ..SimulationConfig::default() };
    let mut simulation = Simulation::whole(config);
    let mut sum = Sum::default();
    sum.add(&mut simulation, |simulation| make(simulation, mix));
    for second in 0..seconds {
        let turn = usize::try_from(second).unwrap_or(0);
        let rolls = mix.rolls_every > 0 && second > 0 && second % mix.rolls_every == 0;
        sum.add(&mut simulation, |simulation| {
            if rolls {
                roll(simulation, turn);
            }
            simulation.advance(Duration::from_secs(1));
        });
    }
    sum
}

impl Sum {
    /// Lets something happen, and counts what it led to. The counting is not part of the time.
    fn add(&mut self, simulation: &mut Simulation, act: impl FnOnce(&mut Simulation)) {
        let seen = simulation.server().store().revision();
        let begun = cost::cpu_seconds();
        act(simulation);
        self.cpu_seconds += cost::cpu_seconds() - begun;
        let store = simulation.server().store();
        self.writes += store.revision() - seen;
        let moved = store
            .changes(&resource::PODS, seen)
            .map_or(0, |all| all.filter(|change| is_transition(change)).count());
        self.transitions += u64::try_from(moved).unwrap_or(0);
    }
}

fn is_transition(change: &Change) -> bool {
    let face = |pod: &release_sim::Object| (pod.phase().to_owned(), pod.is_ready());
    change.before.as_ref().map(|before| face(before)) != Some(face(&change.object))
}

fn make(simulation: &mut Simulation, mix: Mix) {
    let now = simulation.now();
    let by = By::manager("bench");
    for n in 0..DEPLOYMENTS {
        let [steady, flapping, _] = mix.tenths;
        let app = match n % 10 {
            turn if turn < steady => "steady",
            turn if turn < steady + flapping => "flapping",
            _ => "crashing",
        };
        let name = name(n);
        if mix.alone {
            for replica in 0..REPLICAS {
                let pod = pod(&format!("{name}-{replica}"), app);
                let made =
                    simulation.server_mut().create(now, &resource::PODS, "default", pod, &By::nobody());
                assert!(made.is_ok(), "{made:?}");
            }
            continue;
        }
        let service = json!({"metadata": {"name": name}, "spec": {
            "selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]}});
        let server = simulation.server_mut();
        let made = [
            server.create(now, &resource::DEPLOYMENTS, "default", deployment(&name, app), &by),
            server.create(now, &resource::SERVICES, "default", service, &by),
        ];
        assert!(made.iter().all(Result::is_ok), "{made:?}");
    }
}

fn name(n: usize) -> String {
    format!("app-{n:04}")
}

fn deployment(name: &str, app: &str) -> Value {
    json!({"metadata": {"name": name, "labels": {"app": name}}, "spec": {
        "replicas": REPLICAS,
        "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": {"app": name}}, "spec": containers(app)},
    }})
}

fn pod(name: &str, app: &str) -> Value {
    json!({"metadata": {"name": name, "labels": {"app": app}}, "spec": containers(app)})
}

fn containers(app: &str) -> Value {
    json!({"containers": [{
        "name": "app",
        "image": format!("registry.example/{app}:1"),
        "ports": [{"containerPort": 8080}],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1},
    }]})
}

/// Rolls a tenth of the Deployments out, and scales another tenth.
fn roll(simulation: &mut Simulation, turn: usize) {
    let now = simulation.now();
    let by = By::manager("bench");
    let server = simulation.server_mut();
    let mut edit = |n: usize, change: &dyn Fn(&mut Value)| {
        let edited = server.edit(now, &resource::DEPLOYMENTS, "default", &name(n), &by, |body| change(body));
        assert!(edited.is_ok(), "{edited:?}");
    };
    let part = DEPLOYMENTS / 10;
    for n in 0..part {
        edit((turn * 7 + n * 10) % DEPLOYMENTS, &|body| {
            let env = json!([{"name": "TURN", "value": turn.to_string()}]);
            body["spec"]["template"]["spec"]["containers"][0]["env"] = env;
        });
        edit((turn * 7 + n * 10 + 3) % DEPLOYMENTS, &|body| {
            body["spec"]["replicas"] = json!(REPLICAS - 2 + (turn + n) % 5);
        });
    }
}
