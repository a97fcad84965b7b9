# Sourced by run*.sh: a guest whose every instruction is one nanosecond of its clock and one tick of its TSC (-icount
# shift=0), so that differences of the TSC are instruction counts. Needs gcc with a static libc, cpio and qemu-system-x86_64.
set -e
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# make_initrd INIT.c JOBS: the program as process 1, the jobs beside it
make_initrd() {
	mkdir -p "$work/root/proc" "$work/root/sys" "$work/root/dev" "$work/root/config"
	gcc -O2 -Wall -static -o "$work/root/init" "$1"
	cp "$2" "$work/root/jobs"
	(cd "$work/root" && find . | cpio -o -H newc --quiet) > "$work/initrd"
}

# guest BZIMAGE "KERNEL PARAMETERS" QEMU OPTIONS...: what it prints on its serial console
guest() {
	image=$1 parameters=$2
	shift 2
	qemu-system-x86_64 "$@" -accel tcg,thread=single -icount shift=0 -cpu qemu64 -m 512 -smp 1 -display none -no-reboot \
		-kernel "$image" -initrd "$work/initrd" -serial stdio -monitor none -append \
		"console=ttyS0 quiet panic=-1 reboot=t mitigations=off tsc=reliable null_blk.nr_devices=0 $parameters" | tr -d '\r'
}
