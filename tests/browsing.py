"""A browser without a network, for tests of pages."""

from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api")
    if not Path("/usr/bin/chromium").exists():
        pytest.skip("no chromium")
    quiet = ["--no-sandbox", "--disable-quic", "--disable-background-networking", "--disable-gpu"]
    with sync_api.sync_playwright() as play:
        chromium = play.chromium.launch(executable_path="/usr/bin/chromium", args=quiet)
        yield chromium
        chromium.close()


def opened(browser, path, **context):
    """A page without a network, and what went wrong on it."""
    page = browser.new_context(offline=True, **context).new_page()
    wrong = []
    page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    page.on("requestfailed", lambda request: wrong.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(path.as_uri())
    page.wait_for_load_state()
    return page, wrong
