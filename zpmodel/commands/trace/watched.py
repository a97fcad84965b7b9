"""Counting what others write to a device."""

from zpmodel.commands.output import emit_json, say
from zpmodel.commands.trace.asked import Asked
from zpmodel.commands.trace.shown import show


def watch(asked: Asked) -> int:
    """Look at a device for some seconds, writing nothing; return the exit status."""
    import time

    from zpmodel.base.errors import InputError
    from zpmodel.host.safety import kind_of
    from zpmodel.tracing.observed import observe
    from zpmodel.tracing.tracefs import recorder

    assert asked.device is not None
    assert asked.watch is not None
    if kind_of(asked.device) != "device":
        raise InputError("--device", "path", str(asked.device), "a block device")
    number = asked.device.stat().st_rdev
    # A busy NVMe device does a million I/Os a second at most; here 200,000 events a CPU fit, and losing one is told.
    with recorder(number, events=200_000) as made, made.record() as events:
        time.sleep(asked.watch)
    seen = observe(events)
    if asked.as_json:
        emit_json(vars(seen))
    else:
        say(f"writes to {asked.device} in {asked.watch:g} s")
        show(seen, None)
    return 0
