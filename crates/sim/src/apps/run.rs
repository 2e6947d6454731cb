//! One run of a scripted application: from the start of its container to its end.

use std::time::Duration;

use jiff::Timestamp;

use super::dice::Dice;
use super::glob;
use super::script::{Route, Script};

/// What the container's spec adds to the script.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fate {
    /// The memory limit in bytes.
    pub memory_limit: Option<u64>,
    /// The root file system is read-only.
    pub read_only_root: bool,
    /// A variable the script needs is not there.
    pub lacks_env: bool,
    /// Somebody decided that it crashes so long after its start.
    pub crash: Option<Passing>,
    /// Somebody decided that it never ends by itself.
    pub hangs: bool,
    /// Somebody decided that it is not ready half of the time, in turns of this length.
    pub flaps: Option<Passing>,
}

/// A span of what somebody decided, and when all of that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passing {
    /// The span.
    pub span: Duration,
    /// Nothing happens from then on; `None`: it goes on for ever.
    pub until: Option<Timestamp>,
}

/// How a run ends by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// When.
    pub at: Timestamp,
    /// The exit code.
    pub code: i32,
    /// Whether the kernel ended it for its memory.
    pub out_of_memory: bool,
    /// The termination message.
    pub message: Option<String>,
}

/// An answer to an HTTP request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: String,
    /// How long it took.
    pub latency: Duration,
}

/// One run of one container.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// What it does.
    pub script: &'a Script,
    /// Draws about this container of this pod.
    pub dice: Dice,
    /// How often it was started before.
    pub restarts: u32,
    /// When it started.
    pub started: Timestamp,
    /// What the container's spec adds.
    pub fate: Fate,
    /// Its moments, if they are known already.
    moments: Option<Moments>,
}

/// The moments of a run that are drawn, each once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moments {
    listens_at: Timestamp,
    ready_from: Timestamp,
    /// How long it is ready at a time, and then is not, where the script says so.
    up: Option<Duration>,
    down: Option<Duration>,
    /// When it ends by itself.
    ends_at: Option<Timestamp>,
}

impl<'a> Run<'a> {
    /// A run that began at `started`.
    pub fn new(script: &'a Script, dice: Dice, restarts: u32, started: Timestamp, fate: Fate) -> Self {
        Self { script, dice, restarts, started, fate, moments: None }
    }

    /// The same run, whose moments were asked for before.
    pub(crate) fn with(self, moments: Option<Moments>) -> Self {
        Self { moments, ..self }
    }

    /// Its moments, for whoever asks often.
    pub(crate) fn moments(&self) -> Moments {
        self.moments.unwrap_or_else(|| self.draw())
    }

    fn draw(&self) -> Moments {
        let (ready, nth) = (&self.script.ready, u64::from(self.restarts));
        let listens_at = self.started + self.script.start.draw(self.dice.of("start"), nth);
        Moments {
            listens_at,
            ready_from: listens_at + ready.after.draw(self.dice.of("ready"), nth),
            up: ready.up.map(|up| up.draw(self.dice.of("up"), 0)),
            down: ready.down.map(|down| down.draw(self.dice.of("down"), 0)),
            ends_at: self.end().map(|end| end.at),
        }
    }

    /// When it ends by itself, if it does.
    pub fn ends_at(&self) -> Option<Timestamp> {
        self.moments().ends_at
    }

    /// How it ends by itself, if it does.
    pub fn end(&self) -> Option<End> {
        let early = if self.fate.lacks_env {
            Some((1, Some("a required environment variable is not set")))
        } else if self.script.writes_root && self.fate.read_only_root {
            Some((1, None))
        } else {
            None
        };
        if let Some((code, message)) = early {
            let message = message.map(str::to_owned);
            return Some(End { at: self.started, code, out_of_memory: false, message });
        }
        let ends = [self.own_end(), self.memory_end(), self.crash_end()];
        ends.into_iter().flatten().min_by_key(|end| end.at)
    }

    fn own_end(&self) -> Option<End> {
        let exit = self.script.exit.as_ref()?;
        if self.fate.hangs || exit.runs.is_some_and(|runs| self.restarts >= runs) {
            return None;
        }
        let at = self.started + exit.after.draw(self.dice.of("exit"), u64::from(self.restarts));
        Some(End { at, code: exit.code, out_of_memory: false, message: exit.message.clone() })
    }

    fn crash_end(&self) -> Option<End> {
        let crash = self.fate.crash?;
        let at = self.started + crash.span;
        if crash.until.is_some_and(|until| at >= until) {
            return None;
        }
        Some(End { at, code: 1, out_of_memory: false, message: None })
    }

    fn memory_end(&self) -> Option<End> {
        const MIB: u64 = 1 << 20;
        let memory = self.script.memory?;
        let limit = self.fate.memory_limit?;
        let start = memory.start_mib.saturating_mul(MIB);
        let left = limit.saturating_sub(start);
        let after = match memory.per_minute_mib.saturating_mul(MIB) {
            _ if start >= limit => Duration::ZERO,
            0 => return None,
            rate => Duration::from_secs(left.saturating_mul(60) / rate),
        };
        Some(End { at: self.started + after, code: 137, out_of_memory: true, message: None })
    }

    /// When it starts to listen.
    pub fn listens_at(&self) -> Timestamp {
        self.moments().listens_at
    }

    /// Whether a connection to a port of it is accepted.
    pub fn listens(&self, at: Timestamp) -> bool {
        !self.script.deaf && at >= self.listens_at()
    }

    /// Whether it says of itself that it is ready.
    pub fn is_ready(&self, at: Timestamp) -> bool {
        self.turn(at).0
    }

    /// Whether it is ready, and when that ends.
    fn turn(&self, at: Timestamp) -> (bool, Option<Timestamp>) {
        let turn = self.turn_for_now(at);
        let flaps = self.fate.flaps.filter(|_| self.script.ready.up.is_none());
        match (turn, flaps.and_then(|flaps| flaps.until)) {
            // It comes back to what the script alone says.
            ((false, Some(next)), Some(until)) if next > until && at < until => (false, Some(until)),
            ((true, Some(next)), Some(until)) if next >= until => (true, None),
            (turn, _) => turn,
        }
    }

    /// The same without a look ahead at the end of what was decided.
    fn turn_for_now(&self, at: Timestamp) -> (bool, Option<Timestamp>) {
        let ready = &self.script.ready;
        if ready.never {
            return (false, None);
        }
        let moments = self.moments();
        let first = moments.ready_from;
        if at < first {
            return (false, Some(first));
        }
        let (up, down) = match (moments.up, self.fate.flaps) {
            (Some(up), _) => (up, moments.down),
            (None, Some(turn)) if turn.until.is_none_or(|until| at < until) => (turn.span, Some(turn.span)),
            (None, Some(_) | None) => return (true, None),
        };
        let Some(down) = down else {
            return if at < first + up { (true, Some(first + up)) } else { (false, None) };
        };
        let round = (up + down).max(Duration::from_millis(1));
        let into = Duration::try_from(at.duration_since(first)).unwrap_or_default();
        let rounds = u32::try_from(into.as_nanos() / round.as_nanos()).unwrap_or(u32::MAX);
        let begun = first + round.saturating_mul(rounds);
        let down_from = begun + up;
        if at < down_from { (true, Some(down_from)) } else { (false, Some(begun + round)) }
    }

    /// The next moment after `at` when an answer may change, as far as that is known in advance.
    pub fn next_change(&self, at: Timestamp) -> Option<Timestamp> {
        let listens = Some(self.listens_at());
        let routes = self.script.http.iter().flat_map(|route| [route.from, route.until]);
        let routes = routes.flatten().map(|span| Some(self.started + span.least));
        let all = routes.chain([listens, self.turn(at).1]).flatten();
        all.filter(|change| *change > at).min()
    }

    /// The answer to a request, None if the connection is refused. `nonce` tells requests of one moment apart.
    pub fn answer(&self, path: &str, at: Timestamp, nonce: u64) -> Option<Answer> {
        let (status, body, latency) = self.reply(path, at, nonce)?;
        Some(Answer { status, body: body.to_owned(), latency })
    }

    /// As [`Run::answer`]: status, body and latency.
    pub(crate) fn reply(&self, path: &str, at: Timestamp, nonce: u64) -> Option<(u16, &'a str, Duration)> {
        if !self.listens(at) {
            return None;
        }
        let path = path.split('?').next().unwrap_or(path);
        let Some(route) = self.route(path, at) else {
            return Some((200, "ok", Duration::from_millis(5)));
        };
        let moment = u64::try_from(at.as_millisecond()).unwrap_or(0);
        let n = moment.wrapping_mul(31).wrapping_add(nonce);
        let latency = route.latency.draw(self.dice.of("latency"), n);
        if route.error_rate > 0.0 && self.dice.of("error").hits(n, route.error_rate) {
            return Some((route.error_status, "", latency));
        }
        Some((route.status, &route.body, latency))
    }

    /// Whether answers on this path are drawn one by one.
    pub fn is_drawn(&self, path: &str, at: Timestamp) -> bool {
        self.route(path, at).is_some_and(|route| {
            route.error_rate > 0.0 && route.error_rate < 1.0 || route.latency.least != route.latency.most
        })
    }

    fn route(&self, path: &str, at: Timestamp) -> Option<&'a Route> {
        self.script.http.iter().find(|route| {
            (route.path == path || route.path.contains('*') && glob(&route.path, path))
                && route.from.is_none_or(|from| at >= self.started + from.least)
                && route.until.is_none_or(|until| at < self.started + until.least)
        })
    }

    /// The lines of the log between its start and `until`, with their times, the newest `limit` of each kind.
    pub fn log(&self, until: Timestamp, ended: bool, limit: usize) -> Vec<(Timestamp, &str)> {
        let mut lines = Vec::new();
        for log in &self.script.log {
            match log.every {
                _ if log.at_exit => {
                    if ended {
                        lines.push((until, log.line.as_str()));
                    }
                }
                None => lines.push((self.started, log.line.as_str())),
                Some(every) => {
                    let every = every.draw(self.dice.of("log"), 0).max(Duration::from_millis(1));
                    let past = Duration::try_from(until.duration_since(self.started)).unwrap_or_default();
                    let count = past.as_nanos() / every.as_nanos();
                    let last = u32::try_from(count).unwrap_or(u32::MAX);
                    let first = last.saturating_sub(u32::try_from(limit).unwrap_or(u32::MAX)).max(1);
                    lines.extend((first..=last).map(|n| (self.started + every * n, log.line.as_str())));
                }
            }
        }
        lines.sort_by_key(|(at, _)| *at);
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::super::Apps;
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_767_225_600 + seconds).unwrap_or_default()
    }

    fn check<T>(script: &str, ask: impl Fn(Run<'_>) -> T) -> T {
        let apps = Apps::read(&format!("default: {script}")).expect("the script can be read");
        let script = apps.script("web:v1", "app");
        let dice = Dice::new(1, "uid", "app");
        let fate = Fate { memory_limit: Some(64 << 20), ..Fate::default() };
        ask(Run::new(script, dice, 0, at(0), fate))
    }

    #[test]
    fn a_leak_ends_at_the_limit() {
        let end = check("{memory: {start_mib: 32, per_minute_mib: 32}}", |run| run.end()).expect("it ends");
        assert_eq!((end.at, end.code, end.out_of_memory), (at(60), 137, true));
    }

    #[test]
    fn crashes_stop_after_their_runs() {
        let script = "{exit: {after: 3s, code: 4, runs: 1}}";
        assert_eq!(check(script, |run| run.end()).map(|end| (end.at, end.code)), Some((at(3), 4)));
        assert_eq!(check(script, |run| Run { restarts: 1, ..run }.end()), None);
    }

    #[test]
    fn flapping_takes_turns() {
        check("{start: 1s, ready: {up: 9s, down: 9s}}", |run| {
            let turns: Vec<_> = [0, 1, 9, 10, 18, 19, 28].map(|s| run.is_ready(at(s))).into();
            assert_eq!(turns, [false, true, true, false, false, true, false]);
            assert_eq!(run.next_change(at(0)), Some(at(1)));
            assert_eq!(run.next_change(at(1)), Some(at(10)));
            assert_eq!(run.next_change(at(10)), Some(at(19)));
        });
    }

    #[test]
    fn what_was_decided_is_over_at_its_end() {
        let decided =
            |span: u64, until: i64| Some(Passing { span: Duration::from_secs(span), until: Some(at(until)) });
        check("{start: 1s}", |run| {
            let crashes = |until| Run { fate: Fate { crash: decided(5, until), ..run.fate }, ..run }.end();
            assert_eq!(crashes(6).map(|end| end.at), Some(at(5)));
            assert_eq!(crashes(5), None);

            // Down from 10 s to 19 s, and from 28 s on.
            let flaps = |until| Run { fate: Fate { flaps: decided(9, until), ..run.fate }, ..run };
            let turns = |until| [9, 10, 14, 15, 19, 28].map(|s| flaps(until).is_ready(at(s)));
            assert_eq!(turns(15), [true, false, false, true, true, true]);
            assert_eq!(flaps(15).next_change(at(1)), Some(at(10)));
            assert_eq!(flaps(15).next_change(at(10)), Some(at(15)));
            assert_eq!(flaps(15).next_change(at(15)), None);
            assert_eq!(turns(20), [true, false, false, false, true, true]);
            assert_eq!(flaps(20).next_change(at(10)), Some(at(19)));
            assert_eq!(flaps(20).next_change(at(19)), None);
        });
    }

    #[test]
    fn answers_change_with_time() {
        check("{start: 2s, http: [{path: /a, status: 503, from: 30s}, {path: /a, body: hi}]}", |run| {
            assert_eq!(run.answer("/a", at(1), 0), None);
            assert_eq!(run.answer("/a?x=1", at(2), 0).map(|a| (a.status, a.body)), Some((200, "hi".into())));
            assert_eq!(run.answer("/a", at(30), 0).map(|a| a.status), Some(503));
            assert_eq!(run.answer("/b", at(30), 0).map(|a| a.status), Some(200));
            assert_eq!(run.next_change(at(3)), Some(at(30)));
        });
    }

    #[test]
    fn logs_have_times() {
        check("{log: [{line: up}, {line: tick, every: 10s}, {line: boom, at_exit: true}]}", |run| {
            let lines = run.log(at(25), true, 100);
            assert_eq!(lines, [(at(0), "up"), (at(10), "tick"), (at(20), "tick"), (at(25), "boom")]);
            assert_eq!(run.log(at(1000), false, 2).len(), 4);
        });
    }
}
