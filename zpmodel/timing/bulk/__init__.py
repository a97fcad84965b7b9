"""Best values of many predictions, each of its own queue, device and costs: one compiled pass, no records.

The same model as :mod:`zpmodel.timing.predict` on a fitted CPU, row by row, and PAGE_SIZE beside each; that is the
oracle, and answers what this cannot. Rows are taken in blocks: structure and costs of each, the closed loops of a whole
block together (:mod:`zpmodel.devices.product_form`), then what follows from their rates.
"""
