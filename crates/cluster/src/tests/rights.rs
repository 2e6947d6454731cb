//! Rights: what the account has, by one question where one is enough.

use serde_json::{Value, json};

use super::fake::{Act, Fake};
use super::process::{BAD, NEW, release, running_old};
use crate::rights::shows;
use crate::{RIGHTS, Right, role};

const RULES: &str = "POST /apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
const ACCESS: &str = "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

fn granted() -> Vec<Value> {
    role("radio", "ci")[0]["rules"].as_array().expect("rules").clone()
}

/// The Role's rules without one verb of one resource.
fn without(resource: &str, verb: &str) -> Vec<Value> {
    let mut rules = granted();
    for rule in rules.iter_mut().filter(|rule| rule["resources"][0] == resource) {
        rule["verbs"].as_array_mut().expect("verbs").retain(|it| it != verb);
    }
    rules
}

/// Which rights are missing when the server shows `rules`, or says no; what it says to single questions is `access`.
/// Returns them with the number of single questions.
async fn missing(
    rules: Result<(Vec<Value>, bool), Act>,
    access: bool,
) -> (Result<Vec<String>, String>, usize) {
    let fake = Fake::new();
    let answer = match rules {
        Ok((rules, incomplete)) => {
            let status = json!({"resourceRules": rules, "nonResourceRules": [], "incomplete": incomplete});
            Act::Answer(201, json!({"kind": "SelfSubjectRulesReview", "status": status}).to_string())
        }
        Err(act) => act,
    };
    fake.on(RULES, 1, answer);
    let single = json!({"kind": "SelfSubjectAccessReview", "status": {"allowed": access}}).to_string();
    fake.on(ACCESS, usize::MAX, Act::Answer(201, single));
    let missing = fake.cluster().missing_rights().await;
    let missing = missing.map(|all| all.into_iter().map(|missing| missing.right).collect());
    assert_eq!(fake.times(RULES).len(), 1);
    (missing.map_err(|error| error.to_string()), fake.times(ACCESS).len())
}

fn all() -> usize {
    RIGHTS.iter().map(|right| right.verbs.len()).sum()
}

#[tokio::test(start_paused = true)]
async fn one_question_is_enough() {
    assert_eq!(missing(Ok((granted(), false)), false).await, (Ok(vec![]), 0));
    let lacks = missing(Ok((without("pods/proxy", "get"), false)), true).await;
    assert_eq!(lacks, (Ok(vec!["get pods/proxy".to_owned()]), 0));
    let lacks = missing(Ok((without("deployments", "patch"), false)), true).await;
    assert_eq!(lacks, (Ok(vec!["patch deployments.apps".to_owned()]), 0));
}

#[tokio::test(start_paused = true)]
async fn an_account_without_rules_lacks_everything() {
    let (missing, asked) = missing(Ok((vec![], false)), true).await;
    assert_eq!((missing.expect("an answer").len(), asked), (all(), 0));
}

#[tokio::test(start_paused = true)]
async fn what_an_incomplete_answer_does_not_show_is_asked_for() {
    assert_eq!(missing(Ok((without("pods", "watch"), true)), true).await, (Ok(vec![]), 1));
    let lacks = missing(Ok((without("pods", "watch"), true)), false).await;
    assert_eq!(lacks, (Ok(vec!["watch pods".to_owned()]), 1));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_the_one_question_is_asked_all_others() {
    let refusals = [403, 404, 500].map(|code| Act::status(code, "No", "no"));
    for refused in refusals.into_iter().chain([Act::DieBefore, Act::DieAfter]) {
        assert_eq!(missing(Err(refused.clone()), true).await, (Ok(vec![]), all()));
        assert_eq!(missing(Err(refused), false).await.0.expect("an answer").len(), all());
    }
    let (missing, asked) = missing(Err(Act::status(401, "Unauthorized", "who?")), true).await;
    assert!(missing.is_err() && asked == 0);
}

#[test]
fn rules_are_read_as_the_authorizer_does() {
    const PROXY: Right = Right { group: "", resource: "pods/proxy", verbs: &["get"], always: false };
    const WEB: Right = Right { group: "apps", resource: "deployments", verbs: &["get"], always: true };
    let rule = |groups: &[&str], resources: &[&str], verbs: &[&str]| {
        vec![json!({"apiGroups": groups, "resources": resources, "verbs": verbs})]
    };
    for (rules, right, expected) in [
        (rule(&["*"], &["*"], &["*"]), WEB, true),
        (rule(&["*"], &["*"], &["*"]), PROXY, true),
        (rule(&["", "apps"], &["pods", "deployments"], &["list", "get"]), WEB, true),
        (rule(&[""], &["deployments"], &["get"]), WEB, false),
        (rule(&["apps"], &["deployments"], &["list"]), WEB, false),
        (rule(&["apps"], &["deployments/scale"], &["get"]), WEB, false),
        (rule(&["apps"], &["*/deployments"], &["get"]), WEB, false),
        (rule(&[""], &["pods"], &["get"]), PROXY, false),
        (rule(&[""], &["*/proxy"], &["get"]), PROXY, true),
        (rule(&[""], &["*/log"], &["get"]), PROXY, false),
        (rule(&[""], &["pods/*"], &["get"]), PROXY, false),
        (vec![], WEB, false),
        (vec![json!({"verbs": ["*"]})], WEB, false),
    ] {
        assert_eq!(shows(&rules, &right, "get"), expected, "{right:?} by {rules:?}");
    }
    let mut named = rule(&["apps"], &["deployments"], &["get"]);
    named[0]["resourceNames"] = json!(["web"]);
    assert!(!shows(&named, &WEB, "get"), "a right to one object is not a right to all");
    named[0]["resourceNames"] = json!([]);
    assert!(shows(&named, &WEB, "get"));
}

#[test]
fn the_role_grants_every_right_and_is_bound_to_the_account() {
    let (rules, role) = (granted(), role("radio", "ci"));
    for right in RIGHTS {
        for verb in right.verbs {
            assert!(shows(&rules, right, verb), "{verb} {right:?}");
        }
    }
    let namespace = Right { group: "", resource: "namespaces", verbs: &["get"], always: true };
    assert!(shows(&rules, &namespace, "get"));
    assert!(!rules.iter().any(|rule| rule.to_string().contains('*')), "the Role is not minimal");
    assert_eq!(role[1]["roleRef"]["name"], role[0]["metadata"]["name"]);
    assert_eq!(role[1]["subjects"][0], json!({"kind": "ServiceAccount", "name": "ci", "namespace": "radio"}));
}

#[tokio::test(start_paused = true)]
async fn a_release_asks_for_nothing_outside_its_rights() {
    for image in [NEW, BAD] {
        let fake = running_old().await;
        release(&fake, "ada", image).await;
        for line in fake.log() {
            let (method, path) = line.split_once(' ').expect("a method and a path");
            let (resource, named) = path.split_once('/').map_or((path, false), |(first, _)| (first, true));
            let verb = match (method, named) {
                ("GET", true) => "get",
                ("GET", false) => "list",
                ("WATCH", _) => "watch",
                ("POST", _) => "create",
                ("PUT", _) => "update",
                ("PATCH" | "TRY", _) => "patch",
                ("DELETE", _) => "delete",
                other => panic!("{other:?}"),
            };
            let right = RIGHTS.iter().find(|right| right.resource == resource);
            assert!(right.is_some_and(|right| right.verbs.contains(&verb)), "{line}");
        }
    }
}
