"""Which kernel threads' CPU time is an I/O's: what `measure` reads is that of all of them.

A thread with a name of its own does one thing. A worker does what is queued, and is named after what it did last.
"""

from collections.abc import Mapping

_MEMORY = ("kdamond", "khugepaged", "kcompactd", "kswapd", "ksmd")
"""Memory management's own threads: they run on a timer or when memory is short, never for a direct write."""


def seconds_of_io(spent: Mapping[str, float]) -> float:
    """CPU time of all but memory management's threads [s].

    :param spent: CPU time by a thread's name [s], as ``kernel_thread_seconds`` of a usage file.
    """
    return sum(seconds for name, seconds in spent.items() if not name.startswith(_MEMORY))


def seconds_of_teardown(spent: Mapping[str, float]) -> float:
    """CPU time of unbound workers that last took an io_uring down (``io_ring_exit_work``) [s].

    fio's buffers are unpinned there, 2 to 16 ms a run however many I/Os it did. That is all they did where nothing
    else of the I/O is queued to unbound workers, as a loop device's copying is.
    """
    return sum(seconds for name, seconds in spent.items() if name.startswith("kworker/u") and name.endswith("iou_exit"))
