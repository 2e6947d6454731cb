//! An image without a Dockerfile: what it is made of, and for which platforms.

use std::collections::BTreeMap;
use std::time::Duration;

use release_core::ImageRef;

/// What an image without a Dockerfile is made of. Paths are relative to the folder of `release.yaml`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NativeBuild {
    /// What the layers are put on.
    pub base: NativeBase,
    /// The layers, the one that changes least first.
    pub layers: Vec<NativeLayer>,
    /// A program that cargo has built, as the last layer.
    pub rust: Option<RustProgram>,
    /// How layers are compressed.
    pub compression: NativeCompression,
    /// Whose names the documents have.
    pub format: NativeFormat,
    /// What is started.
    pub entrypoint: Vec<String>,
    /// Its default arguments.
    pub cmd: Vec<String>,
    /// Environment variables of the image. Whoever can pull it can read them: never secrets.
    pub env: BTreeMap<String, String>,
    /// The user it runs as: a name or a number, with an optional group behind a `:`.
    pub user: Option<String>,
    /// The folder it starts in.
    pub workdir: Option<String>,
    /// The ports it says it listens on.
    pub ports: Vec<ExposedPort>,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
    /// The signal that ends it.
    pub stop_signal: Option<String>,
    /// How Docker tells whether a container is well.
    pub healthcheck: Option<NativeHealthcheck>,
    /// `linux/amd64`; the builder's own when empty. With more than one it is an image for each, and an index of them.
    pub platforms: Vec<String>,
    /// The `Cargo.lock` that lists what is in the image; looked for when `None`.
    pub lockfile: Option<String>,
}

/// What layers are put on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum NativeBase {
    /// Nothing.
    #[default]
    Scratch,
    /// The image of an OCI image layout, a folder.
    Layout(String),
    /// An image of a registry, with a tag or a digest.
    Image(ImageRef),
}

/// Files that become one layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NativeLayer {
    /// A file or folder. Of a folder, what is in it is taken.
    pub from: ByPlatform,
    /// Where it goes in the image, absolute. A file goes into it when it ends in `/`, and becomes it otherwise.
    pub to: String,
}

/// A text that may be another one for every platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ByPlatform {
    /// One for all, in which [`ByPlatform::PLACEHOLDER`] stands for the platform.
    Same(String),
    /// One for each.
    Each(BTreeMap<String, String>),
}

impl NativeBuild {
    /// How many layers are put on the base, for each platform.
    pub fn layer_count(&self) -> usize {
        self.layers.len() + usize::from(self.rust.is_some())
    }
}

impl ByPlatform {
    /// What stands for the platform, `linux/amd64`, in a text for all of them.
    pub const PLACEHOLDER: &'static str = "${platform}";

    /// The text for a platform, if there is one.
    pub fn of(&self, platform: &str) -> Option<String> {
        match self {
            Self::Same(text) => Some(text.replace(Self::PLACEHOLDER, platform)),
            Self::Each(texts) => texts.get(platform).cloned(),
        }
    }
}

/// A program that cargo has built: `[TARGET/]PROFILE/BIN` in the folder it builds in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RustProgram {
    /// Its name.
    pub bin: String,
    /// The profile it was built with.
    pub profile: String,
    /// What it was built for; this machine when `None`.
    pub target: Option<ByPlatform>,
    /// The folder it goes to, absolute, with a `/` at its end.
    pub to: String,
}

impl RustProgram {
    /// Where cargo leaves the program, in the folder it builds in. `None` when there is no target for the platform.
    pub fn within(&self, platform: &str) -> Option<String> {
        // Cargo's folder of the profile `dev` has another name than the profile.
        let profile = if self.profile == "dev" { "debug" } else { &self.profile };
        Some(match &self.target {
            None => format!("{profile}/{}", self.bin),
            Some(target) => format!("{}/{profile}/{}", target.of(platform)?, self.bin),
        })
    }
}

/// How layers are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NativeCompression {
    /// gzip.
    #[default]
    Gzip,
    /// zstd.
    Zstd,
}

/// Whose names the documents of an image have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NativeFormat {
    /// Those of the OCI image specification.
    #[default]
    Oci,
    /// Docker's.
    Docker,
}

/// A port an image says it listens on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExposedPort {
    /// Its number.
    pub number: u16,
    /// What is spoken there.
    pub protocol: PortProtocol,
}

/// What is spoken at a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PortProtocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// How Docker tells whether a container is well. What is not given is the engine's default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NativeHealthcheck {
    /// A program in the image and its arguments.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_where_cargo_leaves_it() {
        let program = |profile: &str, target: Option<ByPlatform>| RustProgram {
            bin: "web".to_owned(),
            profile: profile.to_owned(),
            target,
            to: "/app/".to_owned(),
        };
        let musl = ByPlatform::Same("x86_64-unknown-linux-musl".to_owned());
        let each = BTreeMap::from([("linux/arm64".to_owned(), "aarch64-unknown-linux-gnu".to_owned())]);
        for (program, expected) in [
            (program("release", None), Some("release/web")),
            (program("dev", None), Some("debug/web")),
            (program("small", Some(musl)), Some("x86_64-unknown-linux-musl/small/web")),
            (program("release", Some(ByPlatform::Each(each))), None),
        ] {
            assert_eq!(program.within("linux/amd64").as_deref(), expected);
        }
    }

    #[test]
    fn the_platform_is_filled_in() {
        let text = ByPlatform::Same("dist/${platform}/web".to_owned());
        assert_eq!(text.of("linux/arm64").as_deref(), Some("dist/linux/arm64/web"));
    }
}
