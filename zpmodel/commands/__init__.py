"""The commands of ``zpmodel``, one file each. They load what they need when they run, so that ``--help`` is quick."""
