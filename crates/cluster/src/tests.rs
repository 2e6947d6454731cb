//! The shell against an API server in process: scripted answers, lost connections, and a small store of objects.
//!
//! Time is virtual: a paused runtime moves it whenever everybody waits.

mod api;
mod fake;
mod journal;
mod lock;
mod record;
mod store;
mod store_of_objects;
