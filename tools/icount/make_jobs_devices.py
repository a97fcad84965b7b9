"""Print the devices guest's job list (see init-devices.c): ``python make_jobs_devices.py vda|stack``."""

import sys

MIB = 1 << 20

if sys.argv[1:] == ["vda"]:
    sizes, devices, lengths = (4, 8, 16, 32, 64, 128, 256, 512, 1016), ("vda",), (16 * MIB,)
else:
    sizes, devices, lengths = (4, 8, 16, 32, 64, 128, 256, 512, 1024), ("nullb0", "dm-0", "loop0"), (MIB, 16 * MIB)
for device in devices:
    for kib in sizes:
        for order in (0, 1, 4, 6, 9):
            for length in lengths:
                print(device, kib, order, length)
