//! Keeping a cache of pulled images small.
//!
//! The order of the layout's index is the order in which images were pulled last, so the first ones go. A layer that another
//! image needs stays. Whoever reads an image at that moment may miss a blob, and pulls it again.

use std::collections::{BTreeMap, BTreeSet};

use release_core::{Digest, ImageRef};
use release_layout::REF_NAME;
use serde_json::Value;

use super::error::PullError;
use super::layout::Store;
use crate::document::Document;

impl Store {
    /// Removes the images that were not pulled for the longest time, until at most `most_bytes` are left, and everything that
    /// belongs to no image. The last one stays in any case. Returns how many bytes are gone.
    pub(crate) fn sweep(&self, most_bytes: u64) -> Result<u64, PullError> {
        let (mut needed, mut bytes) = (BTreeSet::new(), 0_u64);
        self.edit(|images| {
            let mut kept = Vec::new();
            for image in images.drain(..).rev() {
                let parts = self.parts(&image);
                let more: u64 =
                    parts.iter().filter(|part| !needed.contains(part.0)).map(|part| *part.1).sum();
                if !kept.is_empty() && bytes.saturating_add(more) > most_bytes {
                    continue;
                }
                bytes = bytes.saturating_add(more);
                needed.extend(parts.into_keys());
                kept.push(image);
            }
            kept.reverse();
            *images = kept;
        })?;
        Ok(self.folder.sweep(|digest| needed.contains(digest))?)
    }

    /// What an image of the index is made of, as far as it is there: blobs and documents with their sizes. The index it was
    /// chosen from is in its name.
    fn parts(&self, image: &Value) -> BTreeMap<Digest, u64> {
        let name = image["annotations"][REF_NAME].as_str().and_then(|name| name.parse::<ImageRef>().ok());
        let chosen_from = name.and_then(|name| name.digest);
        let own = image["digest"].as_str().and_then(|digest| digest.parse::<Digest>().ok());
        let mut parts = BTreeMap::new();
        let mut open: Vec<Digest> = own.iter().cloned().collect();
        while let Some(digest) = open.pop() {
            let Some(bytes) = self.document(&digest) else { continue };
            parts.insert(digest, bytes.len() as u64);
            match Document::read(&bytes, &[]) {
                Ok((Document::Image(image), _)) => {
                    parts.extend(image.blobs().map(|blob| (blob.digest.clone(), blob.size)));
                }
                Ok((Document::Index(children), _)) => {
                    let children = children.into_iter().map(|child| child.descriptor.digest);
                    open.extend(children.filter(|child| !parts.contains_key(child)));
                }
                Err(_) => {}
            }
        }
        if let Some(digest) = chosen_from.filter(|digest| !parts.contains_key(digest)) {
            let size = self.document(&digest).map_or(0, |bytes| bytes.len() as u64);
            parts.insert(digest, size);
        }
        parts
    }
}
