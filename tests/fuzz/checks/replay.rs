//! Every seed that is kept, through the check it belongs to: inputs that found something once are never wrong again.

/// Checks each seed of a target.
pub(crate) fn replay(target: &str, check: fn(&[u8])) {
    let folder = format!("{}/../../tests/fuzz/seeds/{target}", env!("CARGO_MANIFEST_DIR"));
    let mut seeds: Vec<_> =
        std::fs::read_dir(&folder).expect("seeds").map(|seed| seed.expect("a seed").path()).collect();
    seeds.sort();
    assert!(seeds.len() > 2, "{folder} has {} seeds", seeds.len());
    for seed in seeds {
        // The name of the one that fails is the last one shown.
        println!("{}", seed.display());
        check(&std::fs::read(&seed).expect("a seed"));
    }
}
