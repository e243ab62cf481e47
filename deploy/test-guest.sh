#!/bin/sh
# Make what the tests of domains boot: Debian's small kernel and an initramfs with busybox and the guest agent (20 MB).
# Usage: deploy/test-guest.sh [FOLDER]     default: .cache/test-guest of the checkout; prints the folder.
# Nothing is installed: two packages are fetched and unpacked. The guest counts: see its /init below.
set -eu

checkout=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
guest=${1:-$checkout/.cache/test-guest}
if [ -e "$guest/.ready" ]; then
    echo "$guest"
    exit 0
fi

mkdir -p "$(dirname -- "$guest")"
# Two test runs may arrive here at once: the second waits, then finds the guest ready.
exec 9>"$guest.lock"
flock -w 300 9 || { echo "another run has been making $guest for 5 minutes; remove $guest.lock when it is dead" >&2; exit 1; }
if [ -e "$guest/.ready" ]; then
    echo "$guest"
    exit 0
fi

echo "setup: making $guest, once" >&2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rm -rf "$guest.partial"
mkdir -p "$guest.partial" "$work/debs" "$work/unpacked"
root=$work/root
fetch() {
    kernel=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-[^ ]*\)$/\1/p' | head -n 1)
    (cd "$work/debs" && apt-get -qq download "$kernel" qemu-guest-agent 2>"$work/log")
}
fetch || { apt-get -qq update >&2 && fetch; } || { cat "$work/log" >&2; exit 1; }
for deb in "$work"/debs/*.deb; do
    dpkg-deb -x "$deb" "$work/unpacked"
done

for folder in bin dev proc sys data run tmp usr/sbin var/run modules; do
    mkdir -p "$root/$folder"
done
for module in virtio/virtio virtio/virtio_ring virtio/virtio_pci_legacy_dev virtio/virtio_pci_modern_dev virtio/virtio_pci \
    block/virtio_blk char/virtio_console; do
    cp "$work"/unpacked/lib/modules/*/kernel/drivers/$module.ko* "$root/modules/" 2>/dev/null ||
        cp "$work"/unpacked/usr/lib/modules/*/kernel/drivers/$module.ko* "$root/modules/"
done
for packed in "$root"/modules/*.xz; do
    [ ! -e "$packed" ] || xz -d "$packed" # Debian 13 has them packed
done
cp "$(command -v busybox)" "$root/bin/busybox"
agent=$(find "$work/unpacked" -name qemu-ga -type f -perm -100 | head -n 1)
cp "$agent" "$root/usr/sbin/qemu-ga"
ldd "$agent" | grep -o '/[^ ]*' | sort -u | while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
done
# Its first disk is its file system, the second is written as it is: each number comes first to the one, then to the other.
cat >"$root/init" <<'INIT'
#!/bin/busybox sh
export PATH=/bin:/usr/sbin
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
for module in virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk virtio_console; do
    insmod /modules/$module.ko
done
mount -t ext4 /dev/vda /data || { echo "guest: no file system"; poweroff -f; }
number=$(cat /data/counter 2>/dev/null || echo 0)
second=0
[ ! -b /dev/vdb ] || second=$(dd if=/dev/vdb bs=20 count=1 2>/dev/null | tr -cd 0-9)
echo "$number ${second:-0}" >/run/found
mkdir -p /dev/virtio-ports
for port in /sys/class/virtio-ports/*; do
    ln -s "/dev/${port##*/}" "/dev/virtio-ports/$(cat "$port/name")"
done
qemu-ga -d -m virtio-serial -p /dev/virtio-ports/org.qemu.guest_agent.0
echo "guest: up with $(cat /run/found)"
while :; do
    number=$((number + 1))
    echo "$number" | dd of=/data/new conv=fsync 2>/dev/null && mv /data/new /data/counter && sync
    [ ! -b /dev/vdb ] || printf '%-20s' "$number" | dd of=/dev/vdb conv=fsync,notrunc 2>/dev/null
    echo "guest: counted $number"
    usleep 100000
done
INIT
chmod +x "$root/init"
(cd "$root" && find . | cpio --quiet -o -H newc | gzip -1) >"$guest.partial/initrd.gz"
cp "$work"/unpacked/boot/vmlinuz-* "$guest.partial/kernel"
touch "$guest.partial/.ready"
rm -rf "$guest"
mv "$guest.partial" "$guest"
echo "$guest"
