//! Bodies of answers: a piece of bytes, or the events of a watch as they happen.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::service::Shared;
use crate::api::{Model, Watch};

/// How often a quiet watch gets a bookmark.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);

type Next = Pin<Box<dyn Future<Output = Option<(Bytes, Box<dyn Stream>)>> + Send>>;

/// The body of an answer.
pub struct SimBody {
    kind: Kind,
}

enum Kind {
    Whole(Option<Bytes>),
    Stream(Next),
    End,
}

impl fmt::Debug for SimBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.kind {
            Kind::Whole(_) => "whole",
            Kind::Stream(_) => "stream",
            Kind::End => "end",
        };
        f.debug_tuple("SimBody").field(&kind).finish()
    }
}

/// Something that has a next piece, until it has none.
trait Stream: Send {
    fn next(self: Box<Self>) -> Next;
}

impl SimBody {
    pub(super) fn whole(bytes: Bytes) -> Self {
        Self { kind: Kind::Whole(Some(bytes).filter(|b| !b.is_empty())) }
    }

    pub(super) fn stream<M: Model>(shared: &Arc<Shared<M>>, watch: Watch) -> Self {
        let now = Instant::now();
        let events = Events {
            changed: shared.subscribe(),
            shared: Arc::clone(shared),
            ends_at: now + watch.timeout(),
            bookmark_at: now + BOOKMARK_EVERY,
            watch,
        };
        Self { kind: Kind::Stream(Box::new(events).next()) }
    }
}

impl Body for SimBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.kind {
            Kind::Whole(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Kind::End => Poll::Ready(None),
            Kind::Stream(next) => match next.as_mut().poll(context) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(None) => {
                    self.kind = Kind::End;
                    Poll::Ready(None)
                }
                Poll::Ready(Some((bytes, rest))) => {
                    self.kind = Kind::Stream(rest.next());
                    Poll::Ready(Some(Ok(Frame::data(bytes))))
                }
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.kind, Kind::End | Kind::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Kind::End => SizeHint::with_exact(0),
            Kind::Stream(_) => SizeHint::default(),
        }
    }
}

/// The events of one watch.
struct Events<M> {
    shared: Arc<Shared<M>>,
    watch: Watch,
    changed: tokio::sync::watch::Receiver<u64>,
    ends_at: Instant,
    bookmark_at: Instant,
}

impl<M: Model> Stream for Events<M> {
    fn next(mut self: Box<Self>) -> Next {
        Box::pin(async move {
            loop {
                self.changed.borrow_and_update();
                let watch = &mut self.watch;
                let lines = self.shared.with(|model, now| watch.poll(model.server(), now));
                if !lines.is_empty() {
                    return Some((Bytes::from(lines), self as Box<dyn Stream>));
                }
                if self.watch.is_over() || Instant::now() >= self.ends_at {
                    return None;
                }
                tokio::select! {
                    biased;
                    changed = self.changed.changed() => if changed.is_err() { return None },
                    () = tokio::time::sleep_until(self.bookmark_at.min(self.ends_at)) => {
                        self.bookmark_at = Instant::now() + BOOKMARK_EVERY;
                        let bookmark = self.watch.bookmark();
                        if !bookmark.is_empty() {
                            return Some((Bytes::from(bookmark), self as Box<dyn Stream>));
                        }
                    }
                }
            }
        })
    }
}
