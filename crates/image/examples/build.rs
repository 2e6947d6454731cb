//! Builds a Dockerfile and shows what happens: `cargo run -p release-image --example build -- CONTEXT REPOSITORY:TAG`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use release_image::{BuildEvent, BuildInputs, DockerfileBuild, Endpoint, Engine};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(context), Some(tag)) = (arguments.next(), arguments.next()) else {
        return Err("usage: build CONTEXT REPOSITORY:TAG".into());
    };
    let context = PathBuf::from(context);
    let engine = Engine::connect(&Endpoint::from_env()?).await?;
    let build = DockerfileBuild {
        dockerfile: context.join("Dockerfile"),
        context,
        target: None,
        args: BTreeMap::new(),
        platform: None,
        labels: BTreeMap::new(),
        tag: tag.parse()?,
        no_cache: false,
        inputs: BuildInputs::default(),
    };
    let mut tell = |event| match event {
        BuildEvent::Step { name, cached } => eprintln!("{name}{}", if cached { " (cached)" } else { "" }),
        BuildEvent::Output { line } => eprintln!("  {line}"),
        BuildEvent::Notice { message } => eprintln!("note: {message}"),
    };
    let image = engine.build(&build, &BTreeMap::new(), &mut tell).await?;
    println!("{}", image.id);
    Ok(())
}
