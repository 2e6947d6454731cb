//! Reads image references as registries and kubelets do: `cargo run -p release-core --example pin -- REFERENCE…`.
//!
//! Prints whether each could be deployed, which needs a digest, and what is missing when it could not.

use release_core::{ImageRef, PinnedImage};

fn main() {
    let mut references: Vec<String> = std::env::args().skip(1).collect();
    if references.is_empty() {
        let digest = "ab".repeat(32);
        references = vec![
            "busybox".to_owned(),
            "registry.example.com/radio/player:v2".to_owned(),
            format!("registry.example.com/radio/player@sha256:{digest}"),
            "registry.example.com/Radio".to_owned(),
        ];
    }
    for text in references {
        match (text.parse::<PinnedImage>(), text.parse::<ImageRef>()) {
            (Ok(pinned), _) => println!("{text}: pinned, digest {}…", pinned.digest.short()),
            (Err(why), Ok(image)) => println!("{text}: is {image}; {why}"),
            (Err(_), Err(why)) => println!("{text}: {why}"),
        }
    }
}
