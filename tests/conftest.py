"""Settings for all tests."""

import os
from pathlib import Path

from hypothesis import settings

# The first call of a kernel compiles it, which no deadline of an example can know.
settings.register_profile("zpmodel", deadline=None)
settings.load_profile("zpmodel")

# Programs that tests start may need what stands beside the tests.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]))
