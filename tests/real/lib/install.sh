# What has to be on the machine: Debian packages, Kubernetes built from Debian's source package, and a current Docker Engine out of
# packages of a later Debian, which is unpacked and not installed.

cache() { echo "${RELEASE_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/release-tests}"; }
kubernetes_bin() { echo "$(cache)/kubernetes-1.20.2"; }
current_docker() { echo "$(cache)/docker-trixie"; }

# A command each package is recognised by, so that an installed machine needs no package lists.
packages() {
    cat <<'LIST'
/usr/sbin/dockerd docker.io
/usr/sbin/iptables iptables
/usr/sbin/ip iproute2
/usr/bin/docker-registry docker-registry
/usr/bin/etcd etcd-server
/usr/bin/jq jq
/usr/bin/socat socat
/usr/sbin/conntrack conntrack
/bin/busybox busybox-static
/usr/bin/ssh-agent openssh-client
/usr/bin/htpasswd apache2-utils
/usr/bin/openssl openssl
/usr/bin/curl curl
/usr/bin/skopeo skopeo
/usr/bin/buildah buildah
LIST
    command -v kubectl > /dev/null || echo "/usr/bin/kubectl kubernetes-client"
    command -v git > /dev/null || echo "/usr/bin/git git"
    command -v cc > /dev/null || echo "/usr/bin/cc gcc"
    if [ ! -e "$(kubernetes_bin)/complete" ]; then
        cat <<'LIST'
/usr/lib/go-1.19/bin/go golang-1.19-go
/usr/bin/rsync rsync
/usr/bin/make make
/usr/bin/gcc gcc
/usr/bin/dpkg-source dpkg-dev
/usr/bin/xz xz-utils
LIST
    fi
}

install_packages() {
    local path package missing=()
    while read -r path package; do
        [ -e "$path" ] || missing+=("$package")
    done < <(packages)
    [ ${#missing[@]} -gt 0 ] || return 0
    say "installing ${missing[*]}"
    [ "$(id -u)" = 0 ] || die "installing packages needs root"
    apt-get update -qq
    # No service of these packages may start by itself: the tests start their own.
    local policy=/usr/sbin/policy-rc.d made=
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' > $policy
        chmod +x $policy
        made=yes
    fi
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null \
        || { [ -z "$made" ] || rm -f $policy; die "the packages cannot be installed"; }
    [ -z "$made" ] || rm -f $policy
}

# The machine's own package sources, as sources of source packages, in a folder of our own.
source_lists() {
    local to=$1 file
    mkdir -p "$to/parts" "$to/lists/partial"
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list; do
        [ -f "$file" ] || continue
        case $file in
            *.sources) sed 's/^Types:.*/Types: deb-src/' "$file" > "$to/parts/$(basename "$file")" ;;
            *) sed -n 's/^deb /deb-src /p' "$file" > "$to/parts/$(basename "$file")" ;;
        esac
    done
}

build_kubernetes() {
    local bin work
    bin=$(kubernetes_bin)
    [ -e "$bin/complete" ] && return 0
    say "building Kubernetes 1.20.2 from Debian's source package: about 9 minutes on 2 cores, once"
    work=$(mktemp -d "$(cache)/build.XXXXXX")
    (
        cd "$work"
        source_lists "$work/apt"
        local options=(-o "Dir::Etc::sourcelist=/dev/null" -o "Dir::Etc::sourceparts=$work/apt/parts" -o "Dir::State::lists=$work/apt/lists")
        apt-get "${options[@]}" update -qq
        apt-get "${options[@]}" source -qq --download-only kubernetes > /dev/null
        dpkg-source --no-check -x kubernetes_*.dsc src > /dev/null
        cd src
        mkdir -p .go/src/k8s.io
        ln -sfn ../../.. .go/src/k8s.io/kubernetes
        printf "KUBE_GIT_COMMIT='debian'\nKUBE_GIT_TREE_STATE='clean'\nKUBE_GIT_VERSION='v1.20.2'\nKUBE_GIT_MAJOR='1'\nKUBE_GIT_MINOR='20'\n" > version
        export PATH=/usr/lib/go-1.19/bin:$PATH GOPATH=$PWD/.go GO111MODULE=off CGO_ENABLED=0 KUBE_GIT_VERSION_FILE=$PWD/version
        export GOCACHE=$work/go-cache
        cd .go/src/k8s.io/kubernetes
        make WHAT="cmd/kube-apiserver cmd/kube-controller-manager cmd/kube-scheduler cmd/kubelet cmd/kube-proxy" > "$work/build.log" 2>&1 \
            || { tail -20 "$work/build.log" >&2; exit 1; }
        mkdir -p "$bin"
        cp _output/bin/kube-apiserver _output/bin/kube-controller-manager _output/bin/kube-scheduler _output/bin/kubelet _output/bin/kube-proxy "$bin/"
    ) || die "Kubernetes was not built"
    chmod -R u+w "$work" && rm -rf "$work"
    touch "$bin/complete"
}

# Where this machine gets Debian's packages from.
debian_mirror() {
    cat /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list 2> /dev/null \
        | sed -n -e 's/^URIs: *\([^ ]*\).*/\1/p' -e 's/^deb \(\[[^]]*\] *\)\?\([^ ]*\).*/\2/p' | grep -v security | head -1
}

fetch_current_docker() {
    local root work
    root=$(current_docker)
    [ -e "$root/complete" ] && return 0
    say "fetching a current Docker Engine: the packages of Debian trixie, unpacked in $root"
    work=$(mktemp -d "$(cache)/fetch.XXXXXX")
    (
        cd "$work"
        mkdir -p lists/partial archives/partial
        echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(debian_mirror) trixie main" > sources.list
        options=(-o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=/dev/null -o "Dir::State::lists=$work/lists"
            -o "Dir::Cache::archives=$work/archives" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root)
        apt-get "${options[@]}" update -qq
        apt-get "${options[@]}" download -qq docker.io docker-cli docker-buildx containerd > /dev/null
        mkdir -p "$root"
        for package in *.deb; do dpkg-deb -x "$package" "$root"; done
    ) || die "the current Docker Engine cannot be fetched"
    rm -rf "$work"
    touch "$root/complete"
}

install_all() {
    mkdir -p "$(cache)"
    exec 9> "$(cache)/lock"
    flock 9
    install_packages
    build_kubernetes
    fetch_current_docker
    exec 9>&-
}
