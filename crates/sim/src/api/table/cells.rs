//! What stands in the cells: counts, ages, and the words for the state of things.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::object::Object;

pub(super) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

pub(super) fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}

pub(super) fn keys(value: &Value) -> usize {
    value.as_object().map_or(0, serde_json::Map::len)
}

pub(super) fn text_or_empty(value: &Value) -> Value {
    json!(value.as_str().unwrap_or_default())
}

pub(super) fn or_none(value: &Value) -> Value {
    json!(value.as_str().filter(|t| !t.is_empty()).unwrap_or("<none>"))
}

pub(super) fn or_unknown(value: &Value) -> Value {
    json!(value.as_str().filter(|t| !t.is_empty()).unwrap_or("<unknown>"))
}

pub(super) fn or_na(value: &Value) -> Value {
    match value {
        Value::Null => json!("N/A"),
        Value::String(text) => json!(text),
        other => json!(other.to_string()),
    }
}

pub(super) fn labels_text(labels: &Value) -> String {
    let pairs: Vec<String> = labels
        .as_object()
        .into_iter()
        .flatten()
        .map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default()))
        .collect();
    if pairs.is_empty() { "<none>".to_owned() } else { pairs.join(",") }
}

pub(super) fn selector(o: &Object, _: Timestamp) -> Value {
    let selector = &o["spec"]["selector"];
    json!(labels_text(selector.get("matchLabels").unwrap_or(selector)))
}

fn of_containers(o: &Object, field: &str) -> Value {
    let containers = list(&o["spec"]["template"]["spec"]["containers"]);
    json!(containers.filter_map(|c| c[field].as_str()).collect::<Vec<_>>().join(","))
}

pub(super) fn containers(o: &Object, _: Timestamp) -> Value {
    of_containers(o, "name")
}

pub(super) fn images(o: &Object, _: Timestamp) -> Value {
    of_containers(o, "image")
}

pub(super) fn age(o: &Object, now: Timestamp) -> Value {
    match o["metadata"]["creationTimestamp"].as_str() {
        Some(at) => json!(age_of(at, now)),
        None => json!("<unknown>"),
    }
}

pub(super) fn age_of(at: &str, now: Timestamp) -> String {
    match crate::time::parse(at) {
        Some(at) if at <= now => human(now.duration_since(at).unsigned_abs()),
        Some(_) => "0s".to_owned(),
        None => "<unknown>".to_owned(),
    }
}

/// A duration in one or two units, coarser as it gets longer.
pub(super) fn human(duration: Duration) -> String {
    let s = duration.as_secs();
    let (m, h, d) = (s / 60, s / 3600, s / 86400);
    let two = |big: u64, unit: &str, small: u64, small_unit: &str| {
        if small == 0 { format!("{big}{unit}") } else { format!("{big}{unit}{small}{small_unit}") }
    };
    match s {
        0..120 => format!("{s}s"),
        120..600 => two(m, "m", s % 60, "s"),
        600..10_800 => format!("{m}m"),
        10_800..28_800 => two(h, "h", m % 60, "m"),
        28_800..172_800 => format!("{h}h"),
        172_800..691_200 => two(d, "d", h % 24, "h"),
        691_200..63_072_000 => format!("{d}d"),
        63_072_000..252_288_000 => two(d / 365, "y", d % 365, "d"),
        _ => format!("{}y", d / 365),
    }
}

pub(super) fn restarts(o: &Object, now: Timestamp) -> String {
    let statuses =
        || list(&o["status"]["containerStatuses"]).chain(list(&o["status"]["initContainerStatuses"]));
    let count: i64 = list(&o["status"]["containerStatuses"]).map(|s| number(&s["restartCount"])).sum();
    let last = statuses()
        .filter_map(|s| s["lastState"]["terminated"]["finishedAt"].as_str().and_then(crate::time::parse))
        .max();
    match last {
        Some(at) if count > 0 => format!("{count} ({} ago)", human(now.duration_since(at).unsigned_abs())),
        _ => count.to_string(),
    }
}

/// The word `kubectl get pods` shows.
pub(super) fn pod_status(o: &Object) -> String {
    let status = &o["status"];
    let mut reason = status["reason"].as_str().or(status["phase"].as_str()).unwrap_or_default().to_owned();
    let state_reason = |s: &Value| -> Option<String> {
        if let Some(reason) = s["state"]["waiting"]["reason"].as_str().filter(|r| !r.is_empty()) {
            return Some(reason.to_owned());
        }
        let ended = &s["state"]["terminated"];
        if !ended.is_object() {
            return None;
        }
        if let Some(reason) = ended["reason"].as_str().filter(|r| !r.is_empty()) {
            return Some(reason.to_owned());
        }
        Some(match ended["signal"].as_i64().filter(|s| *s != 0) {
            Some(signal) => format!("Signal:{signal}"),
            None => format!("ExitCode:{}", number(&ended["exitCode"])),
        })
    };
    let total = list(&o["spec"]["initContainers"]).count();
    let mut initialising = false;
    for (index, s) in list(&status["initContainerStatuses"]).enumerate() {
        let ended = &s["state"]["terminated"];
        if (ended.is_object() && number(&ended["exitCode"]) == 0) || s["started"] == true {
            continue;
        }
        let why = state_reason(s).filter(|why| why != "PodInitializing");
        reason = why.map_or_else(|| format!("Init:{index}/{total}"), |why| format!("Init:{why}"));
        initialising = true;
        break;
    }
    if !initialising {
        let mut has_running = false;
        let statuses: Vec<&Value> = list(&status["containerStatuses"]).collect();
        for s in statuses.iter().rev() {
            match state_reason(s) {
                Some(why) => reason = why,
                None => has_running |= s["ready"] == true && s["state"]["running"].is_object(),
            }
        }
        if reason == "Completed" && has_running {
            let ready = list(&status["conditions"]).any(|c| c["type"] == "Ready" && c["status"] == "True");
            reason = String::from(if ready { "Running" } else { "NotReady" });
        }
    }
    if o.is_terminating() {
        let is_lost = status["reason"] == "NodeLost";
        return if is_lost { "Unknown" } else { "Terminating" }.to_owned();
    }
    reason
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_told_as_kubectl_tells_them() {
        for (seconds, text) in [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (125, "2m5s"),
            (600, "10m"),
            (10_860, "3h1m"),
            (30_000, "8h"),
            (176_400, "2d1h"),
            (864_000, "10d"),
        ] {
            assert_eq!(human(Duration::from_secs(seconds)), text);
        }
    }
}
