"""To which machine and which plan a set's points belong."""

import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import msgspec

from zpmodel.base.files import read_bounded, read_text

_CLOCK_SLACK = timedelta(seconds=5)


class _Plan(msgspec.Struct):
    rounds: list[list[str]] = []
    machine_digest: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}\Z")] | None = None


@dataclass(frozen=True)
class Home:
    """What a folder says of its own points; whatever it does not say is not asked of them.

    :ivar names: the points of ``plan.json``; empty where there is none.
    :ivar machine_digest: of the machine on which the set was begun.
    :ivar sessions: first and last moment of each session of ``machine.toml``.
    """

    names: frozenset[str]
    machine_digest: str | None
    sessions: tuple[tuple[datetime, datetime], ...]

    def why_foreign(self, name: str, started: str | None, machine_digest: str | None) -> str:
        """Say why a point is not one of this set's; nothing where it is.

        :param started: None where nobody noted it, and it is not asked for.
        """
        if self.names and name not in self.names:
            return "it is not in this set's plan.json"
        if machine_digest != self.machine_digest:
            return "it was measured on another machine"
        if self.machine_digest is None and self.sessions and started is not None:
            moment = _moment(started)
            if moment is None or not any(first <= moment <= last for first, last in self.sessions):
                return f"it was measured at {started}, outside this set's sessions: on another machine or another day"
        return ""


def read_home(out: Path) -> Home:
    """Read what ``plan.json`` and ``machine.toml`` say; what is missing or damaged there says nothing."""
    try:
        plan = msgspec.json.decode(read_bounded(out / "plan.json"), type=_Plan)
    except (OSError, ValueError, RecursionError):
        plan = _Plan()
    names = frozenset(name for names in plan.rounds for name in names)
    return Home(names, plan.machine_digest, _sessions(out / "machine.toml"))


def _sessions(path: Path) -> tuple[tuple[datetime, datetime], ...]:
    try:
        sessions = tomllib.loads(read_text(path))["session"]
        found = []
        for session in sessions:
            first = _moment(session["before"]["date"])
            # A session that was killed says nothing of its end.
            last = _moment(session["after"]["date"]) if "after" in session else datetime.max.replace(tzinfo=UTC)
            if first is None or last is None:
                return ()
            found.append((first - _CLOCK_SLACK, last if last.year == 9999 else last + _CLOCK_SLACK))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ()
    return tuple(found)


def _moment(text: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)
