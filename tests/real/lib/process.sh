# Processes that were started here, and only these: each is known by its pid and by the program that pid was.

say() { echo "stack: $*" >&2; }
die() { say "$*"; exit 1; }

# start_process DIR NAME PROGRAM [ARG...]: in the background, output to DIR/log/NAME.log.
start_process() {
    local dir=$1 name=$2
    shift 2
    setsid "$@" > "$dir/log/$name.log" 2>&1 < /dev/null &
    echo "$! $(basename "$1")" > "$dir/pid/$name"
}

# is_running DIR NAME: whether the recorded pid still is the recorded program.
is_running() {
    local pid program
    [ -f "$1/pid/$2" ] || return 1
    read -r pid program < "$1/pid/$2"
    [ "$(basename "$(readlink "/proc/$pid/exe" 2>/dev/null || echo none)")" = "$program" ]
}

# stop_process DIR NAME: TERM, and KILL after 10 s.
stop_process() {
    local dir=$1 name=$2 pid program _
    if is_running "$dir" "$name"; then
        read -r pid program < "$dir/pid/$name"
        kill -TERM "$pid" 2>/dev/null || true
        for _ in $(seq 100); do
            is_running "$dir" "$name" || break
            sleep 0.1
        done
        if is_running "$dir" "$name"; then
            say "$name does not end by itself; killing $program ($pid)"
            kill -KILL "$pid" 2>/dev/null || true
            sleep 0.2
        fi
    fi
    rm -f "$dir/pid/$name"
}

# wait_for SECONDS WHAT COMMAND...: until the command succeeds.
wait_for() {
    local limit=$1 what=$2 until
    shift 2
    until=$((SECONDS + limit))
    while ! "$@" > /dev/null 2>&1; do
        [ $SECONDS -lt $until ] || die "$what did not come up within $limit s; see the logs"
        sleep 0.2
    done
}

# runs_all DIR: whether everything that was started still runs.
runs_all() {
    [ -f "$1/pid/kube-proxy" ] && ! status_all "$1" | grep -q '^gone'
}

status_all() {
    local file
    for file in "$1"/pid/*; do
        [ -f "$file" ] || continue
        if is_running "$1" "$(basename "$file")"; then echo "running  $(basename "$file")"; else echo "gone     $(basename "$file")"; fi
    done
}
