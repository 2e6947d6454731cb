//! Accounts: the minimal Role suffices, and without it nothing is changed.

use release_tests::Lab;

#[test]
#[ignore = "needs the real stack: tests/run"]
fn the_role_that_doctor_prints_suffices() {
    let mut lab = Lab::new("role");
    let role = lab.release(&["doctor", "--rbac", "ci", "-n", &lab.namespace]);
    assert_eq!(role.code, 0, "{role}");
    lab.kubeconfig = lab.account("ci", Some(&role.out));
    lab.project("verify: [{http: /healthz}]\nconfig: {data: {a: b}}");
    lab.deploy_well();
    lab.project("command: [/bin/busybox, \"false\"]\nverify: [{http: /healthz}]");
    let failed = lab.release(&["deploy", "--env", "dev"]);
    assert_eq!(failed.code, 7, "{failed}");
    let status = lab.release(&["status", "--env", "dev"]);
    assert!(status.out.contains("healthy"), "{status}");
    let doctor = lab.release(&["doctor", "--env", "dev"]);
    assert_eq!(doctor.code, 0, "{doctor}");
}

#[test]
#[ignore = "needs the real stack: tests/run"]
fn an_account_without_rights_changes_nothing() {
    let mut lab = Lab::new("norights");
    lab.kubeconfig = lab.account("nobody", None);
    let refused = lab.release(&["deploy", "--env", "dev"]);
    assert_eq!(refused.code, 6, "{refused}");
    assert!(refused.err.contains("doctor --rbac"), "{refused}");
    assert!(lab.managed("deployments").is_empty() && lab.objects("leases").is_empty());
}

#[test]
#[ignore = "needs the real stack: tests/run"]
fn an_account_that_may_only_look_is_told_what_it_lacks() {
    let mut lab = Lab::new("readonly");
    let role = lab.release(&["doctor", "--rbac", "viewer", "-n", &lab.namespace]).out;
    let narrow: String = role
        .lines()
        .filter(|line| {
            !["- create", "- patch", "- delete", "- update"].iter().any(|verb| line.trim() == *verb)
        })
        .map(|line| format!("{line}\n"))
        .collect();
    lab.kubeconfig = lab.account("viewer", Some(&narrow));
    let refused = lab.release(&["deploy", "--env", "dev"]);
    assert_eq!(refused.code, 6, "{refused}");
    assert!(refused.err.contains("patch deployments.apps"), "{refused}");
    assert!(lab.objects("leases").is_empty());
}
