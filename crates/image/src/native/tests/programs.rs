//! Programs of cargo: where they are, whom they are for, and the libraries that come with them.

use super::*;

fn names(layout: &Path, blob: &Descriptor) -> Vec<String> {
    let file = fs::File::open(layout.join("blobs/sha256").join(blob.digest.hex())).unwrap();
    let mut archive = tar::Archive::new(GzDecoder::new(file));
    let name =
        |entry: std::io::Result<tar::Entry<'_, _>>| entry.unwrap().path().unwrap().display().to_string();
    archive.entries().unwrap().map(name).collect()
}

#[test]
fn a_program_for_another_processor_is_refused() {
    let project = project(FILES, (0o644, 0o755));
    fs::copy("/usr/bin/env", project.path().join("target/release/player")).unwrap();
    let out = tempfile::tempdir().unwrap();
    let mut build = build_of(project.path(), &[("target/release/player", "/app/")]);
    let player = "target/release/player";
    build.programs = BTreeMap::from([(player.to_owned(), player.into())]);
    build.platform = Platform::default();
    run(&build, out.path()).unwrap();
    let other = if build.platform.architecture == "arm64" { "amd64" } else { "arm64" };
    build.platform = format!("linux/{other}").parse().unwrap();
    let error = run(&build, out.path()).unwrap_err().to_string();
    assert!(error.ends_with(&format!("and the image is for {other}")), "{error}");
}

#[test]
fn an_image_is_the_same_wherever_cargo_leaves_the_program() {
    let (project, elsewhere) = (project(FILES, (0o644, 0o755)), tempfile::tempdir().unwrap());
    let player = "target/release/player";
    let mut build = build_of(project.path(), &[(player, "/app/")]);
    build.platform = Platform::default();
    build.libraries_of = vec![player.to_owned()];
    let mut digests = Vec::new();
    for place in [project.path().join(player), elsewhere.path().join("another")] {
        fs::copy("/usr/bin/env", &place).unwrap();
        build.programs = BTreeMap::from([(player.to_owned(), place.clone())]);
        let out = tempfile::tempdir().unwrap();
        let image = run(&build, out.path()).unwrap();
        assert_eq!(names(out.path(), &image.layers[1]), ["app/", "app/player"]);
        digests.push(image.manifest.digest);
        fs::remove_file(place).unwrap();
    }
    assert_eq!(digests[0], digests[1]);
}

#[test]
fn a_program_comes_with_its_libraries_in_a_layer_of_their_own() {
    let project = project(FILES, (0o644, 0o755));
    fs::copy("/usr/bin/env", project.path().join("target/release/player")).unwrap();
    let out = tempfile::tempdir().unwrap();
    let mut build = build_of(project.path(), &[("target/release/player", "/app/")]);
    build.libraries_of = vec!["target/release/player".to_owned()];
    let image = run(&build, out.path()).unwrap();
    assert_eq!(image.layers.len(), 2);
    let names = names(out.path(), &image.layers[0]);
    for expected in ["libc.so.6", "ld-linux"] {
        assert!(names.iter().any(|name| name.contains(expected)), "{names:?}");
    }
}
