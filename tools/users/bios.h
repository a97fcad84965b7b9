/* What the kernel's side tells of a bio. */
struct seen {
	unsigned long long sector, page;
	unsigned int bytes, vectors, room, thread;
	char command[16];
};
