//! Content management: tags, manifests and blobs are deleted, and only they.

use release_sim::registry::Digest;

use crate::bench::{IMAGE, image, nowhere};
use crate::conformance::Case;

pub(crate) const CASES: &[Case] = &[
    ("DELETE of a tag: 202, and it is gone", |b| {
        b.image("a", "v1", b"layer");
        b.delete("/v2/a/manifests/v1").is(202);
        b.head("/v2/a/manifests/v1").is(404);
        assert!(b.get("/v2/a/tags/list").list("tags").is_empty());
    }),
    ("DELETE of a tag leaves its manifest, and other tags", |b| {
        let digest = b.image("a", "v1", b"layer");
        b.manifest("a", "v2", IMAGE, &image(b"layer")).is(201);
        b.delete("/v2/a/manifests/v1").is(202);
        b.head("/v2/a/manifests/v2").is(200);
        b.head(&format!("/v2/a/manifests/{digest}")).is(200);
    }),
    ("DELETE of a tag that is not there is answered 404", |b| {
        b.image("a", "v1", b"layer");
        b.delete("/v2/a/manifests/v2").refuses(404, "MANIFEST_UNKNOWN");
    }),
    ("DELETE in a repository that is not there is answered 404", |b| {
        b.delete("/v2/a/manifests/v1").refuses(404, "NAME_UNKNOWN");
        b.delete(&format!("/v2/a/blobs/{}", nowhere())).refuses(404, "NAME_UNKNOWN");
    }),
    ("DELETE of a manifest: 202, and it is gone", |b| {
        let digest = b.image("a", "v1", b"layer");
        b.delete(&format!("/v2/a/manifests/{digest}")).is(202);
        b.get(&format!("/v2/a/manifests/{digest}")).refuses(404, "MANIFEST_UNKNOWN");
    }),
    ("with a manifest go all its tags, and no others", |b| {
        let digest = b.image("a", "v1", b"one");
        b.manifest("a", "v2", IMAGE, &image(b"one")).is(201);
        b.image("a", "v3", b"two");
        b.delete(&format!("/v2/a/manifests/{digest}")).is(202);
        assert_eq!(b.get("/v2/a/tags/list").list("tags"), ["v3"]);
    }),
    ("DELETE of a manifest that is not there is answered 404", |b| {
        b.image("a", "v1", b"layer");
        b.delete(&format!("/v2/a/manifests/{}", nowhere())).refuses(404, "MANIFEST_UNKNOWN");
    }),
    ("a manifest can be deleted only once", |b| {
        let digest = b.image("a", "v1", b"layer");
        b.delete(&format!("/v2/a/manifests/{digest}")).is(202);
        b.delete(&format!("/v2/a/manifests/{digest}")).is(404);
    }),
    ("a deleted manifest can be pushed again", |b| {
        let digest = b.image("a", "v1", b"layer");
        b.delete(&format!("/v2/a/manifests/{digest}")).is(202);
        b.manifest("a", "v1", IMAGE, &image(b"layer")).is(201);
        b.head("/v2/a/manifests/v1").is(200);
    }),
    ("a deleted manifest is no referrer any more", |b| {
        let digest = b.referrer("a", &nowhere(), "x/sbom");
        b.delete(&format!("/v2/a/manifests/{digest}")).is(202);
        assert!(b.get(&format!("/v2/a/referrers/{}", nowhere())).list("manifests").is_empty());
    }),
    ("a deleted subject keeps its referrers", |b| {
        let subject = b.image("a", "v1", b"layer");
        b.referrer("a", &subject, "x/sbom");
        b.delete(&format!("/v2/a/manifests/{subject}")).is(202);
        assert_eq!(b.get(&format!("/v2/a/referrers/{subject}")).list("manifests").len(), 1);
    }),
    ("DELETE of a blob: 202, and it is gone", |b| {
        let digest = b.blob("a", b"hello");
        b.delete(&format!("/v2/a/blobs/{digest}")).is(202);
        b.get(&format!("/v2/a/blobs/{digest}")).refuses(404, "BLOB_UNKNOWN");
        b.delete(&format!("/v2/a/blobs/{digest}")).refuses(404, "BLOB_UNKNOWN");
    }),
    ("DELETE of a blob leaves it in other repositories", |b| {
        let digest = b.blob("a", b"hello");
        b.post(&format!("/v2/b/blobs/uploads/?mount={digest}&from=a")).is(201);
        b.delete(&format!("/v2/a/blobs/{digest}")).is(202);
        b.get(&format!("/v2/b/blobs/{digest}")).is(200).body(b"hello");
    }),
    ("a deleted blob can be pushed again", |b| {
        let digest = b.blob("a", b"hello");
        b.delete(&format!("/v2/a/blobs/{digest}")).is(202);
        b.blob("a", b"hello");
        b.head(&format!("/v2/a/blobs/{digest}")).is(200);
    }),
    ("the blobs of a deleted manifest stay until they are deleted", |b| {
        let digest = b.image("a", "v1", b"layer");
        b.delete(&format!("/v2/a/manifests/{digest}")).is(202);
        b.head(&format!("/v2/a/blobs/{}", Digest::of(b"layer"))).is(200);
    }),
    ("deleting everything leaves nothing but the repository's name", |b| {
        b.blob("a", b"");
        b.delete(&format!("/v2/a/blobs/{}", Digest::of(b""))).is(202);
        let empty = b.registry.used_bytes();
        let digest = b.image("a", "v1", b"layer");
        b.delete(&format!("/v2/a/manifests/{digest}")).is(202);
        for blob in [b"{}".as_slice(), b"layer"] {
            b.delete(&format!("/v2/a/blobs/{}", Digest::of(blob))).is(202);
        }
        assert_eq!(b.registry.used_bytes(), empty);
    }),
];
