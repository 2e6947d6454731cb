//! What a build from a Dockerfile is given besides its context.
//!
//! Whether files, variables and agents are there is not looked at: what is built where decides that.

use std::collections::BTreeMap;

use release_core::ImageRef;

use super::Resolver;
use crate::problem::ProblemKind;
use crate::project::spec::ImageSpec;
use crate::{DockerBuild, DockerCache, DockerContext, DockerSecret};

const CACHES: &str = "write an image, `type=registry,ref=IMAGE` or, for `cache_to`, `type=inline`, which leaves the cache in the image that is built";

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

    fn cache_from(&mut self, spec: &ImageSpec) -> Vec<ImageRef> {
        let mut images = Vec::new();
        for (index, text) in spec.cache_from.iter().flatten().enumerate() {
            match cache(text) {
                Ok(DockerCache::Registry { image, all_stages: false }) => images.push(image),
                said => self.no_cache("cache_from", index, text, said.err()),
            }
        }
        images
    }

    fn cache_to(&mut self, spec: &ImageSpec) -> Vec<DockerCache> {
        let mut caches = Vec::new();
        for (index, text) in spec.cache_to.iter().flatten().enumerate() {
            match cache(text) {
                Ok(cache) => caches.push(cache),
                Err(said) => self.no_cache("cache_to", index, text, Some(said)),
            }
        }
        caches
    }

    fn no_cache(&mut self, key: &str, index: usize, text: &str, said: Option<String>) {
        let said = said.map_or_else(String::new, |said| format!(": {said}"));
        let message = format!("`{text}` is no place for a cache{said}");
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

/// `IMAGE`, or Docker Compose's `type=…,ref=…,mode=…`.
fn cache(text: &str) -> Result<DockerCache, String> {
    let image = |text: &str| text.parse::<ImageRef>().map_err(|error| error.to_string());
    if !text.contains('=') {
        return Ok(DockerCache::Registry { image: image(text)?, all_stages: false });
    }
    let kind = text.split(',').find_map(|pair| pair.strip_prefix("type=")).unwrap_or_default();
    match kind {
        "inline" | "registry" => {}
        "local" => {
            return Err("the engine keeps a cache of its own on its machine, and cannot leave one in a folder of this one".to_owned());
        }
        _ => return Err(format!("the type `{kind}` is not known")),
    }
    let (mut reference, mut all_stages) = (None, None);
    for pair in text.split(',') {
        match pair.split_once('=') {
            Some(("type", _)) => {}
            Some(("ref", value)) => reference = Some(image(value)?),
            Some(("mode", "max")) => all_stages = Some(true),
            Some(("mode", "min")) => all_stages = Some(false),
            _ => return Err(format!("`{pair}` is not known")),
        }
    }
    match (kind, reference) {
        ("inline", None) if all_stages.is_none() => Ok(DockerCache::Inline),
        ("inline", _) => Err("`type=inline` has neither `ref` nor `mode`".to_owned()),
        (_, Some(image)) => Ok(DockerCache::Registry { image, all_stages: all_stages.unwrap_or_default() }),
        (_, None) => Err("it has no `ref`".to_owned()),
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
        for (text, expected) in [
            ("r.io/web:cache", registry("r.io/web:cache", false)),
            ("type=registry,ref=r.io/web:cache", registry("r.io/web:cache", false)),
            ("type=registry,ref=r.io/web:cache,mode=max", registry("r.io/web:cache", true)),
            ("type=inline", Ok(DockerCache::Inline)),
            ("type=inline,mode=max", Err("`type=inline` has neither `ref` nor `mode`")),
            ("type=registry", Err("it has no `ref`")),
            ("type=gha", Err("the type `gha` is not known")),
            ("type=registry,ref=r.io/a,compression=zstd", Err("`compression=zstd` is not known")),
            ("ref=r.io/a", Err("the type `` is not known")),
        ] {
            assert_eq!(cache(text), expected.map_err(str::to_owned), "{text}");
        }
        assert!(cache("Not An Image").is_err());
        assert!(cache("type=local,dest=cache").unwrap_err().contains("a folder"));
    }
}
