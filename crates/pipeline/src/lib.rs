//! From a project to a verdict: prepare images, plan, release, report.
//!
//! Everything people see of a run is a fold over its [`Envelope`]s; nothing else is reported. The libraries below never
//! meet but here.
//!
//! ```text
//!  release.yaml ──► images ──► plan ──► lock ─► journal ─► drive ──► record
//!                  build·push  render    └────────── cluster ─────────┘
//!                  confirm     preview
//! ```

mod desire;
mod envelope;
mod event;
mod lockfile;
mod plan;
mod prepare;
mod report;
mod run;
mod supply;
mod tape;
mod target;

pub use desire::{DesireError, Files, checks, desire};
pub use envelope::{ENVELOPE_VERSION, Envelope, ReadError, Recorder, read};
pub use event::{Event, ImageEvent};
pub use lockfile::{ImageLock, ImageLockError};
pub use plan::{Desired, DesiredService, FIELDS_MAX, KEEP, Plan, PlanError, PlannedChange, Verb};
pub use prepare::{Images, Preparation, PrepareError, Prepared, Until};
pub use report::{
    CaptureAt, CauseAt, CheckedAt, Did, Ending, Note, PageError, PhaseReport, Prepared as ImagePrepared,
    ReadinessAt, Report, Run, ServiceReport, Started, Tally, Write, page, read_page, releases, story, text,
    took, verdict,
};
pub use run::{Options, Preview, RunError, deploy, preview, rollback};
pub use supply::{
    Attest, Builder, Claim, Examined, Fetched, Form, NamedKey, Policy, Proof, Rejected, Sources, SupplyError,
    Unmet, Verifier, VerifyError, examine,
};
pub use tape::{Recorded, Tape, recorded};
pub use target::{Expect, Found, TargetError, find_target};
