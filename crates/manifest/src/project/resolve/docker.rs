//! What a build from a Dockerfile is given besides its context.
//!
//! Whether files, variables and agents are there is not looked at: what is built where decides that.

use std::collections::BTreeMap;

use release_core::ImageRef;

use super::Resolver;
use crate::problem::ProblemKind;
use crate::project::spec::ImageSpec;
use crate::{DockerBuild, DockerCache, DockerCacheSource, DockerContext, DockerSecret};

const CACHES: &str = "write an image, `type=registry,ref=IMAGE`, `type=local` with `src=FOLDER` in `cache_from` and `dest=FOLDER` in `cache_to`, or, for `cache_to`, `type=inline`, which leaves the cache in the image that is built";

impl ImageSpec {
    /// Whether any key is there that only a build from a Dockerfile has.
    pub(super) fn is_given(&self) -> bool {
        self.secrets.is_some()
            || self.ssh.is_some()
            || self.contexts.is_some()
            || self.cache_from.is_some()
            || self.cache_to.is_some()
    }
}

impl Resolver<'_> {
    pub(super) fn docker(&mut self, spec: &ImageSpec, dockerfile: &str) -> DockerBuild {
        self.relative(dockerfile, &["image", "dockerfile"]);
        self.platform(spec);
        if let Some(context) = &spec.context {
            self.relative(context, &["image", "context"]);
        }
        DockerBuild {
            dockerfile: dockerfile.to_owned(),
            context: spec.context.clone().unwrap_or_else(|| ".".to_owned()),
            target: spec.target.clone(),
            args: self.texts_by_name(spec.args.clone(), &["image", "args"]),
            platform: spec.platform.clone(),
            lockfile: spec.lockfile.clone(),
            secrets: self.secrets(spec),
            ssh: self.ssh(spec),
            contexts: self.contexts(spec),
            cache_from: self.cache_from(spec),
            cache_to: self.cache_to(spec),
        }
    }

    fn secrets(&mut self, spec: &ImageSpec) -> BTreeMap<String, DockerSecret> {
        const HELP: &str = "write `{id: npm, env: NPM_TOKEN}` or `{id: npm, file: npm.token}`; in the Dockerfile, `RUN --mount=type=secret,id=npm …` finds it in `/run/secrets/npm`";
        let mut secrets = BTreeMap::new();
        for (index, secret) in spec.secrets.iter().flatten().enumerate() {
            let keys = ["image", "secrets", &index.to_string()];
            let id = &secret.id;
            let from = match (&secret.file, &secret.env) {
                (Some(file), None) if !file.is_empty() => DockerSecret::File(file.clone()),
                (None, Some(name)) if is_variable(name) => DockerSecret::Env(name.clone()),
                (None, Some(name)) => {
                    let message = format!("`{name}` is not the name of a variable");
                    self.complain(ProblemKind::BadValue, &keys, message, HELP);
                    continue;
                }
                _ => {
                    let message = format!("secret `{id}` has to be in one place: `file` or `env`");
                    self.complain(ProblemKind::Conflict, &keys, message, HELP);
                    continue;
                }
            };
            self.id(id, &keys);
            if secrets.insert(id.clone(), from).is_some() {
                let message = format!("there are two secrets `{id}`");
                self.complain(ProblemKind::Conflict, &keys, message, "give each an id of its own");
            }
        }
        secrets
    }

    fn ssh(&mut self, spec: &ImageSpec) -> BTreeMap<String, Option<String>> {
        let mut agents = BTreeMap::new();
        for (index, text) in spec.ssh.iter().flatten().enumerate() {
            let keys = ["image", "ssh", &index.to_string()];
            let (id, socket) = match text.split_once('=') {
                Some((id, socket)) => (id, Some(socket.to_owned())),
                None => (text.as_str(), None),
            };
            self.id(id, &keys);
            if socket.as_deref() == Some("") || agents.insert(id.to_owned(), socket).is_some() {
                let help =
                    "write `default`, which is the agent of SSH_AUTH_SOCK, or `ID=SOCKET` for another one";
                let message = format!("`{text}` names no ssh agent, or one that is there already");
                self.complain(ProblemKind::BadValue, &keys, message, help);
            }
        }
        agents
    }

    fn contexts(&mut self, spec: &ImageSpec) -> BTreeMap<String, DockerContext> {
        let mut contexts = BTreeMap::new();
        for (name, place) in spec.contexts.iter().flatten() {
            if name.is_empty() || name.chars().any(char::is_uppercase) {
                let message = format!("`{name}` cannot be the name of a context");
                // BuildKit would look for an image of that name instead, and say nothing.
                let help = "write it in lower case, as the names of stages and images are compared";
                self.complain(ProblemKind::BadValue, &["image", "contexts", name], message, help);
                continue;
            }
            let known = ["docker-image://", "https://", "http://"];
            let context = if known.iter().any(|kind| place.starts_with(kind)) {
                DockerContext::Address(place.clone())
            } else if place.is_empty() || place.contains("://") {
                // The place is not told: it may have a password in it.
                let message = format!("context `{name}` is neither an image nor an address nor a folder");
                let help = "write `docker-image://IMAGE`, the `https://` address of a Git repository or file, or a folder such as `../shared`";
                self.complain(ProblemKind::BadValue, &["image", "contexts", name], message, help);
                continue;
            } else {
                DockerContext::Folder(place.clone())
            };
            contexts.insert(name.clone(), context);
        }
        contexts
    }

    fn cache_from(&mut self, spec: &ImageSpec) -> Vec<DockerCacheSource> {
        let mut sources = Vec::new();
        for (index, text) in spec.cache_from.iter().flatten().enumerate() {
            match cache_source(text) {
                Ok(source) => sources.push(source),
                Err(said) => self.no_cache("cache_from", index, text, &said),
            }
        }
        sources
    }

    fn cache_to(&mut self, spec: &ImageSpec) -> Vec<DockerCache> {
        let mut caches = Vec::new();
        for (index, text) in spec.cache_to.iter().flatten().enumerate() {
            match cache(text) {
                Ok(cache) => caches.push(cache),
                Err(said) => self.no_cache("cache_to", index, text, &said),
            }
        }
        let folder = caches.iter().any(|cache| matches!(cache, DockerCache::Folder { .. }));
        if folder && caches.iter().filter(|cache| **cache != DockerCache::Inline).count() > 1 {
            let message = "a cache can be left in one folder, and then in no registry";
            self.complain(
                ProblemKind::Conflict,
                &["image", "cache_to"],
                message.to_owned(),
                "keep one of them",
            );
        }
        caches
    }

    fn no_cache(&mut self, key: &str, index: usize, text: &str, said: &str) {
        let message = format!("`{text}` is no place for a cache: {said}");
        self.complain(ProblemKind::BadValue, &["image", key, &index.to_string()], message, CACHES);
    }

    fn id(&mut self, id: &str, keys: &[&str]) {
        let good = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
        if id.is_empty() || !id.bytes().all(good) {
            let message = format!("`{id}` cannot be the id of something in a Dockerfile");
            let help = "use letters, digits, `_`, `-` and `.`";
            self.complain(ProblemKind::BadValue, keys, message, help);
        }
    }
}

/// `IMAGE`, or Docker Compose's `type=…,KEY=VALUE…`.
#[derive(Default)]
struct Words<'a> {
    kind: &'a str,
    by_key: BTreeMap<&'a str, &'a str>,
}

impl<'a> Words<'a> {
    /// `keys` are those that may be there besides `type`.
    fn read(text: &'a str, keys: &[&str]) -> Result<Self, String> {
        let mut words = Self::default();
        for pair in text.split(',') {
            match pair.split_once('=') {
                Some(("type", kind)) => words.kind = kind,
                Some((key, value)) if keys.contains(&key) && !value.is_empty() => {
                    words.by_key.insert(key, value);
                }
                _ => return Err(format!("`{pair}` is not known")),
            }
        }
        Ok(words)
    }

    fn get(&self, key: &str) -> Result<&'a str, String> {
        self.by_key.get(key).copied().ok_or_else(|| format!("it has no `{key}`"))
    }

    fn image(&self) -> Result<ImageRef, String> {
        image(self.get("ref")?)
    }

    fn all_stages(&self) -> Result<bool, String> {
        match self.by_key.get("mode") {
            Some(&"max") => Ok(true),
            None | Some(&"min") => Ok(false),
            Some(mode) => Err(format!("`mode={mode}` is not known")),
        }
    }

    fn unknown<T>(&self) -> Result<T, String> {
        Err(format!("the type `{}` is not known", self.kind))
    }
}

fn image(text: &str) -> Result<ImageRef, String> {
    text.parse::<ImageRef>().map_err(|error| error.to_string())
}

/// Where a cache is left.
fn cache(text: &str) -> Result<DockerCache, String> {
    if !text.contains('=') {
        return Ok(DockerCache::Registry { image: image(text)?, all_stages: false });
    }
    let words = Words::read(text, &["ref", "dest", "mode"])?;
    match words.kind {
        "inline" if words.by_key.is_empty() => Ok(DockerCache::Inline),
        "inline" => Err("`type=inline` has nothing else".to_owned()),
        "registry" if words.by_key.contains_key("dest") => Err("a registry has no `dest`".to_owned()),
        "registry" => Ok(DockerCache::Registry { image: words.image()?, all_stages: words.all_stages()? }),
        "local" if words.by_key.contains_key("ref") => Err("a folder has no `ref`".to_owned()),
        "local" => {
            Ok(DockerCache::Folder { path: words.get("dest")?.to_owned(), all_stages: words.all_stages()? })
        }
        _ => words.unknown(),
    }
}

/// Where one is found.
fn cache_source(text: &str) -> Result<DockerCacheSource, String> {
    if !text.contains('=') {
        return Ok(DockerCacheSource::Image(image(text)?));
    }
    let words = Words::read(text, &["ref", "src"])?;
    match words.kind {
        "registry" if words.by_key.contains_key("src") => Err("a registry has no `src`".to_owned()),
        "registry" => Ok(DockerCacheSource::Image(words.image()?)),
        "local" if words.by_key.contains_key("ref") => Err("a folder has no `ref`".to_owned()),
        "local" => Ok(DockerCacheSource::Folder(words.get("src")?.to_owned())),
        "inline" => Err("`type=inline` is for `cache_to`; here the image itself is named".to_owned()),
        _ => words.unknown(),
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.as_bytes()[0].is_ascii_digit()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_are_written_as_docker_compose_has_them() {
        let registry =
            |image: &str, all_stages| Ok(DockerCache::Registry { image: image.parse().unwrap(), all_stages });
        let folder = |path: &str, all_stages| Ok(DockerCache::Folder { path: path.to_owned(), all_stages });
        for (text, expected) in [
            ("r.io/web:cache", registry("r.io/web:cache", false)),
            ("type=registry,ref=r.io/web:cache", registry("r.io/web:cache", false)),
            ("type=registry,ref=r.io/web:cache,mode=max", registry("r.io/web:cache", true)),
            ("type=inline", Ok(DockerCache::Inline)),
            ("type=local,dest=../cache", folder("../cache", false)),
            ("mode=max,dest=cache,type=local", folder("cache", true)),
            ("type=inline,mode=max", Err("`type=inline` has nothing else")),
            ("type=registry", Err("it has no `ref`")),
            ("type=local", Err("it has no `dest`")),
            ("type=local,dest=", Err("`dest=` is not known")),
            ("type=local,src=cache", Err("`src=cache` is not known")),
            ("type=local,dest=cache,ref=r.io/a", Err("a folder has no `ref`")),
            ("type=registry,ref=r.io/a,mode=all", Err("`mode=all` is not known")),
            ("type=gha", Err("the type `gha` is not known")),
            ("type=registry,ref=r.io/a,compression=zstd", Err("`compression=zstd` is not known")),
            ("ref=r.io/a", Err("the type `` is not known")),
        ] {
            assert_eq!(cache(text), expected.map_err(str::to_owned), "{text}");
        }
        assert!(cache("Not An Image").is_err());
    }

    #[test]
    fn caches_are_found_where_they_were_left() {
        let found = |image: &str| Ok(DockerCacheSource::Image(image.parse().unwrap()));
        for (text, expected) in [
            ("r.io/web:cache", found("r.io/web:cache")),
            ("type=registry,ref=r.io/web:cache", found("r.io/web:cache")),
            ("type=local,src=cache", Ok(DockerCacheSource::Folder("cache".to_owned()))),
            ("type=local,dest=cache", Err("`dest=cache` is not known")),
            ("type=registry,ref=r.io/a,mode=max", Err("`mode=max` is not known")),
            ("type=inline", Err("`type=inline` is for `cache_to`; here the image itself is named")),
        ] {
            assert_eq!(cache_source(text), expected.map_err(str::to_owned), "{text}");
        }
    }
}
