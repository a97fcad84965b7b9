"""Constants of the kernel's block layer, each once, with the header or file that has it."""

UINT_MAX = (1 << 32) - 1
"""Most bytes of a bio [byte] (``bi_size`` is an unsigned int), and the default segment boundary mask."""

LARGEST_BLOCK_BYTES = 1 << 31
"""No single read or write is larger [byte]. Source: MAX_RW_COUNT, include/linux/fs.h."""

PAGE_BYTES = 4096
"""PAGE_SIZE of most architectures; the least that a segment limit may be [byte]."""

BIO_MAX_VECS = 256
"""Most vectors of a bio that the kernel allocates itself. Source: include/linux/bio.h."""

BIO_INLINE_VECS = 4
"""Vectors that fit the bio itself; more need a table of their own. Source: block/bio.c."""

PLUG_REQUESTS = 32
"""A plug is flushed when it holds so many. Source: BLK_MAX_REQUEST_COUNT, block/blk.h."""

PLUG_BYTES = 128 * 1024
"""... or when its newest request has so many bytes [byte]. Source: BLK_PLUG_FLUSH_SIZE, block/blk.h."""
