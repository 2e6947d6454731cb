//! `release key generate`: a pair of keys to sign images with.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use release_image::SigningKey;
use serde_json::json;

use crate::answer;
use crate::args::{Args, Generate};
use crate::error::Failure;
use crate::exit::Exit;

pub(crate) fn generate(args: &Args, words: &Generate) -> Result<Exit, Failure> {
    let key = SigningKey::generate();
    let unusable = |source| Failure::Key { place: "a new key".to_owned(), signs: true, source };
    let (secret, public) = (key.to_pem().map_err(unusable)?, key.verifying_key().to_pem().map_err(unusable)?);
    let with = |extension: &str| PathBuf::from(format!("{}.{extension}", words.prefix.display()));
    let (private_path, public_path) = (with("pem"), with("pub"));
    write(&private_path, secret.expose(), true)?;
    write(&public_path, &public, false)?;
    let value = json!({"v": 1, "private": private_path, "public": public_path});
    answer::print(args.output, &value, || {
        format!("{}\n{}\n", private_path.display(), public_path.display())
    })?;
    if !args.quiet {
        answer::say(&format!(
            "keep {} out of the repository; `sign: {{key: …}}` names it, `policy: {{signed: {{keys: [{}]}}}}` trusts it",
            private_path.display(),
            public_path.display()
        ));
    }
    Ok(Exit::Done)
}

/// Writes a file that is not there yet: a key that is overwritten is lost.
fn write(path: &Path, text: &str, private: bool) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if private {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    #[cfg(not(unix))]
    let _ = private;
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|source| Failure::File {
        verb: "write",
        path: path.display().to_string(),
        hint: match source.kind() {
            ErrorKind::AlreadyExists => Some("files that exist are not overwritten: name another prefix"),
            ErrorKind::NotFound => Some("the folder is not there: make it first, or name another prefix"),
            _ => None,
        },
        source,
    })
}
