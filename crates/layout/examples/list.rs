//! Lists the images of a layout: `cargo run -p release-layout --example list -- DIR`.

use std::path::PathBuf;

use serde_json::Value;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = PathBuf::from(std::env::args().nth(1).ok_or("usage: list DIR")?);
    release_layout::check(&dir)?;
    let index: Value = serde_json::from_slice(&release_layout::read(&release_layout::index(&dir))?)?;
    for image in index["manifests"].as_array().into_iter().flatten() {
        let name = image["annotations"][release_layout::REF_NAME].as_str().unwrap_or("(no name)");
        let digest = image["digest"].as_str().unwrap_or_default().parse()?;
        let sound = release_layout::hash(&release_layout::blob(&dir, &digest))?.0 == digest;
        println!("{name} {digest}{}", if sound { "" } else { ", which is damaged" });
    }
    Ok(())
}
