//! Scripts drawn from a seed.

use fastrand::Rng;
use serde_json::{Value, json};

use super::bodies::{chance, pick, spoil, valid};
use super::normal::GENERATED;
use super::operation::{Body, Operation};
use super::sorts::{SORTS, Sort};
use super::{changes, configs};

/// How many operations a script has.
pub const LENGTH: usize = 40;
/// How many of them, at the end, are watches.
const WATCHES: usize = 3;
const JSON: &str = "application/json";
const APPLY: &str = "application/apply-patch+yaml";
const CLIENTS: &[&str] = &["kubectl/v1.20.2 (linux/amd64)", "controller/v2", "tool"];
const MANAGERS: &[&str] = &["alice", "bob", "carol"];
const SELECTORS: &[&str] = &[
    "labelSelector=app%3Dweb",
    "labelSelector=app%21%3Dweb",
    "labelSelector=app+in+%28web%2Cdb%29",
    "labelSelector=tier",
    "labelSelector=%21tier",
    "labelSelector=app%3Ddb%2Ctier",
    "fieldSelector=metadata.name%3Da",
    "fieldSelector=metadata.name%21%3Da",
    "labelSelector=app%3D%3D%3Dx",
];

/// What a script is drawn with.
struct Writer<'a> {
    rng: Rng,
    sorts: Vec<&'a Sort>,
    /// Generated names are different on both sides, and so would pages of lists be cut.
    generates: bool,
}

/// The script of a seed.
pub fn script(seed: u64) -> Vec<Operation> {
    let mut rng = Rng::with_seed(seed);
    let count = rng.usize(1..=2);
    let sorts: Vec<&Sort> = (0..count).map(|_| pick(&mut rng, SORTS)).collect();
    let generates = chance(&mut rng, 15);
    let mut writer = Writer { rng, sorts, generates };
    let mut out: Vec<Operation> = (0..LENGTH - WATCHES).map(|_| writer.operation()).collect();
    out.extend((0..WATCHES).map(|_| writer.watch()));
    out
}

impl<'a> Writer<'a> {
    fn sort(&mut self) -> &'a Sort {
        self.sorts[self.rng.usize(..self.sorts.len())]
    }

    fn name(&mut self, sort: &Sort) -> String {
        let name = if chance(&mut self.rng, 60) { "a" } else { *pick(&mut self.rng, &["b", "c"]) };
        if sort.is_cluster() { format!("{{ns}}-{name}") } else { name.to_owned() }
    }

    fn request(&mut self, method: &str, path: String, content_type: &str, body: Body) -> Operation {
        Operation {
            method: method.to_owned(),
            path,
            content_type: content_type.to_owned(),
            agent: (*pick(&mut self.rng, CLIENTS)).to_owned(),
            body,
        }
    }

    /// Parameters of a write.
    fn options(&mut self) -> Vec<String> {
        let mut out = Vec::new();
        if chance(&mut self.rng, 12) {
            out.push("dryRun=All".to_owned());
        }
        if chance(&mut self.rng, 2) {
            out.push("dryRun=Some".to_owned());
        }
        if chance(&mut self.rng, 30) {
            out.push(format!("fieldManager={}", pick(&mut self.rng, MANAGERS)));
        }
        out
    }

    fn operation(&mut self) -> Operation {
        match self.rng.u32(..100) {
            0..15 => self.create(),
            15..21 => self.get(),
            21..36 => self.update(),
            36..43 => self.status(),
            43..63 => self.apply(),
            63..79 => self.patch(),
            79..83 => self.scale(),
            83..90 => self.delete(),
            90..92 => self.delete_collection(),
            92..94 => self.finalizers(),
            _ => self.list(),
        }
    }

    fn create(&mut self) -> Operation {
        let sort = self.sort();
        let name = self.name(sort);
        let mut body = valid(&mut self.rng, sort, &name);
        if self.generates && !sort.is_cluster() && chance(&mut self.rng, 40) {
            body["metadata"]["generateName"] = json!(GENERATED);
            body["metadata"].as_object_mut().map(|m| m.remove("name"));
        }
        if chance(&mut self.rng, 25) {
            spoil(&mut self.rng, sort, &mut body);
        }
        let options = if body["metadata"]["resourceVersion"].is_null() { self.options() } else { Vec::new() };
        self.request("POST", with(sort.path(), &options), JSON, Body::Value(body))
    }

    fn get(&mut self) -> Operation {
        let sort = self.sort();
        let name = self.name(sort);
        let mut path = sort.object(&name);
        if sort.has_status && chance(&mut self.rng, 20) {
            path += "/status";
        }
        if chance(&mut self.rng, 5) {
            path += "/nothing";
        }
        self.request("GET", path, "", Body::Nothing)
    }

    fn update(&mut self) -> Operation {
        let sort = self.sort();
        let name = self.name(sort);
        let object = sort.object(&name);
        let options = self.options();
        let mut path = with(object.clone(), &options);
        if sort.plural != "services" && chance(&mut self.rng, 20) {
            let mut body = valid(&mut self.rng, sort, &name);
            if chance(&mut self.rng, 30) {
                body["metadata"]["resourceVersion"] = json!(format!("<rv:{object}>"));
            }
            return self.request("PUT", path, JSON, Body::Value(body));
        }
        let mut edits = match self.rng.u32(..10) {
            0 => Vec::new(),
            1 | 2 => changes::wrong(sort).into_iter().take(1).collect(),
            3 | 4 => {
                let all = changes::wrong(sort);
                if all.is_empty() { Vec::new() } else { vec![pick(&mut self.rng, &all).clone()] }
            }
            _ => changes::right(&mut self.rng, sort),
        };
        let version = "/metadata/resourceVersion".to_owned();
        let needs_version = sort.plural == "services";
        match self.rng.u32(..12) {
            // What else is wrong is told before the versions are compared.
            0..5 if needs_version => {}
            0 => {
                edits.push((version, json!(format!("<old:{object}>"))));
                path.clone_from(&object);
            }
            1 | 2 => edits.push((version, Value::Null)),
            3 => edits.push((version, json!(""))),
            4 => edits.push(("/metadata/uid".to_owned(), json!("11111111-2222-4333-8444-555555555555"))),
            5 => edits.push(("/metadata/managedFields".to_owned(), json!([]))),
            6 => edits.push(("/metadata/name".to_owned(), json!("other"))),
            7 => edits.push(("/metadata/creationTimestamp".to_owned(), Value::Null)),
            8 => edits.push(("/metadata/uid".to_owned(), Value::Null)),
            _ => {}
        }
        self.request("PUT", path, JSON, Body::Last { object, edits })
    }

    fn status(&mut self) -> Operation {
        let sort = self.sort();
        if !sort.has_status {
            return self.update();
        }
        let name = self.name(sort);
        let object = sort.object(&name);
        let options = self.options();
        let path = with(format!("{object}/status"), &options);
        let edits = changes::status(&mut self.rng, sort);
        if chance(&mut self.rng, 60) {
            return self.request("PUT", path, JSON, Body::Last { object, edits });
        }
        let mut sent = json!({});
        for (pointer, value) in edits {
            let mut place = &mut sent;
            for step in pointer.split('/').skip(1) {
                place = &mut place[step];
            }
            *place = value;
        }
        let kind =
            *pick(&mut self.rng, &["application/merge-patch+json", "application/strategic-merge-patch+json"]);
        self.request("PATCH", path, kind, Body::Value(sent))
    }

    fn apply(&mut self) -> Operation {
        let sort = self.sort();
        let name = self.name(sort);
        let body = configs::config(&mut self.rng, sort, &name);
        let mut options = Vec::new();
        if chance(&mut self.rng, 97) {
            options.push(format!("fieldManager={}", pick(&mut self.rng, MANAGERS)));
        }
        if chance(&mut self.rng, 30) {
            options.push("force=true".to_owned());
        }
        if body["metadata"]["resourceVersion"].is_null() && chance(&mut self.rng, 10) {
            options.push("dryRun=All".to_owned());
        }
        self.request("PATCH", with(sort.object(&name), &options), APPLY, Body::Value(body))
    }

    fn patch(&mut self) -> Operation {
        let sort = self.sort();
        let name = self.name(sort);
        let rng = &mut self.rng;
        let (kind, patch) = match rng.u32(..10) {
            0..4 => ("application/strategic-merge-patch+json", changes::strategic(rng, sort)),
            4..7 => ("application/merge-patch+json", changes::merge(rng, sort)),
            7..9 => ("application/json-patch+json", changes::json_patch(rng, sort)),
            _ => ("application/strategic-merge-patch+json", changes::merge(rng, sort)),
        };
        let mut options = self.options();
        if chance(&mut self.rng, 2) {
            options.push("force=true".to_owned());
        }
        self.request("PATCH", with(sort.object(&name), &options), kind, Body::Value(patch))
    }

    fn scale(&mut self) -> Operation {
        let sort = self.sort();
        if !sort.has_scale {
            return self.patch();
        }
        let name = self.name(sort);
        let object = sort.object(&name);
        let replicas = *pick(&mut self.rng, &[0, 1, 2, 5, -1]);
        let options = self.options();
        let path = with(format!("{object}/scale"), &options);
        match self.rng.u32(..4) {
            0 => self.request("GET", path, "", Body::Nothing),
            1 => {
                let body = json!({"spec": {"replicas": replicas}});
                self.request("PATCH", path, "application/merge-patch+json", Body::Value(body))
            }
            2 => {
                let version = *pick(&mut self.rng, &["rv", "old"]);
                let metadata = json!({"name": name, "namespace": "{ns}", "resourceVersion": format!("<{version}:{object}>")});
                let body = json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": metadata, "spec": {"replicas": replicas}});
                self.request("PUT", path, JSON, Body::Value(body))
            }
            _ => {
                let metadata = json!({"name": name, "namespace": "{ns}"});
                let body = json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": metadata, "spec": {"replicas": replicas}});
                self.request("PUT", path, JSON, Body::Value(body))
            }
        }
    }

    fn delete_options(&mut self, object: &str) -> Value {
        let mut out = json!({"apiVersion": "v1", "kind": "DeleteOptions"});
        match self.rng.u32(..10) {
            0 => out["preconditions"] = json!({"uid": format!("<uid:{object}>")}),
            1 => out["preconditions"] = json!({"uid": "11111111-2222-4333-8444-555555555555"}),
            2 => out["preconditions"] = json!({"resourceVersion": format!("<rv:{object}>")}),
            3 => out["preconditions"] = json!({"resourceVersion": format!("<old:{object}>")}),
            _ => {}
        }
        // A changed object is compared with its version once more before it goes.
        match self.rng.u32(..8) {
            _ if out["preconditions"]["resourceVersion"].is_string() => {}
            0 => out["propagationPolicy"] = json!("Foreground"),
            1 => out["propagationPolicy"] = json!("Orphan"),
            2 => out["propagationPolicy"] = json!("Background"),
            3 if chance(&mut self.rng, 20) => out["propagationPolicy"] = json!("Wrong"),
            4 if chance(&mut self.rng, 20) => out["orphanDependents"] = json!(true),
            _ => {}
        }
        match self.rng.u32(..6) {
            0 => out["gracePeriodSeconds"] = json!(0),
            1 => out["gracePeriodSeconds"] = json!(*pick(&mut self.rng, &[5, 100, -1])),
            _ => {}
        }
        if chance(&mut self.rng, 10) && !object.contains("/services/") {
            out["dryRun"] = json!(["All"]);
        }
        out
    }

    fn delete(&mut self) -> Operation {
        let sort = self.sort();
        let name = self.name(sort);
        let object = sort.object(&name);
        if chance(&mut self.rng, 25) {
            let query = *pick(
                &mut self.rng,
                &["", "?gracePeriodSeconds=0", "?propagationPolicy=Foreground", "?dryRun=All"],
            );
            return self.request("DELETE", format!("{object}{query}"), "", Body::Nothing);
        }
        let options = self.delete_options(&object);
        self.request("DELETE", object, JSON, Body::Value(options))
    }

    fn delete_collection(&mut self) -> Operation {
        let sort = self.sort();
        if sort.is_cluster() {
            return self.delete();
        }
        let selector = *pick(&mut self.rng, SELECTORS);
        // Never the account pods use.
        let path = format!("{}?{selector}", sort.path());
        let is_safe = sort.plural != "serviceaccounts" || selector.starts_with("labelSelector=app%3Dweb");
        if !is_safe {
            return self.delete();
        }
        self.request("DELETE", path, "", Body::Nothing)
    }

    /// Finalizers put on and taken off.
    fn finalizers(&mut self) -> Operation {
        let sort = self.sort();
        let name = self.name(sort);
        let lists = [
            json!(null),
            json!([]),
            json!(["example.com/hold"]),
            json!(["example.com/hold", "example.com/two"]),
        ];
        let list = pick(&mut self.rng, &lists);
        let body = json!({"metadata": {"finalizers": list}});
        self.request("PATCH", sort.object(&name), "application/merge-patch+json", Body::Value(body))
    }

    fn list(&mut self) -> Operation {
        let sort = self.sort();
        let mut query = Vec::new();
        if sort.is_cluster() {
            query.push("fieldSelector=metadata.name%3D{ns}-a".to_owned());
        } else if chance(&mut self.rng, 50) {
            query.push((*pick(&mut self.rng, SELECTORS)).to_owned());
        }
        if !self.generates && !sort.is_cluster() {
            match self.rng.u32(..5) {
                0 | 1 => query.push(format!("limit={}", self.rng.u32(1..3))),
                2 => query.push(format!("limit={}&continue=<token>", self.rng.u32(1..3))),
                _ => {}
            }
        }
        // What a cache answers depends on how far it has come; only what is exact can be compared.
        let is_page = query.iter().any(|part| part.contains("continue"));
        match self.rng.u32(..12) {
            0 if !is_page => query.push("resourceVersion=<start>&resourceVersionMatch=Exact".to_owned()),
            1 => query.push("resourceVersionMatch=Exact".to_owned()),
            2 if !is_page => query.push("resourceVersion=x".to_owned()),
            _ => {}
        }
        self.request("GET", with(sort.path(), &query), "", Body::Nothing)
    }

    fn watch(&mut self) -> Operation {
        let sort = self.sort();
        let mut query = vec!["watch=true".to_owned(), "timeoutSeconds=1".to_owned()];
        if sort.is_cluster() {
            query.push("fieldSelector=metadata.name%3D{ns}-a".to_owned());
        } else if chance(&mut self.rng, 50) {
            query.push((*pick(&mut self.rng, SELECTORS)).to_owned());
        }
        match self.rng.u32(..10) {
            0 => {}
            1 => query.push("resourceVersion=0".to_owned()),
            2 => query.push("resourceVersion=x".to_owned()),
            3 => query.push(format!("resourceVersion=<since:{}>", sort.object("a"))),
            _ => query.push("resourceVersion=<start>".to_owned()),
        }
        self.request("WATCH", with(sort.path(), &query), "", Body::Nothing)
    }
}

fn with(path: String, parameters: &[String]) -> String {
    if parameters.is_empty() { path } else { format!("{path}?{}", parameters.join("&")) }
}
