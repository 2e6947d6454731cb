//! An image without a Dockerfile.

use super::{Resolver, texts};
use crate::problem::ProblemKind;
use crate::project::not_yet;
use crate::project::spec::ImageSpec;
use crate::{NativeBuild, NativeLayer};

impl ImageSpec {
    /// Whether any key of an image without a Dockerfile is there.
    pub(super) fn is_native(&self) -> bool {
        self.base.is_some()
            || self.layers.is_some()
            || self.entrypoint.is_some()
            || self.cmd.is_some()
            || self.env.is_some()
            || self.user.is_some()
            || self.workdir.is_some()
            || self.labels.is_some()
    }
}

impl Resolver<'_> {
    /// The image, or `None` when it cannot be built whatever the files are.
    pub(super) fn native(&mut self, spec: &ImageSpec) -> Option<NativeBuild> {
        let before = self.problems.len();
        match spec.base.as_deref() {
            Some("scratch") => {}
            Some(base) => {
                let problem = self.place(not_yet(&format!("the base `{base}`"), ""), &["image", "base"]);
                self.problems.push(problem.help("this version builds on `scratch`, which is nothing"));
            }
            None => {
                let message = "`image` does not say what it is built on";
                self.complain(
                    ProblemKind::MissingKey,
                    &["image"],
                    message,
                    "add `base: scratch`, which is nothing",
                );
            }
        }
        let layers = self.layers(spec);
        let (entrypoint, cmd) = (texts(spec.entrypoint.clone()), texts(spec.cmd.clone()));
        if entrypoint.is_empty() && cmd.is_empty() {
            let message = "`image` does not say what is started";
            self.complain(
                ProblemKind::MissingKey,
                &["image"],
                message,
                "add `entrypoint: [/path/of/the/program]`",
            );
        }
        if let Some(workdir) = spec.workdir.as_deref().filter(|workdir| !workdir.starts_with('/')) {
            let message = format!("`{workdir}` is not a folder of the image");
            self.complain(ProblemKind::BadValue, &["image", "workdir"], message, "it begins with `/`");
        }
        let user = spec.user.as_ref().map(|user| user.0.clone());
        if let Some(user) =
            user.as_deref().filter(|user| user.is_empty() || user.contains(char::is_whitespace))
        {
            let message = format!("`{user}` is not a user");
            let help = "write a name or a number, with an optional group behind a `:`, as in `65532:65532`";
            self.complain(ProblemKind::BadValue, &["image", "user"], message, help);
        }
        self.platform(spec);
        let build = NativeBuild {
            layers,
            entrypoint,
            cmd,
            env: self.texts_by_name(spec.env.clone(), &["image", "env"]),
            user,
            workdir: spec.workdir.clone(),
            labels: self.texts_by_name(spec.labels.clone(), &["image", "labels"]),
            platform: spec.platform.clone(),
        };
        (self.problems.len() == before).then_some(build)
    }

    fn layers(&mut self, spec: &ImageSpec) -> Vec<NativeLayer> {
        let given = spec.layers.as_deref().unwrap_or_default();
        if given.is_empty() {
            let message = "`image` has nothing in it";
            let help = "add `layers: [{from: target/release/web, to: /app/}]`";
            self.complain(ProblemKind::MissingKey, &["image"], message, help);
        }
        for (index, layer) in given.iter().enumerate() {
            let index = index.to_string();
            let above = |path: &str| path.split('/').any(|part| part == "..");
            self.relative(&layer.from, &["image", "layers", &index, "from"]);
            if above(&layer.from) {
                let message = format!("`{}` leads out of the folder of this file", layer.from);
                let help = "only files of the project can be put into its images";
                self.complain(ProblemKind::BadValue, &["image", "layers", &index, "from"], message, help);
            }
            if !layer.to.starts_with('/') || above(&layer.to) {
                let message = format!("`{}` is not a place in the image", layer.to);
                let help = "it begins with `/` and has no `..`; a folder ends with `/`, as in `/app/`";
                self.complain(ProblemKind::BadValue, &["image", "layers", &index, "to"], message, help);
            }
        }
        given.iter().map(|layer| NativeLayer { from: layer.from.clone(), to: layer.to.clone() }).collect()
    }
}
