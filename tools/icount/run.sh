#!/bin/sh
# Count instructions of zeroing ranges on null_blk: ./run.sh BZIMAGE JOBS [KERNEL PARAMETERS] > results
# One instruction is one nanosecond of the guest's clock and one tick of its TSC (-icount shift=0), so differences of
# the TSC are instruction counts. Needs gcc with a static libc, cpio and qemu-system-x86_64.
set -e
here=$(dirname "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/root/proc" "$work/root/sys" "$work/root/dev" "$work/root/config"
gcc -O2 -Wall -static -o "$work/root/init" "$here/init.c"
cp "$2" "$work/root/jobs"
(cd "$work/root" && find . | cpio -o -H newc --quiet) > "$work/initrd"
qemu-system-x86_64 -accel tcg,thread=single -icount shift=0 -cpu qemu64 -m 512 -smp 1 -display none -no-reboot \
	-kernel "$1" -initrd "$work/initrd" -serial stdio -monitor none \
	-append "$3 console=ttyS0 quiet panic=-1 reboot=t mitigations=off tsc=reliable null_blk.nr_devices=0" | tr -d '\r'
