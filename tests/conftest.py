"""Settings for all tests."""

from hypothesis import settings

# The first call of a kernel compiles it, which no deadline of an example can know.
settings.register_profile("zpmodel", deadline=None)
settings.load_profile("zpmodel")
