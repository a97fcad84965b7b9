#!/bin/sh
# Count instructions of virtio_blk, and of what stacks on null_blk: ./run-devices.sh BZIMAGE JOBS INDIRECT > results
# INDIRECT: 1, or 0 for a virtio device that offers no indirect descriptors (its queue takes an entry a segment).
set -e
here=$(dirname "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/root/proc" "$work/root/sys" "$work/root/dev" "$work/root/config"
gcc -O2 -Wall -static -o "$work/root/init" "$here/init-devices.c"
cp "$2" "$work/root/jobs"
(cd "$work/root" && find . | cpio -o -H newc --quiet) > "$work/initrd"
indirect=$([ "$3" = 0 ] && echo off || echo on)
qemu-system-x86_64 -machine q35 -accel tcg,thread=single -icount shift=0 -cpu qemu64 -m 512 -smp 1 -display none -no-reboot -nodefaults \
	-blockdev driver=null-co,node-name=store,size=1099511627776,read-zeroes=off \
	-device "virtio-blk-pci,drive=store,indirect_desc=$indirect,write-zeroes=off,discard=off,queue-size=256,num-queues=1" \
	-kernel "$1" -initrd "$work/initrd" -serial stdio -monitor none \
	-append "console=ttyS0 quiet panic=-1 reboot=t mitigations=off tsc=reliable null_blk.nr_devices=0 $4" | tr -d '\r'
