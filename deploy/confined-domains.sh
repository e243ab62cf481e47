#!/bin/sh
# Run the tests of domains under AppArmor as Debian has it: libvirt and QEMU confined by libvirt's own profiles, in a test
# machine (deploy/test-machine.sh), since this one's kernel may have no AppArmor. Takes some minutes.
#
#   deploy/confined-domains.sh [TEST]     default: all of tests/integration/backup/test_domains.py; else those -k finds
set -eu

checkout=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd "$checkout"

if [ "${1:-}" != inside ]; then
    confined=$checkout/.cache/confined # Debian's profiles and what loads them; nothing is installed
    if [ ! -e "$confined/.ready" ]; then
        rm -rf "$confined" && mkdir -p "$confined/debs"
        (cd "$confined/debs" && apt-get -qq download apparmor libvirt-daemon-system 2>/dev/null)
        for deb in "$confined"/debs/*.deb; do
            dpkg-deb -x "$deb" "$confined/root"
        done
        touch "$confined/.ready"
    fi
    sh deploy/test-guest.sh >/dev/null
    export MACHINE_KERNEL=security=apparmor MACHINE_SECONDS="${MACHINE_SECONDS:-3600}"
    exec sh deploy/test-machine.sh sh deploy/confined-domains.sh inside "${1:-}"
fi

root=$checkout/.cache/confined/root
mkdir -p /etc/apparmor /usr/share/apparmor-features /var/cache/libvirt /var/lib/libvirt/images /run/libvirt
cp -a "$root/etc/apparmor.d" /etc/
cp -a "$root/etc/apparmor/." /etc/apparmor/
cp -a "$root/usr/share/apparmor-features/." /usr/share/apparmor-features/
cp -a "$root/sbin/apparmor_parser" /usr/sbin/
[ ! -d .cache/libvirt ] || cp -a .cache/libvirt/. /var/cache/libvirt/
for profile in usr.sbin.libvirtd usr.lib.libvirt.virt-aa-helper abstractions/libvirt-qemu; do
    mkdir -p "$(dirname "/etc/apparmor.d/local/$profile")"
    touch "/etc/apparmor.d/local/$profile"
done
apparmor_parser -r /etc/apparmor.d/usr.sbin.libvirtd /etc/apparmor.d/usr.lib.libvirt.virt-aa-helper
if ! grep -q ^libvirt-qemu: /etc/passwd; then
    echo "libvirt-qemu:x:64055:64055::/:/usr/sbin/nologin" >>/etc/passwd
    echo "libvirt-qemu:x:64055:" >>/etc/group
fi
cat >/etc/libvirt/qemu.conf <<'CONF'
user = "libvirt-qemu"
group = "libvirt-qemu"
security_driver = "apparmor"
cgroup_controllers = []
stdio_handler = "file"
CONF
echo 'auth_unix_rw = "none"' >/etc/libvirt/libvirtd.conf
modprobe fuse
libvirtd --config /etc/libvirt/libvirtd.conf --pid-file /run/libvirtd.pid >/run/libvirtd.log 2>&1 &
tries=0
until [ -S /run/libvirt/libvirt-sock ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 1200 ] || { cat /run/libvirtd.log >&2; exit 1; }
    sleep 0.1
done
virsh --connect qemu:///system capabilities | grep -q '<model>apparmor</model>' || { echo "libvirt is not confined" >&2; exit 1; }
code=0
WATCHKEEP_TEST_LIBVIRT=qemu:///system .venv/bin/python -m pytest -p no:cacheprovider -q \
    tests/integration/backup/test_domains.py ${2:+-k "$2"} || code=$?
echo "What AppArmor refused:"
dmesg | grep -a 'apparmor="DENIED"' || echo nothing
exit "$code"
