"""Print the NVMe guest's job list: max_sectors_kb, order of the zero folio, length (see init-nvme.c)."""

for kib in (4, 8, 12, 16, 32, 64, 128, 256, 512, 1024, 2048):
    for order in (0, 1, 2, 4, 6, 9):
        print(kib, order, 16 << 20)
