//! The shell against an API server in process: scripted answers, lost connections, and a small store of objects.
//!
//! Time is virtual: a paused runtime moves it whenever everybody waits.

mod api;
mod check;
mod connect;
mod drive;
mod fake;
mod journal;
mod killed;
mod lock;
mod preview;
mod process;
mod record;
mod rights;
mod store;
mod store_of_objects;
mod watch;
