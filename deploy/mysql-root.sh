#!/bin/sh
# Make a folder tree with Oracle's MySQL, server and clients, for its tests (60 MB fetched, 300 MB, made once).
# Usage: deploy/mysql-root.sh [unstable|noble] [FOLDER]     default: unstable, .cache/mysql-root; prints the folder.
# unstable: Debian unstable's, the newest (9.7); where that cannot be had today, and as noble: Ubuntu 24.04's 8.0.
# Debian 12 and 13 have none, and its libraries are newer than theirs: it is fetched by apt with lists and settings of
# its own, signatures checked, and unpacked; nothing is installed. FOLDER/programs runs it with the tree's own libraries.
set -eu

checkout=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
suite=${1:-unstable}
root=${2:-$checkout/.cache/mysql-root}
debian=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 2>/dev/null | grep -m 1 '/debian$' || true)}
debian=${debian:-http://deb.debian.org/debian}
ubuntu=${UBUNTU_MIRROR:-http://archive.ubuntu.com/ubuntu}
if [ -e "$root/.ready" ]; then
    echo "$root"
    exit 0
fi

mkdir -p "$(dirname -- "$root")"
# Two test runs may arrive here at once: the second waits, then finds the root ready.
exec 9>"$root.lock"
flock -w 600 9 || { echo "another run has been making $root for 10 minutes; remove $root.lock when it is dead" >&2; exit 1; }
if [ -e "$root/.ready" ]; then
    echo "$root"
    exit 0
fi

echo "setup: making $root, once" >&2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset APT_CONFIG

# Read the lists of a distribution: have_lists NAME SOURCE...; its settings are $work/NAME/apt.conf afterwards.
have_lists() {
    own=$work/$1
    shift
    mkdir -p "$own/state/lists/partial" "$own/cache/archives/partial"
    printf 'deb %s\n' "$@" >"$own/sources.list"
    # Perl is for scripts beside the server, none of which is run: 13 MB that need not be fetched.
    printf '%s\n' "Package: perl" "Status: install ok installed" "Architecture: $(dpkg --print-architecture)" \
        "Multi-Arch: allowed" "Version: 9:0" "Maintainer: nobody" "Description: not fetched" "" >"$own/status"
    cat >"$own/apt.conf" <<CONF
Dir::State "$own/state";
Dir::State::status "$own/status";
Dir::Cache "$own/cache";
Dir::Etc::sourcelist "$own/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::Log "$own";
APT::Install-Recommends "false";
APT::Sandbox::User "";
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Acquire::Retries "3";
CONF
    APT_CONFIG=$own/apt.conf apt-get -qq update
}

# Fetch packages with all they need into $work/debs: fetch NAME PACKAGE...
fetch() {
    own=$work/$1
    shift
    rm -rf "$work/debs"
    mkdir -p "$work/debs/partial"
    APT_CONFIG=$own/apt.conf apt-get -qq -y -d -o "Dir::Cache::archives=$work/debs" install "$@" >/dev/null
}

debian_key=/usr/share/keyrings/debian-archive-keyring.gpg
from_unstable() {
    have_lists unstable "[signed-by=$debian_key] $debian sid main" && fetch unstable mysql-server-core mysql-client-core
}
from_noble() { # whose key Debian has as a package
    { [ -e "$work/unstable/apt.conf" ] || have_lists unstable "[signed-by=$debian_key] $debian sid main"; } &&
        fetch unstable ubuntu-keyring && dpkg-deb -x "$work"/debs/ubuntu-keyring_*.deb "$work/key" || return
    signed="[signed-by=$work/key/usr/share/keyrings/ubuntu-archive-keyring.gpg] $ubuntu"
    have_lists noble "$signed noble main" "$signed noble-updates main" "$signed noble-security main" &&
        fetch noble mysql-server-core-8.0 mysql-client-core-8.0
}
case $suite in
unstable) from_unstable || { echo "setup: Debian unstable's MySQL cannot be had, taking Ubuntu's" >&2 && from_noble; } ;;
noble) from_noble ;;
*) echo "expected unstable or noble, found $suite" >&2 && exit 1 ;;
esac

rm -rf "$root.partial"
mkdir -p "$root.partial/programs"
for deb in "$work"/debs/*.deb; do
    dpkg-deb -x "$deb" "$root.partial"
done
rm -rf "$root.partial/usr/share/doc" "$root.partial/usr/share/man" "$root.partial/usr/share/locale"
loader=$(find "$root.partial" -path '*/lib/*' -name 'ld-linux-*.so.?' -type f | head -n 1)
loader=${loader#"$root.partial"}
for program in sbin/mysqld bin/mysql bin/mysqldump bin/mysqlbinlog; do
    wrapper=$root.partial/programs/${program#*/}
    # They find the tree by where they lie, so that it can be moved and copied.
    printf '#!/bin/sh\nroot=${0%%/programs/*}\nexec "$root%s" --library-path "$root%s" "$root/usr/%s" "$@"\n' \
        "$loader" "$(dirname "$loader")" "$program" >"$wrapper"
    chmod 755 "$wrapper"
done
chmod 755 "$root.partial"
touch "$root.partial/.ready"
rm -rf "$root"
mv "$root.partial" "$root"
"$root/programs/mysqld" --no-defaults --version >&2
echo "$root"
