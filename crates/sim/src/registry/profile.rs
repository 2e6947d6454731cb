//! In which ways a registry differs from the specification, as data.
//!
//! The table of the well-known ones is in `vendors.rs`. A test of your own takes one of them, or [`Profile::PLAIN`], and
//! changes what it is about: `Profile { referrers: false, ..Profile::PLAIN }`.

use std::time::Duration;

/// The quirks of one registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a table of facts that do not depend on one another")]
pub struct Profile {
    /// What it is called.
    pub name: &'static str,
    /// How clients say who they are, where that matters at all.
    pub scheme: Scheme,
    /// Whether `/v2/` answers 200 to everybody although the repositories do not.
    pub open_root: bool,
    /// Whether even those who need no password need a token.
    pub anonymous_tokens: bool,
    /// Where repositories come from.
    pub repositories: Repositories,
    /// How chunks are taken.
    pub chunks: Chunks,
    /// The largest body of any request; an edge in front of the registry answers 413 to larger ones.
    pub max_request_bytes: Option<u64>,
    /// The largest manifest.
    pub max_manifest_bytes: u64,
    /// Whether a blob can be pushed with a single `POST`. Otherwise that is answered 202, and the body is forgotten.
    pub single_post: bool,
    /// How mounts are taken.
    pub mount: Mount,
    /// How mounts that name no source are taken.
    pub sourceless: Sourceless,
    /// Whether there is a referrers API. Without it clients keep the fallback tag themselves.
    pub referrers: bool,
    /// Whether an index may name manifests that are not here.
    pub sparse_indexes: bool,
    /// Whether a manifest is hidden from clients whose `Accept` does not name its media type.
    pub hides_unaccepted: bool,
    /// Whether blobs can be deleted.
    pub deletes_blobs: bool,
    /// Whether manifests can be deleted, by digest.
    pub deletes_manifests: bool,
    /// Whether tags can be deleted by themselves.
    pub deletes_tags: bool,
    /// Whether downloads of blobs are redirected to another host, if there is one.
    pub redirects_blobs: bool,
    /// How the addresses of uploads are written.
    pub locations: Locations,
    /// How many pulls those without a password have.
    pub pull_limit: Option<PullLimit>,
    /// Whether repositories can be listed.
    pub catalog: bool,
    /// The most tags, repositories or referrers in one answer.
    pub page: usize,
    /// What every answer warns of.
    pub warning: Option<&'static str>,
}

/// How clients say who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// By name and password with every request.
    Basic,
    /// By a token that lives this long, from a token service.
    Bearer(Duration),
}

/// Where repositories come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repositories {
    /// The first push creates one.
    OnPush,
    /// They have to be created before, with [`Registry::create_repository`](super::Registry::create_repository).
    Before,
}

/// How chunks (`PATCH` with `Content-Range`) are taken. One `PATCH` that carries a whole blob works everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunks {
    /// One after the other, as specified.
    InOrder {
        /// The smallest chunk that may be followed by another; told to clients.
        min_bytes: Option<u64>,
        /// The largest chunk; larger ones are answered 416.
        max_bytes: Option<u64>,
    },
    /// The first is taken. Further ones are answered 201, and forgotten: `Range` does not advance.
    Stuck,
    /// Not at all.
    Refused,
}

/// How mounts are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mount {
    /// The blob is linked if the client may read it.
    Supported,
    /// As [`Mount::Supported`], but a source at the top level (no `/` in its name) is answered 400.
    NotFromTopLevel,
    /// Every mount becomes an upload.
    Ignored,
}

/// How a mount that names no source is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sourceless {
    /// The blob is looked for in every repository the client may read.
    Searched,
    /// It becomes an upload.
    Ignored,
    /// It is answered 400.
    Refused,
}

/// How the addresses of uploads are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locations {
    /// As a path.
    Relative,
    /// With scheme and host.
    Absolute,
    /// With scheme and host, and a query that changes with every answer: only the latest address takes bytes.
    Stateful,
}

/// How many manifests can be pulled without a password. `HEAD` does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PullLimit {
    /// So many.
    pub pulls: u32,
    /// In this time.
    pub per: Duration,
}
