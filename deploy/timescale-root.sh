#!/bin/sh
# Make a Debian 13 folder tree with PostgreSQL 17 and TimescaleDB for the store's tests (about 700 MB, made once).
# Usage: deploy/timescale-root.sh [FOLDER]     default: .cache/timescale-root of the checkout; prints the folder.
# Nothing is mounted: PostgreSQL runs in the chroot with memory-mapped segments (dynamic_shared_memory_type=mmap).
set -eu

checkout=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
root=${1:-$checkout/.cache/timescale-root}
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}

if [ -e "$root/.ready" ]; then
    echo "$root"
    exit 0
fi

if [ "$(id -u)" != 0 ]; then
    exec sudo DEBIAN_MIRROR="$mirror" "$0" "$root"
fi

mkdir -p "$(dirname -- "$root")"
# Two test runs may arrive here at once: the second waits, then finds the root ready.
exec 9>"$root.lock"
flock -w 900 9 || { echo "another run has been making $root for 15 minutes; remove $root.lock when it is dead" >&2; exit 1; }
if [ -e "$root/.ready" ]; then
    echo "$root"
    exit 0
fi

if ! command -v debootstrap >/dev/null; then
    apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends debootstrap >&2
fi

rm -rf --one-file-system "$root" "$root.partial"
echo "setup: making $root, once (some minutes)" >&2
debootstrap --variant=minbase --include=postgresql-17,postgresql-17-timescaledb trixie "$root.partial" "$mirror" >"$root.log" 2>&1 || {
    echo "debootstrap failed; its log is $root.log (mirror: $mirror, set DEBIAN_MIRROR to change)" >&2
    exit 1
}
rm -rf "$root.partial"/var/cache/apt/archives/*.deb "$root.partial"/var/lib/apt/lists/*
test -e "$root.partial/usr/lib/postgresql/17/lib/timescaledb.so"
touch "$root.partial/.ready"
mv "$root.partial" "$root"
echo "$root"
