"""A chart is drawn once: the kernel's picture is the site's SVG, and its PNG is made of that."""

import json
import subprocess
import sys

import altair as alt
import nbformat
import pytest
import vl_convert
from PIL import Image

from zpmodel.report import fragment
from zpmodel.report.outputs import CHART_TYPE, SCHEMA

SPEC = {
    "data": {"values": [{"x": 1}, {"x": 2}]},
    "mark": "point",
    "encoding": {"x": {"field": "x", "type": "quantitative"}},
    "title": "One chart",
}


@pytest.fixture
def out(tmp_path):
    for name in ("notebooks", "parts", "charts", "data"):
        (tmp_path / name).mkdir()
    return tmp_path


def written(out, *outputs):
    cell = nbformat.v4.new_code_cell("chart")
    cell.outputs = [nbformat.v4.new_output("display_data", data=data) for data in outputs]
    blank = nbformat.v4.new_code_cell(" ")
    blank.outputs = [nbformat.v4.new_output("display_data", data={"text/plain": "not shown"})]
    fragment.write(nbformat.v4.new_notebook(cells=[blank, cell]), out=out, name="page", about={})


def test_the_kernels_picture_is_the_sites(out, monkeypatch):
    picture = vl_convert.vegalite_to_svg(SPEC).replace("One chart", "This very picture")
    monkeypatch.setattr(vl_convert, "vegalite_to_svg", lambda spec: pytest.fail("drawn again"))
    monkeypatch.setattr(vl_convert, "vegalite_to_png", lambda spec, **_: pytest.fail("drawn again"))
    written(out, {CHART_TYPE: SPEC, "image/svg+xml": picture})
    assert (out / "charts" / "page-1.svg").read_text() == picture
    assert "This very picture" not in (out / "notebooks" / "page.ipynb").read_text()
    with Image.open(out / "charts" / "page-1.png") as png:
        assert png.mode == "P"
        assert png.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
        assert png.width > 250


def test_a_chart_without_a_picture_is_drawn_here(out):
    written(out, {CHART_TYPE: SPEC}, {CHART_TYPE: SPEC, "image/svg+xml": vl_convert.vegalite_to_svg(SPEC)})
    for number in (1, 2):
        assert "One chart" in (out / "charts" / f"page-{number}.svg").read_text()


def test_a_run_notebook_is_compact_and_whole(out):
    written(out, {CHART_TYPE: SPEC})
    text = (out / "notebooks" / "page.ipynb").read_text()
    assert text.count("\n") == 1
    read = nbformat.reads(text, as_version=4)
    assert read.cells[1].outputs[0].data[CHART_TYPE] == json.loads(json.dumps(SPEC))


def test_the_schema_is_altairs_own():
    assert f"/{alt.SCHEMA_VERSION.partition('.')[0]}.json" in SCHEMA


def test_writing_a_page_imports_no_altair():
    code = "import sys, zpmodel.report.fragment; print('altair' in sys.modules or 'pandas' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"


def test_charts_come_without_the_grammar_that_others_may_still_import():
    program = """if True:
        import sys
        from importlib.util import find_spec
        import zpmodel.report.charts.theme
        assert "jsonschema" in sys.modules
        assert "rfc3987_syntax" not in sys.modules
        find_spec("rfc3987_syntax")  # an entry of None would raise
    """
    subprocess.run([sys.executable, "-c", program], check=True)
