//! `release schema`: the JSON Schema of the project file, for editors.

use crate::answer;
use crate::args::{Args, Format};
use crate::error::Failure;
use crate::exit::Exit;

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let schema = release_manifest::schema();
    // It is JSON for people too.
    let format = if args.output == Format::Yaml { Format::Yaml } else { Format::Json };
    answer::print(format, &schema, String::new)?;
    Ok(Exit::Done)
}
