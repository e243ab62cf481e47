#!/bin/sh
# A machine with a kernel of its own, for tests of what this one's kernel may lack (device mapper, security modules): it sees
# the files of this machine, and what it changes in them is gone with it.
#
#   deploy/test-machine.sh                make it, once, in .cache/test-machine of the checkout (150 MB); print the folder
#   deploy/test-machine.sh COMMAND ...    run a command in it, as root in this folder; ends with its exit code
#
# MACHINE_MIB (2048) is its memory, which also holds what is written; MACHINE_SECONDS (600) until it is ended; MACHINE_SHARE:
# a folder it may write into for good, seen at /mnt/share; MACHINE_KERNEL: more for the kernel's command line, such as
# "security=apparmor". It has no udev, one processor, no network but loopback, loop devices, ext4, xfs and btrfs.
#
# Its kernel is Debian's User Mode Linux, a program: it needs no virtualization, and runs programs nearly as fast as this
# machine. Nothing is installed: its package is fetched and unpacked.
set -eu

name=test-machine
. "$(dirname -- "$0")/machine.sh"

fetch() { (cd "$work" && apt-get -qq download user-mode-linux 2>"$work/log"); }

make() {
    fetch || { apt-get -qq update >&2 && fetch; } || { cat "$work/log" >&2; fail "the package user-mode-linux cannot be fetched"; }
    dpkg-deb -x "$work"/user-mode-linux_*.deb "$work/unpacked"
    mv "$work/unpacked/usr/bin/linux.uml" "$machine.partial/linux"
    mv "$work"/unpacked/usr/lib/uml/modules/* "$machine.partial/modules"
    cat >"$machine.partial/init" <<'INIT'
#!/bin/sh
# The first program of the machine: lays memory over this machine's files, and runs the command in what is seen then.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
stop() { echo "test machine: $*"; busybox poweroff -f; }
mount -t proc proc /proc
machine=$(sed -n 's/.*[ ]machine=\([^ ]*\).*/\1/p' /proc/cmdline)
exchange=$(sed -n 's/.*[ ]exchange=\([^ ]*\).*/\1/p' /proc/cmdline)
busybox insmod "$machine/modules/kernel/fs/overlayfs/overlay.ko" || stop "no overlay"
mount -t tmpfs -o size=90% own /mnt && mkdir /mnt/upper /mnt/work /mnt/all || stop "no memory for what is written"
mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work all /mnt/all || stop "this machine's files cannot be seen"
cd /mnt/all
mount -t devtmpfs dev dev
mkdir -p dev/pts dev/shm mnt/share
mount -t devpts -o mode=620,ptmxmode=666 devpts dev/pts
mount -t tmpfs shm dev/shm
mount -t proc proc proc
mount -t sysfs sys sys
mount -t securityfs security sys/kernel/security
mount -t cgroup2 cgroup sys/fs/cgroup
mount -t tmpfs run run
version=$(uname -r)
mkdir -p run/lock run/machine "usr/lib/modules/$version"
mount -t hostfs -o "$machine/modules" modules "usr/lib/modules/$version" || stop "no modules"
mount -t hostfs -o "$exchange" exchange run/machine || stop "no place for the command"
[ ! -s run/machine/share ] || mount -t hostfs -o "$(cat run/machine/share)" share mnt/share || stop "no share"
[ -e usr/sbin/modprobe ] || ln -s "$(command -v busybox)" usr/sbin/modprobe
for module in loop dm-mod dm-snapshot dm-thin-pool; do
    chroot . modprobe "$module" || stop "no module $module"
done
ln -sf /proc/self/fd dev/fd
ln -sf /proc/mounts etc/mtab
busybox hostname test-machine
busybox ifconfig lo 127.0.0.1 netmask 255.0.0.0 up
busybox stty -F /dev/tty1 raw 2>/dev/null || busybox stty -F dev/tty1 raw
mkdir mnt/old && busybox pivot_root . mnt/old && umount -l mnt/old || stop "its root cannot be changed" # AppArmor sees through chroot
/run/machine/command </dev/null >dev/tty1 2>&1
echo $? >run/machine/code
busybox poweroff -f
INIT
    chmod +x "$machine.partial/init"
}

run() {
    printf '%s' "${MACHINE_SHARE:-}" >"$exchange/share"
    # shellcheck disable=SC2086 # MACHINE_KERNEL is a list
    timeout --kill-after=5 "${MACHINE_SECONDS:-600}" "$machine/linux" mem="${MACHINE_MIB:-2048}M" uml_dir="$exchange/uml/" \
        root=/dev/root rootfstype=hostfs rootflags=/ ro init="$machine/init" machine="$machine" exchange="$exchange" \
        con=null con0=null,fd:1 con1=null,fd:3 ${MACHINE_KERNEL:-} </dev/null 3>&1 >"$exchange/console" 2>&1
}

run_in_machine "$@"
