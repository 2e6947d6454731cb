//! Content discovery: tags in pages, repositories, and referrers with their filter.

use crate::bench::{Bench, IMAGE, INDEX, image, nowhere};
use crate::conformance::Case;

/// A repository with the tags `t0` to `t4`.
fn tagged(b: &mut Bench) {
    b.image("a", "t0", b"layer");
    for tag in ["t3", "t1", "t4", "t2"] {
        b.manifest("a", tag, IMAGE, &image(b"layer")).is(201);
    }
}

pub(crate) const CASES: &[Case] = &[
    ("the tags of a repository that is not there are answered 404", |b| {
        b.get("/v2/a/tags/list").refuses(404, "NAME_UNKNOWN");
    }),
    ("a repository without tags has an empty list", |b| {
        b.blob("a", b"x");
        assert!(b.get("/v2/a/tags/list").is(200).list("tags").is_empty());
    }),
    ("tags are listed with the repository's name", |b| {
        tagged(b);
        let seen = b.get("/v2/a/tags/list").is(200).header("content-type", "application/json").lacks("link");
        assert_eq!(seen.json()["name"], "a");
        assert_eq!(seen.list("tags").len(), 5);
    }),
    ("tags are sorted", |b| {
        tagged(b);
        assert_eq!(b.get("/v2/a/tags/list").list("tags"), ["t0", "t1", "t2", "t3", "t4"]);
    }),
    ("n limits the number of tags", |b| {
        tagged(b);
        assert_eq!(b.get("/v2/a/tags/list?n=2").is(200).list("tags"), ["t0", "t1"]);
    }),
    ("last is where the list begins, itself left out", |b| {
        tagged(b);
        assert_eq!(b.get("/v2/a/tags/list?last=t2").is(200).list("tags"), ["t3", "t4"]);
        assert_eq!(b.get("/v2/a/tags/list?n=1&last=t2").is(200).list("tags"), ["t3"]);
    }),
    ("last need not be a tag that is there", |b| {
        tagged(b);
        assert_eq!(b.get("/v2/a/tags/list?last=t2a").is(200).list("tags"), ["t3", "t4"]);
    }),
    ("Link leads to the next page, and all pages together are the list", |b| {
        tagged(b);
        let mut all = Vec::new();
        let mut uri = Some("/v2/a/tags/list?n=2".to_owned());
        while let Some(page) = uri {
            let seen = b.get(&page).is(200);
            all.extend(seen.list("tags"));
            uri = seen.next();
        }
        assert_eq!(all, ["t0", "t1", "t2", "t3", "t4"]);
    }),
    ("the last page has no Link, even if it is full", |b| {
        tagged(b);
        b.get("/v2/a/tags/list?n=5").is(200).lacks("link");
    }),
    ("n of zero gives no tags", |b| {
        tagged(b);
        assert!(b.get("/v2/a/tags/list?n=0").is(200).lacks("link").list("tags").is_empty());
    }),
    ("n that is no number is answered 400", |b| {
        tagged(b);
        b.get("/v2/a/tags/list?n=many").refuses(400, "PAGINATION_NUMBER_INVALID");
    }),
    ("the repositories are listed, in pages", |b| {
        for name in ["c", "a", "b/x"] {
            b.blob(name, b"x");
        }
        assert_eq!(b.get("/v2/_catalog").is(200).list("repositories"), ["a", "b/x", "c"]);
        let seen = b.get("/v2/_catalog?n=2").is(200);
        assert_eq!(seen.list("repositories"), ["a", "b/x"]);
        assert_eq!(b.get(&seen.next().unwrap()).is(200).list("repositories"), ["c"]);
    }),
    ("what has no referrers has an empty index, and is not answered 404", |b| {
        b.blob("a", b"x");
        let seen = b.get(&format!("/v2/a/referrers/{}", nowhere())).is(200).header("content-type", INDEX);
        assert_eq!(seen.json()["schemaVersion"], 2);
        assert_eq!(seen.json()["mediaType"], INDEX);
        assert!(seen.list("manifests").is_empty());
    }),
    ("referrers in a repository that is not there are an empty index, too", |b| {
        b.get(&format!("/v2/a/referrers/{}", nowhere())).is(200);
    }),
    ("referrers of something that is no digest are answered 400", |b| {
        b.get("/v2/a/referrers/latest").refuses(400, "DIGEST_INVALID");
    }),
    ("a manifest is listed under its subject, described in full", |b| {
        let subject = b.image("a", "v1", b"layer");
        let digest = b.referrer("a", &subject, "x/signature");
        let body = b.get(&format!("/v2/a/referrers/{subject}")).is(200).json();
        let found = &body["manifests"][0];
        assert_eq!(found["digest"], digest.as_str());
        assert_eq!(found["mediaType"], IMAGE);
        assert_eq!(found["artifactType"], "x/signature");
        assert_eq!(found["annotations"]["test.kind"], "x/signature");
        assert!(found["size"].as_u64().is_some_and(|size| size > 0));
    }),
    ("without artifactType the media type of the config stands for it", |b| {
        let mut document = image(b"layer");
        let subject = b.image("a", "v1", b"layer");
        document["subject"] = crate::bench::descriptor(IMAGE, image(b"layer").to_string().as_bytes());
        b.manifest("a", "about", IMAGE, &document).is(201);
        let body = b.get(&format!("/v2/a/referrers/{subject}")).is(200).json();
        assert_eq!(body["manifests"][0]["artifactType"], crate::bench::CONFIG);
    }),
    ("all referrers are listed where nothing is filtered", |b| {
        let subject = b.image("a", "v1", b"layer");
        b.referrer("a", &subject, "x/signature");
        b.referrer("a", &subject, "x/sbom");
        let seen = b.get(&format!("/v2/a/referrers/{subject}")).is(200).lacks("oci-filters-applied");
        assert_eq!(seen.list("manifests").len(), 2);
    }),
    ("artifactType filters the referrers, and the answer says that it did", |b| {
        let subject = b.image("a", "v1", b"layer");
        b.referrer("a", &subject, "x/signature");
        let sbom = b.referrer("a", &subject, "x/sbom");
        let seen = b.get(&format!("/v2/a/referrers/{subject}?artifactType=x%2Fsbom")).is(200);
        let seen = seen.header("oci-filters-applied", "artifactType");
        assert_eq!(seen.list("manifests"), [sbom.as_str()]);
    }),
    ("a filter that nothing passes leaves an empty index", |b| {
        let subject = b.image("a", "v1", b"layer");
        b.referrer("a", &subject, "x/sbom");
        let seen = b.get(&format!("/v2/a/referrers/{subject}?artifactType=x/none")).is(200);
        assert!(seen.list("manifests").is_empty());
    }),
    ("referrers of a subject that was never pushed are listed", |b| {
        let digest = b.referrer("a", &nowhere(), "x/sbom");
        assert_eq!(b.get(&format!("/v2/a/referrers/{}", nowhere())).list("manifests"), [digest.as_str()]);
    }),
    ("referrers of one repository are not in another", |b| {
        b.referrer("a", &nowhere(), "x/sbom");
        assert!(b.get(&format!("/v2/b/referrers/{}", nowhere())).list("manifests").is_empty());
    }),
    ("referrers come in pages, too", |b| {
        for kind in ["x/1", "x/2", "x/3"] {
            b.referrer("a", &nowhere(), kind);
        }
        let seen = b.get(&format!("/v2/a/referrers/{}?n=2", nowhere())).is(200);
        assert_eq!(seen.list("manifests").len(), 2);
        assert_eq!(b.get(&seen.next().unwrap()).is(200).lacks("link").list("manifests").len(), 1);
    }),
];
