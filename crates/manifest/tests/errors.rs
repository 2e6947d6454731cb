//! What people see when a `release.yaml` cannot be used: every text is a snapshot.

use std::fmt::Write as _;

use release_manifest::{Color, Project, ProjectError, Set, Source};

const BASE: &str = "project: radio
registry: registry.example.com/radio
services:
  player-api:
    image: {dockerfile: services/player-api/Dockerfile}
    port: 8080
  programmes:
    image: {ref: 'registry.example.com/radio/programmes@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}
environments:
  dev: {context: kind-dev, namespace: radio-dev}
  prod: {context: prod, namespace: radio, gate: manual}
";

fn vars(name: &str) -> Option<String> {
    (name == "CI_REGISTRY").then(|| "ci.example.com/radio".to_owned())
}

fn load(text: &str, sets: &[&str], environment: &str) -> Result<(), ProjectError> {
    let sets: Vec<Set> = sets.iter().map(|set| set.parse().unwrap()).collect();
    let project = Project::parse(&Source::new("release.yaml", text), &vars, &sets)?;
    project.environment(environment).map(|_| ())
}

fn refused(text: &str, sets: &[&str], environment: &str) -> String {
    let error = load(text, sets, environment).expect_err(text);
    assert!(error.problems.iter().all(|problem| !problem.message.is_empty()), "{error:?}");
    error.render(Color::Never)
}

/// Replaces a part of [`BASE`] that must be there.
fn base(replace: &str, with: &str) -> String {
    assert!(BASE.contains(replace), "{replace}");
    BASE.replacen(replace, with, 1)
}

/// [`BASE`] with these lines added to `player-api`.
fn with(lines: &str) -> String {
    base("    port: 8080\n", &format!("    port: 8080\n{lines}"))
}

/// One snapshot of several texts, each under its name.
fn check(name: &str, cases: &[(&str, String)]) {
    let all: Vec<_> =
        cases.iter().map(|(what, text)| format!("== {what}\n{}", refused(text, &[], "dev"))).collect();
    insta::assert_snapshot!(name, all.join("\n"));
}

#[test]
fn the_base_is_good() {
    load(BASE, &[], "dev").unwrap();
    load(BASE, &["services.player-api.replicas=5"], "prod").unwrap();
}

#[test]
fn texts_that_are_not_yaml() {
    let mut bomb = "project: radio\na0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for i in 1..9 {
        let ten = vec![format!("*a{}", i - 1); 10].join(",");
        writeln!(bomb, "a{i}: &a{i} [{ten}]").unwrap();
    }
    check(
        "syntax",
        &[
            ("empty", String::new()),
            ("only a comment", "# nothing\n".to_owned()),
            ("a list", "- project: radio\n".to_owned()),
            ("a text", "hello\n".to_owned()),
            ("tab", base("    port: 8080", "\tport: 8080")),
            ("bad indentation", base("    port: 8080", "   port: 8080")),
            ("open bracket", base("gate: manual}", "gate: manual")),
            ("two documents", format!("{BASE}---\nproject: tv\n")),
            ("duplicate key", with("    port: 9090\n")),
            ("unknown alias", with("    needs: *all\n")),
            ("alias bomb", bomb),
            ("very deep", format!("project: {}", "[".repeat(200))),
        ],
    );
}

#[test]
fn bytes_that_are_not_text() {
    let mut seen = String::new();
    for bytes in [b"project: radio\nname: caf\xe9\n".to_vec(), vec![b'x'; Source::MAX_BYTES + 1]] {
        seen += &Source::from_bytes("release.yaml", &bytes).unwrap_err().render(Color::Never);
    }
    insta::assert_snapshot!("bytes", seen);
}

#[test]
fn keys() {
    check(
        "keys",
        &[
            ("unknown at the top", base("environments:", "enviroments:")),
            ("unknown in a service", with("    replica: 3\n")),
            ("unknown and unlike anything", with("    foo: 3\n")),
            ("unknown in resources", with("    resources: {mem: 1Gi}\n")),
            ("unknown in an environment", base("gate: manual", "gates: manual")),
            ("unknown in an override", base("gate: manual", "services: {player-api: {replcas: 3}}")),
            ("unknown strategy", with("    strategy: rollin\n")),
            ("unknown setting", with("    strategy: {rolling: {sok: 3s}}\n")),
            ("unknown gate", base("gate: manual", "gate: maybe")),
            ("no project", base("project: radio\n", "")),
            ("no services", "project: radio\n".to_owned()),
            ("no image", base("    image: {dockerfile: services/player-api/Dockerfile}\n", "")),
            ("no registry", base("registry: registry.example.com/radio\n", "")),
            (
                "no namespace",
                base("dev: {context: kind-dev, namespace: radio-dev}", "dev: {context: kind-dev}"),
            ),
        ],
    );
}

#[test]
fn values() {
    check(
        "values",
        &[
            ("port too large", base("port: 8080", "port: 80800")),
            ("port zero", base("port: 8080", "port: 0")),
            ("port as text", base("port: 8080", "port: http")),
            ("replicas negative", with("    replicas: -1\n")),
            ("replicas too many", with("    replicas: 100000\n")),
            ("replicas as variable", with("    replicas: ${N}\n")),
            ("replicas broken", with("    replicas: 1.5\n")),
            ("service as a list", base("  programmes:", "  radio: [a]\n  programmes:")),
            ("service without anything", base("  programmes:", "  radio:\n  programmes:")),
            ("service name", base("  programmes:", "  Programmes:")),
            ("project name", base("project: radio", "project: Radio One")),
            ("memory", with("    resources: {memory: 128MB}\n")),
            ("duration without unit", with("    health: {every: 30}\n")),
            ("duration", with("    strategy: {rolling: {soak: 1 day}}\n")),
            ("part of a second", with("    health: {timeout: 500ms}\n")),
            ("path", with("    health: {http: healthz}\n")),
            ("env name", with("    env: {1A: x}\n")),
            ("env without value", with("    env:\n      LOG:\n")),
            ("env as a map", with("    env: {LOG: {level: info}}\n")),
            ("image as a text", base("{dockerfile: services/player-api/Dockerfile}", "nginx")),
            ("image by tag", base("{dockerfile: services/player-api/Dockerfile}", "{ref: 'nginx:1.27'}")),
            ("image of two sorts", base("{dockerfile: services", "{ref: x, dockerfile: services")),
            ("platform", base("Dockerfile}", "Dockerfile, platform: amd64}")),
            ("absolute path", base("dockerfile: services", "dockerfile: /services")),
            ("registry with scheme", base("registry: registry", "registry: https://registry")),
            ("registry without path", base("registry.example.com/radio\n", "registry.example.com\n")),
            ("namespace", base("namespace: radio-dev", "namespace: Radio_Dev")),
            ("status", with("    verify: [{http: /, status: 42}]\n")),
            ("check of nothing", with("    verify: [{status: 200}]\n")),
            ("checks of one name", with("    verify: [{http: /}, {http: /}]\n")),
            ("url", with("    verify: [{url: radio.example.com}]\n")),
            (
                "share",
                with("    strategy: {rolling: {max_surge: 25}}\n    disruption: {max_unavailable: half}\n"),
            ),
            ("nothing may change", with("    strategy: {rolling: {max_surge: 0, max_unavailable: 0}}\n")),
            ("two strategies", with("    strategy: {rolling: {}, canary: {}}\n")),
            ("host", with("    ingress: {host: 'https://radio.example.com'}\n")),
            ("autoscale without request", with("    autoscale: {max: 5}\n")),
            ("autoscale range", with("    resources: {cpu: 1}\n    autoscale: {min: 5, max: 2}\n")),
            ("grace", with("    shutdown: {drain: 30s, grace: 10s}\n")),
            ("root by number", with("    security: {user: 0}\n")),
            ("config of nothing", with("    config: {mount: /etc/player}\n")),
            ("config file name", with("    config: {data: {a/b: x}}\n")),
            ("mounted twice", with("    config: {files: config, mount: /tmp}\n")),
        ],
    );
}

#[test]
fn names() {
    check(
        "names",
        &[
            ("needs an unknown service", with("    needs: [programme]\n")),
            ("needs itself", with("    needs: [player-api]\n")),
            (
                "needs in a circle",
                with("    needs: [programmes]\n").replacen(
                    "  programmes:\n",
                    "  programmes:\n    needs: [player-api]\n",
                    1,
                ),
            ),
            (
                "a longer circle, and one who needs it",
                BASE.replacen("  player-api:\n", "  a:\n    needs: [player-api]\n    image: {dockerfile: D}\n  player-api:\n    needs: [z, programmes]\n", 1)
                    .replacen("  programmes:\n", "  z:\n    image: {dockerfile: D}\n  programmes:\n    needs: [x]\n", 1)
                    .replacen("environments:\n", "  x:\n    image: {dockerfile: D}\n    needs: [z, player-api]\nenvironments:\n", 1),
            ),
            ("overrides an unknown service", base("gate: manual", "services: {player: {replicas: 3}}")),
        ],
    );
    let mut seen = refused(BASE, &[], "production");
    seen += &refused(BASE, &[], "x");
    let real = BASE.replacen("environments:\n", "environments:\n  local: {context: kind-dev}\n", 1);
    seen += &refused(&real, &[], "local");
    insta::assert_snapshot!("environments", seen);
}

#[test]
fn variables() {
    check(
        "variables",
        &[
            ("without value", with("    env: {LOG: \"level ${LEVEL}\"}\n")),
            ("not filled in here", with("    health: {http: \"/${PATH}\"}\n")),
            ("not closed", with("    env: {LOG: \"${LEVEL\"}\n")),
            ("with a default", with("    env: {LOG: \"${LEVEL:-info}\"}\n")),
        ],
    );
    let text = base("registry: registry.example.com/radio", "registry: ${CI_REGISTRY}/x");
    let project = Project::parse(&Source::new("release.yaml", text), &vars, &[]).unwrap();
    assert_eq!(project.environment("dev").unwrap().registry.unwrap().to_string(), "ci.example.com/radio/x");
    // Only the environment that needs it is refused.
    let text = base("gate: manual", "services: {player-api: {env: {KEY: \"${ONLY_PROD}\"}}}");
    load(&text, &[], "dev").unwrap();
    load(&text, &[], "prod").unwrap_err();
}

#[test]
fn overrides_from_the_command_line() {
    let mut seen = String::new();
    for set in [
        "services.player-api.replicas=five",
        "services.player-api.replcas=5",
        "services.player-api.port.number=5",
        "services.player-api.env={A: [}",
        "services.web.image.dockerfile=Dockerfile",
    ] {
        let text =
            load(BASE, &[set], "dev").map_or_else(|error| error.render(Color::Never), |()| "good\n".into());
        writeln!(seen, "== {set}\n{text}").unwrap();
    }
    insta::assert_snapshot!("sets", seen);
}

#[test]
fn features_that_do_not_exist_yet() {
    let cases = [
        ("before", with("    before: {migrate: {command: [/app, migrate], rollback: safe}}\n")),
        ("prometheus", with("    verify: [{prometheus: {query: up}}]\n")),
        ("job", with("    verify: [{job: smoke}]\n")),
        ("recreate", with("    strategy: recreate\n")),
        ("blue-green", with("    strategy: {blue-green: {}}\n")),
        ("canary", with("    strategy: {canary: {steps: [10, 50]}}\n")),
        ("ab", with("    strategy: ab\n")),
        ("manifests", base("  programmes:", "  other: {manifests: k8s/other/}\n  programmes:")),
        ("secrets", with("    secrets: {DB: vault}\n")),
        ("policy", with("    policy: strict\n")),
        ("gate", base("namespace: radio-dev", "namespace: radio-dev, gate: earned")),
    ];
    check("not_yet", &cases);
    for (what, text) in &cases {
        let error = load(text, &[], "dev").unwrap_err();
        assert!(
            error.problems.iter().all(|p| p.kind == release_manifest::ProblemKind::NotYet),
            "{what}: {error}"
        );
    }
}

#[test]
fn images_without_a_dockerfile() {
    const ALL: &str = "{base: oci:base, \
        platforms: [linux/amd64, linux/arm64], layers: [{from: 'dist/${platform}/www', to: /srv/}, \
        {from: {linux/amd64: a, linux/arm64: b}, to: /b}], rust: {bin: web, target: {linux/amd64: \
        x86_64-unknown-linux-musl, linux/arm64: aarch64-unknown-linux-musl}}, compression: zstd, format: oci, \
        ports: [8080, 53/udp], stop_signal: SIGTERM, healthcheck: {command: [/app/web, healthy], every: 5s, \
        timeout: 2s, startup: 1m, failures: 3}}";
    const GOOD: &str = "{base: scratch, layers: [{from: target/player, to: /app/}], entrypoint: [/app/player], \
        cmd: [--port, 8080], env: {LOG: info, REGION: '$${X}'}, user: 65532, workdir: /app, \
        labels: {org.example.team: radio}, platform: linux/arm64}";
    let image = |image: &str| base("{dockerfile: services/player-api/Dockerfile}", image);
    load(&image(GOOD), &[], "dev").unwrap();
    load(&image(&GOOD.replace("base: scratch", "base: debian:12")), &[], "dev").unwrap();
    let all = Project::parse(&Source::new("release.yaml", image(ALL)), &vars, &[]).unwrap();
    let services = all.images().unwrap().services;
    let player = services.iter().find(|(name, _)| name.as_str() == "player-api").unwrap();
    insta::assert_debug_snapshot!("native_all", player.1);
    let but = |replace: &str, with: &str| {
        assert!(GOOD.contains(replace), "{replace}");
        image(&GOOD.replacen(replace, with, 1))
    };
    check(
        "native",
        &[
            ("no base", but("base: scratch, ", "")),
            ("no layers", but("layers: [{from: target/player, to: /app/}], ", "")),
            ("empty layers", but("{from: target/player, to: /app/}", "")),
            ("nothing to start", image("{base: scratch, layers: [{from: a, to: /a}]}")),
            ("absolute from", but("target/player", "/etc/passwd")),
            ("from above", but("target/player", "a/../../b")),
            ("relative to", but("to: /app/", "to: app/")),
            ("to above", but("to: /app/", "to: /app/../etc/")),
            ("no to", but(", to: /app/", "")),
            ("unknown key of a layer", but("to: /app/", "to: /app/, mode: 755")),
            ("workdir", but("workdir: /app", "workdir: app")),
            ("user", but("user: 65532", "user: a b")),
            ("a base without a tag", but("base: scratch", "base: debian")),
            ("a base that is no image", but("base: scratch", "base: 'Debian:12'")),
            ("a base on this machine", but("base: scratch", "base: oci:/srv/base")),
            ("stop signal", but("user: 65532", "stop_signal: term")),
            ("port", but("user: 65532", "ports: [8080, 53/udp, 0, 80/http]")),
            ("healthcheck", but("user: 65532", "healthcheck: {command: [], every: 5s}")),
            ("compression", but("user: 65532", "compression: brotli")),
            ("zstd for Docker", but("user: 65532", "compression: zstd, format: docker")),
            ("two ways to name platforms", but("user: 65532", "platforms: [linux/amd64]")),
            ("platforms", but("platform: linux/arm64", "platforms: [linux/amd64, amd64, linux/amd64]")),
            (
                "a path a platform",
                but("platform: linux/arm64", "platforms: [linux/amd64, linux/arm64]")
                    .replace("from: target/player", "from: {linux/amd64: a, linux/386: b}"),
            ),
            ("a variable in a path", but("target/player", "'${HOME}/player'")),
            ("rust", but("user: 65532", "rust: {bin: a/b, profile: '', to: app}")),
            (
                "rust on several platforms",
                but("platform: linux/arm64", "platforms: [linux/amd64, linux/arm64], rust: {bin: web}"),
            ),
            ("platform", but("linux/arm64", "arm")),
            ("both", but("base: scratch", "base: scratch, dockerfile: Dockerfile")),
            ("a context", but("base: scratch", "base: scratch, context: .")),
            ("cmd with a ref", image("{ref: 'r.io/a@sha256:aaaa', cmd: [x]}")),
            (
                "a variable where none is filled in",
                but("/app/player]", "/app/player], workdir: '${HOME}'").replace("workdir: /app, ", ""),
            ),
        ],
    );
}

#[test]
fn what_a_dockerfile_build_is_given() {
    const GOOD: &str = "{dockerfile: Dockerfile, secrets: [{id: npm, env: NPM_TOKEN}, {id: pip, file: '${CI_REGISTRY}/pip.conf'}], \
        ssh: [default, other=run/agent], contexts: {shared: 'docker-image://${CI_REGISTRY}/shared:1', \
        protos: 'https://example.com/protos.git#v2', lib: ../lib}, cache_from: ['${CI_REGISTRY}/player:cache', 'type=local,src=cache'], \
        cache_to: [type=inline, 'type=registry,ref=${CI_REGISTRY}/player:cache,mode=max']}";
    let image = |image: &str| base("{dockerfile: services/player-api/Dockerfile}", image);
    let good = Project::parse(&Source::new("release.yaml", image(GOOD)), &vars, &[]).unwrap();
    let services = good.images().unwrap().services;
    let player = services.iter().find(|(name, _)| name.as_str() == "player-api").unwrap();
    insta::assert_debug_snapshot!("docker_all", player.1);
    let given = |keys: &str| image(&format!("{{dockerfile: Dockerfile, {keys}}}"));
    check(
        "docker",
        &[
            ("a secret in two places", given("secrets: [{id: npm, env: NPM_TOKEN, file: npm}]")),
            ("a secret in no place", given("secrets: [{id: npm}]")),
            ("a secret of its own", given("secrets: [{id: npm, value: hunter2}]")),
            ("a secret in no variable", given("secrets: [{id: npm, env: 'NPM TOKEN'}]")),
            ("a secret without an id", given("secrets: [{env: NPM_TOKEN}]")),
            ("an id that cannot be one", given("secrets: [{id: 'a,b', env: NPM_TOKEN}]")),
            ("two secrets of one id", given("secrets: [{id: a, env: A}, {id: a, env: B}]")),
            ("ssh", given("ssh: [default, 'default', 'x=', 'a b']")),
            ("a context that is never found", given("contexts: {Shared: ../shared, '': ../shared}")),
            (
                "a context of an unknown kind",
                given("contexts: {shared: 'ssh://git:hunter2@example.com/a.git'}"),
            ),
            (
                "caches",
                given(
                    "cache_from: [type=inline], cache_to: ['type=local,dest=cache', 'type=gha', 'type=local,dest=other']",
                ),
            ),
            ("an unknown key", given("cache_form: [r.io/a]")),
            ("with a ref", image("{ref: 'r.io/a@sha256:aaaa', ssh: [default]}")),
            ("with layers", image("{base: scratch, layers: [{from: a, to: /a}], cache_to: [type=inline]}")),
        ],
    );
}

#[test]
fn signatures() {
    let top = |lines: &str| base("services:\n", &format!("{lines}services:\n"));
    let dev = |policy: &str| base("namespace: radio-dev", &format!("namespace: radio-dev, policy: {policy}"));
    load(&top("sign: {key: keys/release.pem}\nattest: [sbom, provenance]\n"), &[], "dev").unwrap();
    load(&dev("{signed: {keys: [release.pub, 'env://KEY'], attested: [sbom]}}"), &[], "dev").unwrap();
    load(&dev("{}"), &[], "dev").unwrap();
    let pem =
        "sign:\n  key: |\n    -----BEGIN PRIVATE KEY-----\n    MIGHhunter2\n    -----END PRIVATE KEY-----\n";
    assert!(!refused(&top(pem), &[], "dev").contains("hunter2"));
    check(
        "signatures",
        &[
            ("nobody signs", top("attest: [sbom]\n")),
            ("no key", top("sign: {}\n")),
            ("a key in the file", top(pem)),
            ("a key elsewhere", top("sign: {key: 'awskms:///alias/release'}\n")),
            ("a variable without a name", top("sign: {key: 'env://'}\n")),
            ("said of nothing", top("sign: {key: k.pem}\nattest: [spdx]\n")),
            ("no keys at all", dev("{signed: {keys: []}}")),
            ("another policy", dev("{scanned: true}")),
            ("a variable in a key", dev("{signed: {keys: ['${KEYS}/release.pub']}}")),
            ("an absolute lock file", base("{dockerfile:", "{lockfile: /Cargo.lock, dockerfile:")),
            ("a lock file of a ref", base("{ref:", "{lockfile: Cargo.lock, ref:")),
        ],
    );
}

#[test]
fn a_feature_of_another_environment_is_not_in_the_way() {
    let text = base(
        "gate: manual",
        "gate: earned, services: {player-api: {strategy: {canary: {}}, before: {m: {command: [x]}}}}",
    );
    load(&text, &[], "dev").unwrap();
    insta::assert_snapshot!("not_yet_in_prod", refused(&text, &[], "prod"));
}

#[test]
fn a_text_that_looks_like_a_secret_is_a_warning_that_does_not_show_it() {
    let text = with("    env: {LOG: info, DB_PASSWORD: hunter2}\n").replacen(
        "Dockerfile}",
        "Dockerfile, args: {NPM_TOKEN: hunter2}}",
        1,
    );
    let project = Project::parse(&Source::new("release.yaml", text), &vars, &[]).unwrap();
    let environment = project.environment("dev").unwrap();
    assert_eq!(project.images().unwrap().warnings, environment.warnings[1..]);
    let seen: String = environment.warnings.iter().map(|warning| warning.render(Color::Never)).collect();
    assert!(!seen.contains("hunter2"), "{seen}");
    insta::assert_snapshot!("inline_secret", seen);
}

#[test]
fn colour_is_an_option() {
    let error = load(&with("    replica: 3\n"), &[], "dev").unwrap_err();
    assert!(!error.render(Color::Never).contains('\u{1b}'));
    assert!(error.render(Color::Always).contains('\u{1b}'));
    insta::assert_snapshot!("one_line", error.to_string());
}

mod mutated {
    use proptest::prelude::*;

    use super::*;

    const FULL: &str = include_str!("../examples/full.yaml");

    proptest! {
        /// Whatever a slip of the hand makes of a file, it is read or complained about, and every complaint can be shown.
        #[test]
        fn files_are_read_or_refused(
            from in 0..FULL.len(),
            len in 0_usize..40,
            with in prop_oneof![
                Just(String::new()),
                "[ \\t\\n:,#&*!|>'\"%@`{}\\[\\]-]{1,4}",
                "[a-z0-9]{1,5}",
                "\\PC{1,3}",
                any::<String>(),
            ],
        ) {
            let (start, end) = (FULL.floor_char_boundary(from), FULL.ceil_char_boundary((from + len).min(FULL.len())));
            let text = format!("{}{with}{}", &FULL[..start], &FULL[end..]);
            let source = Source::new("release.yaml", text);
            let vars = |_: &str| Some("eu".to_owned());
            let seen = Project::parse(&source, &vars, &[]).and_then(|project| {
                project.images()?;
                project.environment("dev")?;
                project.environment("prod")
            });
            if let Err(error) = seen {
                prop_assert!(!error.problems.is_empty());
                prop_assert!(error.render(Color::Never).starts_with("error: "), "{error:?}");
            }
        }
    }
}
