#!/bin/sh
# Make a minimal Debian folder tree as a fresh machine would be, once (about 350 MB), and print its folder.
# Usage: deploy/fresh-root.sh bookworm|trixie      cached in .cache/fresh of the checkout; needs root (sudo is used).
# Package sources are this machine's: DEBIAN_MIRROR, else what apt here uses, else Debian's own.
set -eu

suite=$1
checkout=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
root=$checkout/.cache/fresh/$suite
mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 2>/dev/null | grep -m 1 '/debian$' || true)}
mirror=${mirror:-http://deb.debian.org/debian}

if [ -e "$root/.ready" ]; then
    echo "$root"
    exit 0
fi
if [ "$(id -u)" != 0 ]; then
    exec sudo DEBIAN_MIRROR="$mirror" "$0" "$suite"
fi
mkdir -p "$(dirname -- "$root")"
exec 9>"$root.lock"
flock -w 900 9 || { echo "another run has been making $root for 15 minutes; remove $root.lock when it is dead" >&2; exit 1; }
if [ -e "$root/.ready" ]; then
    echo "$root"
    exit 0
fi
command -v debootstrap >/dev/null || {
    apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends debootstrap >&2
}

rm -rf --one-file-system "$root" "$root.partial"
echo "setup: making $root, once (some minutes)" >&2
# What the README asks for and nothing else; python3-venv is left to `make setup`, sudo to the trial's normal user.
debootstrap --variant=minbase --include=ca-certificates,git,make,python3,sudo "$suite" "$root.partial" "$mirror" >"$root.log" 2>&1 || {
    echo "debootstrap failed; its log is $root.log (mirror: $mirror, set DEBIAN_MIRROR to change)" >&2
    exit 1
}
rm -rf "$root.partial"/var/cache/apt/archives/*.deb "$root.partial"/var/lib/apt/lists/*
touch "$root.partial/.ready"
mv "$root.partial" "$root"
echo "$root"
