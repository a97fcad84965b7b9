"""The users of zero pages, and fio's own write: what each asks of the block layer."""
