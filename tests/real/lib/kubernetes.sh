# One-node Kubernetes: etcd, API server, controllers, scheduler, kubelet (on our Docker Engine) and kube-proxy.

service_cidr=10.96.0.0/16
api_port=${RELEASE_TEST_API_PORT:-16443}
bare_port=${RELEASE_TEST_BARE_PORT:-16444}
etcd_port=${RELEASE_TEST_ETCD_PORT:-12379}

kubectl_at() { kubectl --kubeconfig "$1/kubeconfig" "${@:2}"; }

# write_kubeconfig DIR FILE PORT
write_kubeconfig() {
    local dir=$1 file=$2 port=$3
    cat > "$dir/$file" <<YAML
apiVersion: v1
kind: Config
clusters: [{name: release-test, cluster: {server: "https://127.0.0.1:$port", certificate-authority: "$dir/kubernetes/ca.crt"}}]
users: [{name: admin, user: {token: "$(cut -d, -f1 "$dir/kubernetes/tokens.csv")"}}]
contexts: [{name: release-test, context: {cluster: release-test, user: admin}}]
current-context: release-test
YAML
}

make_keys() {
    local at=$1
    openssl genrsa -out "$at/service-accounts.key" 2048 2> /dev/null
    # A certificate that signs itself is refused by strict clients: an authority signs the server's.
    openssl req -x509 -newkey rsa:2048 -nodes -keyout "$at/ca.key" -out "$at/ca.crt" -days 3650 -subj /CN=release-test-ca 2> /dev/null
    openssl req -newkey rsa:2048 -nodes -keyout "$at/apiserver.key" -out "$at/apiserver.csr" -subj /CN=release-test 2> /dev/null
    printf 'subjectAltName=IP:127.0.0.1,IP:10.96.0.1,DNS:localhost,DNS:kubernetes.default\nbasicConstraints=CA:FALSE\n' > "$at/apiserver.ext"
    openssl x509 -req -in "$at/apiserver.csr" -CA "$at/ca.crt" -CAkey "$at/ca.key" -CAcreateserial -days 3650 \
        -extfile "$at/apiserver.ext" -out "$at/apiserver.crt" 2> /dev/null
    echo "$(openssl rand -hex 16),admin,admin,system:masters" > "$at/tokens.csv"
}

# start_apiserver DIR BIN NAME PREFIX PORT: NAME is what the process is known by, PREFIX where it keeps its objects in etcd.
start_apiserver() {
    local dir=$1 bin=$2 name=$3 prefix=$4 port=$5 at=$1/kubernetes
    start_process "$dir" "$name" "$bin/kube-apiserver" --etcd-servers="http://127.0.0.1:$etcd_port" --etcd-prefix="$prefix" \
        --secure-port="$port" --bind-address=127.0.0.1 --advertise-address="$(node_ip)" \
        --tls-cert-file="$at/apiserver.crt" --tls-private-key-file="$at/apiserver.key" \
        --token-auth-file="$at/tokens.csv" --authorization-mode=RBAC --anonymous-auth=true \
        --service-cluster-ip-range=$service_cidr --service-account-key-file="$at/service-accounts.key" \
        --service-account-signing-key-file="$at/service-accounts.key" --service-account-issuer=https://kubernetes.default \
        --allow-privileged=true --kubelet-preferred-address-types=InternalIP --event-ttl=1h
}

node_ip() { echo 172.30.0.1; }

start_kubelet() {
    local dir=$1 bin=$2
    mkdir -p "$dir/kubelet"
    cat > "$dir/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: 0.0.0.0
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
cgroupDriver: cgroupfs
failSwapOn: false
serializeImagePulls: false
enforceNodeAllocatable: []
evictionHard: {memory.available: 50Mi, nodefs.available: "1%", imagefs.available: "1%", nodefs.inodesFree: "1%"}
imageGCHighThresholdPercent: 100
nodeStatusUpdateFrequency: 5s
maxPods: 200
kubeAPIQPS: 200
kubeAPIBurst: 400
eventRecordQPS: 200
registryPullQPS: 0
YAML
    start_process "$dir" kubelet "$bin/kubelet" --kubeconfig="$dir/kubeconfig" --config="$dir/kubelet.yaml" \
        --root-dir="$dir/kubelet" --container-runtime=docker --docker-endpoint="unix://$dir/docker.sock" --network-plugin= \
        --pod-infra-container-image=release-test/pause:1 --hostname-override=node1 --node-ip="$(node_ip)" \
        --cert-dir="$dir/kubelet/pki" --image-pull-progress-deadline=1m
}

start_kubernetes() {
    local dir=$1 bin at=$1/kubernetes
    bin=$(kubernetes_bin)
    mkdir -p "$at"
    [ -e "$at/tokens.csv" ] || make_keys "$at"
    write_kubeconfig "$dir" kubeconfig "$api_port"
    write_kubeconfig "$dir" bare.kubeconfig "$bare_port"
    # Traffic for service addresses nobody serves must not leave the machine.
    ip route replace blackhole $service_cidr
    start_process "$dir" etcd /usr/bin/etcd --data-dir "$dir/etcd" --unsafe-no-fsync --log-level warn \
        --listen-client-urls "http://127.0.0.1:$etcd_port" --advertise-client-urls "http://127.0.0.1:$etcd_port" \
        --listen-peer-urls "http://127.0.0.1:$((etcd_port + 1))" --initial-advertise-peer-urls "http://127.0.0.1:$((etcd_port + 1))" \
        --initial-cluster "default=http://127.0.0.1:$((etcd_port + 1))"
    wait_for 30 etcd curl -fs "http://127.0.0.1:$etcd_port/health"
    start_apiserver "$dir" "$bin" kube-apiserver /registry "$api_port"
    wait_for 90 "the API server" kubectl_at "$dir" get --raw /readyz
    # A second one with a world of its own, where nothing happens that nobody asked for: no controllers.
    start_apiserver "$dir" "$bin" bare-apiserver /bare "$bare_port"
    start_process "$dir" kube-controller-manager "$bin/kube-controller-manager" --kubeconfig="$dir/kubeconfig" \
        --service-account-private-key-file="$at/service-accounts.key" --root-ca-file="$at/ca.crt" --leader-elect=false \
        --use-service-account-credentials=false --kube-api-qps=200 --kube-api-burst=400
    start_process "$dir" kube-scheduler "$bin/kube-scheduler" --kubeconfig="$dir/kubeconfig" --leader-elect=false \
        --kube-api-qps=200 --kube-api-burst=400
    start_kubelet "$dir" "$bin"
    start_process "$dir" kube-proxy "$bin/kube-proxy" --kubeconfig="$dir/kubeconfig" --proxy-mode=iptables \
        --conntrack-max-per-core=0 --hostname-override=node1
    wait_for 90 "the node" node_ready "$dir"
    wait_for 60 "the default service account" kubectl_at "$dir" get serviceaccount default
    wait_for 90 "the bare API server" kubectl --kubeconfig "$dir/bare.kubeconfig" get --raw /readyz
}

node_ready() {
    [ "$(kubectl_at "$1" get node node1 -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')" = True ]
}

stop_kubernetes() {
    local dir=$1 name bin
    bin=$(kubernetes_bin)
    if is_running "$dir" kube-proxy || [ -f "$dir/pid/kube-proxy" ]; then
        stop_process "$dir" kube-proxy
        [ ! -x "$bin/kube-proxy" ] || "$bin/kube-proxy" --cleanup > /dev/null 2>&1 || true
    fi
    for name in kubelet kube-scheduler kube-controller-manager bare-apiserver kube-apiserver etcd; do
        stop_process "$dir" "$name"
    done
    [ "$(id -u)" != 0 ] || ip route del blackhole $service_cidr 2> /dev/null || true
}
