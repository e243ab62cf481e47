#!/bin/sh
# Boot systemd as the first process of namespaces of its own, with the units of FOLDER/units and no others.
# Usage (as root): systemd_boot.sh FOLDER. Ends, with all it started, when its standard input does.
#
# It sees this machine's files, read-only but for an empty /run, its own processes, and control groups below one made for it.
# Prints the number of the process whose one child that first process is.
set -eu
folder=$1

case ${2-} in
cgroups) # a control group in each hierarchy that takes us (cpuset does not); systemd shall take it for the root
    groups=$3
    for place in $(findmnt --raw --noheadings --types cgroup,cgroup2 --output TARGET); do
        mkdir "$place/$groups"
        echo $$ >"$place/$groups/cgroup.procs" || continue
    done 2>/dev/null
    exec unshare --mount --cgroup --pid --ipc --uts --net --fork --kill-child sh "$0" "$folder" boot "$groups"
    ;;
boot)
    groups=$3
    mount --make-rprivate /
    for place in $(findmnt --raw --noheadings --types cgroup,cgroup2 --output TARGET); do
        mount --bind "$place/$groups" "$place"
    done
    mount -o bind,remount,ro /
    mount -t proc proc /proc
    mount -t tmpfs tmpfs /run
    mkdir -p /run/lock /run/dbus
    exec env --ignore-environment container=watchkeep-test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        SYSTEMD_UNIT_PATH="$folder/units" SYSTEMD_GENERATOR_PATH="$folder/none" SYSTEMD_ENVIRONMENT_GENERATOR_PATH="$folder/none" \
        /lib/systemd/systemd --system --unit=test.target --log-target=console --show-status=false
    ;;
esac

groups=watchkeep-test-$$
sh "$0" "$folder" cgroups "$groups" </dev/null &
booting=$!
echo "$booting"
tidy() {
    # The first process is reaped after all others of its namespace, and with the last of them the groups are free.
    first=$(cat "/proc/$booting/task/$booting/children" 2>/dev/null || true)
    kill -9 ${first:-"$booting"} 2>/dev/null || true
    wait "$booting" 2>/dev/null || true
    for place in $(findmnt --raw --noheadings --types cgroup,cgroup2 --output TARGET); do
        find "$place/$groups" -depth -type d -exec rmdir {} \; 2>/dev/null || true
    done
}
trap tidy EXIT
trap 'exit 143' TERM INT
cat >/dev/null # until whoever started this is done, or gone
