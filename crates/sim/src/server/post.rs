//! Events as kubelets and controllers write them: facts until somebody reads one. What they say needs no defaults and no
//! validation; a namespace that is about to go, a name that is taken and a quota refuse them all the same.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::ids::hex_digit;
use super::{ApiServer, By};
use crate::kind::Kind;
use crate::object::{Object, Whole};
use crate::resource::{EVENTS, RESOURCE_QUOTAS};
use crate::status::Status;
use crate::time::{self, Second};

/// What an event is about.
#[derive(Debug, Clone)]
pub(crate) struct About {
    kind: Arc<Kind>,
    namespace: Arc<str>,
    name: Arc<str>,
    uid: Arc<str>,
    revision: u64,
    /// As in `spec.containers{app}`, empty for the whole object.
    field: Arc<str>,
}

impl About {
    pub(crate) fn of(object: &Object, field: Arc<str>) -> Self {
        Self {
            kind: Arc::clone(&object.kind),
            namespace: Arc::clone(&object.namespace),
            name: Arc::clone(&object.name),
            uid: Arc::clone(&object.uid),
            revision: object.revision(),
            field,
        }
    }

    /// Events about cluster-scoped objects live in the namespace `default`.
    fn home(&self) -> Arc<str> {
        if self.namespace.is_empty() { Arc::from("default") } else { Arc::clone(&self.namespace) }
    }

    fn to_value(&self) -> Value {
        let mut value = json!({
            "apiVersion": self.kind.api_version(),
            "kind": self.kind.kind,
            "name": &*self.name,
            "uid": &*self.uid,
            "resourceVersion": self.revision.to_string(),
        });
        for (key, text) in [("namespace", &self.namespace), ("fieldPath", &self.field)] {
            if !text.is_empty() {
                value[key] = json!(&**text);
            }
        }
        value
    }
}

/// Which of the two kinds of events it is.
#[derive(Debug, Clone)]
pub(crate) enum Style {
    /// The older kind: repetitions are counted.
    Counted {
        /// Who found it.
        component: &'static str,
        /// Where, empty for nowhere in particular.
        host: Arc<str>,
        /// Who says so, empty for nobody.
        reporter: &'static str,
    },
    /// The younger kind, as the scheduler writes it.
    Action { component: &'static str, action: &'static str, at: Timestamp },
}

/// What is the same however often an event is said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) about: About,
    pub(crate) created: Second,
    /// `Normal` or `Warning`.
    pub(crate) tone: &'static str,
    pub(crate) reason: &'static str,
    pub(crate) style: Style,
}

/// An event.
#[derive(Debug, Clone)]
pub(crate) struct EventFacts {
    said: Arc<Said>,
    pub(crate) message: Arc<str>,
    last: Second,
    count: i64,
}

impl EventFacts {
    /// An event that was said so often until it is made.
    pub(crate) fn new(said: Said, message: Arc<str>, count: i64) -> Self {
        Self { last: said.created, said: Arc::new(said), message, count }
    }

    /// The same event, said once more; None for the kind that is not counted.
    pub(crate) fn again(&self, now: Timestamp, count: Option<i64>, message: Arc<str>) -> Option<Self> {
        let Style::Counted { .. } = self.said.style else { return None };
        let count = count.unwrap_or(self.count + 1);
        Some(Self { said: Arc::clone(&self.said), message, last: Second::of(now), count })
    }

    /// Why it was said, in a word.
    pub(crate) fn reason(&self) -> &'static str {
        self.said.reason
    }

    /// How often it was said.
    pub(crate) fn count(&self) -> i64 {
        self.count
    }
}

impl Whole for EventFacts {
    fn sections(&self) -> Map<String, Value> {
        let said = &self.said;
        let mut map = Map::new();
        let mut put = |key: &str, value: Value| drop(map.insert(key.to_owned(), value));
        put("metadata", json!({"creationTimestamp": said.created.text()}));
        put("involvedObject", said.about.to_value());
        put("type", json!(said.tone));
        put("reason", json!(said.reason));
        put("message", json!(&*self.message));
        match &said.style {
            Style::Counted { component, host, reporter } => {
                let mut source = json!({"component": component});
                if !host.is_empty() {
                    source["host"] = json!(&**host);
                }
                put("source", source);
                put("firstTimestamp", json!(said.created.text()));
                put("lastTimestamp", json!(self.last.text()));
                put("count", json!(self.count));
                put("eventTime", Value::Null);
                put("reportingComponent", json!(reporter));
                put("reportingInstance", json!(&**host));
            }
            Style::Action { component, action, at } => {
                put("action", json!(action));
                put("source", json!({}));
                put("firstTimestamp", Value::Null);
                put("lastTimestamp", Value::Null);
                put("eventTime", json!(time::micros(*at)));
                put("reportingComponent", json!(component));
                put("reportingInstance", json!(format!("{component}-sim")));
            }
        }
        map
    }
}

/// The name of an event: that of what it is about, and a moment in hexadecimal digits, as client-go does.
pub(crate) fn event_name(about: &str, moment: u64) -> String {
    let digits = (64 - moment.leading_zeros()).div_ceil(4).max(1);
    let mut name = String::with_capacity(about.len() + 1 + 16);
    name.push_str(about);
    name.push('.');
    for at in (0..digits).rev() {
        name.push(char::from(hex_digit(u8::try_from(moment >> (4 * at) & 0xf).unwrap_or(0))));
    }
    name
}

impl ApiServer {
    /// Makes an event.
    ///
    /// # Errors
    ///
    /// As [`ApiServer::create`].
    pub(crate) fn post(
        &mut self,
        now: Timestamp,
        name: String,
        facts: EventFacts,
    ) -> Result<Arc<Object>, Status> {
        let kind = self.kind(&EVENTS)?;
        let namespace = facts.said.about.home();
        if self.store.count(&RESOURCE_QUOTAS, Some(&namespace)) > 0 {
            let mut body = Value::Object(facts.sections());
            body["metadata"] = json!({"name": name});
            return self.create(now, &EVENTS, &namespace, body, &By::nobody());
        }
        let uid = self.ids.uid();
        self.check_namespace(&kind, &namespace, &name)?;
        if self.store.get(&EVENTS, &namespace, &name).is_some() {
            return Err(Status::already_exists(&EVENTS, &name));
        }
        let id = (namespace, Arc::from(name), Arc::from(uid));
        Ok(self.store.put(now, Object::of(kind, id, facts)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Seed;

    #[test]
    fn names_end_with_hexadecimal_digits() {
        for moment in [0, 1, 15, 16, 0xfff, 0x1000, 0x1886_d3a5_c1f0_0001, u64::MAX] {
            assert_eq!(event_name("web-1", moment), format!("web-1.{moment:x}"));
        }
    }

    /// An event that is posted reads like one that went through everything a request goes through.
    #[test]
    fn a_posted_event_reads_like_one_that_was_created() {
        let now = "2026-01-01T00:00:00.25Z".parse().unwrap();
        let mut server = ApiServer::new(now, &Seed::default());
        let pod = json!({"metadata": {"name": "web"}, "spec": {"containers": [{"name": "a", "image": "b"}]}});
        let pod = server.create(now, &crate::resource::PODS, "default", pod, &By::nobody()).unwrap();
        let counted =
            |host: &str, reporter| Style::Counted { component: "kubelet", host: host.into(), reporter };
        let action = Style::Action { component: "default-scheduler", action: "Binding", at: now };
        let styles = [counted("node1", "kubelet"), counted("", ""), action];
        for (n, (style, field)) in styles.into_iter().zip(["spec.containers{a}", "", ""]).enumerate() {
            let about = About::of(&pod, field.into());
            let said = Said { about, created: Second::of(now), tone: "Warning", reason: "BackOff", style };
            let facts = EventFacts::new(said, "Back-off".into(), 2);
            let mut body = Value::Object(facts.sections());
            body["metadata"] = json!({"name": format!("long-{n}"), "namespace": "default"});
            let mut long = server.create(now, &EVENTS, "default", body, &By::nobody()).unwrap().to_value();
            let mut short = server.post(now, format!("short-{n}"), facts).unwrap().to_value();
            for value in [&mut long, &mut short] {
                for field in ["uid", "name", "resourceVersion"] {
                    assert!(value["metadata"][field].take().is_string(), "{field}");
                }
            }
            assert_eq!(short, long);
        }
    }
}
