//! A project's release, rehearsed: the same pipeline as always, against a simulated cluster that misbehaves on purpose.
//!
//! One [`Rehearsal`] is a project in an environment. Each seed is a story of its own: release 1 goes well, then release 2
//! brings another image of every service while faults drawn from the seed ([`Weather`]) happen and scripted clients send
//! requests. Time is virtual, so that a story of minutes takes milliseconds, and the same seed tells the same story.
//!
//! Nothing is contacted: no registry, no cluster, no URL. What is not simulated is left out, and [`Rehearsal::notes`]
//! says so.
//!
//! | noun | what it is |
//! |---|---|
//! | [`Rehearsal`] | what is rehearsed: the environment as objects, and what its images do |
//! | [`Weather`] | which faults may be drawn |
//! | [`Outcome`] | what became of one seed, with its timeline |
//! | [`Summary`] | what became of many |
//! | [`soak`] | many seeds on several threads |
//! | [`local::Local`] | the environment `local`: one cluster and one registry that are kept |
//!
//! Images get made-up digests: those of release 1 begin with `sha256:1111`, those of release 2 with `sha256:2222`, so that
//! a script can mean one of them (`image: '*/player-api@sha256:2*'`).

mod apps;
mod gauge;
pub mod local;
mod outcome;
mod rehearsal;
mod soak;
mod stage;
mod story;
mod summary;
mod weather;

pub use apps::well_behaved;
pub use outcome::{Ended, Moment, Outcome, ReleaseOutcome, ServiceOutcome};
pub use rehearsal::{Rehearsal, RehearsalError, leave_urls_out};
pub use soak::{Ear, soak};
pub use summary::{Broken, ServiceSummary, Summary};
pub use weather::{UnknownFault, Weather};
