#!/bin/sh
# Count instructions of the NVMe driver: ./run-nvme.sh BZIMAGE JOBS IOMMU MDTS SGL > results
# IOMMU: none, passthrough, lazy, strict; MDTS: the power of two of 4 KiB; SGL: 1, or 0 to tell the driver that there are none.
# Interrupts are off while a part is counted (nvme-count-*.patch); the controller writes to a null block device of QEMU.
here=$(dirname "$0")
. "$here/guest.sh"
make_initrd "$here/init-nvme.c" "$2"
case $3 in
none) device="" options="intel_iommu=off" ;;
passthrough) device="-device intel-iommu,intremap=off" options="intel_iommu=on iommu.passthrough=1" ;;
lazy) device="-device intel-iommu,intremap=off" options="intel_iommu=on iommu.passthrough=0 iommu.strict=0" ;;
strict) device="-device intel-iommu,intremap=off" options="intel_iommu=on iommu.passthrough=0 iommu.strict=1" ;;
esac
[ "$5" = 0 ] && options="$options nvme_core.no_sgl=1"
# shellcheck disable=SC2086 - two words or none
guest "$1" "$options" -machine q35 -nodefaults $device \
	-blockdev driver=null-co,node-name=store,size=1099511627776,read-zeroes=off -device "nvme,serial=1,drive=store,mdts=$4"
