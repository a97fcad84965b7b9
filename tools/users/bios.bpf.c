/* Every write bio of one device as it is submitted: where, how large, its vectors, whose. Built by trace_users.py. */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include "bios.h"

const volatile unsigned int device;
char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 << 20);
} seen SEC(".maps");

SEC("raw_tp/block_bio_queue")
int queued(struct bpf_raw_tracepoint_args *args)
{
	struct bio *bio = (struct bio *)args->args[0];
	unsigned int size = BPF_CORE_READ(bio, bi_iter.bi_size);
	struct seen *one;

	if (BPF_CORE_READ(bio, bi_bdev, bd_dev) != device || (BPF_CORE_READ(bio, bi_opf) & 0xff) != REQ_OP_WRITE || !size)
		return 0;
	one = bpf_ringbuf_reserve(&seen, sizeof(*one), 0);
	if (!one)
		return 0;
	one->sector = BPF_CORE_READ(bio, bi_iter.bi_sector);
	one->bytes = size;
	one->vectors = BPF_CORE_READ(bio, bi_vcnt);
	one->room = BPF_CORE_READ(bio, bi_max_vecs);
	one->page = (unsigned long)BPF_CORE_READ(bio, bi_io_vec, bv_page);
	one->thread = bpf_get_current_pid_tgid();
	bpf_get_current_comm(one->command, sizeof(one->command));
	bpf_ringbuf_submit(one, 0);
	return 0;
}
