//! What a project leaves in the cluster about its releases: ConfigMaps of its own, found by labels.
//!
//! Per project and environment there is one journal (what the running release is about to do) and a record per
//! release: a small header, and bodies in compressed chunks because an object ends at 1 MiB. Bodies of Secrets
//! are never part of either.
//!
//! ```text
//! release.<project>.<environment>            Lease       who is releasing
//! release.<project>.<environment>.journal    ConfigMap   the write-ahead entry of the running release
//! release.<project>.<environment>.<n>        ConfigMap   header of release n
//! release.<project>.<environment>.<n>.<i>    ConfigMap   chunk i of its objects
//! release.<project>.<environment>.<n>.events ConfigMap   what happened, if the program that ended it kept it
//! ```

use std::fmt::Display;
use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use release_core::{EnvironmentName, ObjectRef, ProjectName};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::Cluster;
use crate::again::Again;
use crate::api::ApiError;
use crate::journal::{Entry, Journal, SUFFIX};
use crate::record::{Header, Objects, RECORD_VERSION};

/// Compressed bytes per chunk. A ConfigMap may hold 1 MiB; metadata and managed fields need their share.
const CHUNK: usize = 700 << 10;

/// What a record's objects may come to after decompression. A thousand services with generous manifests stay below;
/// more is a damaged or hostile record.
const OBJECTS_MAX: u64 = 256 << 20;

/// Chunks of one record: what [`OBJECTS_MAX`] can compress to at worst.
const CHUNKS_MAX: usize = 400;

/// What the events of a release may come to after decompression.
const EVENTS_MAX: u64 = 32 << 20;

/// What is known of an object before it is written.
#[derive(Clone, Copy)]
enum Known {
    /// It should not be there.
    Absent,
    /// It should be there, in an earlier form.
    Written,
}

/// The label that marks our objects by what they are: `header`, `chunk`, `events` or `journal`.
const PART: &str = "release-tool.dev/part";
const PROJECT: &str = "release-tool.dev/project";
const ENVIRONMENT: &str = "release-tool.dev/environment";

/// Why the record could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The API server said no, or nothing.
    #[error("the record of releases cannot be used")]
    Api(#[from] ApiError),
    /// Something else wrote into it, or it was cut.
    #[error("{object} is damaged: {why}")]
    Damaged {
        /// What it is for.
        part: Part,
        /// The object; without it the rest can be read again.
        object: Box<ObjectRef>,
        /// What is wrong.
        why: String,
    },
    /// A newer version of this program wrote it.
    #[error("{object} was written by a newer version (form {form}, this one reads {RECORD_VERSION})")]
    Newer {
        /// The object.
        object: Box<ObjectRef>,
        /// Its form.
        form: u64,
    },
    /// A release this record does not have.
    #[error("there is no release {number}; the record has {known}")]
    NoSuchRelease {
        /// The number asked for.
        number: u64,
        /// The numbers there are.
        known: String,
    },
    /// Another process has written the journal under a newer lock.
    #[error("another release has taken over (lock generation {theirs}, ours {ours})")]
    Fenced {
        /// Our generation.
        ours: u64,
        /// The generation found.
        theirs: u64,
    },
}

/// What an object of ours is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// One release: its header, with the chunks that belong to it.
    Record,
    /// Where the running release stands.
    Journal,
    /// What happened in a release.
    Events,
}

impl StoreError {
    pub(crate) fn damaged(part: Part, object: &ObjectRef, why: &dyn Display) -> Self {
        Self::Damaged { part, object: Box::new(object.clone()), why: why.to_string() }
    }
}

/// The records of one project in one environment.
#[derive(Clone)]
pub struct Store {
    pub(crate) cluster: Cluster,
    project: ProjectName,
    environment: EnvironmentName,
}

impl Store {
    /// The records of `project` in `environment`, in the cluster's namespace.
    pub fn new(cluster: &Cluster, project: &ProjectName, environment: &EnvironmentName) -> Self {
        Self { cluster: cluster.clone(), project: project.clone(), environment: environment.clone() }
    }

    /// The name of the lock, and the prefix of everything else.
    pub fn name(&self) -> String {
        format!("release.{}.{}", self.project, self.environment)
    }

    /// The namespace they are in.
    pub fn namespace(&self) -> &str {
        self.cluster.namespace()
    }

    fn object(&self, suffix: &str) -> ObjectRef {
        ObjectRef::new("v1", "ConfigMap", self.cluster.namespace(), &format!("{}{suffix}", self.name()))
    }

    fn body(&self, object: &ObjectRef, part: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": object.name, "namespace": object.namespace,
            "labels": {"app.kubernetes.io/managed-by": "release", PROJECT: self.project.as_str(),
                ENVIRONMENT: self.environment.as_str(), PART: part}}})
    }

    /// Every release there is a record of, oldest first.
    ///
    /// # Errors
    /// When the API server refuses, or a header is damaged.
    pub async fn headers(&self) -> Result<Vec<Header>, StoreError> {
        let labels = format!("{PROJECT}={},{ENVIRONMENT}={},{PART}=header", self.project, self.environment);
        let found = self.cluster.api.list("v1", "ConfigMap", self.cluster.namespace(), &labels).await?;
        let mut headers =
            found.iter().map(|object| read::<Header>(object, Part::Record)).collect::<Result<Vec<_>, _>>()?;
        headers.sort_by_key(|header| header.number);
        Ok(headers)
    }

    /// The objects release `number` consists of.
    ///
    /// # Errors
    /// When a chunk is missing, damaged or may not be read.
    pub async fn objects(&self, header: &Header) -> Result<Objects, StoreError> {
        let whole = self.object(&format!(".{}", header.number));
        let damaged = |why: String| StoreError::damaged(Part::Record, &whole, &why);
        let mut packed = Vec::new();
        if header.chunks > CHUNKS_MAX {
            return Err(damaged(format!("it claims {} chunks", header.chunks)));
        }
        for index in 0..header.chunks {
            let object = self.object(&format!(".{}.{index}", header.number));
            let chunk = self.cluster.api.get(&object).await?;
            let chunk = chunk.ok_or_else(|| damaged(format!("chunk {index} is missing")))?;
            let text = chunk["binaryData"]["objects"].as_str().unwrap_or_default();
            let bytes = BASE64.decode(text).map_err(|error| damaged(format!("chunk {index}: {error}")))?;
            packed.extend_from_slice(&bytes);
        }
        unpack(&packed).map_err(|error| damaged(error.to_string()))
    }

    /// Writes a new record: chunks first, the header last, so that a header always has its chunks.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn begin(&self, header: &mut Header, objects: &Objects) -> Result<(), StoreError> {
        let whole = self.object(&format!(".{}", header.number));
        let packed = pack(objects).map_err(|error| StoreError::damaged(Part::Record, &whole, &error))?;
        header.chunks = packed.len().div_ceil(CHUNK);
        for (index, chunk) in packed.chunks(CHUNK).enumerate() {
            let object = self.object(&format!(".{}.{index}", header.number));
            let mut body = self.body(&object, "chunk");
            body["binaryData"] = json!({"objects": BASE64.encode(chunk)});
            self.put(&object, body, Known::Absent).await?;
        }
        self.put_header(header, Known::Absent).await
    }

    /// Writes the header of a release again.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn update(&self, header: &Header) -> Result<(), StoreError> {
        self.put_header(header, Known::Written).await
    }

    async fn put_header(&self, header: &Header, known: Known) -> Result<(), StoreError> {
        let object = self.object(&format!(".{}", header.number));
        let mut body = self.body(&object, "header");
        body["data"] = json!({"header": serde_json::to_string(header).unwrap_or_default()});
        self.put(&object, body, known).await
    }

    /// Writes down what happened in release `number`, as text; `false` when it does not fit, and nothing is written then.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn keep_events(&self, number: u64, text: &str) -> Result<bool, StoreError> {
        let object = self.object(&format!(".{number}.events"));
        let packed =
            zip(text.as_bytes()).map_err(|error| StoreError::damaged(Part::Events, &object, &error))?;
        if packed.len() > CHUNK {
            return Ok(false);
        }
        let mut body = self.body(&object, "events");
        body["binaryData"] = json!({"events": BASE64.encode(packed)});
        self.put(&object, body, Known::Absent).await?;
        Ok(true)
    }

    /// What happened in release `number`; `None` when nobody wrote it down.
    ///
    /// # Errors
    /// When it may not be read, or is damaged.
    pub async fn events(&self, number: u64) -> Result<Option<String>, StoreError> {
        let object = self.object(&format!(".{number}.events"));
        let Some(found) = self.cluster.api.get(&object).await? else { return Ok(None) };
        let packed = BASE64
            .decode(found["binaryData"]["events"].as_str().unwrap_or_default())
            .map_err(|error| self.damaged_events(number, &error))?;
        let mut text = String::new();
        let read = GzDecoder::new(&*packed).take(EVENTS_MAX).read_to_string(&mut text);
        read.map_err(|error| self.damaged_events(number, &error))?;
        Ok(Some(text))
    }

    /// That what [`Store::events`] returned is no list of events, for who reads it.
    pub fn damaged_events(&self, number: u64, why: &dyn Display) -> StoreError {
        StoreError::damaged(Part::Events, &self.object(&format!(".{number}.events")), why)
    }

    /// Removes a release from the record.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn forget(&self, header: &Header) -> Result<(), StoreError> {
        // The header goes first: a record without a header is invisible, one without chunks is damaged.
        self.cluster.api.delete(&self.object(&format!(".{}", header.number))).await?;
        for index in 0..header.chunks.min(CHUNKS_MAX) {
            self.cluster.api.delete(&self.object(&format!(".{}.{index}", header.number))).await?;
        }
        self.cluster.api.delete(&self.object(&format!(".{}.events", header.number))).await?;
        Ok(())
    }

    /// Opens the journal under a lock's fence. From here on nobody with an older fence can write it.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when a newer lock has been at work.
    pub async fn journal(&self, fence: u64) -> Result<Journal, StoreError> {
        Journal::open(
            self.cluster.api.clone(),
            self.object(SUFFIX),
            self.body(&self.object(SUFFIX), "journal"),
            fence,
        )
        .await
    }

    /// What the journal says, without a lock; for looking.
    ///
    /// # Errors
    /// When it may not be read or is damaged.
    pub async fn peek(&self) -> Result<Option<Entry>, StoreError> {
        match self.cluster.api.get(&self.object(SUFFIX)).await? {
            Some(object) => read::<Entry>(&object, Part::Journal).map(Some),
            None => Ok(None),
        }
    }

    /// Brings an object about: creates it, or replaces whatever is there, since records have one writer, the holder of the lock.
    ///
    /// A write without an answer is followed by a look, and repeated only when the look shows that it did not take place. What
    /// is replaced is named by its `resourceVersion`, so that a write nobody waits for any more cannot undo a later one.
    async fn put(&self, object: &ObjectRef, body: Value, known: Known) -> Result<(), StoreError> {
        let api = &self.cluster.api;
        let mut again = Again::new(&api.clock);
        let mut there = match known {
            Known::Absent => None,
            Known::Written => api.get(object).await?,
        };
        loop {
            let written = match &there {
                Some(live) if is_same(live, &body) => return Ok(()),
                Some(live) => {
                    let mut body = body.clone();
                    body["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
                    api.replace(object, &body).await
                }
                None => api.create(object, &body).await,
            };
            let error = match written {
                Ok(_) => return Ok(()),
                Err(error @ ApiError::Unknown { .. }) => error,
                // Something else came between, or a write of ours did whose answer is still on its way.
                Err(error) if error.is_code(409) || (error.is_code(404) && there.is_some()) => error,
                Err(error) => return Err(error.into()),
            };
            there = api.get(object).await?;
            let done = there.as_ref().is_some_and(|live| is_same(live, &body));
            if !done && !again.pause().await {
                return Err(error.into());
            }
        }
    }
}

/// Whether `live` has the content `body` wants: what we put into records, whatever else others put beside it.
fn is_same(live: &Value, body: &Value) -> bool {
    let labels = body["metadata"]["labels"].as_object().into_iter().flatten();
    let mut labels = labels.map(|(key, value)| live["metadata"]["labels"][key] == *value);
    live["data"] == body["data"] && live["binaryData"] == body["binaryData"] && labels.all(|same| same)
}

/// Reads the JSON document a ConfigMap of ours holds.
pub(crate) fn read<T: DeserializeOwned>(object: &Value, part: Part) -> Result<T, StoreError> {
    let key = match part {
        Part::Record => "header",
        Part::Journal => "entry",
        Part::Events => "events",
    };
    let text = object["data"][key].as_str().unwrap_or_default();
    let metadata = |key: &str| object["metadata"][key].as_str().unwrap_or_default();
    let name = ObjectRef::new("v1", "ConfigMap", metadata("namespace"), metadata("name"));
    let damaged = |error: serde_json::Error| StoreError::damaged(part, &name, &format!("`{key}`: {error}"));
    let value: Value = serde_json::from_str(text).map_err(damaged)?;
    match value["v"].as_u64() {
        Some(form) if form > u64::from(RECORD_VERSION) => {
            Err(StoreError::Newer { object: Box::new(name), form })
        }
        _ => serde_json::from_value(value).map_err(damaged),
    }
}

fn zip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn pack(objects: &impl Serialize) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    serde_json::to_writer(&mut encoder, objects)?;
    encoder.flush()?;
    encoder.finish()
}

fn unpack(packed: &[u8]) -> std::io::Result<Objects> {
    let mut text = Vec::new();
    GzDecoder::new(packed).take(OBJECTS_MAX).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_survive_the_chunks() {
        let mut objects = Objects::new();
        let body = json!({"kind": "ConfigMap", "data": {"a": "x".repeat(3_000_000)}});
        objects.insert("player".parse().unwrap(), vec![body]);
        let packed = pack(&objects).unwrap();
        assert_eq!(unpack(&packed).unwrap(), objects);
        assert!(unpack(&packed[..packed.len() / 2]).is_err());
    }
}
