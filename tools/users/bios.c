/* Print the write bios of a device until stdin ends: ./bios bios.bpf.o DEVICE_NUMBER */
#include <bpf/libbpf.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "bios.h"

static int print(void *nothing, void *data, size_t size)
{
	struct seen *one = data;

	printf("%u %llu %u %u %u %llx %s\n", one->thread, one->sector, one->bytes, one->vectors, one->room, one->page, one->command);
	return 0;
}

int main(int argc, char **argv)
{
	struct bpf_object *object = argc == 3 ? bpf_object__open_file(argv[1], NULL) : NULL;
	struct bpf_map *constants = object ? bpf_object__find_map_by_name(object, ".rodata") : NULL;
	unsigned int device = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
	struct pollfd end = { .fd = 0, .events = POLLIN };
	struct ring_buffer *ring;

	if (!constants || bpf_map__set_initial_value(constants, &device, sizeof(device)) || bpf_object__load(object) ||
	    !bpf_program__attach(bpf_object__find_program_by_name(object, "queued")))
		return 1;
	ring = ring_buffer__new(bpf_object__find_map_fd_by_name(object, "seen"), print, NULL, NULL);
	if (!ring)
		return 1;
	puts("ready");
	fflush(stdout);
	while (!poll(&end, 1, 20))
		ring_buffer__consume(ring);
	ring_buffer__consume(ring);
	return 0;
}
