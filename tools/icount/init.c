/*
 * Process 1 of an instruction-counting guest: zero out ranges of null_blk devices and print what each took.
 *
 * /jobs, one a line: max_sectors_kb max_segments max_segment_size virt_boundary nomerges scheduler zero_order offset length
 * (max_sectors_kb may be half a number; 0 as max_segments or max_segment_size: null_blk's own choice).
 * Output: the line, the limits that the kernel made of it, the median of RUNS counts and the largest distance to it.
 */
#include "guest.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>

#define RUNS 3
#define QUEUE "/sys/block/nullb0/queue/"

static void make_device(double max_sectors_kb, unsigned long segments, unsigned long segment_size, int virt_boundary)
{
	static int made;
	unsigned long sectors = max_sectors_kb * 2;

	if (made++) {
		put("/config/nullb/nullb0/power", "0");
		rmdir("/config/nullb/nullb0");
	}
	put_number("/sys/module/null_blk/parameters/max_segments", segments);
	put_number("/sys/module/null_blk/parameters/max_segment_size", segment_size);
	make_null_blk(sectors, virt_boundary);
	if (sectors % 2 == 0)
		put_number(QUEUE "max_sectors_kb", sectors / 2);
}

int main(void)
{
	char line[256], last[96] = "", device[96], scheduler[32];
	FILE *jobs;

	mount_all();
	jobs = fopen("/jobs", "r");
	while (jobs && fgets(line, sizeof(line), jobs)) {
		unsigned long segments, segment_size, virt_boundary, nomerges, order, count[RUNS];
		unsigned long long range[2];
		double kb;
		int fd, run;

		line[strcspn(line, "\n")] = 0;
		if (sscanf(line, "%lf %lu %lu %lu %lu %31s %lu %llu %llu", &kb, &segments, &segment_size,
			   &virt_boundary, &nomerges, scheduler, &order, &range[0], &range[1]) != 9) {
			printf("# cannot read: %s\n", line);
			continue;
		}
		snprintf(device, sizeof(device), "%g %lu %lu %lu", kb, segments, segment_size, virt_boundary);
		if (strcmp(device, last)) {
			make_device(kb, segments, segment_size, virt_boundary);
			strcpy(last, device);
		}
		put_number(QUEUE "nomerges", nomerges);
		put(QUEUE "scheduler", scheduler);
		put_number("/sys/module/blk_lib/parameters/zero_order", order);
		fd = open("/dev/nullb0", O_RDWR);
		if (fd < 0)
			printf("# open: %m\n");
		/* The first call warms slabs and static keys up and is not counted. */
		for (run = -1; run < RUNS; run++) {
			if (ioctl(fd, BLKZEROOUT, range))
				printf("# BLKZEROOUT: %m\n");
			if (run >= 0)
				count[run] = get_number("/sys/module/blk_lib/parameters/zeroout_cycles");
		}
		close(fd);
		qsort(count, RUNS, sizeof(*count), by_size);
		printf("RESULT %s %lu %lu %lu %lu %lu\n", line, get_number(QUEUE "max_segments"), get_number(QUEUE "max_segment_size"),
		       get_number(QUEUE "virt_boundary_mask"), count[RUNS / 2], count[RUNS - 1] - count[0]);
	}
	sync();
	reboot(RB_AUTOBOOT);
	return 0;
}
