"""Sliders: the table behind them is what compare says, and moving one changes the answer in a page without a kernel."""

import re

import pytest
import tiny_report
from browsing import opened

from zpmodel.base import shipped
from zpmodel.base.units import GIB
from zpmodel.calibration.machine_file import load_machine
from zpmodel.queue.presets import nvme
from zpmodel.report import site as reports
from zpmodel.report.charts import sliders
from zpmodel.study import what_if
from zpmodel.study.compare import compare
from zpmodel.study.scenario import Scenario

# Every setting has numbers of its own, which say which it is.
NOTEBOOK = """
import itertools
import pandas as pd
from zpmodel.report.charts import sliders
from zpmodel.report.charts.theme import setup
from zpmodel.study import what_if
setup("offline")
places = itertools.product(*(range(len(labels)) for labels in sliders.LABELS.values()))
rows = []
for (s, n, m, i), policy in itertools.product(places, ("static", "on-demand")):
    value = 1 + s + n / 10 + m / 100 + i / 1000
    ends = {"": value, "_low": value - 0.5, "_high": value + 0.5, "_says": f"{value:.3f}, {policy}"}
    rows.append({"speed": s, "length": n, "mdts": m, "iommu": i, "speed_gb_s": what_if.SPEEDS_GB_S[s],
                 "policy": policy, **{f"{name}{end}": x for name in ("speedup", "saved") for end, x in ends.items()}})
sliders.what_if(pd.DataFrame(rows), "A title", "a subtitle")
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sliders")
    tiny_report.write(folder / "notebooks", "sweep", NOTEBOOK)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shipped, "notebooks", lambda: folder / "notebooks")
        assert not reports.make_report(folder / "out", {}, ["sweep"]).failed
    return folder / "out"


def moved(page, name, at):
    page.locator(f".controls input[name={name}]").first.evaluate(
        "(slider, at) => { slider.value = at; slider.dispatchEvent(new Event('input', {bubbles: true})) }", str(at)
    )


@pytest.mark.chromium
@pytest.mark.parametrize("width", [1280, 400])
def test_moving_a_slider_changes_the_answer(site, browser, width):
    page, wrong = opened(browser, site / "sweep.html", viewport={"width": width, "height": 900})
    page.wait_for_function("document.documentElement.dataset.drawn === 'yes'")

    def answer():
        page.wait_for_timeout(300)
        return re.findall(r"static: ([\d.]+)", page.text_content("figure.chart svg"))

    assert answer() == ["4.300"] * 2  # what stands first
    moved(page, "speed", 1)
    assert answer() == ["2.300"] * 2
    moved(page, "length", 0)
    moved(page, "mdts", 2)
    assert answer() == ["2.020"] * 2
    page.locator(".controls input[type=radio]").nth(1).check()
    assert answer() == ["2.021"] * 2
    assert "64 KiB a call, MDTS 2 MiB, IOMMU lazy" in page.text_content("figure.chart svg")
    # What a position stands for is shown, and said to who can't see it.
    assert "1 GB/s" in page.inner_text(".controls")
    assert page.get_attribute(".controls input[name=speed]", "aria-valuetext") == "1 GB/s"
    assert wrong == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = browser.new_context(offline=True, bypass_csp=True).new_page()
    page.goto((site / "sweep.html").as_uri())
    page.wait_for_function("document.documentElement.dataset.drawn === 'yes'")
    found = axe.Axe().run(page).response["violations"]
    assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []


@pytest.fixture(scope="module")
def few():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(what_if, "SPEEDS_GB_S", (1.0, 7.0))
        patch.setattr(what_if, "LENGTHS", (2 << 20, GIB))
        return what_if.table("nvme-mailing-list")


def test_the_table_is_what_compare_says(few):
    assert len(few) == 2 * 2 * len(what_if.MDTS) * len(what_if.IOMMUS) * 2
    machine = load_machine("nvme-mailing-list", device="7 GB/s", iommu="lazy")
    _, on_demand, static = compare(Scenario(machine, 2 << 20, limits=nvme(7, translating_iommu=True)))
    mine = few[(few["speed"] == 1) & (few["length"] == 0) & (few["mdts"] == 1) & (few["iommu"] == 1)]
    for item, row in zip((on_demand, static), mine.to_dict("records"), strict=True):
        assert row["policy"] == item.policy
        assert row["speedup"] == pytest.approx(item.speedup.value, rel=1e-3)
        assert row["saved_high"] == pytest.approx(item.cpu_saved_s.high * 1e3 * 512, rel=1e-3)
        assert row["speedup_says"] == str(item.speedup)


def test_what_moves_the_answer(few):
    static = few[few["policy"] == "static"].set_index(["speed", "length", "mdts", "iommu"])["saved"]
    assert static[0, 1, 0, 1] > 1.5 * static[0, 1, 0, 0]  # the IOMMU maps each vector
    assert static[0, 1, 0, 1] == static[0, 1, 2, 1]  # and caps transfers, whatever the drive takes
    speedup = few[few["policy"] == "static"].set_index(["speed", "length", "mdts", "iommu"])["speedup"]
    assert speedup[1, 1, 0, 0] > speedup[0, 1, 0, 0]  # a faster device


def test_the_sentence_is_of_its_setting(few):
    said = what_if.sentence(few, {"speed": 1, "length": 1})
    row = few[(few["speed"] == 1) & (few["length"] == 1) & (few["mdts"] == 0) & (few["iommu"] == 0)]
    assert row[row["policy"] == "static"]["speedup_says"].iloc[0] in said
    assert said.endswith("with the IOMMU lazy.")


def test_each_slider_has_a_label_for_each_position():
    lists = {"speed": what_if.SPEEDS_GB_S, "length": what_if.LENGTHS, "mdts": what_if.MDTS, "iommu": what_if.IOMMUS}
    assert {name: len(labels) for name, labels in sliders.LABELS.items()} == {n: len(v) for n, v in lists.items()}
    assert all(0 <= what_if.DEFAULTS[name] < len(labels) for name, labels in sliders.LABELS.items())
