//! `release image ls`, `inspect` and `diff`: looking into images, of a registry or of an image layout on disk.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use release_core::{Digest, ImageRef, Platform};
use release_image::{
    Change, Contents, Difference, EntryKind, LayerContents, Stored, StoredError, StoredImage, Wanted, changes,
};
use release_pipeline::Verifier;
use serde_json::{Value, json};

use crate::answer::{self, table};
use crate::args::{Args, Image};
use crate::error::Failure;
use crate::exit::Exit;

/// How many files people are shown where the rest is in the sum.
const SHOWN: usize = 20;

/// An image that was read.
struct Looked {
    name: String,
    image: StoredImage,
    layers: Vec<LayerContents>,
    contents: Contents,
}

pub(crate) async fn run(args: &Args, words: &Image) -> Result<Exit, Failure> {
    match words {
        Image::Ls(words) => {
            let looked = look(&words.image, words.platform.as_deref(), false).await?;
            answer::print(args.output, &files(&looked), || list(&looked))?;
        }
        Image::Inspect(words) => {
            let looked = look(&words.image, words.platform.as_deref(), false).await?;
            answer::print(args.output, &described(&looked), || describe(&looked))?;
        }
        Image::Diff(words) => {
            let before = look(&words.before, words.platform.as_deref(), true).await?;
            let after = look(&words.after, words.platform.as_deref(), true).await?;
            answer::print(args.output, &compared(&before, &after), || compare(&before, &after))?;
        }
    }
    Ok(Exit::Done)
}

/// Reads an image: `DIR` and `DIR@sha256:…` are layouts, everything else is in a registry.
async fn look(word: &str, platform: Option<&str>, hashes: bool) -> Result<Looked, Failure> {
    let platform: Option<Platform> =
        platform.map(str::parse).transpose().map_err(|error: release_core::PlatformError| {
            Failure::Usage { message: error.to_string(), hint: None }
        })?;
    let (dir, digest) = match word.split_once('@') {
        Some((dir, digest)) => (dir, digest.parse::<Digest>().ok()),
        None => (word, None),
    };
    if Path::new(dir).join("oci-layout").is_file() {
        return read(word, Path::new(dir), digest.as_ref(), platform.as_ref(), hashes);
    }
    let reference: ImageRef = word.parse().map_err(|error: release_core::ImageRefError| Failure::Usage {
        message: error.to_string(),
        hint: Some("it is no folder with an image layout either".to_owned()),
    })?;
    let mut verifier = Verifier::new()?;
    let scratch = verifier.pull(&reference).await?;
    read(word, scratch.dir(), Some(scratch.digest()), platform.as_ref(), hashes)
}

fn read(
    name: &str,
    dir: &Path,
    digest: Option<&Digest>,
    platform: Option<&Platform>,
    hashes: bool,
) -> Result<Looked, Failure> {
    let stored = Stored::open(dir).map_err(StoredError::from)?;
    // Where it was pulled to is nobody's business.
    let image = stored.image(digest, platform).map_err(|error| match error {
        StoredError::Choice { found, wanted, available, .. } => {
            StoredError::Choice { dir: name.into(), found, wanted, available }
        }
        error => error,
    })?;
    let layers = stored.layers(&image, Wanted { hashes, keep: &|_| false })?;
    let contents = Contents::stack(&layers);
    Ok(Looked { name: name.to_owned(), image, layers, contents })
}

fn kind(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::File => "file",
        EntryKind::Folder => "folder",
        EntryKind::Link => "link",
        EntryKind::HardLink => "hard link",
        EntryKind::Special => "special",
    }
}

/// A size as people read it.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 3] = ["KiB", "MiB", "GiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut tenths = bytes.saturating_mul(10) / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

fn files(looked: &Looked) -> Value {
    let files: Vec<Value> = looked
        .contents
        .entries
        .iter()
        .map(|(path, (layer, entry))| {
            json!({"path": format!("/{path}"), "kind": kind(entry.kind), "size": entry.size, "layer": layer, "link": entry.link})
        })
        .collect();
    json!({"v": 1, "image": looked.name, "manifest": looked.image.manifest.digest, "files": files})
}

fn list(looked: &Looked) -> String {
    let mut rows = Vec::new();
    for (path, (layer, entry)) in &looked.contents.entries {
        let shown = match (&entry.link, entry.kind) {
            (Some(to), _) => format!("/{path} -> {to}"),
            (None, EntryKind::Folder) => format!("/{path}/"),
            (None, _) => format!("/{path}"),
        };
        let bytes = if entry.kind == EntryKind::File { size(entry.size) } else { String::new() };
        rows.push(vec![layer.to_string(), bytes, shown]);
    }
    table(&["LAYER", "SIZE", "PATH"], &rows)
}

/// What made a layer, as the image's history says; only when the history has an entry a layer.
fn made_by(looked: &Looked) -> Vec<String> {
    let history = looked.image.config["history"].as_array().cloned().unwrap_or_default();
    let real: Vec<String> = history
        .iter()
        .filter(|step| step["empty_layer"].as_bool() != Some(true))
        .map(|step| step["created_by"].as_str().unwrap_or_default().to_owned())
        .collect();
    if real.len() == looked.layers.len() { real } else { vec![String::new(); looked.layers.len()] }
}

fn described(looked: &Looked) -> Value {
    let layers: Vec<Value> = looked
        .layers
        .iter()
        .zip(made_by(looked))
        .map(|(layer, made_by)| {
            json!({
                "digest": layer.blob.digest, "mediaType": layer.blob.media_type, "packed": layer.blob.size,
                "unpacked": layer.unpacked, "entries": layer.entries.len(), "createdBy": made_by,
            })
        })
        .collect();
    let wasted: Vec<Value> = looked
        .contents
        .wasted
        .iter()
        .map(|wasted| {
            json!({
                "path": format!("/{}", wasted.path), "size": wasted.size, "layer": wasted.layer,
                "hiddenBy": wasted.hidden_by, "removed": wasted.removed,
            })
        })
        .collect();
    json!({
        "v": 1, "image": looked.name, "manifest": looked.image.manifest.digest,
        "platform": platform(looked), "config": looked.image.config["config"], "layers": layers,
        "wastedBytes": looked.contents.wasted_bytes(), "wasted": wasted,
    })
}

fn platform(looked: &Looked) -> String {
    let text = |key: &str| looked.image.config[key].as_str().unwrap_or("?");
    let variant = looked.image.config["variant"].as_str();
    let variant = variant.map(|variant| format!("/{variant}")).unwrap_or_default();
    format!("{}/{}{variant}", text("os"), text("architecture"))
}

fn describe(looked: &Looked) -> String {
    let mut out = format!(
        "{}\nmanifest    {}\nplatform    {}\n",
        looked.name,
        looked.image.manifest.digest,
        platform(looked)
    );
    let config = &looked.image.config["config"];
    for (key, label) in
        [("Entrypoint", "entrypoint"), ("Cmd", "cmd"), ("User", "user"), ("WorkingDir", "workdir")]
    {
        let value = &config[key];
        if !value.is_null() && value.as_str() != Some("") {
            let _ = writeln!(
                out,
                "{label:11} {}",
                value.as_str().map_or_else(|| value.to_string(), str::to_owned)
            );
        }
    }
    let rows: Vec<Vec<String>> = looked
        .layers
        .iter()
        .zip(made_by(looked))
        .enumerate()
        .map(|(index, (layer, made_by))| {
            vec![
                index.to_string(),
                layer.blob.digest.short().to_owned(),
                size(layer.blob.size),
                size(layer.unpacked),
                layer.entries.len().to_string(),
                made_by.chars().take(60).collect(),
            ]
        })
        .collect();
    out.push('\n');
    out.push_str(&table(&["LAYER", "DIGEST", "PACKED", "UNPACKED", "ENTRIES", "MADE BY"], &rows));
    let packed: u64 = looked.layers.iter().map(|layer| layer.blob.size).sum();
    let unpacked: u64 = looked.layers.iter().map(|layer| layer.unpacked).sum();
    let _ = writeln!(out, "\n{} packed, {} unpacked", size(packed), size(unpacked));
    wasted(&mut out, &looked.contents);
    out
}

fn wasted(out: &mut String, contents: &Contents) {
    if contents.wasted.is_empty() {
        out.push_str("nothing is wasted\n");
        return;
    }
    let _ = writeln!(out, "{} wasted on files that later layers hide:", size(contents.wasted_bytes()));
    let mut largest: Vec<_> = contents.wasted.iter().collect();
    largest.sort_by_key(|wasted| std::cmp::Reverse(wasted.size));
    let rows: Vec<Vec<String>> = largest
        .iter()
        .take(SHOWN)
        .map(|wasted| {
            let how = if wasted.removed { "removed by" } else { "replaced by" };
            vec![
                wasted.layer.to_string(),
                size(wasted.size),
                format!("{how} {}", wasted.hidden_by),
                format!("/{}", wasted.path),
            ]
        })
        .collect();
    out.push_str(&table(&["LAYER", "SIZE", "", "PATH"], &rows));
    if largest.len() > SHOWN {
        let _ = writeln!(out, "and {} more; -o json has them all", largest.len() - SHOWN);
    }
}

fn word(difference: Difference) -> &'static str {
    match difference {
        Difference::Added => "added",
        Difference::Removed => "removed",
        Difference::Changed => "changed",
    }
}

fn compared(before: &Looked, after: &Looked) -> Value {
    let all: Vec<Value> = changes(&before.contents, &after.contents)
        .into_iter()
        .map(|change| {
            json!({
                "path": format!("/{}", change.path), "change": word(change.difference),
                "kind": kind(change.kind), "before": change.before, "after": change.after,
                "layer": change.layer,
                "modes": change.modes.map(|(before, after)| [octal(before), octal(after)]),
            })
        })
        .collect();
    let shared: Vec<&Digest> = shared(before, after);
    json!({
        "v": 1, "before": before.image.manifest.digest, "after": after.image.manifest.digest,
        "sharedLayers": shared, "configuration": reconfigured(before, after), "changes": all,
    })
}

/// Permission bits as `chmod` takes them.
fn octal(mode: u32) -> String {
    format!("{mode:04o}")
}

/// The parts of the configuration that differ: what is started, as whom, with which environment.
fn reconfigured(before: &Looked, after: &Looked) -> Vec<String> {
    let of = |looked: &Looked| looked.image.config["config"].as_object().cloned().unwrap_or_default();
    let (before, after) = (of(before), of(after));
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    keys.into_iter().filter(|key| before.get(*key) != after.get(*key)).cloned().collect()
}

/// The layers that both have: a node that has one image fetches only the others of the second.
fn shared<'a>(before: &Looked, after: &'a Looked) -> Vec<&'a Digest> {
    let there = |digest: &Digest| before.layers.iter().any(|layer| layer.blob.digest == *digest);
    after.layers.iter().map(|layer| &layer.blob.digest).filter(|digest| there(digest)).collect()
}

fn compare(before: &Looked, after: &Looked) -> String {
    let all = changes(&before.contents, &after.contents);
    let shared = shared(before, after);
    let fetched: u64 = after
        .layers
        .iter()
        .filter(|layer| !shared.contains(&&layer.blob.digest))
        .map(|layer| layer.blob.size)
        .sum();
    let mut out = format!(
        "{} of {} layers are in both; whoever has the first fetches {}\n",
        shared.len(),
        after.layers.len(),
        size(fetched)
    );
    let parts = reconfigured(before, after);
    if !parts.is_empty() {
        let _ = writeln!(out, "the configuration differs: {}", parts.join(", "));
    }
    if all.is_empty() {
        out.push_str("the files are the same\n");
        return out;
    }
    let of = |difference| all.iter().filter(|change| change.difference == difference).count();
    let sum = |which: fn(&Change) -> Option<u64>| all.iter().filter_map(which).sum::<u64>();
    let _ = writeln!(
        out,
        "{} added, {} removed, {} changed; {} became {}\n",
        of(Difference::Added),
        of(Difference::Removed),
        of(Difference::Changed),
        size(sum(|change| change.before)),
        size(sum(|change| change.after))
    );
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|change| {
            let bytes = |bytes: Option<u64>| bytes.map(size).unwrap_or_default();
            let (before, after) = match change.modes {
                Some((before, after)) => (octal(before), octal(after)),
                None => (bytes(change.before), bytes(change.after)),
            };
            let slash = if change.kind == EntryKind::Folder { "/" } else { "" };
            vec![
                word(change.difference).to_owned(),
                change.layer.to_string(),
                before,
                after,
                format!("/{}{slash}", change.path),
            ]
        })
        .collect();
    out.push_str(&table(&["CHANGE", "LAYER", "BEFORE", "AFTER", "PATH"], &rows));
    out
}
