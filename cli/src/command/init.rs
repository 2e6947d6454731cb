//! `release init`: look at the repository and write a first project file, and nothing else.

use std::path::Path;

use release_manifest::{init, sources};

use crate::answer;
use crate::args::{Args, Init};
use crate::error::Failure;

pub(crate) fn run(args: &Args, words: &Init) -> Result<u8, Failure> {
    let path = &args.config;
    if path.exists() && !words.force {
        return Err(Failure::Usage {
            message: format!("{} exists already", path.display()),
            hint: Some("--force overwrites it; nothing was changed".to_owned()),
        });
    }
    let root = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let findings = sources::find(root)?;
    let text = init::propose(&findings);
    std::fs::write(path, text).map_err(|source| Failure::File {
        verb: "write",
        path: path.display().to_string(),
        source,
    })?;
    if !args.quiet {
        for dockerfile in &findings.dockerfiles {
            eprintln!("found {}", dockerfile.path);
        }
        eprintln!("next: look it over, then `release render --env dev`");
    }
    answer::emit(&format!("{}\n", path.display()));
    Ok(0)
}
