//! A registry on the bench: requests in, checks on what comes out.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use release_core::MonoTime;
use release_sim::registry::{Answer, Config, Digest, Dropped, Profile, Registry, Rule};
use serde_json::{Value, json};

pub(crate) const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// A digest that nothing has.
pub(crate) fn nowhere() -> Digest {
    Digest::of(b"nobody has ever pushed this")
}

/// A sha512 digest, which the library does not compute for others.
pub(crate) fn sha512(bytes: &[u8]) -> String {
    use sha2::{Digest as _, Sha512};
    let hex: Vec<String> = Sha512::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha512:{}", hex.concat())
}

/// A registry, the time, and what every request carries.
pub(crate) struct Bench {
    pub(crate) registry: Registry,
    pub(crate) now: MonoTime,
    pub(crate) authorization: Option<String>,
}

impl Bench {
    pub(crate) fn new(config: Config) -> Self {
        Self { registry: Registry::new(config), now: MonoTime::ZERO, authorization: None }
    }

    pub(crate) fn plain() -> Self {
        Self::new(Config::default())
    }

    pub(crate) fn of(profile: Profile) -> Self {
        Self::new(Config { profile, ..Config::default() })
    }

    pub(crate) fn with_rule(rule: Rule) -> Self {
        Self::new(Config { rules: vec![rule], ..Config::default() })
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    /// Sends a request, which may meet a closed connection.
    pub(crate) fn attempt(
        &mut self,
        method: &str,
        uri: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, Dropped> {
        let mut request = Request::builder().method(method).uri(uri).header("host", "registry.test");
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Bytes::copy_from_slice(body)).expect("the request makes sense");
        self.registry.handle(request, self.now)
    }

    #[track_caller]
    pub(crate) fn send(&mut self, method: &str, uri: &str, headers: &[(&str, &str)], body: &[u8]) -> Seen {
        Seen(self.attempt(method, uri, headers, body).expect("there is an answer"))
    }

    #[track_caller]
    pub(crate) fn get(&mut self, uri: &str) -> Seen {
        self.send("GET", uri, &[], b"")
    }

    #[track_caller]
    pub(crate) fn head(&mut self, uri: &str) -> Seen {
        self.send("HEAD", uri, &[], b"")
    }

    #[track_caller]
    pub(crate) fn delete(&mut self, uri: &str) -> Seen {
        self.send("DELETE", uri, &[], b"")
    }

    #[track_caller]
    pub(crate) fn post(&mut self, uri: &str) -> Seen {
        self.send("POST", uri, &[], b"")
    }

    /// Opens an upload; returns its address.
    #[track_caller]
    pub(crate) fn upload(&mut self, name: &str) -> String {
        self.post(&format!("/v2/{name}/blobs/uploads/")).is(202).location()
    }

    /// Sends a chunk that begins at `at`.
    #[track_caller]
    pub(crate) fn chunk(&mut self, location: &str, at: usize, bytes: &[u8]) -> Seen {
        let range = format!("{at}-{}", (at + bytes.len()).saturating_sub(1));
        self.send("PATCH", location, &[("content-range", &range)], bytes)
    }

    /// Ends an upload with these last bytes.
    #[track_caller]
    pub(crate) fn close(&mut self, location: &str, digest: impl AsRef<str>, bytes: &[u8]) -> Seen {
        self.send("PUT", &with(location, "digest", digest.as_ref()), &[], bytes)
    }

    /// Pushes a blob in the way that works everywhere.
    #[track_caller]
    pub(crate) fn blob(&mut self, name: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        let location = self.upload(name);
        self.close(&location, digest.as_str(), bytes).is(201);
        digest
    }

    #[track_caller]
    pub(crate) fn manifest(
        &mut self,
        name: &str,
        reference: &str,
        media_type: &str,
        document: &Value,
    ) -> Seen {
        let uri = format!("/v2/{name}/manifests/{reference}");
        self.send("PUT", &uri, &[("content-type", media_type)], document.to_string().as_bytes())
    }

    /// Pushes an image with one small layer; returns its digest.
    #[track_caller]
    pub(crate) fn image(&mut self, name: &str, tag: &str, layer: &[u8]) -> Digest {
        self.blob(name, b"{}");
        self.blob(name, layer);
        let image = image(layer);
        self.manifest(name, tag, IMAGE, &image).is(201);
        Digest::of(image.to_string().as_bytes())
    }

    /// Pushes a manifest about `subject`; returns its digest.
    #[track_caller]
    pub(crate) fn referrer(&mut self, name: &str, subject: &Digest, artifact_type: &str) -> Digest {
        self.blob(name, b"{}");
        let document = referrer(subject, artifact_type);
        let digest = Digest::of(document.to_string().as_bytes());
        self.manifest(name, digest.as_str(), IMAGE, &document).is(201);
        digest
    }

    /// How often a fault has struck.
    pub(crate) fn struck(&self, fault: &str) -> usize {
        let start = format!("fault {fault} ");
        self.registry.trace().events().filter(|event| event.to_string().starts_with(&start)).count()
    }
}

/// A descriptor of `bytes`.
pub(crate) fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": Digest::of(bytes).as_str(), "size": bytes.len() })
}

/// An image with the config `{}` and one layer.
pub(crate) fn image(layer: &[u8]) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "config": descriptor(CONFIG, b"{}"),
        "layers": [descriptor(LAYER, layer)],
    })
}

/// An index of these manifests.
pub(crate) fn index(manifests: &[&Value]) -> Value {
    let manifests: Vec<Value> =
        manifests.iter().map(|manifest| descriptor(IMAGE, manifest.to_string().as_bytes())).collect();
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests })
}

/// An artifact about a subject.
pub(crate) fn referrer(subject: &Digest, artifact_type: &str) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "artifactType": artifact_type,
        "config": descriptor("application/vnd.oci.empty.v1+json", b"{}"),
        "layers": [],
        "subject": { "mediaType": IMAGE, "digest": subject.as_str(), "size": 1 },
        "annotations": { "test.kind": artifact_type },
    })
}

/// A URL with one more parameter.
pub(crate) fn with(url: &str, name: &str, value: &str) -> String {
    let joint = if url.contains('?') { '&' } else { '?' };
    format!("{url}{joint}{name}={value}")
}

/// An answer that is being looked at.
pub(crate) struct Seen(pub(crate) Answer);

impl Seen {
    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        let body = String::from_utf8_lossy(&self.0.body().to_bytes()).chars().take(300).collect::<String>();
        assert_eq!(self.0.status().as_u16(), status, "{body}");
        self
    }

    /// A refusal with this status and code.
    #[track_caller]
    pub(crate) fn refuses(self, status: u16, code: &str) -> Self {
        let seen = self.is(status).header("content-type", "application/json");
        let body = seen.json();
        let errors = body["errors"].as_array().expect("there are errors");
        assert!(!errors.is_empty());
        for error in errors {
            assert_eq!(error["code"], code);
            assert!(error["message"].is_string());
        }
        seen
    }

    #[track_caller]
    pub(crate) fn header(self, name: &str, value: impl AsRef<str>) -> Self {
        assert_eq!(self.0.header(name), Some(value.as_ref()), "{name}");
        self
    }

    #[track_caller]
    pub(crate) fn lacks(self, name: &str) -> Self {
        assert_eq!(self.0.header(name), None, "{name}");
        self
    }

    #[track_caller]
    pub(crate) fn body(self, bytes: &[u8]) -> Self {
        assert!(self.0.body().to_bytes() == bytes, "the body is another");
        let length = bytes.len().to_string();
        self.header("content-length", length)
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.0.body().to_bytes()).expect("the body is JSON")
    }

    #[track_caller]
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.header(name).unwrap_or_else(|| panic!("there is no {name}"))
    }

    #[track_caller]
    pub(crate) fn location(&self) -> String {
        self.get("location").to_owned()
    }

    /// The tags, repositories or digests of a list.
    #[track_caller]
    pub(crate) fn list(&self, key: &str) -> Vec<String> {
        let body = self.json();
        let items = body[key].as_array().unwrap_or_else(|| panic!("there is no {key}"));
        let text = |item: &Value| item.as_str().or(item["digest"].as_str()).map(ToOwned::to_owned);
        items.iter().filter_map(text).collect()
    }

    /// Where the next page is.
    pub(crate) fn next(&self) -> Option<String> {
        let link = self.0.header("link")?;
        Some(link.strip_prefix('<')?.strip_suffix(r#">; rel="next""#)?.to_owned())
    }
}
