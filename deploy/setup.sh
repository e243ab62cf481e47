#!/bin/sh
# Install what is missing: a Python environment of our own (.venv) from the lock files, and for "dev" also what tests need.
#
#   sh deploy/setup.sh run    what `make up` needs
#   sh deploy/setup.sh dev    what `make test` needs
#
# Debian packages are installed only when something is missing, with sudo when not root. Doing it again costs no time.
set -eu
cd "$(dirname "$0")/.."
wanted=${1:-run}
python=${PYTHON:-python3}
PATH=$PATH:/usr/sbin:/sbin # where debootstrap is, and a user does not look

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

install_packages() {
    command -v apt-get >/dev/null || fail "please install these yourself, this is not Debian: $*"
    as_root=
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || fail "run as root, or install sudo, or install these yourself: $*"
        as_root=sudo
    fi
    say "installing Debian packages: $*"
    $as_root apt-get -qq update
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" >/dev/null
}

command -v "$python" >/dev/null || install_packages python3 python3-venv
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "Python 3.11 or newer is needed, $("$python" -V) is here: set PYTHON=/path/to/a/newer/python3"
"$python" -c 'import ensurepip, venv' 2>/dev/null || install_packages python3-venv

command -v gpg >/dev/null || install_packages gnupg # encrypts and signs backups

lock=requirements.lock
[ "$wanted" = dev ] && lock=requirements-dev.lock # holds the other's packages too, in the same versions
stamp=".venv/installed-$wanted"
state=$(cat requirements.lock "$lock" pyproject.toml | cksum; "$python" -V)
if [ "$wanted" = run ] && [ -e .venv/installed-dev ]; then
    [ "$(cat .venv/installed-dev)" != "$(cat requirements.lock requirements-dev.lock pyproject.toml | cksum; "$python" -V)" ] ||
        printf '%s\n' "$state" >"$stamp"
fi
if [ "$(cat "$stamp" 2>/dev/null)" != "$state" ]; then
    if ! .venv/bin/python -c 'import pip' 2>/dev/null; then
        rm -rf .venv
        "$python" -m venv .venv
    fi
    say "installing Python packages of $lock into .venv"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement "$lock"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
    printf '%s\n' "$state" >"$stamp"
fi
.venv/bin/python deploy/build_front.py

if [ "$wanted" = dev ]; then
    missing=
    command -v chromium >/dev/null || missing="$missing chromium"
    command -v setpriv >/dev/null || missing="$missing util-linux"
    command -v ip >/dev/null || missing="$missing iproute2"
    [ -x /usr/sbin/snmpd ] || missing="$missing snmpd"
    [ -x /usr/sbin/sshd ] || missing="$missing openssh-server"
    command -v ssh-keygen >/dev/null || missing="$missing openssh-client"
    command -v debootstrap >/dev/null || missing="$missing debootstrap"
    command -v systemctl >/dev/null || missing="$missing systemd"
    command -v dbus-daemon >/dev/null || missing="$missing dbus"
    command -v strace >/dev/null || missing="$missing strace"
    command -v iptables >/dev/null || missing="$missing iptables"
    command -v faketime >/dev/null || missing="$missing faketime"
    [ -x /usr/sbin/mariadbd ] || missing="$missing mariadb-server-core" # the programs alone: no service is started
    command -v mariadb-dump >/dev/null || missing="$missing mariadb-client"
    command -v mariadb-backup >/dev/null || missing="$missing mariadb-backup"
    command -v openssl >/dev/null || missing="$missing openssl"
    command -v virsh >/dev/null || missing="$missing libvirt-clients"
    [ -x /usr/sbin/libvirtd ] || missing="$missing libvirt-daemon libvirt-daemon-driver-qemu"
    command -v qemu-system-x86_64 >/dev/null || missing="$missing qemu-system-x86"
    command -v qemu-nbd >/dev/null || missing="$missing qemu-utils"
    [ -e /usr/share/OVMF/OVMF_CODE_4M.fd ] || missing="$missing ovmf"
    command -v mformat >/dev/null || missing="$missing mtools"
    command -v nbdfuse >/dev/null || missing="$missing nbdfuse"
    command -v nbdinfo >/dev/null || missing="$missing libnbd-bin"
    command -v busybox >/dev/null || missing="$missing busybox-static"
    command -v curl >/dev/null || missing="$missing curl"
    command -v cpio >/dev/null || missing="$missing cpio"
    command -v xz >/dev/null || missing="$missing xz-utils"
    [ -x /usr/sbin/mkfs.btrfs ] || missing="$missing btrfs-progs"
    [ -x /usr/sbin/mkfs.ext4 ] || missing="$missing e2fsprogs"
    [ -x /usr/sbin/mkfs.xfs ] || missing="$missing xfsprogs"
    [ -x /usr/sbin/lvm ] || missing="$missing lvm2"
    [ -x /usr/sbin/thin_check ] || missing="$missing thin-provisioning-tools"
    command -v rclone >/dev/null || missing="$missing rclone"
    [ -x /usr/sbin/apache2 ] || missing="$missing apache2-bin" # the program alone: no service is started
    # shellcheck disable=SC2086 # a list of package names
    [ -z "$missing" ] || install_packages $missing
fi
