/* What process 1 of every instruction-counting guest has: files of sysfs and configfs, and the middle of a few counts. */
#ifndef GUEST_H
#define GUEST_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static inline void put(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		printf("# %s: cannot write %s: %m\n", path, value);
	if (fd >= 0)
		close(fd);
}

static inline void put_number(const char *path, unsigned long value)
{
	char text[32];

	snprintf(text, sizeof(text), "%lu", value);
	put(path, text);
}

/* A file's text without its last newline; it stays until eight more were read. */
static inline const char *get(const char *path)
{
	static char texts[8][256];
	static int turn;
	char *text = texts[turn++ % 8];
	int fd = open(path, O_RDONLY), got = fd < 0 ? -1 : read(fd, text, 255);

	text[got > 0 ? got - 1 : 0] = 0;
	if (fd >= 0)
		close(fd);
	return text;
}

static inline unsigned long get_number(const char *path)
{
	return strtoul(get(path), NULL, 10);
}

static inline int by_size(const void *a, const void *b)
{
	unsigned long x = *(const unsigned long *)a, y = *(const unsigned long *)b;

	return (x > y) - (x < y);
}

static inline void mount_all(void)
{
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	mount("configfs", "/config", "configfs", 0, NULL);
	setvbuf(stdout, NULL, _IOLBF, 0);
}

/* /dev/nullb0, which moves no data: of so many sectors a request, with segments of any size where it has a virt boundary. */
static inline void make_null_blk(unsigned long max_sectors, int virt_boundary)
{
	if (mkdir("/config/nullb/nullb0", 0755))
		printf("# mkdir: %m\n");
	put("/config/nullb/nullb0/size", "1048576");
	put("/config/nullb/nullb0/blocksize", "512");
	put("/config/nullb/nullb0/queue_mode", "2");
	put("/config/nullb/nullb0/irqmode", "0");
	put("/config/nullb/nullb0/memory_backed", "0");
	put_number("/config/nullb/nullb0/virt_boundary", virt_boundary);
	put_number("/config/nullb/nullb0/max_sectors", max_sectors);
	put("/config/nullb/nullb0/power", "1");
}

#endif
