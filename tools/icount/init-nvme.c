/*
 * Process 1 of an instruction-counting guest: zero out ranges of an NVMe namespace and print what its driver spent.
 *
 * /jobs, one a line: max_sectors_kb zero_order length
 * Output: the line, max_sectors_kb and max_segments as the kernel has them, then the driver's counters (nvme.counted: sum and
 * number of prepare, unmap, queue_rq(s), irq; the most requests in flight at once) and how many I/O virtual addresses came from
 * the allocator's tree instead of its caches; and, of a kernel that counts them (6.12), slabs of 4 KiB objects made, slabs given
 * back, and such objects freed by the slow path.
 */
#include "guest.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>

#define QUEUE "/sys/block/nvme0n1/queue/"
#define COUNTED "/sys/module/nvme/parameters/counted"
#define TREE "/sys/module/iova/parameters/tree_allocs"
#define SLABS "/sys/module/slub/parameters/counted"

int main(void)
{
	char line[256];
	FILE *jobs;
	int fd, run;

	mount_all();
	for (run = 0; run < 100 && (fd = open("/dev/nvme0n1", O_RDWR)) < 0; run++)
		usleep(50000);
	if (fd < 0)
		printf("# no nvme0n1: %m\n");
	put("/sys/module/blk_lib/parameters/zero_pages_only", "1");
	jobs = fopen("/jobs", "r");
	while (jobs && fgets(line, sizeof(line), jobs)) {
		unsigned long kb, order;
		unsigned long long range[2] = { 0 };

		line[strcspn(line, "\n")] = 0;
		if (sscanf(line, "%lu %lu %llu", &kb, &order, &range[1]) != 3)
			continue;
		put_number(QUEUE "max_sectors_kb", kb);
		put_number("/sys/module/blk_lib/parameters/zero_order", order);
		/* The first call fills pools and IOVA caches and is not counted; the timer empties the lazy queue behind it. */
		for (run = 0; run < 2; run++) {
			usleep(50000);
			put(COUNTED, "0,0,0,0,0,0,0,0,0");
			put(TREE, "0");
			if (!access(SLABS, W_OK))
				put(SLABS, "0,0,0");
			if (ioctl(fd, BLKZEROOUT, range))
				printf("# BLKZEROOUT: %m\n");
		}
		printf("RESULT %s ", line);
		printf("%s %s ", get(QUEUE "max_sectors_kb"), get(QUEUE "max_segments"));
		printf("%s,%s%s%s\n", get(COUNTED), get(TREE), access(SLABS, R_OK) ? "" : ",", get(SLABS));
	}
	sync();
	reboot(RB_AUTOBOOT);
	return 0;
}
