//! Bodies of answers: a piece of bytes, or the events of a watch as they happen.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::service::{Shared, sleep_until};
use crate::api::{Model, Watch};
use crate::faults::WatchEnd;

/// How often a quiet watch gets a bookmark.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);

type Piece = io::Result<(Bytes, Box<dyn Stream>)>;
type Next = Pin<Box<dyn Future<Output = Option<Piece>> + Send>>;

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

    /// `cut` is how faults end the watch, and how much later.
    pub(super) fn stream<M: Model>(
        shared: &Arc<Shared<M>>,
        watch: Watch,
        cut: Option<(Duration, WatchEnd)>,
    ) -> Self {
        let now = Instant::now();
        let events = Events {
            shared: Arc::clone(shared),
            ends_at: now + cut.map_or(watch.timeout(), |(after, _)| after.min(watch.timeout())),
            resets: cut.is_some_and(|(after, end)| end == WatchEnd::Reset && after < watch.timeout()),
            bookmark_at: now + BOOKMARK_EVERY,
            watch,
        };
        Self { kind: Kind::Stream(Box::new(events).next()) }
    }
}

impl Body for SimBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match &mut self.kind {
            Kind::Whole(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Kind::End => Poll::Ready(None),
            Kind::Stream(next) => match next.as_mut().poll(context) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(None) => {
                    self.kind = Kind::End;
                    Poll::Ready(None)
                }
                Poll::Ready(Some(Err(error))) => {
                    self.kind = Kind::End;
                    Poll::Ready(Some(Err(error)))
                }
                Poll::Ready(Some(Ok((bytes, rest)))) => {
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
    ends_at: Instant,
    /// Whether it ends with its connection, and not as watches do.
    resets: bool,
    bookmark_at: Instant,
}

impl<M: Model> Stream for Events<M> {
    fn next(mut self: Box<Self>) -> Next {
        Box::pin(async move {
            loop {
                let seen = self.shared.changes().revision();
                let watch = &mut self.watch;
                let (lines, due) = self.shared.with(|model, now| {
                    let lines = watch.poll(model.server(), now);
                    (lines, watch.due(model.server()))
                });
                if !lines.is_empty() {
                    return Some(Ok((Bytes::from(lines), self as Box<dyn Stream>)));
                }
                if self.watch.is_over() || Instant::now() >= self.ends_at {
                    let reset = self.resets && !self.watch.is_over();
                    return reset.then(|| Err(io::ErrorKind::ConnectionReset.into()));
                }
                let due = due.map(|due| self.shared.instant(due));
                tokio::select! {
                    biased;
                    () = self.shared.changes().after(seen) => {}
                    () = sleep_until(due) => {}
                    () = tokio::time::sleep_until(self.bookmark_at.min(self.ends_at)) => {
                        self.bookmark_at = Instant::now() + BOOKMARK_EVERY;
                        let bookmark = self.watch.bookmark();
                        if !bookmark.is_empty() {
                            return Some(Ok((Bytes::from(bookmark), self as Box<dyn Stream>)));
                        }
                    }
                }
            }
        })
    }
}
