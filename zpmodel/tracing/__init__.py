"""What a running kernel did with a range that it zeroed, counted from its own block tracepoints.

`tracefs` records on this machine, `blkparse` and `btt` read what others recorded; all three end in
`observed.Observed`, which `compare` puts beside the model's structure. Segments and vectors are not in any of these
events: only sizes and counts are.
"""
