"""Settings for all tests, what is skipped and why, who runs beside whom, and that the machine is left as it was."""

import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import depth
import machine_state
import needs
import pytest
from browsing import browser  # noqa: F401 - a fixture
from hypothesis import settings

from zpmodel.report.kernel import spare_imports

spare_imports()

# The first call of a kernel compiles it, which no deadline of an example can know.
settings.register_profile("zpmodel", deadline=None)
settings.load_profile("zpmodel")

# Programs that tests start may need what stands beside the tests.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]))

# Files whose tests take turns, in one process: those that share huge pages and fio's CPUs, and those that look at
# scratch loop devices and traces, which others make.
TURNS = {
    "fio": ("measure", "measure_stopping", "measure_troubles", "hugepages"),
    "scratch": ("tracing", "tracing_kernel", "zeroout", "scratch", "outputs"),
}

# Groups and files that take longest begin first, so that no process is left alone with one at the end.
LONGEST = (
    *("fio", "scratch", "jupyterlab", "batch", "reports", "docs", "sweep", "pages_on_subsets", "golden", "bulk"),
    *("fio_fuzz", "compiled", "doors", "calibration", "structure", "structure_fuzz", "fio_read_large", "fio_crafted"),
    *("nvme_instructions", "growing_costs", "how_to_add", "validate", "subsets", "live", "site_looks", "cli"),
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Processes for ``-n auto``: one more than cores, as one waits for fio, devices or a browser; each takes ten
    seconds to import all tests."""
    return min(8, len(os.sched_getaffinity(0)) + 1)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep each group in one process. (Marks of xdist's own ``loadgroup`` get lost with pytest 9.2 and xdist 3.8.)"""
    from xdist.scheduler import LoadFileScheduling

    class Groups(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _group(Path(nodeid.partition("::")[0]))

    return Groups(config, log)


def pytest_report_header() -> list[str]:
    """Say first what will be skipped, and how to get it."""
    return needs.report()


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses by marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what the machine can't do; the longest first."""
    depth.mark(items)
    for item in items:
        for mark, need in needs.MARKS.items():
            if item.get_closest_marker(mark) and not need.here():
                item.add_marker(pytest.mark.skip(reason=f"needs {need.what}: {need.how}"))
    items.sort(key=lambda item: LONGEST.index(found) if (found := _group(item.path)) in LONGEST else len(LONGEST))


def _group(path: Path) -> str:
    """The group of a file's tests: that of the files they take turns with, or the file's own."""
    name = path.stem.removeprefix("test_")
    return next((group for group, files in TURNS.items() if name in files), name)


@pytest.fixture(scope="session", autouse=True)
def golden_scratch() -> Iterator[None]:
    """Remove what `golden.inputs` made in this process: tests of several files use it."""
    yield
    inputs = sys.modules.get("golden.inputs")
    if inputs is not None and inputs.scratch.cache_info().currsize:
        shutil.rmtree(inputs.scratch())


def pytest_sessionstart(session: pytest.Session) -> None:
    """Look at the machine before the first test; with xdist only the process that starts the others looks."""
    if not hasattr(session.config, "workerinput"):
        os.environ[machine_state.MARK] = secrets.token_hex(8)
        session.config.machine_before = machine_state.snapshot()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run if something is left."""
    before = getattr(session.config, "machine_before", None)
    if before is not None and (left := machine_state.differences(before)):
        print("\nthe tests did not leave the machine as it was:", *left, sep="\n  ")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
