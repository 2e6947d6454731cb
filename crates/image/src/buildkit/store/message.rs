//! The messages of containerd's content store, as far as a cache needs them.
//!
//! Fields and numbers are those of
//! [content.proto](https://github.com/containerd/containerd/blob/main/api/services/content/v1/content.proto). Times are left out:
//! nobody asks when a blob of a cache was written.

use std::collections::HashMap;

/// The name of the service.
pub(super) const SERVICE: &str = "containerd.services.content.v1.Content";

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Info {
    #[prost(string, tag = "1")]
    pub(super) digest: String,
    /// In bytes.
    #[prost(int64, tag = "2")]
    pub(super) size: i64,
    #[prost(map = "string, string", tag = "5")]
    pub(super) labels: HashMap<String, String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct InfoRequest {
    #[prost(string, tag = "1")]
    pub(super) digest: String,
}

/// The answer to [`InfoRequest`], and both what is asked and answered when labels change.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct InfoMessage {
    #[prost(message, optional, tag = "1")]
    pub(super) info: Option<Info>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ReadRequest {
    #[prost(string, tag = "1")]
    pub(super) digest: String,
    #[prost(int64, tag = "2")]
    pub(super) offset: i64,
    /// How many bytes are wanted; 0 for all from `offset` on.
    #[prost(int64, tag = "3")]
    pub(super) size: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ReadResponse {
    #[prost(int64, tag = "1")]
    pub(super) offset: i64,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) data: Vec<u8>,
}

/// Names a blob that is being written.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RefRequest {
    #[prost(string, tag = "1")]
    pub(super) reference: String,
}

/// The form of answers that are never given: see `Stores::status`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Nothing {}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub(super) enum Action {
    /// How much there is.
    Stat = 0,
    Write = 1,
    /// These are all bytes.
    Commit = 2,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct WriteRequest {
    #[prost(enumeration = "Action", tag = "1")]
    pub(super) action: i32,
    #[prost(string, tag = "2")]
    pub(super) reference: String,
    /// How many bytes it will have; 0 when that is not known.
    #[prost(int64, tag = "3")]
    pub(super) total: i64,
    /// The digest it will have; empty when that is not known.
    #[prost(string, tag = "4")]
    pub(super) expected: String,
    /// Where `data` belongs.
    #[prost(int64, tag = "5")]
    pub(super) offset: i64,
    #[prost(bytes = "vec", tag = "6")]
    pub(super) data: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct WriteResponse {
    #[prost(enumeration = "Action", tag = "1")]
    pub(super) action: i32,
    /// How many bytes there are.
    #[prost(int64, tag = "4")]
    pub(super) offset: i64,
    #[prost(int64, tag = "5")]
    pub(super) total: i64,
    #[prost(string, tag = "6")]
    pub(super) digest: String,
}
