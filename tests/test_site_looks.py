"""How pages look in a browser: nothing is cut on a telephone or on paper, and axe finds nothing serious."""

import re

import pytest
import tiny_report
from browsing import opened

from zpmodel.base import shipped
from zpmodel.report import site as reports

PANELS = """
import altair as alt
import pandas as pd
from zpmodel.report.charts.theme import setup
from zpmodel.report.charts import compare, validate
setup("offline")
sizes = [4096 << n for n in range(12)]
table = pd.DataFrame([
    {"block_bytes": size, "depth": depth, "memory": memory, "t": 1.0 + size, "t_low": 1.0, "t_high": 2.0 + size}
    for size in sizes for depth in (1, 2, 4, 8) for memory in ("malloc", "mmaphuge")
])
title = "A long title of a chart whose panels stand beside each other where there is room for them"
compare.measured(table, "t", "throughput [GiB/s]", title, "a subtitle that is no shorter than its title, by far")
"""
NAMES = """
from zpmodel.report.charts import validate
truths = pd.DataFrame([
    {"truth": f"{n} MiB from 2 MiB pages, 512 KiB requests, from 128 KiB", "measured": 1.0,
     "predicted": 1.0 + n / 20, "low": 0.8, "high": 1.6, "inside": n < 4, "error": n / 20} for n in range(1, 9)
])
validate.off_by(truths, "Truths with long names")
"""
WIDE = """
pd.DataFrame([{f"quantity_{n} [ms/GiB]": 1234.56789 * 10 ** (n - 5) for n in range(9)} | {"who": "words here"}] * 60)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("looks")
    tiny_report.write(folder / "notebooks", "compare", PANELS, NAMES, WIDE, WIDE.replace("* 60", "* 3"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shipped, "notebooks", lambda: folder / "notebooks")
        assert not reports.make_report(folder / "out", {}, ["compare"]).failed
    return folder / "out"


def drawn(browser, site, **context):
    page, wrong = opened(browser, site / "compare.html", **context)
    page.wait_for_function("document.documentElement.dataset.drawn === 'yes'")
    assert wrong == []
    return page


@pytest.mark.chromium
@pytest.mark.parametrize("width", [1280, 800, 400])
def test_no_chart_is_cut_at_any_width(site, browser, width):
    page = drawn(browser, site, viewport={"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for box in page.query_selector_all(".drawing"):
        assert box.evaluate("box => box.scrollWidth <= box.clientWidth")
        # Letters keep their size, but for a few per cent.
        assert (
            box.evaluate("box => { const s = box.querySelector('svg'); return s.clientWidth / s.width.baseVal.value }")
            > 0.9
        )
    # A title in lines has all its words.
    words = " ".join(page.inner_text("figure.chart >> nth=0").split())
    for word in ("beside each other", "room for them", "by far"):
        assert all(part in words for part in word.split()), word
    names = page.inner_text("figure.chart >> nth=1")
    assert "from 128 KiB" in " ".join(names.split())


@pytest.mark.chromium
def test_in_the_dark_a_chart_is_dark(site, browser):
    for scheme, pattern in (("dark", r"invert\(0.9"), ("light", "none")):
        page = drawn(browser, site, color_scheme=scheme)
        assert re.match(pattern, page.evaluate("getComputedStyle(document.querySelector('.drawing svg')).filter"))
    page.emulate_media(color_scheme="dark", media="print")
    assert page.evaluate("getComputedStyle(document.querySelector('.drawing svg')).filter") == "none"


@pytest.mark.chromium
def test_on_paper_no_column_is_cut_and_long_tables_stay_folded(site, browser):
    page = drawn(browser, site)
    page.set_viewport_size({"width": 718, "height": 1000})  # A4 without its margins
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert [box.evaluate("box => box.open") for box in page.query_selector_all("details:not(.code)")] == [False]
    short = page.query_selector_all(".table")[-1]
    assert short.evaluate("box => box.scrollWidth <= box.clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth") <= 718


def test_tables_have_digits_for_people_and_all_of_them_in_their_files(site):
    page = (site / "compare.html").read_text()
    assert ">1,230<" in page  # 1234.56789
    assert "1234.56789" in (site / "data" / "compare-table-1.csv").read_text()
    assert '<td class="text">words here</td>' in page
    assert '<th class="text">who</th>' in page
    assert '<td class="text">1,230' not in page
    assert 'class="table wide"' in page


@pytest.mark.chromium
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["index", "compare"])
def test_axe_finds_nothing_serious(site, browser, name, scheme, width):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    context = {"color_scheme": scheme, "viewport": {"width": width, "height": 900}}
    page = browser.new_context(offline=True, bypass_csp=True, **context).new_page()
    page.goto((site / f"{name}.html").as_uri())
    page.wait_for_function("document.documentElement.dataset.drawn === 'yes'")
    # What is folded is read too: code wider than a telephone has to be reached by keys.
    page.evaluate("for (const folded of document.querySelectorAll('details')) folded.open = true")
    found = axe.Axe().run(page).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"]) for each in found if each["impact"] in ("serious", "critical")] == []
