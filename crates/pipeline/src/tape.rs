//! The events of a run as the release's record keeps them: bounded, without those that may be dropped, the newest kept.
//!
//! Whoever stamps events puts the envelopes on the tape; the run writes it to the record when the release has ended or was
//! stopped. Events have no secret in them, so the record has none.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use release_cluster::{Action, Event as Cluster, Header, State, Store, StoreError};

use crate::{ENVELOPE_VERSION, Envelope, Event, ImageEvent, read};

/// Envelopes in memory. A release of a hundred services that is watched for an hour tells fewer.
const ENVELOPES: usize = 20_000;

/// Bytes of JSON that are tried one after the other until the record takes them; the last always fits, compressed or not.
const SIZES: &[usize] = &[8 << 20, 2 << 20, 512 << 10];

/// Changes of readiness that are kept of one run.
const PROGRESS: usize = 2_000;

/// A shared list of envelopes; clones are the same tape.
#[derive(Debug, Clone, Default)]
pub struct Tape(Arc<Mutex<Vec<Envelope>>>);

impl Tape {
    /// Puts an envelope at the end.
    pub fn add(&self, envelope: &Envelope) {
        // The last cannot be written.
        let dropped = matches!(
            envelope.event,
            Event::Image {
                event: ImageEvent::Output { .. } | ImageEvent::Pulling { .. } | ImageEvent::Pushing { .. },
                ..
            } | Event::Unknown { .. }
        );
        if dropped {
            return;
        }
        let mut list = self.list();
        list.push(envelope.clone());
        if list.len() > ENVELOPES {
            shorten(&mut list, ENVELOPES / 2);
        }
    }

    /// What is on it, in order.
    pub fn envelopes(&self) -> Vec<Envelope> {
        self.list().clone()
    }

    fn list(&self) -> MutexGuard<'_, Vec<Envelope>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// JSON Lines of at most `most` bytes: the first events, which say what this is about, and the newest.
    fn lines(&self, most: usize) -> String {
        let mut list = self.list().clone();
        thin(&mut list);
        let lines: Vec<_> = list
            .iter()
            .filter_map(|envelope| Some((is_frame(&envelope.event), serde_json::to_string(envelope).ok()?)))
            .collect();
        let mut room = most;
        let mut keep = vec![false; lines.len()];
        let newest = |frame: bool| lines.iter().enumerate().rev().filter(move |(_, line)| line.0 == frame);
        for (index, (_, line)) in newest(true).chain(newest(false)) {
            let Some(left) = room.checked_sub(line.len() + 1) else { break };
            room = left;
            keep[index] = true;
        }
        let kept = lines.iter().zip(keep).filter(|(_, keep)| *keep);
        kept.flat_map(|((_, line), _)| [line.as_str(), "\n"]).collect()
    }

    /// Puts what an earlier run of the same release left in front.
    pub(crate) async fn take_up(&self, store: &Store, release: u64) {
        let earlier = match store.events(release).await {
            Ok(Some(text)) => read(&text).unwrap_or_default(),
            Ok(None) => return,
            // The story of a release is worth less than the release.
            Err(error) => {
                tracing::warn!(%error, release, "the events of the earlier run cannot be read");
                return;
            }
        };
        self.list().splice(0..0, earlier);
    }

    /// Writes the tape into the record of a release. That it cannot is no failure of the release.
    pub(crate) async fn keep(&self, store: &Store, release: u64) {
        if self.list().is_empty() {
            return;
        }
        for size in SIZES {
            match store.keep_events(release, &self.lines(*size)).await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(%error, release, "the events are not in the record");
                    return;
                }
            }
        }
    }
}

/// Events without which the others say little. There are few, however long a release takes.
fn is_frame(event: &Event) -> bool {
    match event {
        Event::Image { .. } | Event::Unknown { .. } => false,
        Event::Cluster(event) => matches!(
            event,
            Cluster::PhaseEntered { .. } | Cluster::CauseFound { .. } | Cluster::WriteRefused { .. }
        ),
        _ => true,
    }
}

fn is_progress(envelope: &Envelope) -> bool {
    matches!(envelope.event, Event::Cluster(Cluster::Progress { .. }))
}

/// Gives up every second change of readiness until few enough are left.
fn thin(list: &mut Vec<Envelope>) {
    while list.iter().filter(|envelope| is_progress(envelope)).count() > PROGRESS {
        let mut odd = false;
        list.retain(|envelope| {
            odd ^= is_progress(envelope);
            !is_progress(envelope) || odd
        });
    }
}

/// Shortens a list to about `most`: first changes of readiness go, then the oldest of what is no frame.
fn shorten(list: &mut Vec<Envelope>, most: usize) {
    thin(list);
    let mut spare = list.len().saturating_sub(most);
    list.retain(|envelope| {
        let goes = spare > 0 && !is_frame(&envelope.event);
        spare -= usize::from(goes);
        !goes
    });
    // A list of nothing but frames is no run of this program.
    let spare = list.len().saturating_sub(most.max(ENVELOPES));
    list.drain(..spare);
}

/// What the record has of a release.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// The events; when none were kept, the few that follow from the record's header.
    pub envelopes: Vec<Envelope>,
    /// Whether the events were kept.
    pub complete: bool,
}

/// The events of a recorded release.
///
/// # Errors
/// When they cannot be read.
pub async fn recorded(store: &Store, header: &Header, context: &str) -> Result<Recorded, StoreError> {
    match store.events(header.number).await? {
        Some(text) => {
            let envelopes = read(&text).map_err(|error| store.damaged_events(header.number, &error))?;
            Ok(Recorded { envelopes, complete: true })
        }
        None => Ok(Recorded { envelopes: from_header(header, store.namespace(), context), complete: false }),
    }
}

/// What a header alone can tell: a release of an earlier version of this program, or one that was never ended.
fn from_header(header: &Header, namespace: &str, context: &str) -> Vec<Envelope> {
    let started = Event::Started {
        command: match header.action {
            Action::Deploy => "deploy".to_owned(),
            Action::Rollback { .. } => "rollback".to_owned(),
        },
        project: header.project.to_string(),
        environment: header.environment.to_string(),
        context: context.to_owned(),
        namespace: namespace.to_owned(),
        version: header.version.clone(),
        actor: Some(header.actor.clone()),
    };
    let images =
        header.services.iter().map(|(name, service)| (name.clone(), service.image.clone())).collect();
    let began = Event::ReleaseBegan { release: header.number, action: header.action, images };
    let mut events = vec![(header.started_at, started), (header.started_at, began)];
    if header.state != State::Running {
        let ended = Event::ReleaseEnded {
            release: header.number,
            action: header.action,
            state: header.state,
            cause: header.cause.clone(),
            not_restored: None,
            service: None,
            running: match header.state {
                State::Verified => Some(header.number),
                State::RolledBack => header.baseline,
                State::Running | State::NotRolledBack | State::Superseded => None,
            },
        };
        events.push((header.ended_at.unwrap_or(header.started_at), ended));
    }
    let envelope = |(seq, (at, event)): (u64, (jiff::Timestamp, Event))| Envelope {
        v: ENVELOPE_VERSION,
        run: format!("record of release {}", header.number),
        seq,
        at,
        elapsed: at.duration_since(header.started_at).as_secs_f64().max(0.0),
        event,
    };
    (0..).zip(events).map(envelope).collect()
}

#[cfg(test)]
mod tests;
