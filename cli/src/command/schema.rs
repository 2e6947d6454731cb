//! `release schema`: the JSON Schema of the project file, for editors.

use crate::answer;
use crate::error::Failure;

pub(crate) fn run() -> Result<u8, Failure> {
    let text = serde_json::to_string_pretty(&release_manifest::schema()).map_err(anyhow::Error::from)?;
    answer::emit(&format!("{text}\n"));
    Ok(0)
}
