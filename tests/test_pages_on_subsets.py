"""Every page is made from any subset of a real set, and says what can't be known from it."""

import json

import cut_sets
import pytest
from golden import inputs, pages

from zpmodel.base import shipped

PAGES = ("compare", "zeroing")


def subset(folder, keep, damage=None):
    """The shipped set cut down to the points whose names ``keep`` takes; one answer cut short by ``damage``."""
    source = shipped.data("fio", shipped.DEFAULT_DATA_SET)
    for kind in ("points", "usage"):
        (folder / kind).mkdir(parents=True)
    (folder / "machine.toml").write_text((source / "machine.toml").read_text())
    names = [path.stem for path in sorted((source / "points").glob("*.json")) if keep(path.stem)]
    for name in names:
        for kind in ("points", "usage"):
            (folder / kind / f"{name}.json").write_text((source / kind / f"{name}.json").read_text())
    if damage is not None:
        damage(folder, [name for name in names if name.startswith("write")])
    return folder


def cut_short(folder, names):
    path = folder / "points" / f"{names[0]}.json"
    path.write_text(path.read_text()[:1000])


def without_usage(folder, names):
    (folder / "usage" / f"{names[0]}.json").unlink()


def no_cpu_told(folder, names):
    """As fio says it where a short run took less than its clock's tick: nothing."""
    path = folder / "points" / f"{names[0]}.json"
    text = path.read_text()
    document = json.loads(text[text.index("{") :])
    document["jobs"][0] |= {"usr_cpu": 0.0, "sys_cpu": 0.0}
    path.write_text(json.dumps(document))


def early(name):
    return name.endswith(("r01", "r02"))


SUBSETS = {
    "malloc only": (lambda n: "malloc" in n and early(n), None),
    "mmaphuge only": (lambda n: "mmaphuge" in n and early(n), None),
    "one depth": (lambda n: ("-qd1-" in n or n.startswith("zero")) and early(n), None),
    "one block size": (lambda n: "bs1048576-" in n and early(n), None),
    "one replicate": (lambda n: n.endswith("r01"), None),
    "twelve points": (lambda n: n.startswith("write-bs1048576-qd") and n.endswith(("r01",)), None),
    "without the sweep of /dev/zero": (lambda n: n.startswith("write") and early(n), None),
    "a point cut short": (early, cut_short),
    "a point without usage": (early, without_usage),
    "a CPU reading of zero": (early, no_cpu_told),
    "on no block device": (early, lambda folder, names: cut_sets.without_queue(folder)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SUBSETS)
def test_every_page_is_made(name, tmp_path):
    keep, damage = SUBSETS[name]
    data = subset(tmp_path / "set", keep, damage)
    out = tmp_path / "report"
    for folder in ("notebooks", "parts", "data", "charts", "assets"):
        (out / folder).mkdir(parents=True)
    given = {"data_set": str(data), "length": "1GiB", "resamples": inputs.RESAMPLES}
    for page in PAGES:
        pages._run(page, given, out)
        part = pages.read_part(out, page)
        assert part["status"] == "ok", part["error"]
    text = pages.read_part(out, "compare")["body"]
    if name in ("malloc only", "mmaphuge only", "on no block device"):
        assert "can&#39;t be known from these data" in text or "can't be known from these data" in text
        assert "No gain" not in text
