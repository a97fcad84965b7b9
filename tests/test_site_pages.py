"""The site's pages: in a browser without a network every chart is drawn and no stranger's script runs."""

import json
import re

import pytest
import tiny_report
from browsing import opened

from zpmodel.base import shipped
from zpmodel.report import escape
from zpmodel.report import site as reports
from zpmodel.report.describe import describe

EVIL = 'CPU <script>window.stolen = 2</script><img src=x onerror="window.stolen=3"> [a](javascript:alert(1)) **b** `c`'
SHOWN = """
import tomllib
from pathlib import Path
from IPython.display import HTML, Javascript, Markdown, display
from zpmodel.report.escape import to_markdown
model = tomllib.loads((Path(data_set) / "machine.toml").read_text())["cpu"]["model"]
display(Markdown("escaped: " + to_markdown(model)))
display(Markdown("raw: " + model), HTML(model), HTML("<table><tr><td>" + model + "</td></tr></table>"))
display(Javascript("window.stolen = 4"))
print(model, "\\x1b[31mred\\x1b[0m")
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder, mine = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("set-<b>x")
    (mine / "machine.toml").write_text(f"[cpu]\nmodel = '''{EVIL}'''\n")
    notebooks, given = folder / "notebooks", 'data_set: str = ""  # folder'
    tiny_report.write(notebooks, "compare", tiny_report.CHART, tiny_report.TABLE)
    tiny_report.write(notebooks, "zeroing", SHOWN, parameters=given)
    tiny_report.write(notebooks, "validate", SHOWN, "raise ValueError(model)", parameters=given)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shipped, "notebooks", lambda: notebooks)
        reports.make_report(folder / "out", {"data_set": str(mine)}, ["compare", "zeroing", "validate"])
    return folder / "out"


@pytest.mark.parametrize("width", [1280, 400])
def test_every_chart_is_drawn_without_a_network(site, browser, width):
    page, wrong = opened(browser, site / "compare.html", viewport={"width": width, "height": 900})
    page.wait_for_function("document.documentElement.dataset.drawn === 'yes'")
    assert wrong == []
    assert len(page.query_selector_all("figure.chart")) == len(page.query_selector_all("figure.drawn svg")) == 1
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    label = page.get_attribute("figure.chart [role=img]", "aria-label")
    assert label == "Rate by block. Rate [1/s] from 1 to 16, against block [KiB] from 1 to 4. Series: a, b."
    page.hover("figure.chart .mark-symbol.role-mark path >> nth=0", force=True)
    page.wait_for_selector("#vg-tooltip-element.visible")
    assert "1" in page.inner_text("#vg-tooltip-element")
    # A click in the legend fades the other series.
    before = page.inner_html("figure.chart svg")
    page.click("figure.chart .role-legend-symbol path >> nth=0", force=True)
    page.wait_for_timeout(300)
    assert page.inner_html("figure.chart svg") != before


@pytest.mark.parametrize("name", ["index", "zeroing", "validate", "compare"])
def test_no_strangers_script_runs(site, browser, name):
    page, _ = opened(browser, site / f"{name}.html")
    page.wait_for_timeout(500)
    assert page.evaluate("window.stolen") is None
    assert page.query_selector("img[onerror], main iframe, a[href^='javascript']") is None
    if name in ("zeroing", "validate"):
        assert "<script>window.stolen = 2</script>" in page.inner_text("main")  # it stands there as text


def test_the_policy_alone_stops_a_script_that_got_in(site, browser, tmp_path):
    text = (site / "zeroing.html").read_text()
    assert "<main id=" in text
    broken = tmp_path / "broken.html"
    broken.write_text(text.replace("<main id=", f"{EVIL}<main id="))
    page, wrong = opened(browser, broken)
    page.wait_for_timeout(500)
    assert page.evaluate("window.stolen") is None
    assert any("Content Security Policy" in line for line in wrong)


def test_a_site_names_its_files_and_fetches_nothing(site):
    for path in site.glob("*.html"):
        text = re.sub(r"<script type=.*?</script>", "", path.read_text(), flags=re.DOTALL)
        assert not re.search(r"""(src|href)=["'](https?:)?//""", text)
        for name in re.findall(r'(?:src|href)="([^"#:]+)"', text):
            assert (site / name).is_file(), name
    page = (site / "compare.html").read_text()
    for label in ("Made", "zpmodel", "Parameters", "Data set", "Measured on", "Rendered with"):
        assert f"<dt>{label}</dt>" in page
    assert {path.suffix for path in (site / "charts").iterdir()} == {".svg", ".png"}
    assert "<summary>Table of 30 rows</summary>" in page
    assert "0.3333333333333333" in (site / "data" / "compare-table-1.csv").read_text()
    assert (site / "data" / "compare-chart-1.csv").read_text().startswith("size,rate,kind")
    assert "\x1b" not in (site / "zeroing.html").read_text()


@pytest.mark.parametrize(
    "text", [EVIL, "a_b_c *d* 1. | # -", "x\x1b[2Jy\u202etxt", "&lt;b&gt;", "$x^2$", "![a](b)", "http://a.b"]
)
def test_escaped_text_stands_as_itself(text):
    shown = escape.from_markdown(escape.to_markdown(text))
    inside = re.fullmatch(r"<p>(.*)</p>\n?", shown, re.DOTALL)
    assert inside
    assert "<" not in inside[1]
    import html

    plain = " ".join("".join(c if c.isprintable() and c != "\u202e" else "\ufffd" for c in text).split())
    assert html.unescape(inside[1]) == plain


def test_what_a_chart_shows_is_said():
    rows = [{"x": "4 KiB", "y": 1.0, "k": "a"}, {"x": "2 MiB", "y": 3.0, "k": "b"}]
    mark = {"mark": "bar", "encoding": {"y": {"field": "y", "type": "quantitative", "title": "rate [1/s]"}}}
    spec = {
        "title": {"text": "T", "subtitle": "s"},
        "data": {"name": "d"},
        "datasets": {"d": rows},
        "facet": {"field": "k", "type": "nominal"},
        "spec": {"encoding": {"x": {"field": "x", "type": "nominal"}}, "layer": [mark]},
    }
    assert describe(json.loads(json.dumps(spec))) == (
        "T (s). One panel each: a, b. Rate [1/s] from 1 to 3, against x: 4 KiB, 2 MiB."
    )
