//! What a build is given besides its context: secrets, SSH agents, further contexts, and caches.
//!
//! Everything that is read of this machine is looked at before the engine is asked. What a secret is stays in [`Hidden`].

use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use release_core::ImageRef;
use release_layout::LayoutError;

/// Where an agent is found when nobody says otherwise.
const AGENT_VARIABLE: &str = "SSH_AUTH_SOCK";

/// What can stand in front of a context's address.
const CONTEXTS: [&str; 3] = ["docker-image://", "https://", "http://"];

/// What a build is given besides its context. BuildKit is needed for all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuildInputs {
    /// Files that `RUN --mount=type=secret` finds. They are in no layer.
    pub secrets: Vec<BuildSecret>,
    /// SSH agents that `RUN --mount=type=ssh` can have things signed by.
    pub agents: Vec<BuildAgent>,
    /// Further contexts by name, for `FROM` and `COPY --from`.
    pub contexts: BTreeMap<String, BuildContext>,
    /// Whose results can be used instead of running steps.
    pub cache_from: Vec<CacheSource>,
    /// Where the results of steps are left for later builds.
    pub cache_to: Vec<BuildCache>,
}

/// A secret by the name that the Dockerfile has for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildSecret {
    /// The name: `RUN --mount=type=secret,id=…`.
    pub id: String,
    /// Where it is read, at the time of the build.
    pub from: SecretSource,
}

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// In a file.
    File(PathBuf),
    /// In an environment variable of this name.
    Variable(String),
}

/// An SSH agent by the name that the Dockerfile has for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildAgent {
    /// The name: `RUN --mount=type=ssh,id=…`; without one it is `default`.
    pub id: String,
    /// The agent's socket; that of the variable `SSH_AUTH_SOCK` when `None`.
    pub socket: Option<PathBuf>,
}

/// Where results of steps are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheSource {
    /// In an image, or beside one in a registry.
    Image(ImageRef),
    /// In a folder that [`BuildCache::Folder`] or `docker buildx` has left. One that is not there yet is no error. The engine must
    /// keep its images in containerd.
    Folder(PathBuf),
}

/// Where a further context is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildContext {
    /// `docker-image://…`, or the `https://` address of a Git repository or a file.
    Address(String),
    /// A folder of this machine. Its own `.dockerignore` counts.
    Folder(PathBuf),
}

/// Where the results of steps are left for later builds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildCache {
    /// In the image itself, as a list of what its layers are the results of. Every engine with BuildKit can do this.
    Inline,
    /// In an image of its own. The engine must keep its images in containerd.
    Registry {
        /// The image.
        image: ImageRef,
        /// Whether the steps of all stages are kept, and not only those that the image is made of.
        all_stages: bool,
    },
    /// In a folder of this machine, which is made, and holds the newest cache only. The engine must keep its images in containerd.
    Folder {
        /// The folder.
        path: PathBuf,
        /// As with a registry.
        all_stages: bool,
    },
}

/// Why a build's inputs cannot be used. What is in a secret is never told.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The file of a secret cannot be read.
    #[error("secret `{id}` of the build cannot be read from `{}`", path.display())]
    SecretFile {
        /// The secret.
        id: String,
        /// The file as it was given.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The variable of a secret is not there.
    #[error("secret `{id}` of the build is not there: the variable {name} is not set")]
    SecretVariable {
        /// The secret.
        id: String,
        /// The variable.
        name: String,
    },
    /// A secret is too large.
    #[error("secret `{id}` of the build is larger than {limit} bytes, which is what BuildKit takes")]
    SecretSize {
        /// The secret.
        id: String,
        /// How large it can be.
        limit: usize,
    },
    /// Nobody says where the agent is.
    #[error("ssh agent `{id}` of the build is not there: the variable SSH_AUTH_SOCK is not set")]
    NoAgent {
        /// The agent.
        id: String,
    },
    /// The agent's socket cannot be used.
    #[error("ssh agent `{id}` of the build cannot be reached at `{}`", socket.display())]
    Agent {
        /// The agent.
        id: String,
        /// Its socket.
        socket: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A context is at an address of an unknown kind. The address is not told: it may have a password in it.
    #[error(
        "the address of context `{name}` of the build must begin with `docker-image://`, `https://` or `http://`"
    )]
    Context {
        /// The context.
        name: String,
    },
    /// The folder of a context cannot be used.
    #[error("context `{name}` of the build cannot be read from `{}`", path.display())]
    ContextFolder {
        /// The context.
        name: String,
        /// The folder as it was given.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// There is a second place for the cache beside a folder: BuildKit says of one only what it left there.
    #[error("the build can leave its cache in one folder, and then in no registry")]
    TwoCaches,
    /// The folder of a cache cannot be used.
    #[error("the cache of the build cannot be used")]
    Cache(#[from] LayoutError),
    /// The same name is given twice.
    #[error("`{id}` is the name of two secrets, or of two ssh agents, of the build")]
    Twice {
        /// The name.
        id: String,
    },
}

/// The bytes of a secret. They are shown nowhere.
#[derive(Clone)]
pub(super) struct Hidden(pub(super) Vec<u8>);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden(…)")
    }
}

/// What was read of this machine for a build.
#[derive(Debug, Clone, Default)]
pub(super) struct Lent {
    pub(super) secrets: BTreeMap<String, Hidden>,
    pub(super) agents: BTreeMap<String, PathBuf>,
}

impl BuildInputs {
    /// The most bytes a secret can have. BuildKit takes no larger ones.
    pub const MAX_SECRET_BYTES: usize = 500 * 1024;

    /// What needs BuildKit, in the words of a Dockerfile; `None` when nothing is given.
    pub(crate) fn first(&self) -> Option<&'static str> {
        [
            ("secrets", self.secrets.is_empty()),
            ("ssh agents", self.agents.is_empty()),
            ("further contexts", self.contexts.is_empty()),
            ("imported caches", self.cache_from.is_empty()),
            ("exported caches", self.cache_to.is_empty()),
        ]
        .into_iter()
        .find_map(|(what, none)| (!none).then_some(what))
    }

    /// Images that the engine pulls or pushes for these inputs.
    pub(crate) fn images(&self) -> impl Iterator<Item = ImageRef> {
        let contexts = self.contexts.values().filter_map(|context| match context {
            BuildContext::Address(address) => address.strip_prefix("docker-image://"),
            BuildContext::Folder(_) => None,
        });
        let caches = self.cache_to.iter().filter_map(|cache| match cache {
            BuildCache::Registry { image, .. } => Some(image.clone()),
            BuildCache::Inline | BuildCache::Folder { .. } => None,
        });
        let sources = self.cache_from.iter().filter_map(|source| match source {
            CacheSource::Image(image) => Some(image.clone()),
            CacheSource::Folder(_) => None,
        });
        contexts.filter_map(|image| image.parse().ok()).chain(sources).chain(caches)
    }

    /// The folder the cache is left in.
    pub(super) fn cache_folder(&self) -> Option<&PathBuf> {
        self.cache_to.iter().find_map(|cache| match cache {
            BuildCache::Folder { path, .. } => Some(path),
            BuildCache::Inline | BuildCache::Registry { .. } => None,
        })
    }

    /// Whether the engine has to keep its images in containerd for it.
    pub(super) fn needs_containerd(&self) -> bool {
        self.cache_to.iter().any(|cache| *cache != BuildCache::Inline)
            || self.cache_from.iter().any(|source| matches!(source, CacheSource::Folder(_)))
    }

    /// Whether everything is there, before anybody is contacted.
    pub(crate) fn check(&self) -> Result<(), InputError> {
        self.read(&|name| env::var_os(name).map(std::ffi::OsString::into_encoded_bytes)).map(drop)
    }

    /// Reads the secrets and looks for the agents.
    pub(super) fn lend(&self) -> Result<Lent, InputError> {
        self.read(&|name| env::var_os(name).map(std::ffi::OsString::into_encoded_bytes))
    }

    fn read(&self, variable: &dyn Fn(&str) -> Option<Vec<u8>>) -> Result<Lent, InputError> {
        let mut lent = Lent::default();
        for secret in &self.secrets {
            if lent.secrets.insert(secret.id.clone(), secret.read(variable)?).is_some() {
                return Err(InputError::Twice { id: secret.id.clone() });
            }
        }
        for agent in &self.agents {
            if lent.agents.insert(agent.id.clone(), agent.find(variable)?).is_some() {
                return Err(InputError::Twice { id: agent.id.clone() });
            }
        }
        for (name, context) in &self.contexts {
            context.check(name)?;
        }
        let places = self.cache_to.iter().filter(|cache| **cache != BuildCache::Inline).count();
        if self.cache_folder().is_some() && places > 1 {
            return Err(InputError::TwoCaches);
        }
        Ok(lent)
    }
}

impl BuildContext {
    fn check(&self, name: &str) -> Result<(), InputError> {
        let name = || name.to_owned();
        match self {
            Self::Address(address) if CONTEXTS.iter().any(|kind| address.starts_with(kind)) => Ok(()),
            Self::Address(_) => Err(InputError::Context { name: name() }),
            Self::Folder(path) => {
                let there = std::fs::read_dir(path).map(drop);
                there.map_err(|source| InputError::ContextFolder { name: name(), path: path.clone(), source })
            }
        }
    }
}

impl BuildSecret {
    fn read(&self, variable: &dyn Fn(&str) -> Option<Vec<u8>>) -> Result<Hidden, InputError> {
        let id = || self.id.clone();
        let limit = BuildInputs::MAX_SECRET_BYTES;
        let bytes = match &self.from {
            SecretSource::Variable(name) => {
                variable(name).ok_or_else(|| InputError::SecretVariable { id: id(), name: name.clone() })?
            }
            SecretSource::File(path) => read_at_most(path, limit + 1)
                .map_err(|source| InputError::SecretFile { id: id(), path: path.clone(), source })?,
        };
        if bytes.len() > limit {
            return Err(InputError::SecretSize { id: id(), limit });
        }
        Ok(Hidden(bytes))
    }
}

fn read_at_most(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    // Whoever opens a pipe waits for somebody who writes into it.
    if !path.metadata()?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(limit as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl BuildAgent {
    fn find(&self, variable: &dyn Fn(&str) -> Option<Vec<u8>>) -> Result<PathBuf, InputError> {
        let from_variable = || {
            let text = variable(AGENT_VARIABLE).and_then(|bytes| String::from_utf8(bytes).ok());
            text.filter(|text| !text.is_empty()).map(PathBuf::from)
        };
        let socket = self.socket.clone().or_else(from_variable);
        let socket = socket.ok_or_else(|| InputError::NoAgent { id: self.id.clone() })?;
        match is_socket(&socket) {
            Ok(()) => Ok(socket),
            Err(source) => Err(InputError::Agent { id: self.id.clone(), socket, source }),
        }
    }
}

#[cfg(unix)]
fn is_socket(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::FileTypeExt as _;
    let there = path.metadata()?.file_type().is_socket();
    there.then_some(()).ok_or_else(|| {
        io::Error::other("it is no socket; keys in files are given to an agent with `ssh-add`")
    })
}

#[cfg(not(unix))]
fn is_socket(_: &Path) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "agents are reached by unix sockets only"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(id: &str, from: SecretSource) -> BuildSecret {
        BuildSecret { id: id.into(), from }
    }

    fn check(inputs: &BuildInputs, folder: &Path) -> String {
        let variable = |name: &str| (name == "TOKEN").then(|| b"hunter2".to_vec());
        match inputs.read(&variable) {
            Ok(lent) => format!("{lent:?}"),
            Err(error) => error.to_string(),
        }
        .replace(&format!("{}/", folder.display()), "")
    }

    #[test]
    fn what_is_not_there_is_named_and_what_is_there_is_not_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("npmrc"), "hunter2").unwrap();
        assert!(std::process::Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
        std::fs::write(path("large"), vec![b'x'; BuildInputs::MAX_SECRET_BYTES + 1]).unwrap();
        let file = |name: &str| SecretSource::File(path(name));
        let variable = |name: &str| SecretSource::Variable(name.into());
        for (secrets, expected) in [
            (
                vec![secret("npm", file("npmrc")), secret("t", variable("TOKEN"))],
                r#"Lent { secrets: {"npm": Hidden(…), "t": Hidden(…)}, agents: {} }"#,
            ),
            (vec![secret("npm", file("gone"))], "secret `npm` of the build cannot be read from `gone`"),
            // It would be waited for.
            (vec![secret("npm", file("pipe"))], "secret `npm` of the build cannot be read from `pipe`"),
            (
                vec![secret("t", variable("NOT_SET"))],
                "secret `t` of the build is not there: the variable NOT_SET is not set",
            ),
            (
                vec![secret("npm", file("large"))],
                "secret `npm` of the build is larger than 512000 bytes, which is what BuildKit takes",
            ),
            (
                vec![secret("t", variable("TOKEN")), secret("t", file("npmrc"))],
                "`t` is the name of two secrets, or of two ssh agents, of the build",
            ),
        ] {
            let inputs = BuildInputs { secrets, ..BuildInputs::default() };
            assert_eq!(check(&inputs, dir.path()), expected);
        }
    }

    #[cfg(unix)]
    #[test]
    fn an_agent_is_a_socket() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("id_ed25519"), "").unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(path("agent")).unwrap();
        for (socket, expected) in [
            (Some("agent"), r#"Lent { secrets: {}, agents: {"default": "agent"} }"#),
            (Some("id_ed25519"), "ssh agent `default` of the build cannot be reached at `id_ed25519`"),
            (Some("gone"), "ssh agent `default` of the build cannot be reached at `gone`"),
            (None, "ssh agent `default` of the build is not there: the variable SSH_AUTH_SOCK is not set"),
        ] {
            let agents = vec![BuildAgent { id: "default".into(), socket: socket.map(path) }];
            let inputs = BuildInputs { agents, ..BuildInputs::default() };
            assert_eq!(check(&inputs, dir.path()), expected);
        }
    }

    #[test]
    fn a_context_is_an_image_an_address_or_a_folder() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        let address = |text: &str| BuildContext::Address(text.to_owned());
        let folder = |name: &str| BuildContext::Folder(dir.path().join(name));
        for (context, expected) in [
            (address("docker-image://registry.example.com/base:1"), None),
            (address("https://example.com/a.git#main"), None),
            (
                address("ssh://git:hunter2@example.com/a.git"),
                Some(
                    "the address of context `shared` of the build must begin with `docker-image://`, `https://` or `http://`",
                ),
            ),
            (folder("."), None),
            (folder("gone"), Some("context `shared` of the build cannot be read from `gone`")),
            (folder("file"), Some("context `shared` of the build cannot be read from `file`")),
        ] {
            let contexts = BTreeMap::from([("shared".to_owned(), context)]);
            let inputs = BuildInputs { contexts, ..BuildInputs::default() };
            let shown = inputs.read(&|_| None).err().map(|error| error.to_string());
            let shown = shown.map(|text| text.replace(&format!("{}/", dir.path().display()), ""));
            assert_eq!(shown.as_deref(), expected);
        }
    }
}
