"""Parts of the shipped, measured set as sets of their own: what somebody else's shorter run would have left."""

import re
import shutil

from zpmodel.base import shipped
from zpmodel.datasets.point import Point

SHIPPED = shipped.data("fio", shipped.DEFAULT_DATA_SET)


def names(keep=lambda point: True):
    """Names of the shipped points, by what they are."""
    return [path.stem for path in sorted((SHIPPED / "points").glob("*.json")) if keep(Point.from_id(path.stem))]


def without_queue(folder):
    """Let a set say of its queue what `measure` says where the target is on no block device: nothing."""
    path = folder / "machine.toml"
    text, number = re.subn(r"(?m)^\[limits\]\n(?:[^\[\n].*\n)*", "[limits]\n", path.read_text())
    assert number == 1
    path.unlink()
    path.write_text(text)


def cut(folder, keep=lambda point: True, *, edit=None):
    """A set in `folder` of those shipped points that `keep` wants, real files all; `edit(name, answer, usage)` may
    change their text on the way."""
    for part in ("points", "usage"):
        (folder / part).mkdir(parents=True)
    for name in ("machine.toml", "plan.json"):
        shutil.copy(SHIPPED / name, folder / name)
    for name in names(keep):
        if edit is None:
            for part in ("points", "usage"):
                (folder / part / f"{name}.json").symlink_to(SHIPPED / part / f"{name}.json")
            continue
        texts = edit(name, *((SHIPPED / part / f"{name}.json").read_text() for part in ("points", "usage")))
        for part, text in zip(("points", "usage"), texts, strict=True):
            (folder / part / f"{name}.json").write_text(text)
    return folder
