#!/bin/busybox sh
# The guest's first program: loads the modules, makes the host's root its own, runs the job, powers off.
# What it prints goes to the console, which the host keeps as console.log.
/bin/busybox --install -s /bin
export PATH=/bin
# OUT: the results' folder, the same path as on the host. WATCHDOG: seconds until the guest gives itself up. LAYERS: what
# the root consists of, uppermost first.
. /etc/guest.conf

fail() {
    echo "handover-vm: $*"
    echo o >/proc/sysrq-trigger
    sleep 60
}

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
# The host may have died and taken nobody with it: no guest outlives this, whatever hangs in it.
(
    sleep "$WATCHDOG"
    echo "handover-vm: the guest's own time-out, $WATCHDOG s"
    echo o >/proc/sysrq-trigger
) &

while read -r module parameters; do
    # shellcheck disable=SC2086 # parameters are words
    insmod "/modules/$module.ko" $parameters || fail "cannot load the module $module"
done </etc/modules.conf

# The host's root, read-only. What is written over it lies in memory and vanishes with the guest.
mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=loose,ro root /host || fail "cannot mount the host's root"
case "$LAYERS" in
/stock:*)
    mount -t ext4 -o ro /dev/vda /stock || fail "cannot mount the packages"
    ;;
esac
mount -t tmpfs -o mode=0755 tmpfs /layer
mkdir /layer/upper /layer/work
mount -t overlay -o lowerdir="$LAYERS",upperdir=/layer/upper,workdir=/layer/work overlay /root || fail "cannot mount the overlay"
mount -t proc proc /root/proc
mount -t sysfs sysfs /root/sys
mount -t debugfs debugfs /root/sys/kernel/debug
mount -t tracefs tracefs /root/sys/kernel/tracing
mount -t devtmpfs devtmpfs /root/dev
mkdir -p /root/dev/pts /root/dev/shm /root/dev/virtio-ports
mount -t devpts -o mode=0620,ptmxmode=0666 devpts /root/dev/pts
mount -t tmpfs -o mode=1777 tmpfs /root/dev/shm
# The guest's own: what the host's udev says is about the host's devices. Compositors put their sockets there.
mount -t tmpfs -o mode=0755 tmpfs /root/run
mkdir -p /root/run/lock /root/run/user
mkdir -m 0700 /root/run/user/0
ln -s /proc/self/fd /root/dev/fd
ln -s /proc/self/fd/0 /root/dev/stdin
ln -s /proc/self/fd/1 /root/dev/stdout
ln -s /proc/self/fd/2 /root/dev/stderr
# No cache: the host looks at the results while they are written, and puts screenshots there.
mkdir -p "/root$OUT"
# Tests start their own program as another user, who may not pass through a home of mode 0700. In memory only.
folder="$OUT"
while [ -n "$folder" ]; do
    chmod a+x "/root$folder"
    folder="${folder%/*}"
done
mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=none results "/root$OUT" || fail "cannot mount the results"
ip link set lo up

# udev would do this: a port is found by its name.
for port in /sys/class/virtio-ports/*; do
    ln -s "../${port##*/}" "/root/dev/virtio-ports/$(cat "$port/name")"
done
for node in dri/card0 dri/card1 dri/renderD128 dri/renderD129 video0 video1 udmabuf dma_heap/system; do
    [ -e "/root/dev/$node" ] || echo "handover-vm: there is no /dev/$node"
done

chroot /root /bin/sh "$OUT/job.sh" || echo "handover-vm: the job ended with $?"
dmesg >"/root$OUT/dmesg.txt"
sync
poweroff -f
