# What machines with a kernel of their own have in common, for the scripts that read this in after setting `name`: how one is
# made once, what a command in it is told, and how it ends. They have the functions `make`, which makes one in
# "$machine.partial" with "$work" for what is needed meanwhile, and `run`, which starts it and may leave QEMU's exit code.
# shellcheck shell=sh

checkout=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
machine=$checkout/.cache/$name

fail() {
    echo "$name: $*" >&2
    exit 125
}

make_whole() {
    echo "setup: making $machine, once" >&2
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    rm -rf "$machine.partial"
    mkdir -p "$machine.partial"
    make
    touch "$machine.partial/.ready"
    rm -rf "$machine"
    mv "$machine.partial" "$machine"
}

make_once() {
    [ ! -e "$machine/.ready" ] || return 0
    mkdir -p "$checkout/.cache"
    # Two may arrive here at once: the second waits, then finds the machine ready.
    exec 9>"$machine.lock"
    flock -w 600 9 || fail "another run has been making $machine for 10 minutes; remove $machine.lock when it is dead"
    if [ ! -e "$machine/.ready" ]; then
        (make_whole) # not after "||": there a step that failed would not end it
    fi
    exec 9>&-
}

quoted() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"; }

# Run a command in the machine, and end with its exit code; without one print where the machine lies.
run_in_machine() {
    make_once
    if [ $# = 0 ]; then
        echo "$machine"
        exit 0
    fi
    [ "$(id -u)" = 0 ] || fail "only root's machine can read all files: run this as root"
    exchange=$(mktemp -d)
    trap 'rm -rf "$exchange"' EXIT
    {
        echo '#!/bin/sh'
        echo "cd $(quoted "$(pwd)") && export HOME=/root LC_ALL=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin"
        printf 'exec'
        for word; do
            printf ' %s' "$(quoted "$word")"
        done
        echo
    } >"$exchange/command"
    chmod +x "$exchange/command"
    code=0
    run || code=$?
    if [ -s "$exchange/code" ]; then
        exit "$(cat "$exchange/code")"
    fi
    tail -n 40 "$exchange/console" >&2 || true
    fail "the machine ended before the command had (exit code $code; 124: after MACHINE_SECONDS)"
}
