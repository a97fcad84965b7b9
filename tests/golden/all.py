"""Every golden output."""

from golden import commands, drawn, pages, words
from golden.case import Case


def cases() -> list[Case]:
    """All of them; names are files below ``expected``."""
    return [*commands.cases(), *words.cases(), *drawn.cases(), *pages.cases()]
