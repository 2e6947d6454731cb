//! kubectl against the listener. Where no kubectl is installed nothing is tested, and that is said.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;

use jiff::Timestamp;
use release_sim::{Apps, ServeError, SimServer, Simulation, SimulationConfig, serve};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

const APPS: &str = "default: {start: 100ms, log: [{line: hello}], stop: {takes: 100ms}}";

const WEB: &str = r"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: app
        image: reg.example/web:v1
        ports: [{containerPort: 8080}]
        readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
";

fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

/// A cluster that nobody serves yet; nothing where there is no kubectl.
async fn begin() -> Option<Simulation> {
    let found = Command::new("kubectl").args(["version", "--client"]).output().await;
    if !found.is_ok_and(|output| output.status.success()) {
        println!("skipped: kubectl is not installed");
        return None;
    }
    let apps = Apps::read(APPS).expect("they can be read");
    Some(Simulation::whole(SimulationConfig { start: Timestamp::now(), apps, ..SimulationConfig::default() }))
}

/// A served cluster, and a kubectl with a home of its own.
struct Cluster {
    home: TempDir,
    /// Serves until dropped.
    _server: SimServer,
}

impl Cluster {
    /// Nothing where there is no kubectl.
    async fn start() -> Option<Self> {
        let simulation = begin().await?;
        #[cfg(feature = "tls")]
        let server = release_sim::serve_tls(simulation, loopback()).await;
        #[cfg(not(feature = "tls"))]
        let server = serve(simulation, loopback()).await;
        Some(Self::of(server.expect("a free port")))
    }

    fn of(server: SimServer) -> Self {
        let home = TempDir::new().expect("a folder");
        std::fs::write(home.path().join("config"), server.kubeconfig()).expect("it is written");
        Self { home, _server: server }
    }

    /// The exit code, and what was said: stdout, then stderr.
    async fn run(&self, words: &str, input: &str) -> (Option<i32>, String) {
        let mut kubectl = Command::new("kubectl")
            .args(words.split_whitespace())
            .env("HOME", self.home.path())
            .env("KUBECONFIG", self.home.path().join("config"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl runs");
        let mut stdin = kubectl.stdin.take().expect("it is piped");
        // Who does not read its input closes it.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        let output = kubectl.wait_with_output().await.expect("kubectl ends");
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&text).into_owned())
    }

    /// What was said by a command that succeeds, in which all of `wanted` must be.
    async fn check(&self, words: &str, input: &str, wanted: &[&str]) -> String {
        let (code, text) = self.run(words, input).await;
        assert_eq!(code, Some(0), "kubectl {words}\n{text}");
        for wanted in wanted {
            assert!(text.contains(wanted), "kubectl {words}: no {wanted:?} in\n{text}");
        }
        text
    }

    async fn started() -> Option<Self> {
        let cluster = Self::start().await?;
        cluster.check("apply --server-side -f -", WEB, &["deployment.apps/web serverside-applied"]).await;
        let done = "deployment \"web\" successfully rolled out";
        cluster.check("rollout status deployment/web --timeout=60s", "", &[done]).await;
        Some(cluster)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_is_shown() {
    let Some(cluster) = Cluster::started().await else { return };
    let wide =
        cluster.check("get deployments,pods,services -o wide", "", &["2/2", "Running", "10.244."]).await;
    assert!(wide.contains("CONTAINERS") && wide.contains("reg.example/web:v1"), "{wide}");
    cluster.check("get deployment web -o yaml", "", &["kind: Deployment", "replicas: 2"]).await;
    cluster.check("get deployment web -o jsonpath={.status.readyReplicas}", "", &["2"]).await;
    let described = ["2 desired | 2 updated | 2 total | 2 available", "ScalingReplicaSet"];
    cluster.check("describe deployment web", "", &described).await;
    cluster
        .check("describe pods -l app=web", "", &["State:          Running", "Successfully assigned"])
        .await;
    cluster.check("describe nodes", "", &["KubeletReady"]).await;
    cluster.check("get events", "", &["SuccessfulCreate", "Scheduled"]).await;
    cluster.check("logs deployment/web", "", &["hello"]).await;
    cluster
        .check("wait --for=condition=Available deployment/web --timeout=30s", "", &["condition met"])
        .await;
    cluster.check("api-resources", "", &["deployments", "apps/v1", "HorizontalPodAutoscaler"]).await;
    cluster
        .check("explain deployment.spec.strategy", "", &["rollingUpdate", "<RollingUpdateDeployment>"])
        .await;
    for (path, words) in [
        ("pod", "share an address"),
        ("configmap.kind", "What this is"),
        ("service.metadata.labels", "select objects by"),
        ("deployment.spec.replicas", "How many pods are wanted"),
        ("deployment.spec.template.spec.containers.readinessProbe", "no traffic from Services"),
        ("job.spec.backoffLimit", "given up"),
    ] {
        cluster.check(&format!("explain {path}"), "", &[words]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_come_and_go() {
    let Some(cluster) = Cluster::start().await else { return };
    cluster.check("apply -f -", WEB, &["deployment.apps/web created", "service/web created"]).await;
    cluster
        .check("wait --for=condition=Available deployment/web --timeout=60s", "", &["condition met"])
        .await;
    cluster.check("apply -f -", WEB, &["deployment.apps/web unchanged"]).await;
    let second = WEB.replace("web:v1", "web:v2");
    for words in ["diff -f -", "diff --server-side --force-conflicts -f -"] {
        let (code, diff) = cluster.run(words, &second).await;
        assert_eq!(code, Some(1), "{words}: {diff}");
        assert!(diff.contains("-      - image: reg.example/web:v1"), "{words}: {diff}");
        assert!(diff.contains("+      - image: reg.example/web:v2"), "{words}: {diff}");
    }
    cluster.check("apply -f -", &second, &["deployment.apps/web configured", "service/web unchanged"]).await;
    let done = "successfully rolled out";
    cluster.check("rollout status deployment/web --timeout=60s", "", &[done]).await;
    cluster.check("rollout history deployment/web", "", &["REVISION", "1  ", "2  "]).await;
    cluster.check("rollout undo deployment/web", "", &["rolled back"]).await;
    cluster.check("rollout status deployment/web --timeout=60s", "", &[done]).await;
    let image = "get deployment web -o jsonpath={.spec.template.spec.containers[0].image}";
    cluster.check(image, "", &["reg.example/web:v1"]).await;
    cluster.check("scale deployment/web --replicas=3", "", &["scaled"]).await;
    cluster.check("set image deployment/web app=reg.example/web:v3", "", &["image updated"]).await;
    cluster.check("rollout restart deployment/web", "", &["restarted"]).await;
    cluster.check("rollout status deployment/web --timeout=60s", "", &[done]).await;
    cluster.check("delete -f - --timeout=60s", WEB, &["\"web\" deleted"]).await;
    let (code, text) = cluster.run("get deployment web", "").await;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("deployments.apps \"web\" not found"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_changed_in_every_way() {
    let Some(cluster) = Cluster::start().await else { return };
    cluster.check("apply -f -", WEB, &["created"]).await;
    cluster.check("label deployment web tier=front", "", &["labeled"]).await;
    cluster.check("get deployments -l tier=front -o name", "", &["deployment.apps/web"]).await;
    cluster.check("annotate deployment web note=hello", "", &["annotated"]).await;
    cluster.check(r#"patch deployment web -p {"spec":{"minReadySeconds":1}}"#, "", &["patched"]).await;
    let replace = r#"[{"op":"replace","path":"/spec/replicas","value":1}]"#;
    cluster.check(&format!("patch deployment web --type=json -p {replace}"), "", &["patched"]).await;
    let shown = "get deployment web -o jsonpath={.spec.minReadySeconds}/{.spec.replicas}";
    cluster.check(shown, "", &["1/1"]).await;
    let map = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"settings"},"data":{"a":"b"}}"#;
    cluster.check("create -f -", map, &["configmap/settings created"]).await;
    let (code, text) = cluster.run("create -f -", map).await;
    assert_eq!((code, text.contains("AlreadyExists")), (Some(1), true), "{text}");
    let (code, text) = cluster.run("apply -f -", &map.replace("\"data\"", "\"dota\"")).await;
    assert_eq!((code, text.contains("unknown field \"dota\"")), (Some(1), true), "{text}");
}

/// These are sent as protobuf.
#[tokio::test(flavor = "multi_thread")]
async fn commands_make_objects() {
    let Some(cluster) = Cluster::start().await else { return };
    cluster.check("auth can-i create deployments", "", &["yes"]).await;
    cluster.check("auth whoami", "", &["kubernetes-admin"]).await;
    cluster.check("create configmap settings --from-literal=a=b", "", &["configmap/settings created"]).await;
    cluster.check("get configmap settings -o jsonpath={.data.a}", "", &["b"]).await;
    cluster.check("create secret generic key --from-literal=a=b", "", &["secret/key created"]).await;
    cluster.check("get secret key -o jsonpath={.data.a}", "", &["Yg=="]).await;
    cluster.check("create namespace team", "", &["namespace/team created"]).await;
    cluster.check("create deployment web --image=web:1 --port=80 --replicas=0", "", &["created"]).await;
    cluster
        .check("get deployment web -o jsonpath={.spec.replicas}/{.spec.selector}", "", &["0/", "web"])
        .await;
    cluster.check("create job once --image=web:1", "", &["job.batch/once created"]).await;
    cluster.check("create cronjob nightly --image=web:1 --schedule=@daily", "", &["nightly created"]).await;
    cluster.check("create job now --from=cronjob/nightly", "", &["job.batch/now created"]).await;
    cluster.check("create quota few --hard=pods=30", "", &["resourcequota/few created"]).await;
    cluster.check("autoscale deployment web --min=1 --max=3 --cpu-percent=80", "", &["web autoscaled"]).await;
    cluster
        .check(
            "get hpa web -o jsonpath={.spec.minReplicas}/{.spec.maxReplicas}/{.spec.metrics}",
            "",
            &["1/3/", "80"],
        )
        .await;
    cluster.check("create role r --verb=get,list --resource=pods", "", &["r created"]).await;
    cluster.check("get role r -o jsonpath={.rules}", "", &["[\"pods\"]", "[\"get\",\"list\"]"]).await;
    cluster
        .check("create rolebinding rb --role=r --serviceaccount=default:default", "", &["rb created"])
        .await;
    cluster.check("get rolebinding rb", "", &["ROLE", "Role/r"]).await;
    cluster.check("create pdb p --selector=app=web --min-available=1", "", &["p created"]).await;
    cluster.check("create priorityclass high --value=7", "", &["high created"]).await;
    cluster.check("get priorityclass high", "", &["GLOBAL-DEFAULT", "7"]).await;
    cluster.check("delete namespace team --timeout=60s", "", &["\"team\" deleted"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused_as_a_real_cluster_does() {
    let Some(cluster) = Cluster::start().await else { return };
    let refused = async |words: &str, input: &str, wanted: &str| {
        let (code, text) = cluster.run(words, input).await;
        assert_eq!((code, text.contains(wanted)), (Some(1), true), "kubectl {words}: {text}");
    };
    let foo = r#"{"apiVersion":"nope/v1","kind":"Foo","metadata":{"name":"a"}}"#;
    refused("apply -f -", foo, "no matches for kind \"Foo\" in version \"nope/v1\"").await;
    refused("apply --server-side -f -", foo, "no matches for kind \"Foo\" in version \"nope/v1\"").await;
    refused("delete namespace kube-system", "", "this namespace may not be deleted").await;
    let big = format!(
        r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"big"}},"data":{{"a":"{}"}}}}"#,
        "x".repeat(300_000)
    );
    refused("apply -f -", &big, "metadata.annotations: Too long").await;
    cluster.check("apply --server-side -f -", &big, &["configmap/big serverside-applied"]).await;
    let bigger = big.replace("\"a\":\"", &format!("\"b\":\"{}\",\"a\":\"", "y".repeat(4_000_000)));
    refused("create -f -", &bigger, "limit is 3145728").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_end_and_slices_have_columns() {
    let Some(simulation) = begin().await else { return };
    drop(simulation);
    let simulation =
        Simulation::whole(SimulationConfig { start: Timestamp::now(), ..SimulationConfig::default() });
    let cluster = Cluster::of(serve(simulation, loopback()).await.expect("a free port"));
    cluster.check("create job once --image=busybox -- echo hi", "", &["created"]).await;
    cluster.check("wait --for=condition=complete job/once --timeout=60s", "", &["condition met"]).await;
    cluster.check("apply -f -", WEB, &["created"]).await;
    cluster.check("rollout status deployment/web --timeout=60s", "", &["successfully"]).await;
    cluster.check("get endpointslices", "", &["ADDRESSTYPE", "8080", "10."]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_does_too() {
    let Some(simulation) = begin().await else { return };
    let cluster = Cluster::of(serve(simulation, loopback()).await.expect("a free port"));
    cluster.check("get nodes", "", &["Ready"]).await;
}

#[tokio::test]
async fn it_is_only_served_on_this_machine() {
    let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let refused = serve(Simulation::whole(SimulationConfig::default()), everywhere).await;
    assert!(matches!(refused, Err(ServeError::NotLoopback { .. })));
}

#[tokio::test]
async fn it_stops_when_dropped_watches_included() {
    // The client wants a provider although it speaks plain HTTP here; another test may have installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let simulation = Simulation::whole(SimulationConfig::default());
    let server = serve(simulation, loopback()).await.expect("a free port");
    let url = format!("http://{}/api/v1/namespaces", server.address());
    let client = reqwest::Client::new();
    let mut watch = client.get(format!("{url}?watch=true")).send().await.expect("an answer");
    assert!(watch.chunk().await.expect("it lives").is_some());
    drop(server);
    while let Ok(Some(_)) = watch.chunk().await {}
    assert!(client.get(url).send().await.is_err(), "nobody listens any more");
}
