#!/bin/sh
# Time zero-outs on null_blk in a user-mode kernel: ./run.sh LINUX BOOTS ROUNDS > table.csv
here=$(dirname "$0")
. "$here/../icount/guest.sh"
echo zero_page_bytes,max_sectors_kb,max_segments,max_segment_size,virt_boundary_mask,logical_block_size,boot,repeat,\
length_bytes,elapsed_ns,cpu_ns
for boot in $(seq "$2"); do
	python3 "$here/native_jobs.py" "$3" > "$work/jobs"
	make_initrd "$here/init.c" "$work/jobs"
	"$1" mem=512M initrd="$work/initrd" con0=fd:0,fd:1 quiet null_blk.nr_devices=0 boot="$boot" < /dev/null
done | tr -d '\r' | sed -n 's/^RESULT,//p; /^#/w /dev/stderr'
