//! The shell against an API server in process: scripted answers, lost connections, and a small store of objects.
//!
//! Time is virtual: a paused runtime moves it whenever everybody waits.

mod api;
mod drive;
mod fake;
mod journal;
mod killed;
mod lock;
mod process;
mod record;
mod store;
mod store_of_objects;
mod watch;
