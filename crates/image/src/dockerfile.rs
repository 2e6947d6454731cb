//! What to build, and whether its paths make sense.
//!
//! Whether a Dockerfile is right is not judged here: the engine does that, and says better what is wrong.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use release_core::ImageRef;

use crate::{BuildError, BuildInputs};

/// One build from a Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerfileBuild {
    /// The folder whose files the Dockerfile can copy.
    pub context: PathBuf,
    /// The Dockerfile on disk, inside of [`context`](Self::context). A relative path starts at the current folder.
    pub dockerfile: PathBuf,
    /// The stage to build; the last one when `None`.
    pub target: Option<String>,
    /// Values of `ARG`s. They can be seen in the image's history, so they are no place for secrets.
    pub args: BTreeMap<String, String>,
    /// `linux/arm64`; the engine's own when `None`.
    pub platform: Option<String>,
    /// Labels added to the image.
    pub labels: BTreeMap<String, String>,
    /// The name the engine keeps the image under.
    pub tag: ImageRef,
    /// Whether every step is run, those too whose result the engine has.
    pub no_cache: bool,
    /// Secrets, agents, further contexts and caches.
    pub inputs: BuildInputs,
}

/// The paths of a build, looked at: both absolute and free of links.
#[derive(Debug)]
pub(crate) struct Paths {
    /// The context.
    pub(crate) context: PathBuf,
    /// The Dockerfile relative to the context, with `/` between its parts.
    pub(crate) dockerfile: String,
}

impl Paths {
    /// The Dockerfile's name in its folder.
    pub(crate) fn name(&self) -> &str {
        self.dockerfile.rsplit('/').next().unwrap_or(&self.dockerfile)
    }
}

impl DockerfileBuild {
    /// Looks at the paths before anybody is contacted.
    pub(crate) fn paths(&self) -> Result<Paths, BuildError> {
        let context = self
            .context
            .canonicalize()
            .map_err(|source| BuildError::Context { path: self.context.clone(), source })?;
        if !context.is_dir() {
            let source = io::Error::from(io::ErrorKind::NotADirectory);
            return Err(BuildError::Context { path: self.context.clone(), source });
        }
        let failed = |source| BuildError::Dockerfile { path: self.dockerfile.clone(), source };
        if !self.dockerfile.metadata().map_err(failed)?.is_file() {
            return Err(failed(io::Error::other("it is not a file")));
        }
        // Only the folder is resolved: a Dockerfile that is itself a link stays under the name it has in the context.
        let folder = self.dockerfile.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = folder.canonicalize().map_err(failed)?;
        let outside = || BuildError::DockerfileOutside {
            dockerfile: self.dockerfile.clone(),
            context: self.context.clone(),
        };
        let name = self.dockerfile.file_name().ok_or_else(outside)?;
        let inside = folder.join(name).strip_prefix(&context).map_err(|_| outside())?.to_owned();
        let parts: Vec<_> = inside.iter().map(|part| part.to_string_lossy()).collect();
        Ok(Paths { context, dockerfile: parts.join("/") })
    }

    /// What in the Dockerfile hurts releases; see [`lint`](crate::lint).
    ///
    /// # Errors
    /// As [`check`](Self::check), and when the Dockerfile cannot be read.
    pub fn lint(&self) -> Result<Vec<crate::Lint>, BuildError> {
        let paths = self.paths()?;
        let text = self.text(&paths)?;
        let names = [format!("{}.dockerignore", paths.dockerfile), ".dockerignore".to_owned()];
        let has_ignore_file = names.iter().any(|name| paths.context.join(name).exists());
        Ok(crate::lint(&text, self.target.as_deref(), has_ignore_file))
    }

    /// The images that are pulled or pushed for it: its bases (see [`bases`](crate::bases)), those of further contexts, and caches.
    ///
    /// # Errors
    /// As [`lint`](Self::lint).
    pub fn images(&self) -> Result<Vec<ImageRef>, BuildError> {
        let mut images = crate::bases(&self.text(&self.paths()?)?);
        images.extend(self.inputs.images());
        Ok(images)
    }

    fn text(&self, paths: &Paths) -> Result<String, BuildError> {
        let read = std::fs::read(paths.context.join(&paths.dockerfile));
        let bytes =
            read.map_err(|source| BuildError::Dockerfile { path: self.dockerfile.clone(), source })?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Whether the Dockerfile, its context and everything else it is given are there, before anybody is contacted.
    ///
    /// # Errors
    /// When one of them is missing, or the Dockerfile is outside of its context.
    pub fn check(&self) -> Result<(), BuildError> {
        self.paths()?;
        Ok(self.inputs.check()?)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn build(context: PathBuf, dockerfile: PathBuf) -> DockerfileBuild {
        DockerfileBuild {
            context,
            dockerfile,
            target: None,
            args: BTreeMap::new(),
            platform: None,
            labels: BTreeMap::new(),
            tag: "player:v1".parse().unwrap(),
            no_cache: false,
            inputs: BuildInputs::default(),
        }
    }

    #[test]
    fn paths_are_checked_before_anybody_is_contacted() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir_all(root.join("app/docker")).unwrap();
        for file in ["app/Dockerfile", "app/docker/web.Dockerfile", "Dockerfile"] {
            fs::write(root.join(file), "FROM scratch\n").unwrap();
        }
        for (context, dockerfile, expected) in [
            ("app", "app/Dockerfile", "Dockerfile"),
            ("app", "app/docker/web.Dockerfile", "docker/web.Dockerfile"),
            ("app", "app/docker/../Dockerfile", "Dockerfile"),
            ("app/docker/..", "app/Dockerfile", "Dockerfile"),
            ("app", "Dockerfile", "dockerfile `Dockerfile` is outside of its build context `app`"),
            ("app", "app/Nothing", "cannot read dockerfile `app/Nothing`"),
            ("app", "app/docker", "cannot read dockerfile `app/docker`"),
            ("nowhere", "app/Dockerfile", "cannot use `nowhere` as build context"),
            ("app/Dockerfile", "app/Dockerfile", "cannot use `app/Dockerfile` as build context"),
        ] {
            let build = build(root.join(context), root.join(dockerfile));
            let shown = match build.paths() {
                Ok(paths) => paths.dockerfile,
                Err(error) => error.to_string().replace(&format!("{}/", root.display()), ""),
            };
            assert_eq!(shown, expected);
        }
    }
}
