//! What people are told of a change, and when two contents are the same.

use serde_json::json;

use super::*;

#[test]
fn people_are_told_the_fields_that_change() {
    let live = json!({"metadata": {"labels": {"a": "1"}, "resourceVersion": "1"},
        "spec": {"replicas": 2, "containers": [{"image": "x", "env": [1]}]}});
    let would_be = json!({"metadata": {"labels": {"a": "2"}, "resourceVersion": "2"},
        "spec": {"replicas": 2, "containers": [{"image": "y", "env": [1, 2]}]}});
    assert_eq!(
        changed_fields(&live, &would_be),
        ["metadata.labels.a", "spec.containers[0].env", "spec.containers[0].image"]
    );
}

#[test]
fn every_sort_of_difference() {
    for (live, would_be, expected) in [
        (json!({}), json!({}), &[] as &[&str]),
        // The server's own.
        (
            json!({"metadata": {"uid": "1", "generation": 1, "managedFields": []}, "status": {"replicas": 1}}),
            json!({"metadata": {"uid": "2", "generation": 2}, "status": {"replicas": 2}}),
            &[],
        ),
        (json!({"spec": {"a": 1}}), json!({"spec": {}}), &["spec.a"]),
        (json!({"spec": {}}), json!({"spec": {"a": {"b": 1}}}), &["spec.a"]),
        (json!({}), json!({"spec": {"a": 1}}), &["spec"]),
        (json!({"spec": {"a": [1, 2]}}), json!({"spec": {"a": [1, 3]}}), &["spec.a[1]"]),
        (json!({"spec": {"a": [1, 2]}}), json!({"spec": {"a": [2]}}), &["spec.a"]),
        (json!({"spec": {"a": 1}}), json!({"spec": {"a": "1"}}), &["spec.a"]),
        (json!({"data": {"k": "v"}}), json!({"data": {"k": "w"}}), &["data.k"]),
        (json!({"binaryData": {"k": "v"}}), json!({"immutable": true}), &["binaryData", "immutable"]),
        (
            json!({"metadata": {"annotations": {"a/b": "1"}}}),
            json!({"metadata": {"annotations": {"a/b": "2"}}}),
            &["metadata.annotations.a/b"],
        ),
    ] {
        assert_eq!(changed_fields(&live, &would_be), expected, "{live} {would_be}");
    }
}

#[test]
fn only_as_many_fields_as_anybody_reads() {
    let many = |value: u32| {
        let fields: serde_json::Map<_, _> = (0..50).map(|n| (format!("f{n:02}"), json!(value))).collect();
        json!({"spec": fields})
    };
    let fields = changed_fields(&many(1), &many(2));
    assert_eq!(fields.len(), FIELDS_MAX);
    assert_eq!(fields[0], "spec.f00");
}

/// A project of one service with one object, whose body is this text.
fn desired(service: &str, body: &str) -> Desired {
    let body: Value = serde_json::from_str(body).expect("JSON");
    let record = ServiceRecord {
        image: format!("r.io/radio/web@sha256:{}", "a".repeat(64)).parse().expect("an image"),
        needs: BTreeSet::new(),
        checks: BTreeMap::new(),
        soak: Duration::from_secs(30),
        deadline: Duration::from_secs(300),
        objects: vec![ref_of(&body)],
    };
    let service = service.parse().expect("a name");
    let desired = DesiredService { record, objects: vec![(ref_of(&body), body)] };
    Desired { services: BTreeMap::from([(service, desired)]) }
}

const BODY: &str = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x","namespace":"n"},"data":{"a":"1","b":"2"}}"#;

#[test]
fn the_order_of_keys_is_no_content() {
    let other = r#"{"data":{"b":"2","a":"1"},"metadata":{"namespace":"n","name":"x"},"kind":"ConfigMap","apiVersion":"v1"}"#;
    let content = desired("web", BODY).content();
    assert_eq!(desired("web", other).content(), content);
    // An interrupted release is recognised by it after an update of this program: it must not change.
    insta::assert_snapshot!(content);
}

#[test]
fn whatever_is_released_is_content() {
    let base = desired("web", BODY);
    let mut all = BTreeSet::from([base.content()]);
    let mut different = |what: &str, desired: &Desired| assert!(all.insert(desired.content()), "{what}");
    different("a value", &desired("web", &BODY.replace("\"2\"", "\"3\"")));
    different("the service's name", &desired("web2", BODY));
    different("nothing", &Desired::default());
    let change = |edit: fn(&mut DesiredService)| {
        let mut desired = base.clone();
        desired.services.values_mut().for_each(edit);
        desired
    };
    different("the soak", &change(|service| service.record.soak = Duration::from_secs(31)));
    different("the deadline", &change(|service| service.record.deadline = Duration::from_secs(1)));
    different(
        "needs",
        &change(|service| {
            service.record.needs.insert("db".parse().expect("a name"));
        }),
    );
    different("the objects", &change(|service| service.objects.clear()));
}

#[test]
fn lists_have_an_order() {
    let list = |items: &str| desired("web", &BODY.replace("\"1\"", items)).content();
    assert_ne!(list("[1,2]"), list("[2,1]"));
    assert_eq!(list(r#"[{"x":1,"y":2}]"#), list(r#"[{"y":2,"x":1}]"#));
}

#[test]
fn objects_of_another_project_are_left_alone() {
    let object = ObjectRef::new("v1", "ConfigMap", "n", "x");
    let (project, environment) = ("radio".parse().expect("a name"), "dev".parse().expect("a name"));
    let whose = Whose { project: &project, environment: &environment };
    let live = |owner: &str, instance: &str, manager: &str| json!({"metadata": {"labels": {LABEL_PART_OF: owner, LABEL_INSTANCE: instance, LABEL_MANAGED_BY: manager}}});
    let cause = foreign(whose, &object, &live("tv", "dev", MANAGED_BY)).expect("it is another's");
    insta::assert_snapshot!(cause.summary);
    let cause = foreign(whose, &object, &live("radio", "prod", MANAGED_BY)).expect("it is another's");
    assert_eq!(
        cause.summary,
        "configmap/x belongs to environment `prod`; two environments cannot share a namespace"
    );
    assert!(foreign(whose, &object, &live("radio", "dev", MANAGED_BY)).is_none());
    assert!(foreign(whose, &object, &live("tv", "dev", "helm")).is_none());
    assert!(foreign(whose, &object, &json!({})).is_none());
}

#[test]
fn what_was_there_comes_back_without_the_servers_bookkeeping() {
    let live = json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 2}, "status": {"replicas": 2},
        "metadata": {"name": "web", "namespace": "n", "uid": "u", "resourceVersion": "5", "generation": 3,
            "managedFields": [], "labels": {"a": "b"}, "annotations": {"deployment.kubernetes.io/revision": "7", "x": "y"}}});
    assert_eq!(
        as_it_was(&live),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 2},
            "metadata": {"name": "web", "namespace": "n", "labels": {"a": "b"}, "annotations": {"x": "y"}}})
    );
}

#[test]
fn one_refusal_is_a_line_and_many_are_a_list() {
    let refused = |summary: &str| Cause {
        kind: CauseKind::Refused,
        certainty: Certainty::Terminal,
        object: ObjectRef::new("v1", "ConfigMap", "n", "x"),
        summary: summary.to_owned(),
        evidence: Vec::new(),
    };
    let (a, b) = (refused("configmap/a: forbidden"), refused("configmap/b: forbidden"));
    insta::assert_snapshot!(format!(
        "{}\n{}",
        PlanError::Refused { causes: vec![a.clone()] },
        PlanError::Refused { causes: vec![a, b] }
    ));
}
