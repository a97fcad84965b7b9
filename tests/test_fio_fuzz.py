"""Mutated real files: whatever stands in a file, only the package's own exception leaves the reader."""

import json
import pickle
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zpmodel.base.errors import InputError
from zpmodel.fio import text
from zpmodel.fio.read import read_text

FIXTURES = Path(__file__).parent / "fixtures" / "fio"
FILES = [path for path in sorted(FIXTURES.glob("*/*")) if path.suffix in (".json", ".txt")]
SOURCES = [raw for path in FILES if len(raw := path.read_bytes()) < 13_000]


def parsed(raw: bytes) -> dict | None:
    """The document of a file that is one, and nothing else."""
    try:
        return json.loads(raw) if raw.startswith(b"{") and raw.isascii() else None
    except ValueError:
        return None


PARSED = [whole for raw in SOURCES if (whole := parsed(raw)) is not None]
PICKLED = [pickle.dumps(whole) for whole in PARSED]  # copied sooner than by any other way
# Neither negative nor infinite, whatever stands in a file.
COUNTED = [
    *("block_bytes", "mean_io_bytes", "depth", "numjobs", "jobs", "total_depth", "runtime_s", "job_runtime_s", "ios"),
    *("bytes", "iops", "bytes_per_s", "slat_mean_ns", "clat_mean_ns", "lat_mean_ns", "p50_ns", "p999_ns"),
    *("user_cpu_share", "system_cpu_share", "cpu_s_per_io", "little"),
]
IN_PARTS = pytest.mark.parametrize("part", range(5))  # a part's examples are its own: hypothesis draws them anew
FREE = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}

ODD_TEXT = [
    *(b"", b"{", b"}", b"[", b"]", b'"', b",", b":", b"\\", b"\\u", b"\0", b"\xff", b"\n", b"\xef\xbb\xbf"),
    *(b"nan", b"-inf", b"NaN", b"1e999", b"-1", b"null", b"true", b"9" * 400, b"[" * 2000, b'{"a":' * 1500),
    *(b"fio: oops\n", b'{"fio version" : "fio-9"'),
]
ODD_VALUES = [
    *(None, True, False, 0, -1, 1, 10**30, 10**400, 1e308, 5e-324, float("nan"), float("inf"), -0.0),
    *("", "x", "4k", "0", "-1", "%", ",", ":", "4k,", "/", "4k/50:8k/50", "1e9", "9" * 20, "0x", "0xfg"),
    *([], {}, [[]], [{}], {"": ""}, {"1": 1}),
]

cut = st.tuples(st.just("cut"), st.floats(0, 1), st.floats(0, 0.3), st.sampled_from(ODD_TEXT))
flip = st.tuples(st.just("flip"), st.floats(0, 1), st.integers(0, 255), st.just(b""))
copy = st.tuples(st.just("copy"), st.floats(0, 1), st.floats(0, 1), st.just(b""))
truncate = st.tuples(st.just("truncate"), st.floats(0, 1), st.just(0), st.just(b""))


def tried(raw: bytes) -> None:
    """Read; any exception but the package's own fails the test."""
    message = ""
    try:
        jobs = read_text(text.decode(raw, "fuzz"), "fuzz").jobs
        assert len(jobs) > 0
        counted = np.array([jobs[name].to_numpy(float) for name in COUNTED])
        assert not ((counted < 0) | (counted == np.inf)).any()
    except InputError as error:
        message = str(error)
    assert "\n" not in message


def mutated(raw: bytes, changes: list[tuple[str, float, float, bytes]]) -> bytes:
    for kind, where, amount, inserted in changes:
        place = int(where * len(raw))
        if kind == "cut":
            raw = raw[:place] + inserted + raw[place + int(amount**3 * len(raw)) :]
        elif kind == "flip":
            raw = raw[:place] + bytes([int(amount)]) + raw[place + 1 :]
        elif kind == "copy":
            raw = raw[:place] + raw[int(amount * len(raw)) :]
        else:
            raw = raw[:place]
    return raw


@pytest.mark.slow
@IN_PARTS
@settings(max_examples=500, **FREE)
@given(source=st.sampled_from(SOURCES), changes=st.lists(st.one_of(cut, flip, copy, truncate), min_size=1, max_size=4))
def test_mutated_bytes(part: int, source: bytes, changes: list[tuple[str, float, float, bytes]]) -> None:
    tried(mutated(source, changes))


def places(value: object, path: tuple = ()) -> list[tuple]:
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += places(item, (*path, key))
    return found


PLACES = [places(whole) for whole in PARSED]


@pytest.mark.slow
@IN_PARTS
@settings(max_examples=400, **FREE)
@given(
    index=st.integers(0, len(PARSED) - 1),
    changes=st.lists(
        st.tuples(st.floats(0, 0.999), st.one_of(st.just("delete"), st.sampled_from(ODD_VALUES))),
        min_size=1,
        max_size=4,
    ),
    times=st.integers(1, 2),
)
def test_mutated_values(part: int, index: int, changes: list[tuple[float, object]], times: int) -> None:
    whole = pickle.loads(PICKLED[index])
    for where, value in changes:
        *path, last = PLACES[index][int(where * len(PLACES[index]))]
        holder = whole
        try:
            for key in path:
                holder = holder[key]
            if value == "delete":
                del holder[last]
            else:
                holder[last] = deepcopy(value)  # a later change may reach into it
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took the place away
    tried((json.dumps(whole, indent=2) * times).encode())


OPTIONS = [
    *("bs", "blocksize", "bsrange", "bssplit", "bs_is_seq_rand", "kb_base", "iodepth", "numjobs", "group_reporting"),
    *("rw", "readwrite", "ioengine", "io_submit_mode", "mem", "fixedbufs", "direct", "buffered", "rate", "filename"),
]
OPTION_TEXT = st.text(alphabet="0123456789abkmgix,:/-%.", max_size=12)


@pytest.mark.slow
@IN_PARTS
@settings(max_examples=100, **FREE)
@given(
    options=st.dictionaries(st.sampled_from(OPTIONS), st.one_of(st.sampled_from(ODD_VALUES), OPTION_TEXT), max_size=6)
)
def test_odd_options(part: int, options: dict[str, object]) -> None:
    whole = pickle.loads(PICKLED[0])
    whole["jobs" if "jobs" in whole else "client_stats"][0]["job options"] = options
    tried(json.dumps(whole).encode())
