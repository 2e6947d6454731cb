//! Renders a service that is written in code, and prints it. With `insta::assert_snapshot!` in place of `print!`
//! this is a snapshot test of what will run in the cluster.
//!
//! ```text
//! cargo run -p release-manifest --example snapshot
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use release_core::PinnedImage;
use release_manifest::{
    Amount, Config, Disruption, Health, ImageSource, RenderContext, Resources, Rolling, Service, render,
    to_yaml,
};

fn player(image: PinnedImage) -> Result<Service, Box<dyn std::error::Error>> {
    let mut player = Service::new("player".parse()?, ImageSource::Pinned(image));
    player.port = Some(8080);
    player.replicas = 3;
    player.resources =
        Resources { cpu: Some("100m".parse()?), memory: Some("128Mi".parse()?), ..Resources::default() };
    player.env.insert("LOG".to_owned(), "info".to_owned());
    player.health = Health { http: Some("/healthz".to_owned()), ..Health::default() };
    player.config = Some(Config::default());
    player.rolling = Rolling { soak: Duration::from_secs(30), ..Rolling::default() };
    player.disruption = Some(Disruption::MaxUnavailable(Amount::Count(1)));
    Ok(player)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let image: PinnedImage = format!("registry.example.com/radio/player@{digest}").parse()?;
    let context = RenderContext {
        project: &"radio".parse()?,
        environment: &"dev".parse()?,
        namespace: "radio-dev",
        pull_secrets: &[],
        files: BTreeMap::from([("player.toml".to_owned(), b"bitrate = 128\n".to_vec())]),
    };
    let objects = render(&player(image.clone())?, &image, &context)?;
    for object in &objects {
        eprintln!("{} {}", object.object_ref(), &object.content_hash()[..12]);
    }
    print!("{}", to_yaml(&objects));
    Ok(())
}
