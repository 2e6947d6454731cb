//! An image without a Dockerfile.

use std::collections::BTreeSet;

use release_core::ImageRef;

use super::{Resolver, texts};
use crate::problem::ProblemKind;
use crate::project::spec::{
    CompressionSpec, FormatSpec, HealthcheckSpec, ImageSpec, LayerSpec, PerPlatform, RustSpec,
};
use crate::project::value::EnvText;
use crate::{
    ByPlatform, ExposedPort, NativeBase, NativeBuild, NativeCompression, NativeFormat, NativeHealthcheck,
    NativeLayer, PortProtocol, RustProgram,
};

/// What stands in front of the folder of a base.
const LAYOUT: &str = "oci:";

impl ImageSpec {
    /// Whether any key of an image without a Dockerfile is there.
    pub(super) fn is_native(&self) -> bool {
        self.base.is_some()
            || self.layers.is_some()
            || self.rust.is_some()
            || self.platforms.is_some()
            || self.compression.is_some()
            || self.format.is_some()
            || self.entrypoint.is_some()
            || self.cmd.is_some()
            || self.env.is_some()
            || self.user.is_some()
            || self.workdir.is_some()
            || self.ports.is_some()
            || self.labels.is_some()
            || self.stop_signal.is_some()
            || self.healthcheck.is_some()
    }
}

impl Resolver<'_> {
    /// The image, or `None` when it cannot be built whatever the files are.
    pub(super) fn native(&mut self, spec: &ImageSpec) -> Option<NativeBuild> {
        let before = self.problems.len();
        let base = self.base(spec.base.as_deref());
        let platforms = self.platforms(spec);
        let rust = spec.rust.as_ref().map(|rust| self.rust(rust, &platforms));
        let layers = self.layers(spec, &platforms);
        let (mut entrypoint, cmd) = (texts(spec.entrypoint.clone()), texts(spec.cmd.clone()));
        if let (true, Some(rust)) = (entrypoint.is_empty(), &rust) {
            entrypoint.push(format!("{}{}", rust.to, rust.bin));
        }
        // What an image of others starts is known when it is there.
        if entrypoint.is_empty() && cmd.is_empty() && base == NativeBase::Scratch {
            let message = "`image` does not say what is started";
            let help = "add `entrypoint: [/path/of/the/program]`";
            self.complain(ProblemKind::MissingKey, &["image"], message, help);
        }
        self.run_config(spec);
        let (compression, format) = self.packing(spec);
        let build = NativeBuild {
            base,
            layers,
            rust,
            compression,
            format,
            entrypoint,
            cmd,
            env: self.texts_by_name(spec.env.clone(), &["image", "env"]),
            user: spec.user.as_ref().map(|user| user.0.clone()),
            workdir: spec.workdir.clone(),
            ports: self.ports(spec.ports.as_deref().unwrap_or_default()),
            labels: self.texts_by_name(spec.labels.clone(), &["image", "labels"]),
            stop_signal: spec.stop_signal.as_ref().map(|signal| signal.0.clone()),
            healthcheck: spec.healthcheck.as_ref().map(|check| self.healthcheck(check)),
            platforms,
            lockfile: spec.lockfile.clone(),
        };
        (self.problems.len() == before).then_some(build)
    }

    fn base(&mut self, base: Option<&str>) -> NativeBase {
        let Some(base) = base else {
            let message = "`image` does not say what it is built on";
            let help = "add `base: scratch`, which is nothing";
            self.complain(ProblemKind::MissingKey, &["image"], message, help);
            return NativeBase::Scratch;
        };
        if base == "scratch" {
            return NativeBase::Scratch;
        }
        if let Some(folder) = base.strip_prefix(LAYOUT) {
            self.relative(folder, &["image", "base"]);
            return NativeBase::Layout(folder.to_owned());
        }
        let message = match base.parse::<ImageRef>() {
            Ok(ImageRef { tag: None, digest: None, .. }) => {
                format!("image `{base}` has neither a tag nor a digest")
            }
            Ok(image) => return NativeBase::Image(image),
            Err(error) => error.to_string(),
        };
        let help = "write `scratch`, `oci:FOLDER`, or an image: `repository@sha256:…`, or `repository:tag`, which is whatever \
                    the tag names at each build";
        self.complain(ProblemKind::BadValue, &["image", "base"], message, help);
        NativeBase::Scratch
    }

    fn platforms(&mut self, spec: &ImageSpec) -> Vec<String> {
        self.platform(spec);
        let Some(platforms) = &spec.platforms else { return spec.platform.clone().into_iter().collect() };
        if spec.platform.is_some() {
            let message = "`image` has both `platform` and `platforms`";
            self.complain(ProblemKind::Conflict, &["image", "platforms"], message, "take one of them out");
        }
        let mut seen = BTreeSet::new();
        for (index, platform) in platforms.iter().enumerate() {
            let keys = ["image", "platforms", &index.to_string()];
            if self.is_platform(platform, &keys) && !seen.insert(platform) {
                let message = format!("`{platform}` is there twice");
                self.complain(ProblemKind::Conflict, &keys, message, "take one of them out");
            }
        }
        if platforms.is_empty() {
            let message = "`platforms` is empty";
            self.complain(
                ProblemKind::BadValue,
                &["image", "platforms"],
                message,
                "leave it out for the builder's own",
            );
        }
        platforms.clone()
    }

    fn rust(&mut self, spec: &RustSpec, platforms: &[String]) -> RustProgram {
        let keys = |key: &'static str| ["image", "rust", key];
        for (key, name) in [("bin", Some(&spec.bin)), ("profile", spec.profile.as_ref())] {
            if let Some(name) = name.filter(|name| name.is_empty() || name.contains(['/', '\\'])) {
                let message = format!("`{name}` is not a name");
                let help = "write it as in `Cargo.toml`; where cargo leaves the program follows from it";
                self.complain(ProblemKind::BadValue, &keys(key), message, help);
            }
        }
        let to = spec.to.as_deref().unwrap_or("/app/");
        if !is_place(to) || !to.ends_with('/') {
            let message = format!("`{to}` is not a folder of the image");
            self.complain(
                ProblemKind::BadValue,
                &keys("to"),
                message,
                "it begins and ends with `/`, as in `/app/`",
            );
        }
        let target = spec.target.as_ref().map(|target| self.by_platform(target, platforms, &keys("target")));
        if target.is_none() && platforms.len() > 1 {
            let message = "`rust` does not say what the program was built for on each platform";
            let help = "add `target: {linux/amd64: x86_64-unknown-linux-musl, linux/arm64: …}`";
            self.complain(ProblemKind::MissingKey, &["image", "rust"], message, help);
        }
        let profile = spec.profile.clone().unwrap_or_else(|| "release".to_owned());
        RustProgram { bin: spec.bin.clone(), profile, target, to: to.to_owned() }
    }

    fn layers(&mut self, spec: &ImageSpec, platforms: &[String]) -> Vec<NativeLayer> {
        let given = spec.layers.as_deref().unwrap_or_default();
        if given.is_empty() && spec.rust.is_none() {
            let message = "`image` has nothing in it";
            let help = "add `layers: [{from: target/release/web, to: /app/}]`";
            self.complain(ProblemKind::MissingKey, &["image"], message, help);
        }
        given
            .iter()
            .enumerate()
            .map(|(index, layer)| self.layer(&index.to_string(), layer, platforms))
            .collect()
    }

    fn layer(&mut self, index: &str, layer: &LayerSpec, platforms: &[String]) -> NativeLayer {
        let keys = ["image", "layers", index, "from"];
        let from = self.by_platform(&layer.from, platforms, &keys);
        let paths: Vec<&String> = match &from {
            ByPlatform::Same(path) => vec![path],
            ByPlatform::Each(paths) => paths.values().collect(),
        };
        for path in paths {
            self.relative(path, &keys);
            if above(path) {
                let message = format!("`{path}` leads out of the folder of this file");
                let help = "only files of the project can be put into its images";
                self.complain(ProblemKind::BadValue, &keys, message, help);
            }
            if path.replace(ByPlatform::PLACEHOLDER, "").contains("${") {
                let message = format!("`{path}` has a `${{…}}` that nobody fills in");
                let help = "`${platform}` is the only one here";
                self.complain(ProblemKind::BadValue, &keys, message, help);
            }
        }
        if !is_place(&layer.to) {
            let message = format!("`{}` is not a place in the image", layer.to);
            let help = "it begins with `/` and has no `..`; a folder ends with `/`, as in `/app/`";
            self.complain(ProblemKind::BadValue, &["image", "layers", index, "to"], message, help);
        }
        NativeLayer { from, to: layer.to.clone() }
    }

    /// A map has to have every platform and no other.
    fn by_platform(&mut self, given: &PerPlatform, platforms: &[String], keys: &[&str]) -> ByPlatform {
        let texts = match given {
            PerPlatform::Same(text) => return ByPlatform::Same(text.clone()),
            PerPlatform::Each(texts) => texts,
        };
        if platforms.is_empty() {
            let message = "there is a text for each platform, and `image` names no platforms";
            self.complain(
                ProblemKind::MissingKey,
                keys,
                message,
                "add `platforms: [linux/amd64, linux/arm64]`",
            );
        }
        for platform in platforms.iter().filter(|platform| !texts.contains_key(*platform)) {
            let message = format!("there is nothing for `{platform}`");
            self.complain(ProblemKind::MissingKey, keys, message, "add it, or take the platform out");
        }
        for other in texts.keys().filter(|other| !platforms.is_empty() && !platforms.contains(other)) {
            let message = format!("`{other}` is not among the platforms");
            self.complain(ProblemKind::UnknownName, keys, message, "take it out, or add it to `platforms`");
        }
        ByPlatform::Each(texts.clone())
    }

    fn run_config(&mut self, spec: &ImageSpec) {
        if let Some(workdir) = spec.workdir.as_deref().filter(|workdir| !workdir.starts_with('/')) {
            let message = format!("`{workdir}` is not a folder of the image");
            self.complain(ProblemKind::BadValue, &["image", "workdir"], message, "it begins with `/`");
        }
        let bad = |user: &&str| user.is_empty() || user.contains(char::is_whitespace);
        if let Some(user) = spec.user.as_ref().map(|user| user.0.as_str()).filter(bad) {
            let message = format!("`{user}` is not a user");
            let help = "write a name or a number, with an optional group behind a `:`, as in `65532:65532`";
            self.complain(ProblemKind::BadValue, &["image", "user"], message, help);
        }
        if let Some(signal) =
            spec.stop_signal.as_ref().map(|signal| &signal.0).filter(|text| !is_signal(text))
        {
            let message = format!("`{signal}` is not a signal");
            self.complain(
                ProblemKind::BadValue,
                &["image", "stop_signal"],
                message,
                "write `SIGTERM` or a number",
            );
        }
    }

    fn packing(&mut self, spec: &ImageSpec) -> (NativeCompression, NativeFormat) {
        let compression = match spec.compression {
            None | Some(CompressionSpec::Gzip) => NativeCompression::Gzip,
            Some(CompressionSpec::Zstd) => NativeCompression::Zstd,
        };
        let format = match spec.format {
            None | Some(FormatSpec::Oci) => NativeFormat::Oci,
            Some(FormatSpec::Docker) => NativeFormat::Docker,
        };
        if (compression, format) == (NativeCompression::Zstd, NativeFormat::Docker) {
            let message = "`format: docker` has no name for layers in zstd";
            let help = "take `format` out, or write `compression: gzip`";
            self.complain(ProblemKind::Conflict, &["image", "compression"], message, help);
        }
        (compression, format)
    }

    fn ports(&mut self, given: &[EnvText]) -> Vec<ExposedPort> {
        let mut ports = Vec::new();
        for (index, EnvText(text)) in given.iter().enumerate() {
            if let Some(port) = port(text) {
                ports.push(port);
            } else {
                let message = format!("`{text}` is not a port");
                let help =
                    "write a number from 1 to 65535, with `/udp` or `/sctp` behind it where it is not TCP";
                self.complain(ProblemKind::BadValue, &["image", "ports", &index.to_string()], message, help);
            }
        }
        ports
    }

    fn healthcheck(&mut self, spec: &HealthcheckSpec) -> NativeHealthcheck {
        let command = texts(Some(spec.command.clone()));
        if command.first().is_none_or(String::is_empty) {
            let message = "`healthcheck` does not say what is run";
            let help = "write `command: [/app/web, healthy]`; there is no shell";
            self.complain(ProblemKind::BadValue, &["image", "healthcheck", "command"], message, help);
        }
        NativeHealthcheck {
            command,
            every: spec.every.as_ref().map(|period| period.0),
            timeout: spec.timeout.as_ref().map(|period| period.0),
            startup: spec.startup.as_ref().map(|period| period.0),
            failures: spec.failures,
        }
    }
}

fn above(path: &str) -> bool {
    path.split('/').any(|part| part == "..")
}

fn is_place(path: &str) -> bool {
    path.starts_with('/') && !above(path)
}

fn is_signal(text: &str) -> bool {
    let name = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b'+' | b'-'))
    };
    let number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    number || text.strip_prefix("SIG").is_some_and(name)
}

fn port(text: &str) -> Option<ExposedPort> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = match protocol {
        "tcp" => PortProtocol::Tcp,
        "udp" => PortProtocol::Udp,
        "sctp" => PortProtocol::Sctp,
        _ => return None,
    };
    let number = number.parse().ok().filter(|number| *number > 0)?;
    Some(ExposedPort { number, protocol })
}
