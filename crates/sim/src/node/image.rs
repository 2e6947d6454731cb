//! References of images as a kubelet and containerd see them, and what they say when a pull fails.

use crate::apps::{Dice, PullError, Script};

/// Why a reference cannot be read, in containerd's words; None if it can.
pub(super) fn invalid(image: &str) -> Option<String> {
    let name = image.split('@').next().unwrap_or(image);
    let path = match name.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => path,
        _ => name,
    };
    let repository = match path.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => rest,
        _ => path,
    };
    let why = if repository.chars().any(|c| c.is_ascii_uppercase()) {
        format!("invalid reference format: repository name ({repository}) must be lowercase")
    } else if repository.is_empty()
        || !repository.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c))
        || repository.starts_with(['/', '.', '-'])
        || repository.ends_with(['/', '.', '-'])
    {
        "invalid reference format".to_owned()
    } else {
        return None;
    };
    Some(format!(
        "Failed to apply default image tag \"{image}\": couldn't parse image name \"{image}\": {why}"
    ))
}

/// A reference as containerd resolves it: with a host, a repository and a tag or digest.
fn resolved(image: &str) -> String {
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    let name = match name.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => name.to_owned(),
        Some(_) => format!("docker.io/{name}"),
        None => format!("docker.io/library/{name}"),
    };
    let has_tag = name.rsplit('/').next().is_some_and(|last| last.contains(':'));
    match digest {
        Some(digest) => format!("{name}@{digest}"),
        None if has_tag => name,
        None => format!("{name}:latest"),
    }
}

/// The error of a failed pull, in containerd's words.
pub(super) fn pull_error(image: &str, error: PullError) -> String {
    let reference = resolved(image);
    let host = reference.split('/').next().unwrap_or_default();
    let version = match reference.split_once('@') {
        Some((_, digest)) => digest,
        None => reference.rsplit(':').next().unwrap_or_default(),
    };
    let failed = format!("failed to pull and unpack image \"{reference}\": ");
    let unresolved = format!("failed to resolve reference \"{reference}\": ");
    match error {
        PullError::NotFound => {
            format!("rpc error: code = NotFound desc = {failed}{unresolved}{reference}: not found")
        }
        PullError::Unauthorized => format!(
            "{failed}{unresolved}pulling from host {host} failed with status code [manifests {version}]: 401 \
             Unauthorized"
        ),
        PullError::Timeout => {
            let repository = reference.split(['@']).next().unwrap_or_default();
            let path = repository.split_once('/').map_or("", |(_, path)| path);
            let path = path.rsplit_once(':').map_or(path, |(path, _)| path);
            format!(
                "{failed}{unresolved}failed to do request: Head \"https://{host}/v2/{path}/manifests/{version}\": \
                 dial tcp: i/o timeout"
            )
        }
        PullError::WrongPlatform => {
            format!("rpc error: code = NotFound desc = {failed}no match for platform in manifest: not found")
        }
    }
}

/// What `image` and `imageID` of a container's status say of a running image.
pub(super) fn identity(image: &str, script: &Script) -> (String, String) {
    let reference = resolved(image);
    let (name, digest) = match reference.split_once('@') {
        Some((name, digest)) => (name.to_owned(), digest.to_owned()),
        None => (reference.clone(), script.pull.digest.clone().unwrap_or_else(|| made_digest(&reference))),
    };
    let repository = match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => &name,
    };
    let id = format!("{repository}@{digest}");
    if reference.contains('@') { (id.clone(), id) } else { (reference, id) }
}

/// A digest for a tag nobody gave one: always the same for the same reference.
fn made_digest(reference: &str) -> String {
    let dice = Dice::new(0, reference, "digest");
    format!(
        "sha256:{:016x}{:016x}{:016x}{:016x}",
        dice.number(0),
        dice.number(1),
        dice.number(2),
        dice.number(3)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read() {
        assert_eq!(invalid("127.0.0.1:5000/lab:v1"), None);
        assert_eq!(invalid("nginx"), None);
        assert_eq!(invalid("reg.example/team/web@sha256:12"), None);
        assert_eq!(
            invalid("127.0.0.1:5000/LAB:v1").as_deref(),
            Some(
                "Failed to apply default image tag \"127.0.0.1:5000/LAB:v1\": couldn't parse image name \
                 \"127.0.0.1:5000/LAB:v1\": invalid reference format: repository name (LAB) must be lowercase"
            )
        );
    }

    #[test]
    fn pinned_images_keep_their_digest() {
        let script = Script::default();
        let pinned = identity("reg.example/web:v1@sha256:12", &script);
        assert_eq!(pinned.1, "reg.example/web@sha256:12");
        let (image, id) = identity("web", &script);
        assert_eq!(image, "docker.io/library/web:latest");
        assert!(id.starts_with("docker.io/library/web@sha256:"), "{id}");
    }

    #[test]
    fn errors_are_containerds() {
        assert_eq!(
            pull_error("127.0.0.1:5001/lab:v1", PullError::Unauthorized),
            "failed to pull and unpack image \"127.0.0.1:5001/lab:v1\": failed to resolve reference \
             \"127.0.0.1:5001/lab:v1\": pulling from host 127.0.0.1:5001 failed with status code [manifests v1]: \
             401 Unauthorized"
        );
        assert!(pull_error("web", PullError::Timeout).contains("/v2/library/web/manifests/latest"));
    }
}
