//! Keys and policies of a project: from the places it names to values.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::Path;

use release_core::{PinnedImage, Secret, ServiceName};
use release_image::{Kind, SigningKey, VerifyingKey};
use release_manifest::{KeyPlace, Said, Signed, Supply};
use release_pipeline::{Attest, Builder, Event, ImageEvent, NamedKey, Policy, Sources, Verifier};

use crate::error::Failure;
use crate::talk::Talk;
use crate::workspace::{git, is_dirty};

/// The largest key file; a key has about 250 bytes.
const MAX_KEY_BYTES: u64 = 64 * 1024;

/// How pushed images are signed; `None` when the project does not say.
pub(crate) fn attest(root: &Path, supply: &Supply) -> Result<Option<Attest>, Failure> {
    let Some(place) = &supply.key else { return Ok(None) };
    let key = signing_key(root, place)?;
    let commit = git(root, &["rev-parse", "HEAD"]);
    Ok(Some(Attest {
        key,
        said: supply.attest.iter().copied().map(kind).collect(),
        builder: Builder::of(&|name| std::env::var(name).ok()),
        sources: commit.map(|commit| Sources {
            url: git(root, &["config", "--get", "remote.origin.url"]),
            commit,
            dirty: is_dirty(root),
        }),
    }))
}

/// What an environment wants signed, with its keys read.
pub(crate) fn policy(root: &Path, signed: &Signed) -> Result<Policy, Failure> {
    let keys = signed.keys.iter().map(|place| verifying_key(root, place)).collect::<Result<_, _>>()?;
    Ok(Policy { keys, attested: signed.attested.iter().copied().map(kind).collect() })
}

/// The private key that signs, from where it is kept.
pub(crate) fn signing_key(root: &Path, place: &KeyPlace) -> Result<SigningKey, Failure> {
    let text = text(root, place)?;
    SigningKey::from_pem(&text).map_err(|source| Failure::Key {
        place: place.to_string(),
        signs: true,
        source,
    })
}

/// A public key, from where it is kept.
pub(crate) fn verifying_key(root: &Path, place: &KeyPlace) -> Result<NamedKey, Failure> {
    let name = place.to_string();
    match VerifyingKey::from_pem(text(root, place)?.expose()) {
        Ok(key) => Ok(NamedKey { name, key }),
        Err(source) => Err(Failure::Key { place: name, signs: false, source }),
    }
}

/// The place a word on the command line means.
pub(crate) fn place(word: &str) -> KeyPlace {
    match word.strip_prefix("env://") {
        Some(name) => KeyPlace::Variable(name.to_owned()),
        None => KeyPlace::File(word.to_owned()),
    }
}

pub(crate) fn kind(said: Said) -> Kind {
    match said {
        Said::Sbom => Kind::Sbom,
        Said::Provenance => Kind::Provenance,
    }
}

/// What is kept there. A private key or not, it is not for messages.
fn text(root: &Path, place: &KeyPlace) -> Result<Secret, Failure> {
    match place {
        KeyPlace::Variable(name) => {
            let value = std::env::var(name).ok().filter(|value| !value.is_empty());
            value.map(Secret::new).ok_or_else(|| Failure::Usage {
                message: format!("the variable `{name}`, which should hold a key, has no value"),
                hint: Some(format!("set it to the key in PEM: `{name}=\"$(cat KEY.pem)\" release …`")),
            })
        }
        KeyPlace::File(path) => {
            let fail = |source| Failure::File {
                verb: "read",
                path: format!("the key {path}"),
                hint: Some(
                    "`release key generate` makes a pair; paths in release.yaml are relative to its folder",
                ),
                source,
            };
            let mut text = String::new();
            let file = std::fs::File::open(root.join(path)).map_err(fail)?;
            file.take(MAX_KEY_BYTES).read_to_string(&mut text).map_err(fail)?;
            Ok(Secret::new(text))
        }
    }
}

/// Holds images to a policy, before anything is written.
pub(crate) async fn enforce(
    policy: &Policy,
    images: &BTreeMap<ServiceName, PinnedImage>,
    talk: &Talk,
) -> Result<(), Failure> {
    let mut verifier = Verifier::new()?;
    for (service, image) in images {
        let claims = verifier.enforce(image, policy).await?;
        let named: BTreeSet<String> = claims.iter().map(|claim| claim.name.clone()).collect();
        let keys: BTreeSet<String> =
            claims.iter().filter_map(|claim| claim.by.as_ref()).map(|(key, _, _)| key.clone()).collect();
        let event = ImageEvent::Verified {
            reference: image.clone(),
            claims: named.into_iter().collect(),
            keys: keys.into_iter().collect(),
        };
        talk.tell(Event::Image { service: service.clone(), event });
    }
    Ok(())
}
