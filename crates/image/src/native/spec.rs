//! What to build, as it is asked for, and whether it makes sense before any file is read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use release_core::{Digest, Platform};

use super::error::NativeError;

/// The latest time a layer's entries can carry: eleven octal digits, the year 2242.
pub(crate) const LATEST: u64 = 0o77_777_777_777;

/// One image that is put together without a Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NativeBuild {
    /// The project's folder. What layers are made from lies in it, and so does `.dockerignore`.
    pub root: PathBuf,
    /// What the layers are put on.
    pub base: Base,
    /// The layers, from the one that changes least to the one that changes most.
    pub layers: Vec<Layer>,
    /// Programs among the files whose shared libraries, with the loader, become the first layer, as they are on this machine.
    /// For images on nothing. Programs that are linked statically need none.
    pub libraries_of: Vec<String>,
    /// Programs that have to be for the platform's processor: what layers and `libraries_of` call them, and where they are,
    /// relative to `root` or absolute. They may lie outside of the project's folder, and are not put into the image by this.
    pub programs: BTreeMap<String, PathBuf>,
    /// How layers are compressed.
    pub compression: Compression,
    /// Whose names its documents have.
    pub format: Format,
    /// What the image runs on.
    pub platform: Platform,
    /// What runs, and how.
    pub config: RunConfig,
    /// The time everything in the image carries, in seconds since 1970: `SOURCE_DATE_EPOCH`, by custom 0.
    pub created: u64,
}

/// What layers are put on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// Nothing.
    Scratch,
    /// An image in an OCI image layout on disk. Its layers go into the new image as they are.
    Layout {
        /// The layout's folder.
        dir: PathBuf,
        /// The manifest; the only one of the layout, or the only one for the platform, when `None`.
        manifest: Option<Digest>,
        /// Where it comes from, if the image is to say so.
        origin: Option<Origin>,
    },
}

/// The image that a base was copied from, for the annotations that the
/// [specification](https://github.com/opencontainers/image-spec/blob/main/annotations.md) has for it. Docker's format has no
/// annotations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Its whole name, `docker.io/library/debian:13`.
    pub name: String,
    /// What that name stood for: an index, where it is one.
    pub digest: Digest,
}

/// Files that become one layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// A file or folder, relative to the project's folder. Of a folder, what is in it is taken.
    pub from: String,
    /// Where it goes, absolute. A file goes into it when it ends in `/`, and becomes it otherwise.
    pub to: String,
}

/// How layers are compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// Everything that runs images reads it.
    #[default]
    Gzip,
    /// Faster and smaller. Read by containerd from 1.5 and Docker Engine from 23.
    #[cfg(feature = "zstd")]
    Zstd,
}

/// Whose names the documents of an image have. What is in them is the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// Those of the [OCI image specification](https://github.com/opencontainers/image-spec).
    #[default]
    Oci,
    /// Those of Docker's [image manifest version 2, schema 2](https://distribution.github.io/distribution/spec/manifest-v2-2/),
    /// for registries and tools from before 2017. There are none for zstd.
    Docker,
}

/// What an image says about running it. What is not given is the base's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunConfig {
    /// What is started. A new one takes the base's `cmd` away: it was meant for another program.
    pub entrypoint: Option<Vec<String>>,
    /// Its default arguments.
    pub cmd: Option<Vec<String>>,
    /// Environment variables, added to the base's. Never secrets.
    pub env: BTreeMap<String, String>,
    /// The user: a name or a number, with an optional group behind a `:`.
    pub user: Option<String>,
    /// The folder it starts in, absolute.
    pub workdir: Option<String>,
    /// The ports it listens on, for people who read the image.
    pub ports: BTreeSet<Port>,
    /// Labels, added to the base's.
    pub labels: BTreeMap<String, String>,
    /// The signal that ends it, `SIGTERM`.
    pub stop_signal: Option<String>,
    /// How Docker tells whether a container is well. Kubernetes does not look at it.
    pub healthcheck: Option<Healthcheck>,
}

/// A command that says by its exit code whether a container is well. What is not given is the engine's default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Healthcheck {
    /// The program and its arguments. There is no shell.
    pub command: Vec<String>,
    /// Time between two checks.
    pub every: Option<Duration>,
    /// How long a check may take.
    pub timeout: Option<Duration>,
    /// How long failures do not count after the start.
    pub startup: Option<Duration>,
    /// How many failures in a row make a container unhealthy.
    pub failures: Option<u32>,
}

/// A port an image says it listens on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// Its number.
    pub number: u16,
    /// What is spoken there.
    pub protocol: Protocol,
}

/// What is spoken at a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        };
        write!(f, "{}/{protocol}", self.number)
    }
}

impl Base {
    /// Where it comes from, if that is known.
    pub(crate) fn origin(&self) -> Option<&Origin> {
        match self {
            Self::Scratch => None,
            Self::Layout { origin, .. } => origin.as_ref(),
        }
    }
}

impl NativeBuild {
    /// Looks for what no runtime would take.
    pub(crate) fn check(&self) -> Result<(), NativeError> {
        let bad = |what: &'static str, text: &str, why: &'static str| {
            Err(NativeError::Config { what, text: text.to_owned(), why })
        };
        let config = &self.config;
        if self.created > LATEST {
            return bad("time", &self.created.to_string(), "it is after the year 2242");
        }
        if let Some(name) = config.env.keys().find(|name| name.is_empty() || name.contains(['=', '\0'])) {
            return bad("environment variable", name, "it is empty or has a `=` in its name");
        }
        if let Some((name, _)) = config.env.iter().find(|(_, value)| value.contains('\0')) {
            return bad("environment variable", name, "its value has a NUL byte in it");
        }
        if let Some(workdir) = config.workdir.as_deref().filter(|workdir| !workdir.starts_with('/')) {
            return bad("workdir", workdir, "it must begin with `/`");
        }
        if let Some(user) =
            config.user.as_deref().filter(|user| user.is_empty() || user.contains(char::is_whitespace))
        {
            return bad("user", user, "it is a name or a number, with an optional group behind a `:`");
        }
        if let Some(signal) = config.stop_signal.as_deref().filter(|signal| !is_signal(signal)) {
            return bad("stop signal", signal, "write `SIGTERM` or a number");
        }
        if config.entrypoint.as_ref().and_then(|words| words.first()).is_some_and(String::is_empty) {
            return bad("entrypoint", "", "its first word is the program");
        }
        if config.healthcheck.as_ref().is_some_and(|check| check.command.first().is_none_or(String::is_empty))
        {
            return bad("healthcheck", "", "its command begins with a program");
        }
        #[cfg(feature = "zstd")]
        if (self.compression, self.format) == (Compression::Zstd, Format::Docker) {
            return bad(
                "compression",
                "zstd",
                "the format `docker` has no name for it; leave the format out",
            );
        }
        Ok(())
    }
}

fn is_signal(text: &str) -> bool {
    let name = text.strip_prefix("SIG").unwrap_or(text);
    let named =
        name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b'+' | b'-'));
    !name.is_empty() && (text.bytes().all(|b| b.is_ascii_digit()) || (named && text != name))
}
