//! The ConfigMap of a service. Its name is a hash of its contents, so a Deployment refers to exactly one version of it,
//! and a rollback to the old Deployment is a rollback to the old config.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::{Names, RenderError, put};
use crate::object::hex;

/// What a ConfigMap takes: names and contents together, in bytes. The API server's own limit
/// (`MaxSecretSize`, which it uses for ConfigMaps as well).
pub const MAX_CONFIG_BYTES: usize = 1024 * 1024;

/// How many hexadecimal digits of the hash are in the name. 40 bits tell the ten versions that are kept apart.
const HASH_DIGITS: usize = 10;

/// The rule of Kubernetes for keys of ConfigMaps.
pub(crate) fn is_config_key(name: &str) -> bool {
    (1..=253).contains(&name.len())
        && !matches!(name, "." | "..")
        && !name.starts_with("..")
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// The ConfigMap and its name.
pub(super) fn config_map(names: &Names<'_>) -> Result<Option<(String, Value)>, RenderError> {
    let service = &names.service.name;
    let Some(config) = &names.service.config else { return Ok(None) };
    let from_folder = names.context.files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()));
    let written = config.data.iter().map(|(name, text)| (name.as_str(), text.as_bytes()));
    let files: BTreeMap<&str, &[u8]> = from_folder.chain(written).collect();
    if files.is_empty() {
        return Err(RenderError::ConfigEmpty { service: service.clone() });
    }
    if let Some(file) = files.keys().find(|name| !is_config_key(name)) {
        return Err(RenderError::ConfigName { service: service.clone(), file: (*file).to_owned() });
    }
    let bytes = files.iter().map(|(name, bytes)| name.len() + bytes.len()).sum();
    if bytes > MAX_CONFIG_BYTES {
        return Err(RenderError::ConfigTooLarge { service: service.clone(), bytes });
    }
    let mut hash = Sha256::new();
    let (mut texts, mut binaries) = (Map::new(), Map::new());
    for (name, bytes) in files {
        // Lengths keep two files apart from one file with the contents of both.
        for part in [name.as_bytes(), bytes] {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part);
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => texts.insert(name.to_owned(), text.into()),
            Err(_) => binaries.insert(name.to_owned(), STANDARD.encode(bytes).into()),
        };
    }
    let name = format!("{service}-config-{}", &hex(&hash.finalize())[..HASH_DIGITS]);
    let mut body = Map::new();
    put(&mut body, "data", texts.into());
    put(&mut body, "binaryData", binaries.into());
    body.insert("immutable".to_owned(), true.into());
    let value = names.object("v1", "ConfigMap", &name, body.into());
    Ok(Some((name, value)))
}
