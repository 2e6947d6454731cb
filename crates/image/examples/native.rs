//! Builds an image of one layer on nothing: `cargo run -p release-image --example native -- FROM TO DIR`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use release_core::Platform;
use release_image::{Base, BuildOptions, Compression, Format, Layer, Layout, NativeBuild, RunConfig};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [from, to, dir] = arguments.as_slice() else {
        return Err("usage: native FROM TO DIR".into());
    };
    let build = NativeBuild {
        root: PathBuf::from("."),
        base: Base::Scratch,
        layers: vec![Layer { from: from.clone(), to: to.clone() }],
        libraries_of: Vec::new(),
        programs: BTreeMap::new(),
        compression: Compression::Gzip,
        format: Format::Oci,
        platform: Platform::default(),
        config: RunConfig::default(),
        created: 0,
    };
    let layout = Layout::create(Path::new(dir))?;
    let image = build.build(&layout, &BuildOptions::default(), &mut |event| eprintln!("{event:?}"))?;
    layout.name(&image, &build.platform, "image", None)?;
    println!("{}", image.manifest.digest);
    Ok(())
}
