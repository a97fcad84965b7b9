"""In JupyterLab, without a network, each notebook opens, runs and draws."""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from zpmodel.base import shipped
from zpmodel.report import pages
from zpmodel.report.charts import sliders

pytest.importorskip("jupyterlab")
pytestmark = [pytest.mark.slow, pytest.mark.chromium]

# All in the kernel that the first one started: a report gives each its own, which imports for seconds.
OPEN = """async (path) => {
  const kernel = window.kernel ? {id: window.kernel} : undefined;
  const panel = await jupyterapp.commands.execute("docmanager:open", {path, kernel});
  await panel.context.ready;
  await panel.sessionContext.ready;
  await panel.sessionContext.session.kernel.info;
  window.panel = panel;
  window.kernel = panel.sessionContext.session.kernel.id;
}"""
RUN = """() => {
  window.ran = null;
  const done = (said) => { window.ran = String(said) };
  jupyterapp.commands.execute("notebook:run-all-cells").then(() => done("yes"), done);
}"""
# Outputs off the screen are drawn when they come into it.
SCROLLED = """() => {
  const seen = panel.node.querySelector(".jp-WindowedPanel-outer");
  return seen.scrollTop + seen.clientHeight >= seen.scrollHeight - 2;
}"""
DRAWN = "panel.node.querySelectorAll('.jp-RenderedVegaCommon5 canvas, .jp-RenderedVegaCommon5 svg').length"
LOOK_MS = 200
CLOSE = "() => panel.dispose()"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A JupyterLab of its own on a copy of the notebooks; its address."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(shipped.notebooks(), folder / "notebooks")
    homes = {f"JUPYTER_{name}_DIR": str(folder / name) for name in ("CONFIG", "RUNTIME", "DATA")}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"]
    options += ["--IdentityProvider.token=", "--expose-app-in-browser"]
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", *options, str(folder / "notebooks")],
        env={**os.environ, **homes, "IPYTHONDIR": str(folder / "ipython")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 120
    try:
        while True:
            try:
                urllib.request.urlopen(f"{address}/api/status", timeout=5).close()
                break
            except OSError:
                assert server.poll() is None, "JupyterLab did not start"
                assert time.monotonic() < deadline
                time.sleep(0.3)
        yield address
    finally:
        server.send_signal(signal.SIGTERM)  # it ends its kernels first
        try:
            server.wait(60)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


@pytest.fixture(scope="module")
def opened(browser, lab):
    """The lab in a browser, at its index; and what was asked of anywhere else."""
    context, asked = browser.new_context(viewport={"width": 1280, "height": 900}), []

    def only_here(route):
        asked.append(route.request.url)
        route.abort()

    context.route(lambda url: not url.startswith((lab, "data:", "blob:")), only_here)
    page = context.new_page()
    page.set_default_timeout(240_000)
    page.goto(f"{lab}/lab/tree/index.ipynb?reset")
    page.wait_for_selector(".jp-NotebookPanel .jp-Cell")
    yield page, asked
    context.close()


@pytest.mark.parametrize("name", [page.name for page in pages.load().page])
def test_each_notebook_opens_runs_and_draws(opened, name):
    page, asked = opened
    page.evaluate(OPEN, f"{name}.ipynb")
    page.evaluate(RUN)
    # Looked at now and then: at each frame, as by default, costs as much as what is drawn.
    page.wait_for_function("window.ran", polling=LOOK_MS)
    assert page.evaluate("window.ran") == "yes"
    shown = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
    assert shown.locator('[data-mime-type="application/vnd.jupyter.error"]').count() == 0
    if name == "sweep" and importlib.util.find_spec("ipywidgets"):
        choices_say_their_values_and_controls_ask_the_model(page, shown)
    for _ in range(60):
        page.mouse.move(760, 500)
        page.mouse.wheel(0, 1500)
        page.wait_for_timeout(50)
        if page.evaluate(SCROLLED):
            break
    assert page.evaluate(DRAWN) > 0
    assert shown.locator(".jp-RenderedSVG").count() == 0  # pictures where charts should be
    assert asked == []
    page.evaluate(CLOSE)


def choices_say_their_values_and_controls_ask_the_model(page, shown):
    # A chart's own choices: values, no positions.
    offered = shown.locator(".vega-bindings select").first.locator("option").all_inner_texts()
    assert offered == sliders.LABELS["speed"]
    said = shown.locator(".widget-html-content").last
    before = said.inner_text()
    assert "Zeroing 1 GiB is predicted" in before
    handle = shown.locator(".widget-hslider", has_text="A call zeroes").locator(".noUi-handle")
    handle.focus()
    handle.press("ArrowLeft")
    page.wait_for_function(
        "text => [...panel.node.querySelectorAll('.widget-html-content')].at(-1).innerText != text",
        arg=before,
        polling=LOOK_MS,
    )
    assert "Zeroing 512 MiB is predicted" in said.inner_text()


def test_the_index_leads_to_each_notebook(opened):
    page, asked = opened
    page.evaluate(OPEN, "index.ipynb")
    page.wait_for_selector(".jp-RenderedMarkdown >> text=Policies compared")
    assert page.locator(".jp-RenderedMarkdown li a").count() == len(pages.load().page)
    page.click(".jp-RenderedMarkdown a >> text=What if")
    page.wait_for_selector(".jp-RenderedMarkdown h1 >> text=your drive, your ranges", timeout=60_000)
    assert asked == []
