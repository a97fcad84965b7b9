"""Settings for all tests, and the check that they leave the machine as it was."""

import os
import secrets
from pathlib import Path

import machine_state
import pytest
from hypothesis import settings

# The first call of a kernel compiles it, which no deadline of an example can know.
settings.register_profile("zpmodel", deadline=None)
settings.load_profile("zpmodel")

# Programs that tests start may need what stands beside the tests.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]))


def pytest_sessionstart(session: pytest.Session) -> None:
    """Look at the machine before the first test; with xdist only the process that starts the others looks."""
    if not hasattr(session.config, "workerinput"):
        os.environ[machine_state.MARK] = secrets.token_hex(8)
        session.config.machine_before = machine_state.snapshot()  # type: ignore[attr-defined]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run if something is left."""
    before = getattr(session.config, "machine_before", None)
    if before is None:
        return
    if left := machine_state.differences(before):
        print("\nthe tests did not leave the machine as it was:", *left, sep="\n  ")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
