//! Events as controllers write them: counted when they repeat, combined when they resemble each other, dropped when
//! there are too many.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use foldhash::HashMap;
use jiff::Timestamp;
use serde_json::json;

use crate::object::Object;
use crate::resource::EVENTS;
use crate::server::{About, ApiServer, EventFacts, Said, Style, event_name};
use crate::time::{self, Second};

/// From so many different messages of one reason on, they are combined.
const SIMILAR: usize = 10;

/// Messages further apart than this are not combined.
const SIMILAR_WITHIN: Duration = Duration::from_secs(10 * 60);

/// An object may have so many events at once, …
const BURST: u32 = 25;

/// … and then one in this time.
const REFILL: Duration = Duration::from_secs(5 * 60);

/// How many messages are remembered for counting, as in client-go.
const REMEMBERED: usize = 4096;

/// Whether an event is a worry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Normal,
    Warning,
}

impl Tone {
    fn text(self) -> &'static str {
        match self {
            Tone::Normal => "Normal",
            Tone::Warning => "Warning",
        }
    }
}

type MessageKey = (Arc<str>, &'static str, String);

#[derive(Debug, Clone)]
struct Group {
    messages: BTreeSet<String>,
    last: Timestamp,
}

#[derive(Debug, Clone)]
struct Tokens {
    left: u32,
    since: Timestamp,
}

/// Writes the events of one component.
#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    component: &'static str,
    /// Never iterated, so that its order does not matter.
    names: HashMap<MessageKey, String>,
    order: VecDeque<MessageKey>,
    /// As `names`, but for taking entries out.
    groups: HashMap<(Arc<str>, &'static str), Group>,
    tokens: HashMap<Arc<str>, Tokens>,
    tidied: Option<Timestamp>,
    serial: u64,
}

impl Recorder {
    pub(crate) fn new(component: &'static str) -> Self {
        Self {
            component,
            names: HashMap::default(),
            order: VecDeque::new(),
            groups: HashMap::default(),
            tokens: HashMap::default(),
            tidied: None,
            serial: 0,
        }
    }

    /// An event about an object, or one more of an event that is there.
    pub(crate) fn record(
        &mut self,
        server: &mut ApiServer,
        now: Timestamp,
        about: &Object,
        tone: Tone,
        reason: &'static str,
        message: &str,
    ) {
        self.tidy(now);
        if !self.take_token(now, about) {
            return;
        }
        let combined = self.is_one_of_many(now, about, reason, message);
        let text =
            if combined { format!("(combined from similar events): {message}") } else { message.to_owned() };
        let kept = if combined { String::new() } else { text.clone() };
        let key = (Arc::clone(&about.uid), reason, kept);
        let known = self
            .names
            .get(&key)
            .and_then(|name| server.store().get(&EVENTS, namespace_of(about), name).map(Arc::clone));
        if let Some(event) = known {
            let message: Arc<str> = text.into();
            let again = event.whole::<EventFacts>().and_then(|f| f.again(now, None, Arc::clone(&message)));
            let next = match again {
                Some(facts) => event.with_facts(facts),
                None => event
                    .with("count", json!(event["count"].as_i64().unwrap_or(1) + 1))
                    .with("lastTimestamp", json!(time::seconds(now)))
                    .with("message", json!(&*message)),
            };
            server.store_mut().put(now, next);
            return;
        }
        let style = Style::Counted {
            component: self.component,
            host: Arc::from(""),
            reporter: if combined { "" } else { self.component },
        };
        if let Some(name) = self.create(server, now, about, facts(now, about, tone, reason, &text, style)) {
            self.remember(key, name);
        }
    }

    /// An event of the younger kind, as the scheduler writes them.
    pub(crate) fn record_action(
        &mut self,
        server: &mut ApiServer,
        now: Timestamp,
        about: &Object,
        tone: Tone,
        (reason, action): (&'static str, &'static str),
        message: &str,
    ) {
        let style = Style::Action { component: self.component, action, at: now };
        if tone == Tone::Normal {
            // Good news is said once.
            self.create(server, now, about, facts(now, about, tone, reason, message, style));
            return;
        }
        let key = (Arc::clone(&about.uid), reason, message.to_owned());
        let known = self
            .names
            .get(&key)
            .and_then(|name| server.store().get(&EVENTS, namespace_of(about), name).map(Arc::clone));
        if let Some(event) = known {
            let count = event["series"]["count"].as_i64().unwrap_or(1) + 1;
            let series = json!({"count": count, "lastObservedTime": time::micros(now)});
            server.store_mut().put(now, event.with("series", series));
            return;
        }
        if let Some(name) = self.create(server, now, about, facts(now, about, tone, reason, message, style)) {
            self.remember(key, name);
        }
    }

    fn create(
        &mut self,
        server: &mut ApiServer,
        now: Timestamp,
        about: &Object,
        facts: EventFacts,
    ) -> Option<String> {
        self.serial += 1;
        let nanos = u64::try_from(now.as_nanosecond()).unwrap_or(0);
        let mut name = event_name(about.name(), nanos.wrapping_add(self.serial));
        while server.store().get(&EVENTS, namespace_of(about), &name).is_some() {
            self.serial += 1;
            name = event_name(about.name(), nanos.wrapping_add(self.serial));
        }
        server.post(now, name.clone(), facts).is_ok().then_some(name)
    }

    fn remember(&mut self, key: MessageKey, name: String) {
        if self.names.insert(key.clone(), name).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.names.remove(&oldest);
        }
    }

    fn is_one_of_many(
        &mut self,
        now: Timestamp,
        about: &Object,
        reason: &'static str,
        message: &str,
    ) -> bool {
        let key = (Arc::clone(&about.uid), reason);
        let group = self.groups.entry(key).or_insert_with(|| Group { messages: BTreeSet::new(), last: now });
        if group.last + SIMILAR_WITHIN < now {
            group.messages.clear();
        }
        group.last = now;
        if !group.messages.contains(message) {
            group.messages.insert(message.to_owned());
        }
        if group.messages.len() < SIMILAR {
            return false;
        }
        group.messages.pop_first();
        true
    }

    fn take_token(&mut self, now: Timestamp, about: &Object) -> bool {
        let new = || Tokens { left: BURST, since: now };
        let tokens = self.tokens.entry(Arc::clone(&about.uid)).or_insert_with(new);
        while tokens.left < BURST && tokens.since + REFILL <= now {
            tokens.left += 1;
            tokens.since += REFILL;
        }
        if tokens.left == BURST {
            tokens.since = now;
        }
        if tokens.left == 0 {
            return false;
        }
        tokens.left -= 1;
        true
    }

    /// Forgets what no longer matters, now and then.
    fn tidy(&mut self, now: Timestamp) {
        let tidied = *self.tidied.get_or_insert(now);
        if tidied + SIMILAR_WITHIN > now {
            return;
        }
        self.tidied = Some(now);
        self.groups.retain(|_, group| group.last + SIMILAR_WITHIN >= now);
        let whole = REFILL * BURST;
        self.tokens.retain(|_, tokens| tokens.since + whole >= now);
    }
}

/// Events about cluster-scoped objects live in the namespace `default`.
fn namespace_of(about: &Object) -> &str {
    if about.namespace().is_empty() { "default" } else { about.namespace() }
}

fn facts(
    now: Timestamp,
    about: &Object,
    tone: Tone,
    reason: &'static str,
    message: &str,
    style: Style,
) -> EventFacts {
    let about = About::of(about, Arc::from(""));
    let said = Said { about, created: Second::of(now), tone: tone.text(), reason, style };
    EventFacts::new(said, message.into(), 1)
}
