"""The package's one family of exceptions.

Whatever a user, a file or a machine can cause ends in one of these; the command line prints the message as one line and
exits with status 2. Anything else that escapes is a defect of the package.
"""


class ZpmodelError(Exception):
    """The base of every error that the package raises on purpose."""

    def _render_traceback_(self) -> list[str]:
        """Be one line in a notebook, too: IPython asks for this."""
        return [f"{type(self).__name__}: {self}"]


class InputError(ZpmodelError):
    """A value that can't be accepted: names where it stood, the field, the value and what would be accepted."""

    def __init__(self, where: str, field: str, value: object, accepted: str) -> None:
        shown = value if isinstance(value, str) else repr(value)
        if len(shown) > 80:
            shown = shown[:77] + "..."
        super().__init__(" ".join(f"{where}: {field}: {shown} is not accepted; expected {accepted}".split()))
        self.where, self.field, self.value, self.accepted = where, field, value, accepted


class RefusedError(ZpmodelError):
    """Something that would be unsafe, or is impossible on this machine, and so was not started."""
