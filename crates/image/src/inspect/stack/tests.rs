//! Whiteouts, replacements, and what they waste.

use std::collections::BTreeMap;

use release_core::Digest;

use super::*;
use crate::Descriptor;

/// `name/` is a folder, `-name` a whiteout, `name=` an opaque folder, everything else a file of as many bytes as its name.
fn layer(words: &[&str]) -> LayerContents {
    let digest = Digest::from_sha256([0; 32]);
    let blob = Descriptor { media_type: String::new(), digest: digest.clone(), size: 0 };
    let mut layer = LayerContents {
        blob,
        diff_id: digest,
        unpacked: 0,
        entries: Vec::new(),
        gone: Vec::new(),
        opaque: Vec::new(),
        kept: BTreeMap::new(),
    };
    for word in words {
        if let Some(gone) = word.strip_prefix('-') {
            layer.gone.push(gone.to_owned());
        } else if let Some(folder) = word.strip_suffix('=') {
            layer.opaque.push(folder.to_owned());
        } else {
            let (path, kind) = match word.strip_suffix('/') {
                Some(path) => (path, EntryKind::Folder),
                None => (*word, EntryKind::File),
            };
            let size = if kind == EntryKind::File { path.len() as u64 } else { 0 };
            layer.entries.push(LayerEntry {
                path: path.to_owned(),
                kind,
                size,
                mode: 0o644,
                link: None,
                digest: None,
            });
        }
    }
    layer
}

/// What is there, and `path by layer` of what is wasted.
fn stacked(layers: &[&[&str]]) -> (Vec<String>, Vec<String>) {
    let layers: Vec<_> = layers.iter().map(|words| layer(words)).collect();
    let contents = Contents::stack(&layers);
    let there = contents.entries.iter().map(|(path, (layer, _))| format!("{path}@{layer}")).collect();
    let wasted = contents.wasted.iter().map(|w| {
        let how = if w.removed { "removed" } else { "replaced" };
        format!("{} of {} {how} by {}", w.path, w.layer, w.hidden_by)
    });
    (there, wasted.collect())
}

fn check(layers: &[&[&str]], there: &[&str], wasted: &[&str]) {
    let found = stacked(layers);
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    assert_eq!(found, (owned(there), owned(wasted)), "{layers:?}");
}

#[test]
fn later_layers_replace_remove_and_empty() {
    check(&[&["a", "b"], &["b", "c"]], &["a@0", "b@1", "c@1"], &["b of 0 replaced by 1"]);
    check(&[&["a", "d/", "d/x"], &["-a", "-d"]], &[], &["a of 0 removed by 1", "d/x of 0 removed by 1"]);
    check(&[&["d/", "d/x", "dx"], &["d=", "d/y"]], &["d@0", "d/y@1", "dx@0"], &["d/x of 0 removed by 1"]);
    // The whole image is emptied.
    check(&[&["a"], &["=", "b"]], &["b@1"], &["a of 0 removed by 1"]);
}

#[test]
fn a_layer_never_takes_away_from_itself() {
    check(&[&["a"], &["a", "-a"]], &["a@1"], &["a of 0 removed by 1"]);
    check(&[&["d/x"], &["d/y", "d="]], &["d/y@1"], &["d/x of 0 removed by 1"]);
}

#[test]
fn a_file_in_the_place_of_a_folder_hides_what_was_in_it() {
    check(&[&["d/", "d/x"], &["d"]], &["d@1"], &["d/x of 0 replaced by 1"]);
    check(&[&["d"], &["d/", "d/x"]], &["d@1", "d/x@1"], &["d of 0 replaced by 1"]);
    // The same folder again hides nothing.
    check(&[&["d/", "d/x"], &["d/"]], &["d@1", "d/x@0"], &[]);
}

#[test]
fn kept_contents_are_those_that_can_be_read() {
    let mut lower = layer(&["status", "gone", "other"]);
    let mut upper = layer(&["status", "-gone"]);
    let kept = |names: &[&str], from: &str| -> BTreeMap<String, Vec<u8>> {
        names.iter().map(|name| ((*name).to_owned(), from.as_bytes().to_vec())).collect()
    };
    lower.kept = kept(&["status", "gone", "other"], "lower");
    upper.kept = kept(&["status"], "upper");
    let layers = [lower, upper];
    let found = Contents::stack(&layers).kept(&layers);
    let mut expected = kept(&["other"], "lower");
    expected.extend(kept(&["status"], "upper"));
    assert_eq!(found, expected);
}
