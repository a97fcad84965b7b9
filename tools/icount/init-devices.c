/*
 * Process 1 of an instruction-counting guest: zero out ranges of virtio_blk (/dev/vda), of null_blk (/dev/nullb0) and of what
 * stacks on it: a loop device with direct I/O (/dev/loop0) and a dm-linear target (/dev/dm-0).
 *
 * /jobs, one a line: device max_sectors_kb zero_order length
 * Output: the line; max_sectors_kb, max_segments and max_segment_size as the kernel has them; the median of RUNS counts of
 * blkdev_issue_zeroout() and the largest distance between two; and, for vda, the driver's counters of the last (virtio_blk.counted).
 */
#include "guest.h"

#include <linux/dm-ioctl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>

#define RUNS 3
#define COUNTED "/sys/module/virtio_blk/parameters/counted"

static const char *queue(const char *device, const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "/sys/block/%s/queue/%s", device, name);
	return path;
}

static void make_loop(int below)
{
	struct loop_config config = { .fd = below, .block_size = 512, .info.lo_flags = LO_FLAGS_DIRECT_IO };
	int fd = open("/dev/loop0", O_RDWR);

	if (fd < 0 || ioctl(fd, LOOP_CONFIGURE, &config))
		printf("# loop0: %m\n");
	close(fd);
}

static void dm(int control, unsigned long command, struct dm_ioctl *io, unsigned int flags)
{
	io->version[0] = DM_VERSION_MAJOR;
	io->data_size = 4096;
	io->data_start = sizeof(*io);
	io->flags = flags;
	strcpy(io->name, "linear");
	if (ioctl(control, command, io))
		printf("# dm %lx: %m\n", command);
}

static void make_dm(unsigned long long sectors)
{
	union {
		struct dm_ioctl io;
		char bytes[4096];
	} u = { 0 };
	struct dm_target_spec *spec = (void *)(u.bytes + sizeof(u.io));
	int control = open("/dev/mapper/control", O_RDWR);

	if (control < 0)
		printf("# dm control: %m\n");
	dm(control, DM_DEV_CREATE, &u.io, 0);
	memset(&u, 0, sizeof(u));
	u.io.target_count = 1;
	spec->length = sectors;
	strcpy(spec->target_type, "linear");
	strcpy((char *)(spec + 1), "/dev/nullb0 0");
	dm(control, DM_TABLE_LOAD, &u.io, 0);
	memset(&u, 0, sizeof(u));
	dm(control, DM_DEV_SUSPEND, &u.io, 0);
}

static void count(const char *line, const char *device, int fd, unsigned long long length)
{
	unsigned long long range[2] = { 0, length };
	unsigned long counts[RUNS];
	int run;

	/* The first call warms slabs, pools and static keys up and is not counted. */
	for (run = -1; run < RUNS; run++) {
		if (!strcmp(device, "vda"))
			put(COUNTED, "0,0,0,0,0,0,0,0");
		if (ioctl(fd, BLKZEROOUT, range))
			printf("# BLKZEROOUT: %m\n");
		if (run >= 0)
			counts[run] = get_number("/sys/module/blk_lib/parameters/zeroout_cycles");
	}
	qsort(counts, RUNS, sizeof(*counts), by_size);
	printf("RESULT %s ", line);
	printf("%s ", get(queue(device, "max_sectors_kb")));
	printf("%s ", get(queue(device, "max_segments")));
	printf("%s ", get(queue(device, "max_segment_size")));
	printf("%lu %lu %s\n", counts[RUNS / 2], counts[RUNS - 1] - counts[0], strcmp(device, "vda") ? "-" : get(COUNTED));
}

int main(void)
{
	char line[256], device[32], path[64], order[16], kb[16];
	unsigned long long length;
	FILE *jobs;
	int fd;

	mount_all();
	put("/sys/module/null_blk/parameters/max_segments", "128");
	put("/sys/module/null_blk/parameters/max_segment_size", "4294967295");
	make_null_blk(8192, 0);
	fd = open("/dev/nullb0", O_RDWR);
	make_loop(fd);
	make_dm(1ULL << 31);
	close(fd);
	put("/sys/module/blk_lib/parameters/zero_pages_only", "1");
	jobs = fopen("/jobs", "r");
	while (jobs && fgets(line, sizeof(line), jobs)) {
		line[strcspn(line, "\n")] = 0;
		if (sscanf(line, "%31s %15s %15s %llu", device, kb, order, &length) != 4)
			continue;
		snprintf(path, sizeof(path), "/dev/%s", device);
		fd = open(path, O_RDWR);
		if (fd < 0) {
			printf("# %s: %m\n", path);
			continue;
		}
		/* A stack takes its limits when it is made: what is below is cut no smaller than what is above. */
		put(queue(device, "max_sectors_kb"), kb);
		put("/sys/module/blk_lib/parameters/zero_order", order);
		count(line, device, fd, length);
		close(fd);
	}
	sync();
	reboot(RB_AUTOBOOT);
	return 0;
}
