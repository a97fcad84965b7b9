/*
 * Process 1 of a user-mode kernel: zero out ranges of a null_blk device and print what each took.
 *
 * /jobs, one a line: repeat max_sectors_kb zero_order length. Output: the limits that the kernel made of it and the
 * repeat, as in the columns of to_csv.py; time by the clock round the call [ns], and CPU time of the host's thread
 * round blkdev_issue_zeroout() [ns].
 */
#include "../icount/guest.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <time.h>

#define QUEUE "/sys/block/nullb0/queue/"

static unsigned long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000ull + time.tv_nsec;
}

int main(void)
{
	unsigned long repeat, kib, order;
	unsigned long long range[2] = { 0 }, start, elapsed;
	char line[128];
	FILE *jobs;
	int fd;

	mount_all();
	make_null_blk(8192, 1);
	fd = open("/dev/nullb0", O_RDWR);
	if (fd < 0)
		printf("# open: %m\n");
	jobs = fopen("/jobs", "r");
	while (jobs && fgets(line, sizeof(line), jobs)) {
		if (sscanf(line, "%lu %lu %lu %llu", &repeat, &kib, &order, &range[1]) != 4) {
			printf("# cannot read: %s\n", line);
			continue;
		}
		put_number(QUEUE "max_sectors_kb", kib);
		put_number("/sys/module/blk_lib/parameters/zero_order", order);
		start = now();
		if (ioctl(fd, BLKZEROOUT, range))
			printf("# BLKZEROOUT: %m\n");
		elapsed = now() - start;
		printf("RESULT,%lu,%s,%s,%s,%s,512,%s,%lu,%llu,%llu,%s\n", 4096ul << order, get(QUEUE "max_sectors_kb"),
		       get(QUEUE "max_segments"), get(QUEUE "max_segment_size"), get(QUEUE "virt_boundary_mask"),
		       getenv("boot"), repeat, range[1], elapsed, get("/sys/module/blk_lib/parameters/zeroout_cycles"));
	}
	reboot(RB_POWER_OFF);
	return 0;
}
