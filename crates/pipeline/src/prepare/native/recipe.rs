//! What `release.yaml` says about an image without a Dockerfile, in the words of `release-image`: a build for every platform.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use release_core::{Platform, ServiceName};
use release_image::{
    Base, Compression, Format, Healthcheck, Layer, NativeBuild, NativeError, Port, Protocol, RunConfig,
};
use release_manifest as given;

use super::Preparation;
use super::base::PulledBase;

impl Preparation<'_> {
    /// The builds, one a platform.
    pub(super) fn recipes(
        &self,
        service: &ServiceName,
        build: &given::NativeBuild,
        pulled: Option<&PulledBase>,
    ) -> Result<Vec<NativeBuild>, NativeError> {
        let platforms = platforms(build)?;
        platforms.into_iter().map(|platform| self.recipe(service, build, platform, pulled)).collect()
    }

    fn recipe(
        &self,
        service: &ServiceName,
        build: &given::NativeBuild,
        platform: Platform,
        pulled: Option<&PulledBase>,
    ) -> Result<NativeBuild, NativeError> {
        let name = platform.to_string();
        let nothing = |what, text: &str| bad(what, text, "there is none for this platform");
        let mut layers = Vec::new();
        for layer in &build.layers {
            let from = layer.from.of(&name).ok_or_else(|| nothing("layer", &layer.to))?;
            layers.push(Layer { from, to: layer.to.clone() });
        }
        let (mut libraries_of, mut programs) = (Vec::new(), BTreeMap::new());
        if let Some(rust) = &build.rust {
            let within = rust.within(&name).ok_or_else(|| nothing("target", &rust.bin))?;
            // The image tells what it is made from, and must not tell where on this machine that is.
            let from = format!("target/{within}");
            // A base has libraries of its own; nothing has none.
            if build.base == given::NativeBase::Scratch {
                libraries_of.push(from.clone());
            }
            programs.insert(from.clone(), self.cargo_target.join(within));
            layers.push(Layer { from, to: rust.to.clone() });
        }
        let mut labels = self.labels(service);
        labels.extend(build.labels.clone());
        let here = self.root.as_os_str().is_empty();
        Ok(NativeBuild {
            root: if here { PathBuf::from(".") } else { self.root.to_owned() },
            base: self.base(&build.base, pulled.and_then(|pulled| pulled.on(&platform))),
            layers,
            libraries_of,
            programs,
            compression: match build.compression {
                given::NativeCompression::Gzip => Compression::Gzip,
                given::NativeCompression::Zstd => Compression::Zstd,
            },
            format: match build.format {
                given::NativeFormat::Oci => Format::Oci,
                given::NativeFormat::Docker => Format::Docker,
            },
            platform,
            config: RunConfig { labels, ..run_config(build) },
            created: self.created,
        })
    }

    fn base(&self, base: &given::NativeBase, pulled: Option<Base>) -> Base {
        match base {
            given::NativeBase::Layout(folder) => {
                Base::Layout { dir: self.root.join(folder), manifest: None, origin: None }
            }
            given::NativeBase::Scratch | given::NativeBase::Image(_) => pulled.unwrap_or(Base::Scratch),
        }
    }
}

/// The platforms an image is built for: this machine's when none is named.
pub(super) fn platforms(build: &given::NativeBuild) -> Result<Vec<Platform>, NativeError> {
    if build.platforms.is_empty() {
        return Ok(vec![Platform::default()]);
    }
    let parse = |text: &String| text.parse::<Platform>().map_err(|_| bad("platform", text, "it is none"));
    build.platforms.iter().map(parse).collect()
}

fn run_config(build: &given::NativeBuild) -> RunConfig {
    let words = |words: &[String]| (!words.is_empty()).then(|| words.to_vec());
    RunConfig {
        entrypoint: words(&build.entrypoint),
        cmd: words(&build.cmd),
        env: build.env.clone(),
        user: build.user.clone(),
        workdir: build.workdir.clone(),
        ports: build.ports.iter().copied().map(port).collect::<BTreeSet<_>>(),
        labels: build.labels.clone(),
        stop_signal: build.stop_signal.clone(),
        healthcheck: build.healthcheck.as_ref().map(|check| Healthcheck {
            command: check.command.clone(),
            every: check.every,
            timeout: check.timeout,
            startup: check.startup,
            failures: check.failures,
        }),
    }
}

fn port(port: given::ExposedPort) -> Port {
    let protocol = match port.protocol {
        given::PortProtocol::Tcp => Protocol::Tcp,
        given::PortProtocol::Udp => Protocol::Udp,
        given::PortProtocol::Sctp => Protocol::Sctp,
    };
    Port { number: port.number, protocol }
}

fn bad(what: &'static str, text: &str, why: &'static str) -> NativeError {
    NativeError::Config { what, text: text.to_owned(), why }
}
