#!/bin/busybox sh
# The first process of a guest with a disk: what the kernel needs to read it is in modules.
busybox mkdir -p /dev /proc /sys /disk
busybox mount -t devtmpfs none /dev
busybox mount -t proc none /proc
busybox mount -t sysfs none /sys
for module in virtio_pci virtio_blk; do
    busybox modprobe $module
done
busybox mount -t ext4 /dev/vda /disk
for place in dev proc sys; do
    busybox mount --move /$place /disk/$place
done
exec busybox switch_root /disk /lib/systemd/systemd
