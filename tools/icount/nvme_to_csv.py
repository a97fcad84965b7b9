"""Turn the NVMe guest's output into rows: ``python nvme_to_csv.py KERNEL IOMMU SGL MDTS < output >> table.csv``.

Sums are of calls that hold each other (interrupt: unmap; queue: prepare); the inner ones, and what counting them
itself costs, are taken off: ``submit_instructions`` and ``complete_instructions`` are a request's share of the rest.
"""

import sys

COUNTING = 30  # instructions of local_irq_save, two readings of the TSC and their sums, around an inner part

kernel, iommu, sgl, mdts = sys.argv[1:]
for line in sys.stdin:
    if not line.startswith("RESULT "):
        continue
    _, kib, order, length, real_kib, _, counted = line.split()
    prepare, requests, unmap, unmaps, queue, _, irq, _ = (int(value) for value in counted.split(","))
    if int(kib) != int(real_kib) or not requests:
        continue
    if requests != unmaps:
        raise SystemExit(f"{line}: prepared {requests}, unmapped {unmaps}")
    submit = (queue - prepare) / requests - COUNTING
    complete = (irq - unmap) / requests - COUNTING
    parts = (prepare / requests, unmap / requests, submit, complete)
    row = (kernel, iommu, sgl, mdts, 4096 << int(order), kib, length, requests, *(f"{part:.1f}" for part in parts))
    print(*row, sep=",")
