//! `release init`: look at the repository and write a first project file, and nothing else.

use std::path::Path;

use release_manifest::{init, sources};
use serde::Serialize;

use crate::answer;
use crate::args::{Args, Init};
use crate::error::Failure;
use crate::exit::Exit;

/// What `-o json` says.
#[derive(Serialize)]
struct Written {
    v: u32,
    file: String,
    dockerfiles: Vec<String>,
}

pub(crate) fn run(args: &Args, words: &Init) -> Result<Exit, Failure> {
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
        hint: None,
        source,
    })?;
    if !args.quiet {
        for dockerfile in &findings.dockerfiles {
            answer::say(&format!("found {}", dockerfile.path));
        }
        answer::say("next: look it over, then `release render --env dev`");
    }
    let written = Written {
        v: 1,
        file: path.display().to_string(),
        dockerfiles: findings.dockerfiles.into_iter().map(|file| file.path).collect(),
    };
    answer::print(args.output, &written, || format!("{}\n", written.file))?;
    Ok(Exit::Done)
}
