"""Tables of the devices guest's output: ``python devices_to_csv.py KERNEL virtio INDIRECT``, or ``KERNEL stack``.

virtio: sums of a whole call over its requests; a request that finds the ring full is prepared and added once more.
stack: as the tables of zero-outs, and the device.
"""

import sys

VIRTIO = (
    "kernel,indirect,zero_page_bytes,max_sectors_kb,max_segments,length_bytes,requests,prepares,adds,detaches,"
    "prepare_instructions,add_instructions,detach_instructions,unmap_instructions"
)
STACK = (
    "kernel,device,zero_page_bytes,max_sectors,max_sectors_kb,max_segments,max_segment_size,length_bytes,instructions,"
    "spread,runs"
)
RUNS = 3

kernel, kind, *indirect = sys.argv[1:]
print(VIRTIO if kind == "virtio" else STACK)
for line in sys.stdin:
    if not line.startswith("RESULT "):
        continue
    _, device, _, order, length, kib, segments, segment_size, count, spread, counted = line.split()
    page = 4096 << int(order)
    if kind == "virtio":
        prepare, prepares, add, adds, detach, detaches, unmap, unmaps = counted.split(",")
        row = (*indirect, page, kib, segments, length, unmaps, prepares, adds, detaches, prepare, add, detach, unmap)
    else:
        row = (device, page, 2 * int(kib), kib, segments, segment_size, length, count, spread, RUNS)
    print(kernel, *row, sep=",")
