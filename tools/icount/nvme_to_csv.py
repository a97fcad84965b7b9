"""Turn the NVMe guest's output into rows: ``python nvme_to_csv.py KERNEL IOMMU SGL MDTS < output >> table.csv``.

Sums are of calls that hold each other (interrupt: unmap; queue: prepare); the inner ones, and what counting them
itself costs, are taken off: ``submit_instructions`` and ``complete_instructions`` are a request's share of the rest.
The last columns, of the whole call: the most requests in flight at once, I/O virtual addresses from the allocator's
tree and, from a kernel that counts them, slabs of scatterlists made, such objects freed by the slow path, and slabs
given back. ``--header`` prints their names.
"""

import sys

COUNTING = 30  # instructions of local_irq_save, two readings of the TSC and their sums, around an inner part
HEADER = (
    "kernel,iommu,sgl,mdts,zero_page_bytes,max_sectors_kb,length_bytes,requests,prepare_instructions,unmap_instructions,"
    "submit_instructions,complete_instructions,most_in_flight,tree_allocations"
)

if sys.argv[1] == "--header":
    raise SystemExit(print(HEADER + ",slabs_made,slow_frees,slabs_emptied" * (sys.argv[2:] == ["slabs"])))
kernel, iommu, sgl, mdts = sys.argv[1:]
for line in sys.stdin:
    if not line.startswith("RESULT "):
        continue
    _, kib, order, length, real_kib, _, counted = line.split()
    prepare, requests, unmap, unmaps, queue, _, irq, _, most, tree, *slabs = (
        int(value) for value in counted.split(",")
    )
    if int(kib) != int(real_kib) or not requests:
        continue
    if requests != unmaps:  # a call whose counters were not set back in time
        print(f"left out, prepared {requests}, unmapped {unmaps}: {line}", end="", file=sys.stderr)
        continue
    submit = (queue - prepare) / requests - COUNTING
    complete = (irq - unmap) / requests - COUNTING
    parts = (f"{part:.1f}" for part in (prepare / requests, unmap / requests, submit, complete))
    # As the kernel counts slabs: made, given back, slow frees.
    events = (most, tree, slabs[0], slabs[2], slabs[1]) if slabs else (most, tree)
    print(kernel, iommu, sgl, mdts, 4096 << int(order), kib, length, requests, *parts, *events, sep=",")
