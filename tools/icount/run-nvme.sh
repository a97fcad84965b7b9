#!/bin/sh
# Count instructions of the NVMe driver: ./run-nvme.sh BZIMAGE JOBS IOMMU MDTS SGL > results
# IOMMU: none, passthrough, lazy, strict; MDTS: the power of two of 4 KiB; SGL: 1, or 0 to tell the driver that there are none.
# Interrupts are off while a part is counted (nvme-count-*.patch); the controller writes to a null block device of QEMU.
set -e
here=$(dirname "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/root/proc" "$work/root/sys" "$work/root/dev"
gcc -O2 -Wall -static -o "$work/root/init" "$here/init-nvme.c"
cp "$2" "$work/root/jobs"
(cd "$work/root" && find . | cpio -o -H newc --quiet) > "$work/initrd"
case $3 in
none) device="" options="intel_iommu=off" ;;
passthrough) device="-device intel-iommu,intremap=off" options="intel_iommu=on iommu.passthrough=1" ;;
lazy) device="-device intel-iommu,intremap=off" options="intel_iommu=on iommu.passthrough=0 iommu.strict=0" ;;
strict) device="-device intel-iommu,intremap=off" options="intel_iommu=on iommu.passthrough=0 iommu.strict=1" ;;
esac
[ "$5" = 0 ] && options="$options nvme_core.no_sgl=1"
qemu-system-x86_64 -machine q35 -accel tcg,thread=single -icount shift=0 -cpu qemu64 -m 512 -smp 1 -display none -no-reboot -nodefaults \
	$device -blockdev driver=null-co,node-name=store,size=1099511627776,read-zeroes=off -device "nvme,serial=1,drive=store,mdts=$4" \
	-kernel "$1" -initrd "$work/initrd" -serial stdio -monitor none \
	-append "console=ttyS0 quiet panic=-1 reboot=t mitigations=off tsc=reliable null_blk.nr_devices=0 $options" | tr -d '\r'
