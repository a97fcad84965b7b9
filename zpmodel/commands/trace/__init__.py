"""``zpmodel trace``: what a kernel's block layer did, against the model."""

from zpmodel.commands.trace.command import command

__all__ = ["command"]
