#!/bin/sh
# The README from nothing: in a minimal Debian 12 and a Debian 13, clone HEAD, `make up`, use it, stop it, start it
# again without a network; as root, as a user with sudo, and from a folder only root may enter. Needs root (or sudo).
#
#   sh deploy/fresh-trial.sh [--long] [bookworm] [trixie] [-- ARGUMENTS OF tests/system/fresh/trial.py]
#
# --long also runs the whole `make test` inside. Nothing of a run stays: its root is a layer over the cached one, mounts
# and processes end with their namespaces. Package sources, certificates and proxies are this machine's settings.
set -eu

checkout=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
if [ "${FRESH_INSIDE:-}" = "" ]; then
    suites=
    long=
    while [ $# -gt 0 ]; do
        case $1 in
            --long) long=--long ;;
            --) shift; break ;;
            *) suites="$suites $1" ;;
        esac
        shift
    done
    as_root=
    [ "$(id -u)" = 0 ] || as_root="sudo --preserve-env"
    for suite in ${suites:-bookworm trixie}; do
        root=$("$checkout/deploy/fresh-root.sh" "$suite")
        layer=$($as_root mktemp -d "$checkout/.cache/fresh/run.XXXXXX")
        # shellcheck disable=SC2064 # as it is now
        trap "$as_root rm -rf --one-file-system '$layer'" EXIT
        # Namespaces of its own: when the trial's first process ends, every process and mount of it is gone.
        $as_root env FRESH_INSIDE="$root" FRESH_LAYER="$layer" unshare --mount --pid --fork --kill-child --uts \
            sh "$checkout/deploy/fresh-trial.sh" $long "$@"
        $as_root rm -rf --one-file-system "$layer"
    done
    exit 0
fi

# ── in the namespaces ────────────────────────────────────────────────────────────────────────────────────────────────
layer=$FRESH_LAYER
mkdir "$layer/upper" "$layer/work" "$layer/root"
root=$layer/root
mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=$FRESH_INSIDE,upperdir=$layer/upper,workdir=$layer/work" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/dev/shm"
hostname fresh

# This machine's settings, read now and kept nowhere: name service, package sources' options, certificates.
cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
echo "127.0.1.1 fresh" >>"$root/etc/hosts"
apt-config dump | grep -E '^Acquire::(Check-|http|https|Retries)' >"$root/etc/apt/apt.conf.d/99machine" || true
certificates=/etc/ssl/certs/ca-certificates.crt
[ ! -e $certificates ] || cp -L $certificates "$root$certificates"
# Constraints are this machine's own choice of versions, in a file that is not there; ours are locked anyway.
pip_settings=$(python3 -m pip config list 2>/dev/null | grep -vE "^(:env:|[a-z]+\.constraint=)" || true)
printf '%s\n' "$pip_settings" |
    sed -n "s/^\([a-z]*\)\.\([a-z-]*\)='\(.*\)'\$/\1 \2 = \3/p" | sort |
    awk '$1 != section { section = $1; print "[" section "]" } { sub(/^[a-z]+ /, ""); gsub(/\\n/, "\n    "); print }' \
        >"$root/etc/pip.conf"
folders=$(printf '%s\n%s\n' "$pip_settings" "${PIP_FIND_LINKS:-} ${PIP_INDEX_URL:-} ${PIP_EXTRA_INDEX_URL:-}" |
    grep -oE "(file://)?/[^ '\\]+" | sed 's,^file://,,' | sort -u)
for folder in $folders; do
    if [ -d "$folder" ]; then
        # an index of files points beside itself, so its parent is shown; never more than a folder below the root's
        case $folder in */simple) folder=${folder%/simple} ;; esac
        mkdir -p "$root$folder"
        mountpoint -q "$root$folder" || mount --bind -o ro "$folder" "$root$folder"
    fi
done
registry=$(npm config get registry 2>/dev/null || true)
[ -z "$registry" ] || export npm_config_registry="$registry"

git -C "$checkout" bundle create -q "$root/watchkeep.bundle" HEAD
cp "$checkout/tests/system/fresh/trial.py" "$root/trial.py"
mkdir "$root/old"
cd "$root"
pivot_root . old # not chroot: user namespaces, which `watchkeep up` needs in /root, are forbidden in a chroot
umount -l /old
cd /
# Only what carries settings of the network goes in; everything else is as after a log-in.
keep() { for name in "$@"; do eval "value=\${$name:-}"; [ -z "$value" ] || printf '%s=%s\n' "$name" "$value"; done; }
keep PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_FIND_LINKS PIP_CERT PIP_DEFAULT_TIMEOUT PIP_TRUSTED_HOST npm_config_registry \
    SSL_CERT_FILE SSL_CERT_DIR NODE_EXTRA_CA_CERTS REQUESTS_CA_BUNDLE GIT_SSL_CAINFO \
    http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY >/etc/environment
code=0
env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=xterm LANG=C.UTF-8 \
    python3 /trial.py "$@" || code=$?
exit $code
