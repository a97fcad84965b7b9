#!/bin/sh
# Count instructions of virtio_blk, and of what stacks on null_blk: ./run-devices.sh BZIMAGE JOBS INDIRECT > results
# INDIRECT: 1, or 0 for a virtio device that offers no indirect descriptors (its queue takes an entry a segment).
here=$(dirname "$0")
. "$here/guest.sh"
make_initrd "$here/init-devices.c" "$2"
indirect=$([ "$3" = 0 ] && echo off || echo on)
guest "$1" "$4" -machine q35 -nodefaults \
	-blockdev driver=null-co,node-name=store,size=1099511627776,read-zeroes=off \
	-device "virtio-blk-pci,drive=store,indirect_desc=$indirect,write-zeroes=off,discard=off,queue-size=256,num-queues=1"
