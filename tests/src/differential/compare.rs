//! A script on both sides, step by step, until they differ.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use futures::future::try_join_all;
use serde_json::{Value, json};

use super::known;
use super::memory::Memory;
use super::normal::Names;
use super::operation::Operation;
use super::real::Real;
use super::simulated::Simulated;

/// What a server answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) code: u16,
    /// The events of a watch; of anything else the one body.
    pub(super) events: Vec<Value>,
    is_watch: bool,
}

impl Answer {
    pub(super) fn read(code: u16, bytes: &[u8], is_watch: bool) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let value = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| json!(text));
        let events = if is_watch { text.lines().map(value).collect() } else { vec![value(&text)] };
        Self { code, events, is_watch }
    }
}

/// One server's side of a run.
pub(super) struct Side {
    pub(super) memory: Memory,
    names: Names,
}

impl Side {
    pub(super) fn new(namespace: &str, account: &Value) -> Self {
        let start = account["metadata"]["resourceVersion"].as_str().unwrap_or_default();
        Self { memory: Memory::new(namespace, start), names: Names::new(namespace) }
    }

    /// Notes an answer, and makes of it what can be compared.
    pub(super) fn note(&mut self, operation: &Operation, mut answer: Answer) -> Value {
        if !answer.is_watch {
            let mut body = answer.events.pop().unwrap_or_default();
            let path = operation.path.split('?').next().unwrap_or_default();
            // What was only tried is not there.
            let is_tried = operation.path.contains("dryRun=All") || operation.body.says("dryRun");
            if !is_tried {
                self.memory.note(path, &body);
            }
            self.names.normalise(&mut body);
            let items = body.get_mut("items").and_then(Value::as_array_mut);
            if let Some(items) = items.filter(|items| has_generated(items)) {
                items.sort_by_key(|item| item["metadata"]["name"].to_string());
            }
            return json!({"code": answer.code, "body": body});
        }
        // Only the order of the events of one object is promised.
        let mut objects: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for event in answer.events {
            let mut name = json!(event["object"]["metadata"]["name"].as_str().unwrap_or_default());
            self.names.normalise(&mut name);
            objects.entry(name.as_str().unwrap_or_default().to_owned()).or_default().push(event);
        }
        let mut events = json!(objects);
        self.names.normalise(&mut events);
        json!({"code": answer.code, "events": events})
    }
}

fn has_generated(items: &[Value]) -> bool {
    items.iter().any(|item| item["metadata"]["generateName"].is_string())
}

/// Both sides said the same.
#[derive(Debug, Default)]
pub struct Agreement {
    /// What was compared and was the same.
    pub agreed: usize,
    /// What differed as it is known to.
    pub known: usize,
    /// What the real server answered, normalised.
    pub answers: Vec<Value>,
}

/// Where they differed.
#[derive(Debug)]
pub struct Disagreement {
    /// Which operation it was.
    pub at: usize,
    /// What the real server answered, up to here.
    pub answers: Vec<Value>,
    /// What the simulation answered here.
    pub simulated: Value,
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let real = self.answers.last().unwrap_or(&Value::Null);
        for line in differences(real, &self.simulated).iter().take(12) {
            writeln!(f, "  {line}")?;
        }
        Ok(())
    }
}

/// Where two values differ, a line each.
pub fn differences(real: &Value, simulated: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    collect(real, simulated, "", &mut lines);
    lines
}

fn collect(real: &Value, simulated: &Value, path: &str, out: &mut Vec<String>) {
    match (real, simulated) {
        (a, b) if a == b => {}
        (Value::Object(a), Value::Object(b)) => {
            let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let (a, b) = (a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null));
                collect(a, b, &format!("{path}/{key}"), out);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (at, (a, b)) in a.iter().zip(b).enumerate() {
                collect(a, b, &format!("{path}/{at}"), out);
            }
        }
        _ => out.push(format!("{path}\n    real       {real}\n    simulated  {simulated}")),
    }
}

/// Runs a script in a namespace of its own on both sides.
///
/// # Errors
/// When the real server cannot be spoken to.
pub async fn compare(real: &Real, operations: &[Operation]) -> Result<Result<Agreement, Disagreement>> {
    let namespace = fresh_namespace();
    let simulated = Simulated::default();
    let mut real_side =
        Side::new(&namespace, &set_up(&namespace, async |m, p, b| real.ask(m, p, b).await).await?);
    let account = set_up(&namespace, async |m, p, b| simulated.ask(m, p, b).await).await?;
    let mut sim_side = Side::new(&namespace, &account);
    let outcome = steps(real, &simulated, &mut real_side, &mut sim_side, operations).await;
    clean_up(real, &namespace).await?;
    outcome
}

async fn steps(
    real: &Real,
    simulated: &Simulated,
    real_side: &mut Side,
    sim_side: &mut Side,
    operations: &[Operation],
) -> Result<Result<Agreement, Disagreement>> {
    let mut agreement = Agreement::default();
    let mut at = 0;
    while at < operations.len() {
        // Watches in a row wait side by side.
        let watches = operations[at..].iter().take_while(|o| o.is_watch()).count();
        let group = &operations[at..at + watches.max(1)];
        let (theirs, ours) = futures::try_join!(
            try_join_all(group.iter().map(|o| real.send(&real_side.memory, o))),
            try_join_all(group.iter().map(|o| simulated.send(&sim_side.memory, o))),
        )?;
        for ((operation, theirs), ours) in group.iter().zip(theirs).zip(ours) {
            let theirs = real_side.note(operation, theirs);
            let mut ours = sim_side.note(operation, ours);
            let is_known = theirs != ours && known::explain(operation, &theirs, &mut ours);
            agreement.answers.push(theirs);
            let same_order = real_side.names.version_order() == sim_side.names.version_order();
            if !same_order && agreement.answers.last() == Some(&ours) {
                ours["order"] = json!("resource versions stand in another order");
            }
            if agreement.answers.last() != Some(&ours) {
                return Ok(Err(Disagreement { at, answers: agreement.answers, simulated: ours }));
            }
            if is_known {
                agreement.known += 1;
            } else {
                agreement.agreed += 1;
            }
            at += 1;
        }
    }
    Ok(Ok(agreement))
}

/// A namespace nobody has.
pub(super) fn fresh_namespace() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().subsec_nanos();
    format!("d{:x}x{}", nanos ^ std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Makes the namespace, and the account its pods use, which a controller would make.
pub(super) async fn set_up(
    namespace: &str,
    ask: impl AsyncFn(&'static str, &str, Value) -> Result<Value>,
) -> Result<Value> {
    ask("POST", "/api/v1/namespaces", json!({"metadata": {"name": namespace}})).await?;
    let account = json!({"metadata": {"name": "default"}, "automountServiceAccountToken": false});
    ask("POST", &format!("/api/v1/namespaces/{namespace}/serviceaccounts"), account).await
}

/// Gives back what is scarce: the node ports.
async fn clean_up(real: &Real, namespace: &str) -> Result<()> {
    let services = format!("/api/v1/namespaces/{namespace}/services");
    let list = real.ask("GET", &services, Value::Null).await?;
    for service in list["items"].as_array().into_iter().flatten() {
        let name = service["metadata"]["name"].as_str().unwrap_or_default();
        let free = json!([{"op": "remove", "path": "/metadata/finalizers"}]);
        real.ask("DELETE", &format!("{services}/{name}"), json!({})).await?;
        if service["metadata"]["finalizers"].is_array() {
            real.patch(&format!("{services}/{name}"), free).await?;
        }
    }
    Ok(())
}
