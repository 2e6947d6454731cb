# Two Docker Engines (with sockets and data of their own) and two registries: an open one, and one with a password.
#
# The kubelet's engine is the old one of this Debian. Beside it runs a current one, which keeps its images in containerd.

docker_at() { docker -H "unix://$1/docker.sock" "${@:2}"; }

# Some machines do not let a process lower its OOM score; then no container starts with the plain runc.
needs_runc_wrapper() {
    ! sh -c 'echo -999 > /proc/self/oom_score_adj' 2> /dev/null
}

write_runc_wrapper() {
    cat > "$1/runc" <<'SCRIPT'
#!/bin/sh
# Deletes the OOM score from the bundle's configuration, which this machine does not allow to be lowered.
for word; do
    if [ "$previous" = --bundle ] && [ -f "$word/config.json" ]; then
        jq 'del(.process.oomScoreAdj)' "$word/config.json" > "$word/config.json.new" && mv "$word/config.json.new" "$word/config.json"
    fi
    previous=$word
done
exec /usr/sbin/runc "$@"
SCRIPT
    chmod +x "$1/runc"
}

# start_engine DIR NAME PROCESS PROGRAM [OPTION...]: an engine at DIR/NAME.sock, with its data in DIR/NAME.
start_engine() {
    local dir=$1 name=$2 process=$3 program=$4 runtime=()
    shift 4
    if needs_runc_wrapper; then
        write_runc_wrapper "$dir"
        runtime=(--add-runtime "wrapped=$dir/runc" --default-runtime wrapped)
    fi
    start_process "$dir" "$process" "$program" -H "unix://$dir/$name.sock" --data-root "$dir/$name" \
        --exec-root "$dir/$name-exec" --pidfile "$dir/$name.pid" --exec-opt native.cgroupdriver=cgroupfs "${runtime[@]}" "$@"
}

# The bridge of the current engine. `docker0` is the other one's: an engine that finds it gives it its own address.
current_bridge=release-docker1

# The engine that Debian's next release has, with its own containerd and client. It leaves the machine's packet filter alone, which is
# the other one's as well.
start_current_docker() {
    local dir=$1 root
    root=$(current_docker)
    mkdir -p "$dir/docker-current-client/cli-plugins"
    ln -sf "$root/usr/libexec/docker/cli-plugins/docker-buildx" "$dir/docker-current-client/cli-plugins/"
    printf '#!/bin/sh\nDOCKER_CONFIG=%q exec %q "$@"\n' "$dir/docker-current-client" "$root/usr/bin/docker" \
        > "$dir/docker-current-client/docker"
    chmod +x "$dir/docker-current-client/docker"
    echo '{"features": {"containerd-snapshotter": true}}' > "$dir/docker-current.json"
    ip link show "$current_bridge" > /dev/null 2>&1 || ip link add name "$current_bridge" type bridge
    ip addr replace 172.31.0.1/16 dev "$current_bridge"
    ip link set "$current_bridge" up
    (
        export PATH=$root/usr/bin:$root/usr/sbin:$PATH
        start_engine "$dir" docker-current dockerd-current "$root/usr/sbin/dockerd" \
            --config-file "$dir/docker-current.json" --bridge "$current_bridge" --iptables=false --ip-masq=false
    )
    wait_for 60 "the current Docker Engine" docker -H "unix://$dir/docker-current.sock" version
}

start_docker() {
    local dir=$1
    start_engine "$dir" docker dockerd /usr/sbin/dockerd --bip 172.30.0.1/16
    wait_for 60 "the Docker Engine" docker_at "$dir" version
    local pause
    pause=$(mktemp -d)
    cp /bin/busybox "$pause/"
    printf 'FROM scratch\nCOPY busybox /bin/busybox\nENTRYPOINT ["/bin/busybox","sleep","2147483647"]\n' > "$pause/Dockerfile"
    DOCKER_BUILDKIT=0 docker_at "$dir" build -q -t release-test/pause:1 "$pause" > /dev/null 2>&1 \
        || DOCKER_BUILDKIT=1 docker_at "$dir" build -q -t release-test/pause:1 "$pause" > /dev/null
    rm -rf "$pause"
}

stop_docker() {
    local dir=$1 ids mount name
    for name in docker docker-current; do
        if is_running "$dir" "${name/docker/dockerd}"; then
            ids=$(docker -H "unix://$dir/$name.sock" ps -aq 2> /dev/null || true)
            # shellcheck disable=SC2086
            [ -z "$ids" ] || docker -H "unix://$dir/$name.sock" rm -f $ids > /dev/null 2>&1 || true
        fi
        stop_process "$dir" "${name/docker/dockerd}"
    done
    ip link del "$current_bridge" 2> /dev/null || true
    end_leftovers "$dir"
    for mount in $(grep -o " $dir/[^ ]*" /proc/mounts | sort -r || true); do
        umount -l "$mount" 2> /dev/null || true
    done
}

# After a crash of dockerd its containerd and shims live on; their command lines name our folder.
end_leftovers() {
    local pid
    for pid in $(pgrep -f -- "(containerd|containerd-shim).*$1/docker" || true); do
        kill -KILL "$pid" 2> /dev/null || true
    done
}

start_registry() {
    local dir=$1 name=$2 port=$3
    mkdir -p "$dir/$name"
    {
        printf 'version: 0.1\nlog: {level: warn}\nstorage:\n  filesystem: {rootdirectory: %s}\n  delete: {enabled: true}\n' "$dir/$name"
        printf 'http: {addr: "127.0.0.1:%s"}\n' "$port"
        [ "$name" = registry ] || printf 'auth:\n  htpasswd: {realm: tests, path: %s}\n' "$dir/htpasswd"
    } > "$dir/$name.yml"
    start_process "$dir" "$name" /usr/bin/docker-registry serve "$dir/$name.yml"
    wait_for 20 "the registry on port $port" curl -s -o /dev/null "http://127.0.0.1:$port/v2/"
}

start_registries() {
    htpasswd -Bbn ci not-a-secret > "$1/htpasswd"
    start_registry "$1" registry 5000
    start_registry "$1" auth-registry 5001
}

stop_registries() {
    stop_process "$1" auth-registry
    stop_process "$1" registry
}
