"""Batch reports: pages that changed through papermill, then one HTML site that opens without a network."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from zpmodel.base import shipped
from zpmodel.base.accelerate import cores
from zpmodel.base.errors import InputError
from zpmodel.base.files import write_atomically
from zpmodel.base.kept import keep, kept_folder
from zpmodel.base.sealed import read_sealed
from zpmodel.report import pages
from zpmodel.report.escape import to_html
from zpmodel.report.fingerprint import fingerprint, folder_digest, package_digest, provenance
from zpmodel.report.folder import claimed
from zpmodel.report.parameters import value_of
from zpmodel.report.part import path_of, read_part, write_part
from zpmodel.report.run import Order, run_all

TITLE = "What a PMD-sized zero page is worth"
_TEMPLATES = Path(__file__).parent / "template"
_BUNDLE, _LARGEST_BUNDLE = "bundle.js", 16 << 20
Part = dict[str, Any]


@dataclass(frozen=True)
class Report:
    """A finished site: its first page, what failed with its error, and what was run this time.

    Both by page; of a batch by data set and page.
    """

    index: Path
    failed: dict[str, str]
    ran: list[str]


def notebook_names() -> list[str]:
    """The pages, in the order of ``pages.toml``."""
    return [page.name for page in pages.load().page]


def make_report(
    out: Path,
    parameters: Mapping[str, Any],
    names: Sequence[str] | None = None,
    tell: Callable[[str], None] = lambda text: None,
    workers: int | None = None,
    timeout_s: float | None = None,
) -> Report:
    """Run notebooks into ``out`` and build the site; a page is run only where what it is made from has changed.

    A page that fails is kept with its error, and the others go on. A page is finished when its fragment is there, so an
    interrupted report goes on where it was.

    :param out: folder for the report: new, empty, or a report's.
    :param parameters: values for the notebooks' parameters; each notebook takes those that it has.
    :param names: which pages; all by default.
    :param tell: told what is being done.
    :param workers: pages at the same time; by default as many as there are CPUs, up to 4.
    :param timeout_s: time after which a page is stopped [s]; by default what ``pages.toml`` says.
    :raises InputError: on an unknown notebook or parameter, on a folder that can't be written or is not a report.
    :raises RefusedError: while another report is made into ``out``.
    :raises OSError: on a full disk; what was finished stays.
    """
    out = out.absolute()
    chosen, given = checked(names, parameters)
    with claimed(out):
        plan = Plan.of(out, chosen, given, tell, timeout_s)
        run_all(plan.orders, workers or default_workers(), plan.done)
        return plan.finish()


@dataclass(frozen=True)
class Plan:
    """What a report has to do in a folder that is claimed: the orders that are due, then its site."""

    out: Path
    chosen: tuple[pages.Page, ...]
    digest: str
    orders: tuple[Order, ...]
    tell: Callable[[str], None]

    @classmethod
    def of(
        cls,
        out: Path,
        chosen: Sequence[pages.Page],
        given: Mapping[str, Any],
        tell: Callable[[str], None],
        timeout_s: float | None = None,
    ) -> "Plan":
        """Find the pages that changed; from here on the old ones of those are not finished."""
        folder = Path(given.get("data_set") or shipped.data("fio", shipped.DEFAULT_DATA_SET)).resolve()
        digest, orders = folder_digest(folder), []
        for page in chosen:
            mine = {key: value for key, value in given.items() if key in page.parameters}
            print_of = fingerprint(page, mine, digest)
            if (
                (old := read_part(out, page.name)) is not None
                and old["fingerprint"] == print_of
                and old["status"] == "ok"
            ):
                tell(f"{page.name}: unchanged")
                continue
            document = {
                "name": page.name,
                "notebook": str(page.notebook.resolve()),
                "parameters": mine,
                "out": str(out),
                "about": _about(page, mine, digest, print_of),
            }
            limit = timeout_s or page.timeout_s or pages.load().timeout_s
            orders.append(Order(page.name, document, limit, weight=page.weight))
            path_of(out, page.name).unlink(missing_ok=True)
        return cls(out, tuple(chosen), digest, tuple(orders), tell)

    def done(self, order: Order, error: str, seconds: float) -> None:
        """Take note of a page that has ended; one that could not write its fragment gets one that says why."""
        name = order.name
        if error:
            about = order.document["about"]
            part = {**about, "name": name, "status": "failed", "error": error, "seconds": round(seconds, 1)}
            text = (
                f'<div class="failure" role="alert"><strong>This page was not finished</strong>: {to_html(error)}</div>'
            )
            part |= {"headline": "", "body": text, "charts": 0, "files": {}}
            write_part(self.out, name, part)
        found = read_part(self.out, name)
        failed = found is None or found["status"] != "ok"
        self.tell(f"{name}: {'FAILED, ' + found['error'] if failed and found else 'done'}, {seconds:.0f} s")

    def finish(self) -> Report:
        """Make the site of all finished pages."""
        parts = [part for name in notebook_names() if (part := read_part(self.out, name)) is not None]
        _write_site(self.out, parts, self.digest)
        ours = {page.name for page in self.chosen}
        failed = {part["name"]: part["error"] for part in parts if part["status"] != "ok" and part["name"] in ours}
        return Report(self.out / "index.html", failed, [order.name for order in self.orders])


def checked(
    names: Sequence[str] | None, parameters: Mapping[str, Any]
) -> tuple[tuple[pages.Page, ...], dict[str, Any]]:
    """The pages that are meant (all by default), and their parameters with the data set's whole path.

    :raises InputError: on an unknown page or parameter, or a value that it can't have.
    """
    chosen = tuple(pages.find(name) for name in dict.fromkeys(names or notebook_names()))
    known = sorted({name for page in chosen for name in page.parameters})
    for name, value in parameters.items():
        if name not in known:
            raise InputError("report", "parameter", name, ", ".join(known))
        value_of(name, value, where="report")
    given = dict(parameters)
    if given.get("data_set"):
        given["data_set"] = str(Path(given["data_set"]).resolve())
    return chosen, given


def default_workers() -> int:
    """As many as there are CPUs for this process, up to 4."""
    return min(4, cores())


def _about(page: pages.Page, parameters: Mapping[str, Any], digest: str, print_of: str) -> Part:
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return {
        "fingerprint": print_of,
        "data": digest if page.needs else "",
        "package": package_digest(),
        "provenance": provenance(page, parameters, digest, made),
    }


def _write_site(out: Path, parts: Sequence[Part], digest: str) -> None:
    entries = [_entry(part, digest) for part in parts]
    for current in [None, *entries]:
        charts = current is None or current["charts"] or "<figure" in current["headline"]
        text = render(out, charts=bool(charts), site=TITLE, pages=entries, page=current)
        write_atomically(out / ("index.html" if current is None else f"{current['name']}.html"), text)
    kept = {f"{entry['name']}.html" for entry in entries}
    for name in notebook_names():
        if f"{name}.html" not in kept:
            (out / f"{name}.html").unlink(missing_ok=True)


def render(out: Path, *, charts: bool, **given: Any) -> str:
    """A page of the site, complete.

    :param charts: whether it has any, and so needs what draws them.
    :param given: what the template takes: ``site pages page``, or ``body``.
    """
    scripts = _scripts(out) if charts else []
    # The nonce is drawn after everything was read: nothing that somebody else wrote can know it.
    return str(_template().render(**given, style=_style(), scripts=scripts, nonce=secrets.token_urlsafe(16)))


@cache
def _template() -> Any:
    from jinja2 import Environment, FileSystemLoader

    return Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=True).get_template("page.html")


@cache
def _style() -> str:
    return (_TEMPLATES / "style.css").read_text(encoding="utf-8")


def _entry(part: Part, digest: str) -> Part:
    """What the template is given of a page."""
    page = pages.find(part["name"])
    stale = []
    if part["data"] not in ("", digest):
        stale.append("another data set than this report's")
    if part["package"] != package_digest():
        stale.append("another version of the program or its data")
    return {
        **part,
        "title": page.title,
        "line": page.line,
        "stale": " and ".join(stale),
        "has_notebook": bool(part["files"]),
    }


def _scripts(out: Path) -> list[str]:
    """Vega in one file for all pages, under a name that changes with it, and what draws charts with it."""
    vega = out / "assets" / f"{_vega_version()}.js"
    if not vega.is_file():
        for old in (out / "assets").glob("vega-*.js"):
            old.unlink()
        write_atomically(vega, _vega())
    draw = out / "assets" / "draw.js"
    write_atomically(draw, (_TEMPLATES / "draw.js").read_text(encoding="utf-8"))
    return [f"assets/{vega.name}", "assets/draw.js"]


def _vega_version() -> str:
    return f"vega-{version('vl-convert-python')}"


@cache
def _vega() -> str:
    """Vega, its compiler and its embedding as one script: half a second of work, the same for all sites."""
    folder = kept_folder(_vega_version())
    with suppress(OSError, UnicodeDecodeError):
        if folder is not None:
            return read_sealed(folder / _BUNDLE, _LARGEST_BUNDLE, mine=True).decode()
    import vl_convert

    made = str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))
    with suppress(OSError):  # a full disk costs time only
        if folder is not None:
            keep(folder / _BUNDLE, made.encode())
    return made
