#!/bin/sh
# A machine whose kernel has ZFS, for trials of what this one's kernel lacks: it sees the files of this machine, and what it
# changes in them is gone with it. It is emulated, and some ten times slower: what User Mode Linux can do as well belongs
# into deploy/test-machine.sh.
#
#   deploy/zfs-machine.sh                make it, once, in .cache/zfs-machine of the checkout (26 MB); print the folder
#   deploy/zfs-machine.sh COMMAND ...    run a command in it, as root in this folder; ends with its exit code
#
# MACHINE_MIB (3072) is its memory, which also holds what is written; MACHINE_SECONDS (3600) until it is ended. It has two
# processors and no network but loopback.
#
# Nothing is installed: packages of Ubuntu 22.04's first issue, whose kernel comes with ZFS, are fetched and unpacked. They
# stay in the archive as they are, and are known by their sums (which were taken from its signed list). UBUNTU_MIRROR
# names another archive.
set -eu

name=zfs-machine
. "$(dirname -- "$0")/machine.sh"
mirror=${UBUNTU_MIRROR:-http://archive.ubuntu.com/ubuntu}
version=5.15.0-25-generic

packages() {
    cat <<LIST
ad56f8c442a54d4f5ff2dff010d00321d53e32b543f3a92f3ba4e042d20a71da l/linux-signed/linux-image-${version}_5.15.0-25.25
d0ba4087d9e1d497925b3481d3531fba6c2a852855f8019d73b0b1385aa4da1f l/linux/linux-modules-${version}_5.15.0-25.25
009d514177ef86e2c342f1de115ece16a8565aa817102d47da6d20396c8f2f3f z/zfs-linux/zfsutils-linux_2.1.2-1ubuntu3
d09c337bb95e23b8a08dc1498d29c2f8b0d403dfef0b7839db1058511b579347 z/zfs-linux/libzfs4linux_2.1.2-1ubuntu3
19c6cafd5efa61f04d27b1f15bbbd67301e45b9cd13d31635c0957601be4eb2a z/zfs-linux/libzpool5linux_2.1.2-1ubuntu3
80f2bc61abdbd00e3b18a6c5c0e559740f25bc1778018d7599e7701f5ea16d1f z/zfs-linux/libnvpair3linux_2.1.2-1ubuntu3
77514de4ca8feac1dc75ef95cb31b0d2369ae8db2e44c9f7c2585bfab37ffe59 z/zfs-linux/libuutil3linux_2.1.2-1ubuntu3
LIST
}

make_initrd() { # what mounts this machine's files, and goes on in them
    root=$work/initrd
    mkdir -p "$root/bin" "$root/modules" "$root/dev" "$root/proc" "$root/lower" "$root/tree" "$root/own" "$root/all"
    cp "$(command -v busybox)" "$root/bin/busybox"
    for module in fs/netfs/netfs fs/fscache/fscache net/9p/9pnet net/9p/9pnet_virtio fs/9p/9p fs/overlayfs/overlay; do
        cp "$modules/kernel/$module.ko" "$root/modules/"
    done
    cat >"$root/init" <<'INIT'
#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
stop() { echo "zfs machine: $*"; poweroff -f; }
for module in netfs fscache 9pnet 9pnet_virtio 9p overlay; do
    insmod /modules/$module.ko || stop "no module $module"
done
share() { mount -t 9p -o "trans=virtio,version=9p2000.L,msize=512000,$3" "$1" "$2"; }
share lower /lower ro,cache=loose && share tree /tree ro,cache=loose || stop "this machine's files cannot be seen"
mount -t tmpfs -o size=90% own /own && mkdir /own/upper /own/work || stop "no memory for what is written"
mount -t overlay -o lowerdir=/tree:/lower,upperdir=/own/upper,workdir=/own/work all /all || stop "no overlay"
cd /all
mount -t devtmpfs dev dev
mkdir -p dev/pts dev/shm
mount -t devpts -o mode=620,ptmxmode=666 devpts dev/pts
mount -t tmpfs shm dev/shm
mount -t proc proc proc
mount -t sysfs sys sys
mount -t tmpfs run run
mkdir -p run/lock run/machine
share exchange run/machine cache=none || stop "no place for the command"
ln -sf /proc/self/fd dev/fd
ln -sf /proc/mounts etc/mtab
hostname zfs-machine
ifconfig lo 127.0.0.1 netmask 255.0.0.0 up
exec switch_root /all /bin/sh -c '
    /usr/sbin/modprobe zfs zfs_arc_max=134217728
    /run/machine/command </dev/null >"$(echo /dev/vport*p1)" 2>&1
    echo $? >/run/machine/code
    sync
    busybox poweroff -f'
INIT
    chmod +x "$root/init"
    (cd "$root" && find . | cpio --quiet -o -H newc | gzip -1) >"$machine.partial/initrd.gz"
}

make() {
    mkdir -p "$work/unpacked"
    packages | while read -r sum path; do
        url=$mirror/pool/main/${path}_amd64.deb
        curl --silent --show-error --fail --retry 3 --max-time 300 --output "$work/deb" "$url" || fail "$url cannot be fetched"
        echo "$sum  $work/deb" | sha256sum --check --status || fail "$url is not what it was: its sum differs"
        dpkg-deb -x "$work/deb" "$work/unpacked"
    done
    modules=$work/unpacked/lib/modules/$version
    mv "$work/unpacked/boot/vmlinuz-$version" "$machine.partial/kernel"
    make_initrd
    # What lies over this machine's files: there /lib and /sbin are links to the folders below /usr.
    tree=$machine.partial/tree/usr
    mkdir -p "$tree/sbin" "$tree/lib/x86_64-linux-gnu" "$tree/lib/modules/$version/kernel"
    mv "$modules/kernel/zfs" "$tree/lib/modules/$version/kernel/"
    busybox depmod -b "$machine.partial/tree/usr" "$version"
    cp "$(command -v busybox)" "$tree/sbin/modprobe"
    cp -a "$work"/unpacked/sbin/* "$tree/sbin/"
    cp -a "$work"/unpacked/lib/x86_64-linux-gnu/*.so.* "$tree/lib/x86_64-linux-gnu/"
}

share() { # tag, folder, further options
    echo "-virtfs local,mount_tag=$1,path=$2,security_model=none,multidevs=remap$3"
}

# Emulated always: a KVM without the processor's own virtualization is there, and lets no such kernel start.
run() {
    # shellcheck disable=SC2046 # lists of options
    {
        timeout --kill-after=5 "${MACHINE_SECONDS:-3600}" qemu-system-x86_64 -accel tcg,thread=multi -cpu max,la57=off -smp 2 \
            -m "${MACHINE_MIB:-3072}" -nodefaults -no-user-config -display none -no-reboot \
            $(share lower / ,readonly=on) $(share tree "$machine/tree" ,readonly=on) $(share exchange "$exchange" '') \
            -kernel "$machine/kernel" -initrd "$machine/initrd.gz" \
            -append 'console=ttyS0 quiet panic=-1 mitigations=off random.trust_cpu=on' \
            -serial "file:$exchange/console" -chardev file,id=output,path=/dev/stdout,append=on \
            -device virtio-serial-pci -device virtserialport,chardev=output </dev/null || echo $? >"$exchange/qemu"
    } | cat # the machine opens what it writes to by itself: a pipe has no place of its own in a file
    return "$(cat "$exchange/qemu" 2>/dev/null || echo 0)"
}

run_in_machine "$@"
