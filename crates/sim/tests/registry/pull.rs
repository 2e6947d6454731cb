//! Pull: what has been pushed comes back as it was, whole or in part, and what has not does not.

use crate::bench::{IMAGE, image, nowhere, sha512, with};
use crate::conformance::Case;

pub(crate) const CASES: &[Case] = &[
    ("GET /v2/ says that this is a registry", |b| {
        b.get("/v2/").is(200).header("docker-distribution-api-version", "registry/2.0");
    }),
    ("GET /v2 without the slash says so, too", |b| {
        b.get("/v2").is(200);
    }),
    ("HEAD /v2/ says so without a body", |b| {
        b.head("/v2/").is(200);
    }),
    ("a path outside of the API is answered 404", |b| {
        b.get("/v1/repositories").is(404);
    }),
    ("GET of a blob in a repository that is not there is answered 404", |b| {
        b.get(&format!("/v2/a/blobs/{}", nowhere())).refuses(404, "NAME_UNKNOWN");
    }),
    ("HEAD of a blob that is not there is answered 404", |b| {
        b.blob("a", b"x");
        b.head(&format!("/v2/a/blobs/{}", nowhere())).is(404);
    }),
    ("GET of a blob that is not there is answered 404", |b| {
        b.blob("a", b"x");
        b.get(&format!("/v2/a/blobs/{}", nowhere())).refuses(404, "BLOB_UNKNOWN");
    }),
    ("HEAD of a blob gives its length and digest", |b| {
        let digest = b.blob("a", b"hello");
        let seen = b.head(&format!("/v2/a/blobs/{digest}")).is(200);
        let seen = seen.header("content-length", "5").header("docker-content-digest", &digest);
        assert!(seen.0.body().is_empty());
    }),
    ("GET of a blob gives its bytes", |b| {
        let digest = b.blob("a", b"hello");
        b.get(&format!("/v2/a/blobs/{digest}"))
            .is(200)
            .header("docker-content-digest", &digest)
            .header("content-type", "application/octet-stream")
            .body(b"hello");
    }),
    ("a blob of one repository is not in another", |b| {
        let digest = b.blob("a", b"hello");
        b.blob("b", b"other");
        b.get(&format!("/v2/b/blobs/{digest}")).refuses(404, "BLOB_UNKNOWN");
    }),
    ("GET of a blob by something that is no digest is answered 400", |b| {
        b.get("/v2/a/blobs/sha256:abc").refuses(400, "DIGEST_INVALID");
        b.get("/v2/a/blobs/hello").refuses(400, "DIGEST_INVALID");
    }),
    ("a blob can be named by its sha512 digest", |b| {
        let digest = sha512(b"hello");
        let location = b.upload("a");
        b.close(&location, &digest, b"hello").is(201).header("docker-content-digest", &digest);
        b.get(&format!("/v2/a/blobs/{digest}")).is(200).body(b"hello");
    }),
    ("an empty blob is a blob", |b| {
        let digest = b.blob("a", b"");
        b.get(&format!("/v2/a/blobs/{digest}")).is(200).body(b"");
    }),
    ("a range of a blob is answered 206 with these bytes", |b| {
        let digest = b.blob("a", b"0123456789");
        b.send("GET", &format!("/v2/a/blobs/{digest}"), &[("range", "bytes=2-4")], b"")
            .is(206)
            .header("content-range", "bytes 2-4/10")
            .body(b"234");
    }),
    ("a range without an end goes to the end, as resumed downloads need", |b| {
        let digest = b.blob("a", b"0123456789");
        b.send("GET", &format!("/v2/a/blobs/{digest}"), &[("range", "bytes=7-")], b"")
            .is(206)
            .header("content-range", "bytes 7-9/10")
            .body(b"789");
    }),
    ("a range from the end counts from there", |b| {
        let digest = b.blob("a", b"0123456789");
        b.send("GET", &format!("/v2/a/blobs/{digest}"), &[("range", "bytes=-2")], b"").is(206).body(b"89");
    }),
    ("a range beyond the end is answered 416", |b| {
        let digest = b.blob("a", b"0123456789");
        b.send("GET", &format!("/v2/a/blobs/{digest}"), &[("range", "bytes=10-")], b"")
            .is(416)
            .header("content-range", "bytes */10");
    }),
    ("a range that makes no sense is ignored", |b| {
        let digest = b.blob("a", b"0123456789");
        b.send("GET", &format!("/v2/a/blobs/{digest}"), &[("range", "lines=1-2")], b"").is(200);
    }),
    ("that ranges are taken can be seen", |b| {
        let digest = b.blob("a", b"x");
        b.head(&format!("/v2/a/blobs/{digest}")).header("accept-ranges", "bytes");
    }),
    ("HEAD of a manifest in a repository that is not there is answered 404", |b| {
        b.head("/v2/a/manifests/latest").is(404);
    }),
    ("GET of a manifest by a tag that is not there is answered 404", |b| {
        b.blob("a", b"x");
        b.get("/v2/a/manifests/latest").refuses(404, "MANIFEST_UNKNOWN");
    }),
    ("GET of a manifest by a digest that is not there is answered 404", |b| {
        b.blob("a", b"x");
        b.get(&format!("/v2/a/manifests/{}", nowhere())).refuses(404, "MANIFEST_UNKNOWN");
    }),
    ("GET of a manifest by a malformed digest is answered 400", |b| {
        b.get("/v2/a/manifests/sha256:abc").refuses(400, "DIGEST_INVALID");
    }),
    ("HEAD of a manifest gives its length, digest and media type", |b| {
        let digest = b.image("a", "v1", b"layer");
        let length = image(b"layer").to_string().len().to_string();
        for reference in ["v1", digest.as_str()] {
            let seen = b.head(&format!("/v2/a/manifests/{reference}")).is(200);
            let seen = seen.header("content-length", &length).header("content-type", IMAGE);
            assert!(seen.header("docker-content-digest", &digest).0.body().is_empty());
        }
    }),
    ("GET of a manifest by tag gives its bytes", |b| {
        let digest = b.image("a", "v1", b"layer");
        b.get("/v2/a/manifests/v1")
            .is(200)
            .header("content-type", IMAGE)
            .header("docker-content-digest", digest)
            .body(image(b"layer").to_string().as_bytes());
    }),
    ("GET of a manifest by digest gives the same bytes", |b| {
        let digest = b.image("a", "v1", b"layer");
        b.get(&format!("/v2/a/manifests/{digest}")).is(200).body(image(b"layer").to_string().as_bytes());
    }),
    ("a manifest comes back byte for byte, however it was written", |b| {
        b.image("a", "v0", b"layer");
        let spaced = format!("\n{:#}\n\n", image(b"layer"));
        b.send("PUT", "/v2/a/manifests/v1", &[("content-type", IMAGE)], spaced.as_bytes()).is(201);
        b.get("/v2/a/manifests/v1").is(200).body(spaced.as_bytes());
    }),
    ("a digest with an encoded colon is the same digest", |b| {
        let digest = b.blob("a", b"x");
        b.get(&format!("/v2/a/blobs/{}", digest.as_str().replace(':', "%3A"))).is(200);
    }),
    ("unknown parameters are ignored", |b| {
        let digest = b.blob("a", b"x");
        b.get(&with(&format!("/v2/a/blobs/{digest}"), "ns", "example.com")).is(200);
    }),
    ("a repository name that nobody can have is answered 400", |b| {
        for name in ["A", "a..b", "a/../b", "-a"] {
            b.get(&format!("/v2/{name}/manifests/v1")).refuses(400, "NAME_INVALID");
        }
    }),
];
