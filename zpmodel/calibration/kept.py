"""What is worked out from a data set, kept for whoever asks the same of the same set again, wherever it lies then."""

import hashlib
from collections.abc import Callable
from dataclasses import fields, replace
from typing import TypeVar

from zpmodel.base.results import kept_result
from zpmodel.datasets.schema import WRITES, DataSet

_Result = TypeVar("_Result")


def kept_of(data: DataSet, what: str, make: Callable[[], _Result]) -> _Result:
    """What ``make`` works out from the data set, or what it did before (:mod:`zpmodel.base.results`).

    :param what: what that is, with all of its parameters.
    :param make: what it returns may be another's then, of the same content: its names are the caller's to put right.
    """
    if not type(data.device).__module__.startswith("zpmodel."):
        return make()  # somebody's own kind of device, whose source may change
    return kept_result(f"{what} {digest_of(data)}", make)


def digest_of(data: DataSet) -> str:
    """SHA-256 over all that a data set says, but for what it is called and where it lies; its types and columns are the
    schema's, whatever it was read from."""
    total, nameless = hashlib.sha256(), replace(data, name="", limits=replace(data.limits, source=""))
    for one in fields(nameless):
        if one.name != "writes":
            total.update(f"{one.name} {getattr(nameless, one.name)!r}\0".encode(errors="surrogatepass"))
    for column in WRITES:
        values = data.writes[column.name].to_numpy()
        total.update(repr(values.tolist()).encode() if values.dtype == object else values.tobytes())
    return total.hexdigest()
