//! Serves a registry until Ctrl-C, and prints its address. The first argument is a profile's name, `plain` without one.

use release_sim::registry::{Config, Profile, serve};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = std::env::args().nth(1).unwrap_or_else(|| "plain".to_owned());
    let Some(profile) = Profile::named(&name) else {
        let names: Vec<&str> = Profile::ALL.iter().map(|profile| profile.name).collect();
        return Err(format!("there is no profile `{name}`, only {}", names.join(", ")).into());
    };
    let server = serve(Config { profile, ..Config::default() }).await?;
    println!("{}", server.address());
    tokio::signal::ctrl_c().await?;
    print!("{}", server.with(|registry| registry.trace().to_string()));
    Ok(())
}
