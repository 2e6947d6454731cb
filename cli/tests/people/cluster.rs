//! Clusters that cannot be had, and gates that are closed.

use crate::folder::{DIGEST, Folder, KUBECONFIG, RADIO, check, near};

#[test]
fn there_is_no_kubeconfig() {
    let script = [
        "deploy player --env dev",
        "status --env dev",
        "history --env dev",
        "verify --env dev",
        "rollback --env dev",
    ];
    check("cluster_no_kubeconfig", &Folder::with(RADIO).screen(&script));
}

#[test]
fn the_kubeconfig_is_broken() {
    let folder = Folder::with(&near());
    folder.write("kubeconfig", "users: [{name: dev, user: {token: hunter2}}\nclusters: [\n");
    let screen = folder.screen(&["status --env dev", "status --env dev -o json", "doctor --env dev"]);
    assert!(!screen.contains("hunter2"), "{screen}");
    check("cluster_broken_kubeconfig", &screen);
}

#[test]
fn the_context_is_not_there() {
    let folder = Folder::with(RADIO);
    folder.write("kubeconfig", KUBECONFIG);
    let script =
        ["deploy player --env prod --approve", "status --env prod", "status --env dev --context kind-dve"];
    check("cluster_no_context", &folder.screen(&script));
}

#[test]
fn the_cluster_does_not_answer() {
    let folder = Folder::with(RADIO);
    folder.write("kubeconfig", KUBECONFIG);
    check("cluster_unreachable", &folder.screen(&["deploy player --env dev"]));
}

#[test]
fn without_a_project_file_everything_is_named() {
    let script = [
        "status --env dev",
        "status --env dev --project radio",
        "status --env dev --project radio -n radio-dev",
        "status --env dev --project radio --context kind-dev",
        "status --env dev --project Radio! -n radio-dev --context kind-dev",
        "history --env Dev! --project radio -n radio-dev --context kind-dev",
    ];
    let folder = Folder::new();
    folder.write("kubeconfig", KUBECONFIG);
    check("cluster_no_checkout", &folder.screen(&script));
}

#[test]
fn an_environment_without_a_context() {
    let yaml = RADIO.replace("{context: kind-dev, namespace: radio-dev}", "{namespace: radio-dev}");
    check("cluster_no_context_named", &Folder::with(&yaml).screen(&["deploy player --env dev"]));
}

#[test]
fn a_closed_gate_builds_nothing() {
    check("cluster_gate", &Folder::with(RADIO).screen(&["deploy --env prod", "deploy --env prod -o json"]));
}

#[test]
fn bad_words_come_before_the_cluster() {
    let folder = Folder::with(RADIO);
    folder.write("twice", &format!("web a.io/b/c@{DIGEST}\nweb a.io/b/c@{DIGEST}\n"));
    folder.write("player", &format!("player a.io/b/c@{DIGEST}\n"));
    folder.write("stranger", &format!("wbe a.io/b/c@{DIGEST}\n"));
    let script = [
        "deploy wbe --env dev",
        "deploy --env dve",
        "deploy --env dev --images twice",
        "deploy --env dev --images nowhere",
        "deploy --env dev --images player",
        "deploy --env dev --images stranger",
    ];
    check("cluster_words_first", &folder.screen(&script));
}
