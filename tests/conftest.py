"""Settings for all tests, and the check that they leave the machine as it was."""

import os
import secrets

import pytest
from hypothesis import settings

from tests import machine_state

# The first call of a kernel compiles it, which no deadline of an example can know.
settings.register_profile("zpmodel", deadline=None)
settings.load_profile("zpmodel")


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
