//! Push: blobs in one piece, in chunks, by mount; manifests by tag and by digest.

use release_sim::registry::Digest;
use serde_json::json;

use crate::bench::{Bench, IMAGE, INDEX, descriptor, image, index, nowhere, referrer, sha512, with};
use crate::conformance::Case;

/// An upload that has received `0123`.
fn half(b: &mut Bench) -> String {
    let location = b.upload("a");
    b.chunk(&location, 0, b"0123").is(202).location()
}

pub(crate) const CASES: &[Case] = &[
    ("POST opens an upload: 202, and its address", |b| {
        let seen =
            b.post("/v2/a/blobs/uploads/").is(202).header("range", "0-0").header("content-length", "0");
        assert!(seen.location().starts_with("/v2/a/blobs/uploads/"));
        assert!(!seen.get("docker-upload-uuid").is_empty());
    }),
    ("two uploads have two addresses", |b| {
        assert_ne!(b.upload("a"), b.upload("a"));
    }),
    ("PUT of the whole blob ends an upload: 201, where it is, and its digest", |b| {
        let location = b.upload("a");
        let digest = Digest::of(b"hello");
        let seen = b.close(&location, &digest, b"hello").is(201).header("docker-content-digest", &digest);
        b.get(&seen.location()).is(200).body(b"hello");
    }),
    ("PUT with a digest that is not that of the bytes is answered 400", |b| {
        let location = b.upload("a");
        b.close(&location, nowhere(), b"hello").refuses(400, "DIGEST_INVALID");
        b.head(&format!("/v2/a/blobs/{}", Digest::of(b"hello"))).is(404);
    }),
    ("PUT without a digest is answered 400, and the upload goes on", |b| {
        let location = b.upload("a");
        b.send("PUT", &location, &[], b"hello").refuses(400, "DIGEST_INVALID");
        b.close(&location, Digest::of(b"hello"), b"hello").is(201);
    }),
    ("PUT with something that is no digest is answered 400", |b| {
        let location = b.upload("a");
        b.close(&location, "sha256:../../etc/passwd", b"hello").refuses(400, "DIGEST_INVALID");
    }),
    ("PUT with an encoded digest is understood", |b| {
        let location = b.upload("a");
        b.close(&location, Digest::of(b"x").as_str().replace(':', "%3A"), b"x").is(201);
    }),
    ("PUT to an upload that is not there is answered 404", |b| {
        b.close("/v2/a/blobs/uploads/none", nowhere(), b"x").refuses(404, "BLOB_UPLOAD_UNKNOWN");
    }),
    ("an upload of one repository is not in another", |b| {
        let location = b.upload("a").replace("/a/", "/b/");
        b.close(&location, Digest::of(b"x"), b"x").refuses(404, "BLOB_UPLOAD_UNKNOWN");
    }),
    ("an upload that has ended is gone", |b| {
        let location = b.upload("a");
        b.close(&location, Digest::of(b"x"), b"x").is(201);
        b.close(&location, Digest::of(b"x"), b"x").refuses(404, "BLOB_UPLOAD_UNKNOWN");
        b.get(&location).refuses(404, "BLOB_UPLOAD_UNKNOWN");
    }),
    ("a blob that is there can be pushed again", |b| {
        assert_eq!(b.blob("a", b"x"), b.blob("a", b"x"));
    }),
    ("POST with a digest and the bytes pushes a blob at once", |b| {
        let digest = Digest::of(b"hello");
        let uri = with("/v2/a/blobs/uploads/", "digest", digest.as_str());
        let seen = b.send("POST", &uri, &[], b"hello").is(201).header("docker-content-digest", &digest);
        b.get(&seen.location()).is(200).body(b"hello");
    }),
    ("POST with the digest of other bytes is answered 400", |b| {
        let uri = with("/v2/a/blobs/uploads/", "digest", nowhere().as_str());
        b.send("POST", &uri, &[], b"hello").refuses(400, "DIGEST_INVALID");
    }),
    ("a chunk without a range is taken whole", |b| {
        let location = b.upload("a");
        let seen = b.send("PATCH", &location, &[], b"hello").is(202).header("range", "0-4");
        b.close(&seen.location(), Digest::of(b"hello"), b"").is(201);
    }),
    ("chunks follow one another, and say how far they got", |b| {
        let location = half(b);
        let location = b.chunk(&location, 4, b"456").is(202).header("range", "0-6").location();
        b.close(&location, Digest::of(b"0123456"), b"").is(201);
        b.get(&format!("/v2/a/blobs/{}", Digest::of(b"0123456"))).is(200).body(b"0123456");
    }),
    ("the last chunk can come with the PUT", |b| {
        let location = half(b);
        let uri = with(&location, "digest", Digest::of(b"012345").as_str());
        b.send("PUT", &uri, &[("content-range", "4-5")], b"45").is(201);
    }),
    ("the last chunk of a PUT has to follow, too", |b| {
        let location = half(b);
        let uri = with(&location, "digest", Digest::of(b"012345").as_str());
        b.send("PUT", &uri, &[("content-range", "3-4")], b"45").is(416).header("range", "0-3");
    }),
    ("a first chunk that does not begin at the beginning is answered 416", |b| {
        let location = b.upload("a");
        b.chunk(&location, 3, b"345").refuses(416, "BLOB_UPLOAD_INVALID");
    }),
    ("a chunk that leaves a gap is answered 416, with the truth", |b| {
        let location = half(b);
        let seen = b.chunk(&location, 5, b"56").is(416).header("range", "0-3");
        b.chunk(&seen.location(), 4, b"456").is(202);
    }),
    ("a chunk that is sent twice is answered 416", |b| {
        let location = half(b);
        b.chunk(&location, 0, b"0123").is(416).header("range", "0-3");
    }),
    ("a range that cannot be understood is answered 416", |b| {
        let location = half(b);
        for range in ["4", "bytes", "9-4", "a-b"] {
            b.send("PATCH", &location, &[("content-range", range)], b"4567").is(416);
        }
    }),
    ("a range of another length than the chunk is answered 400", |b| {
        let location = half(b);
        b.send("PATCH", &location, &[("content-range", "4-9")], b"45").refuses(400, "SIZE_INVALID");
        b.get(&location).is(204).header("range", "0-3");
    }),
    ("PATCH of an upload that is not there is answered 404", |b| {
        b.chunk("/v2/a/blobs/uploads/none", 0, b"x").refuses(404, "BLOB_UPLOAD_UNKNOWN");
    }),
    ("GET of an upload says how far it is: 204", |b| {
        let location = half(b);
        let seen = b.get(&location).is(204).header("range", "0-3");
        b.chunk(&seen.location(), 4, b"4").is(202);
    }),
    ("GET of an upload that is not there is answered 404", |b| {
        b.get("/v2/a/blobs/uploads/none").refuses(404, "BLOB_UPLOAD_UNKNOWN");
    }),
    ("DELETE cancels an upload: 204, and it is gone", |b| {
        let location = half(b);
        b.delete(&location).is(204);
        b.get(&location).refuses(404, "BLOB_UPLOAD_UNKNOWN");
        b.chunk(&location, 4, b"4").refuses(404, "BLOB_UPLOAD_UNKNOWN");
    }),
    ("DELETE of an upload that is not there is answered 404", |b| {
        b.delete("/v2/a/blobs/uploads/none").refuses(404, "BLOB_UPLOAD_UNKNOWN");
    }),
    ("a blob can be mounted from another repository: 201, and it is there", |b| {
        let digest = b.blob("a", b"hello");
        let seen = b.post(&format!("/v2/b/blobs/uploads/?mount={digest}&from=a")).is(201);
        let seen = seen.header("docker-content-digest", &digest);
        b.get(&seen.location()).is(200).body(b"hello");
        b.get(&format!("/v2/b/blobs/{digest}")).is(200);
    }),
    ("a mount of what is not there becomes an upload: 202", |b| {
        let seen = b.post(&format!("/v2/b/blobs/uploads/?mount={}&from=a", nowhere())).is(202);
        b.close(&seen.location(), Digest::of(b"x"), b"x").is(201);
    }),
    ("a mount of something that is no digest becomes an upload: 202", |b| {
        b.post("/v2/b/blobs/uploads/?mount=hello&from=a").is(202);
    }),
    ("a mount without a source may find the blob by itself", |b| {
        let digest = b.blob("a", b"hello");
        b.post(&format!("/v2/b/blobs/uploads/?mount={digest}")).is(201);
        b.post(&format!("/v2/b/blobs/uploads/?mount={}", nowhere())).is(202);
    }),
    ("PUT of a manifest by tag: 201, where it is, and its digest", |b| {
        let digest = b.image("a", "v0", b"layer");
        let seen = b.manifest("a", "v1", IMAGE, &image(b"layer")).is(201);
        let seen = seen.header("docker-content-digest", &digest).lacks("oci-subject");
        assert_eq!(seen.location(), format!("/v2/a/manifests/{digest}"));
        b.get(&seen.location()).is(200);
    }),
    ("PUT of a manifest by digest makes no tag", |b| {
        b.image("a", "v0", b"layer");
        let document = json!({ "schemaVersion": 2, "config": descriptor("x", b"{}"), "layers": [] });
        let digest = Digest::of(document.to_string().as_bytes());
        b.manifest("a", digest.as_str(), IMAGE, &document).is(201);
        b.get(&format!("/v2/a/manifests/{digest}")).is(200).header("content-type", IMAGE);
        assert_eq!(b.get("/v2/a/tags/list").list("tags"), ["v0"]);
    }),
    ("PUT of a manifest by the digest of another is answered 400", |b| {
        b.image("a", "v0", b"layer");
        b.manifest("a", nowhere().as_str(), IMAGE, &image(b"layer")).refuses(400, "DIGEST_INVALID");
    }),
    ("PUT of a manifest by its sha512 digest is taken", |b| {
        b.image("a", "v0", b"layer");
        let digest = sha512(image(b"layer").to_string().as_bytes());
        b.manifest("a", &digest, IMAGE, &image(b"layer")).is(201).header("docker-content-digest", &digest);
        b.get(&format!("/v2/a/manifests/{digest}")).is(200);
    }),
    ("PUT of a manifest by digest can set several tags", |b| {
        let digest = b.image("a", "v0", b"layer");
        let uri = format!("/v2/a/manifests/{digest}?tag=v1&tag=v2");
        let document = image(b"layer").to_string();
        let seen = b.send("PUT", &uri, &[("content-type", IMAGE)], document.as_bytes()).is(201);
        assert_eq!(seen.0.response.headers().get_all("oci-tag").iter().count(), 2);
        assert_eq!(b.get("/v2/a/tags/list").list("tags"), ["v0", "v1", "v2"]);
    }),
    ("PUT of a manifest to a tag that nobody can have is answered 400", |b| {
        b.image("a", "v0", b"layer");
        b.manifest("a", ".bad", IMAGE, &image(b"layer")).refuses(400, "TAG_INVALID");
    }),
    ("a tag can be moved", |b| {
        let first = b.image("a", "v1", b"one");
        let second = b.image("a", "v1", b"two");
        b.get("/v2/a/manifests/v1").is(200).header("docker-content-digest", second);
        b.get(&format!("/v2/a/manifests/{first}")).is(200);
    }),
    ("a manifest whose blobs are not there is refused, each missing one by name", |b| {
        let seen = b.manifest("a", "v1", IMAGE, &image(b"layer")).refuses(404, "MANIFEST_BLOB_UNKNOWN");
        let body = seen.json();
        let missing: Vec<_> =
            body["errors"].as_array().unwrap().iter().map(|e| &e["detail"]["digest"]).collect();
        assert_eq!(missing, [Digest::of(b"{}").as_str(), Digest::of(b"layer").as_str()]);
        b.head("/v2/a/manifests/v1").is(404);
    }),
    ("blobs of other repositories do not count", |b| {
        b.image("a", "v1", b"layer");
        b.manifest("b", "v1", IMAGE, &image(b"layer")).refuses(404, "MANIFEST_BLOB_UNKNOWN");
    }),
    ("an index of manifests that are there is taken", |b| {
        b.image("a", "v1", b"layer");
        b.manifest("a", "all", INDEX, &index(&[&image(b"layer")])).is(201);
        b.get("/v2/a/manifests/all").is(200).header("content-type", INDEX);
    }),
    ("an index of manifests that are not there is refused", |b| {
        b.manifest("a", "all", INDEX, &index(&[&image(b"layer")])).refuses(404, "MANIFEST_BLOB_UNKNOWN");
    }),
    ("an index can be in an index", |b| {
        b.image("a", "v1", b"layer");
        let inner = index(&[&image(b"layer")]);
        b.manifest("a", "inner", INDEX, &inner).is(201);
        b.manifest("a", "outer", INDEX, &index(&[&inner])).is(201);
    }),
    ("an index of nothing is an index", |b| {
        b.manifest("a", "none", INDEX, &index(&[])).is(201);
    }),
    ("a manifest that is no JSON is refused", |b| {
        b.send("PUT", "/v2/a/manifests/v1", &[("content-type", IMAGE)], b"hello")
            .refuses(400, "MANIFEST_INVALID");
    }),
    ("a manifest sent as another kind than it says is refused", |b| {
        b.image("a", "v0", b"layer");
        b.manifest("a", "v1", INDEX, &image(b"layer")).refuses(400, "MANIFEST_INVALID");
    }),
    ("a manifest of two kinds at once is refused", |b| {
        b.image("a", "v0", b"layer");
        let mut both = image(b"layer");
        both["manifests"] = json!([]);
        b.manifest("a", "v1", IMAGE, &both).refuses(400, "MANIFEST_INVALID");
    }),
    ("a manifest of an unknown kind is refused", |b| {
        b.manifest("a", "v1", "application/json", &json!({ "schemaVersion": 2 }))
            .refuses(400, "MANIFEST_INVALID");
    }),
    ("a manifest of 4 MiB is taken", |b| {
        b.image("a", "v0", b"layer");
        let mut document = image(b"layer");
        let rest = 4 * 1024 * 1024 - document.to_string().len() - r#","annotations":{"x":""}"#.len();
        document["annotations"] = json!({ "x": "y".repeat(rest) });
        assert_eq!(document.to_string().len(), 4 * 1024 * 1024);
        b.manifest("a", "v1", IMAGE, &document).is(201);
    }),
    ("a larger manifest is answered 413", |b| {
        b.image("a", "v0", b"layer");
        let mut document = image(b"layer");
        document["annotations"] = json!({ "x": "y".repeat(4 * 1024 * 1024) });
        b.manifest("a", "v1", IMAGE, &document).refuses(413, "SIZE_INVALID");
    }),
    ("a manifest about a subject is answered with OCI-Subject", |b| {
        let subject = b.image("a", "v1", b"layer");
        b.manifest("a", "sig", IMAGE, &referrer(&subject, "x/y")).is(201).header("oci-subject", &subject);
    }),
    ("a manifest about a subject that is not there is taken", |b| {
        b.blob("a", b"{}");
        let document = referrer(&nowhere(), "x/y");
        b.manifest("a", "sig", IMAGE, &document).is(201).header("oci-subject", nowhere());
    }),
    ("an index can have a subject, too", |b| {
        let mut document = index(&[]);
        document["subject"] = descriptor(IMAGE, b"x");
        b.manifest("a", "all", INDEX, &document).is(201).header("oci-subject", Digest::of(b"x"));
    }),
    ("a method that nothing is done with is answered 405", |b| {
        b.send("PATCH", "/v2/a/manifests/v1", &[], b"").refuses(405, "UNSUPPORTED");
        b.get("/v2/a/blobs/uploads/").refuses(405, "UNSUPPORTED");
    }),
];
