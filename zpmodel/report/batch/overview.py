"""The batch's first page: all data sets side by side, ranked, with what can't be told apart."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pandas as pd

from zpmodel.base.files import read_bounded, write_atomically
from zpmodel.report import site
from zpmodel.report.batch import summary
from zpmodel.report.batch.sets import Chosen
from zpmodel.report.charts import answers as charts
from zpmodel.report.charts import compare as charts_compare
from zpmodel.report.charts.theme import SERIES, themed
from zpmodel.report.escape import to_html
from zpmodel.report.fragment import PageFiles
from zpmodel.study.apart import quotient, ranked

TITLE = "Data sets side by side"
Summary = dict[str, Any]
_NAMED = 3  # data sets that the headline names one by one


class _Estimate(msgspec.Struct):
    value: float
    low: float
    high: float


class _Gain(msgspec.Struct):
    policy: str
    verdict: str
    speedup: _Estimate | None
    saved: _Estimate | None


class _Ratio(msgspec.Struct):
    block_bytes: Annotated[int, msgspec.Meta(ge=512, le=1 << 40)]
    depth: Annotated[int, msgspec.Meta(ge=1, le=1 << 20)]
    ratio: float
    low: float
    high: float


class _Summary(msgspec.Struct):
    """What a summary has to have."""

    fingerprint: str
    machine: str
    gains: list[_Gain]
    measured: list[_Ratio]


def read(folder: Path) -> Summary | None:
    """A set's summary, where it is whole."""
    try:
        found: Summary = msgspec.json.decode(read_bounded(folder / summary.FILE))
        gains = msgspec.convert(found, _Summary).gains
    except (OSError, ValueError, RecursionError):
        return None
    known = all(gain.speedup is not None or gain.verdict == "unknown" for gain in gains)
    return found if known and [gain.policy for gain in gains].count("static") == 1 else None


def write(out: Path, sets: Sequence[Chosen], failed: Mapping[str, str]) -> Path:
    """Write ``index.html``, its charts and its table.

    :param failed: errors by data set, or data set and page.
    :return: the page's path.
    """
    found = {each.name: got for each in sets if (got := read(out / "sets" / each.name)) is not None}
    ranks = ranking(found)
    page = PageFiles(out, "batch")
    parts = [f"<h1>{TITLE}</h1>", _failures(failed), f"<p>{to_html(headline(found, ranks))}</p>"]
    if names := _shown(found, ranks):
        title, about = "Gain over 4 KiB by data set and policy", "the largest on top, bars are 90 % intervals"
        with themed():
            parts.append(page.chart(charts.gains(_rows(found, names), title, about).to_dict(), ""))
    table = _table(sets, found, ranks, failed)
    parts.append("<h2>Ranked by throughput gained</h2>" + page.table(_markup(table, out), table.to_csv(index=False)))
    parts.append(
        "<p>Two are <em>not to be told apart</em> where the 90 % interval of the quotient of their gains holds 1.</p>"
    )
    if rows := _measured(found, names):
        text, shown = "Measured: throughput of 2 MiB vectors over 4 KiB ones", pd.DataFrame(rows)
        with themed():
            chart = charts_compare.ratios(shown, text, "fio, paired runs; bars are 90 % intervals").to_dict()
        parts.append("<h2>Measured, in one chart</h2>" + page.chart(chart, ""))
    entries = [_entry(each, failed) for each in sets]
    text = site.render(out, charts=page.charts > 0, site=TITLE, pages=entries, page=None, body="\n".join(parts))
    write_atomically(out / "index.html", text)
    return out / "index.html"


def ranking(found: Mapping[str, Summary]) -> list[tuple[str, list[str]]]:
    """Names by the static page's gain, the largest first, each with those that are not to be told from it.

    A set of which it can't be told whether it gains is not ranked.
    """
    gains = {name: _static(each) for name, each in found.items()}
    names = [name for name, gain in gains.items() if gain["verdict"] != "unknown" and gain["speedup"]["low"] > 0]
    order = ranked([summary.estimate(gains[name]["speedup"]) for name in names])
    return [(names[n], [names[m] for m in others]) for n, others in order]


def _shown(found: Mapping[str, Summary], ranks: Sequence[tuple[str, list[str]]]) -> list[str]:
    """Names for the charts: the ranked ones, then those whose interval is known and tells no gain from none."""
    ranked_ones = [name for name, _ in ranks]
    wide = [name for name, each in found.items() if (_static(each)["speedup"] or {"low": 0})["low"] > 0]
    return [*ranked_ones, *(name for name in wide if name not in ranked_ones)]


def headline(found: Mapping[str, Summary], ranks: Sequence[tuple[str, list[str]]]) -> str:
    """The comparison in a sentence."""
    untold = [name for name in found if name not in {name for name, _ in ranks}]
    if not ranks:
        return "No data set says what a larger zero page is worth."
    text = _most(found, ranks)
    return f"{text} Of {', '.join(untold)} it can't be told." if untold else text


def _most(found: Mapping[str, Summary], ranks: Sequence[tuple[str, list[str]]]) -> str:
    first, others = ranks[0]
    gain = summary.estimate(_static(found[first])["speedup"])
    text = f"The most is gained on {first}: {gain.as_ratio()} times as fast from the static page as from ZERO_PAGE"
    if len(ranks) == 1:
        return f"{text}."
    if others:
        many = len(others) == len(ranks) - 1 and len(others) > _NAMED
        named = f"any of the {len(others)} others" if many else ", ".join(others)
        return f"{text}, which is not to be told apart from {named}."
    second = summary.estimate(_static(found[ranks[1][0]])["speedup"])
    return f"{text}, {quotient(gain, second)} times what is gained on the next, {ranks[1][0]}."


def _static(found: Summary) -> dict[str, Any]:
    return next(dict(row) for row in found["gains"] if row["policy"] == "static")


def _rows(found: Mapping[str, Summary], names: Sequence[str]) -> pd.DataFrame:
    rows = []
    for name in names:
        for gain in found[name]["gains"]:
            row = {"device": name, "policy": gain["policy"]}
            for key in ("speedup", "saved"):
                row |= summary.estimate(gain[key]).columns(key)
            rows.append(row)
    return pd.DataFrame(rows)


def _measured(found: Mapping[str, Summary], names: Sequence[str]) -> list[dict[str, Any]]:
    """Measured ratios of the first sets, as many as can be told apart in one chart."""
    return [{**row, "kind": name} for name in names[: len(SERIES)] for row in found[name]["measured"]]


def _table(
    sets: Sequence[Chosen],
    found: Mapping[str, Summary],
    ranks: Sequence[tuple[str, list[str]]],
    failed: Mapping[str, str],
) -> pd.DataFrame:
    """A row a data set: the ranked ones, then those that can't be, then those without a summary."""
    place = {name: number for number, (name, _) in enumerate(ranks, 1)}
    others = dict(ranks)
    rows = []
    for each in sorted(sets, key=lambda each: (place.get(each.name, len(sets) + 1), each.name not in found)):
        row = {"rank": str(place.get(each.name, "-")), "data set": each.name}
        if each.name in found:
            gain = _static(found[each.name])
            row |= {
                "times as fast": summary.estimate(gain["speedup"]).as_ratio(),
                "CPU saved [ms/GiB]": str(summary.estimate(gain["saved"])),
                "verdict": gain["verdict"],
                "not to be told apart from": ", ".join(f"{place[name]}" for name in others.get(each.name, [])) or "-",
                "machine": found[each.name]["machine"],
            }
        wrong = [key for key in failed if key.partition("/")[0] == each.name]
        rows.append({**row, "report": "ok" if not wrong else "FAILED"})
    return pd.DataFrame(rows).fillna("-")


def _markup(table: pd.DataFrame, out: Path) -> str:
    """The table as HTML, each name a link to its report where there is one."""
    shown = table.map(to_html)
    for place, name in enumerate(table["data set"]):
        if (out / "sets" / name / "index.html").is_file():
            shown.loc[place, "data set"] = f'<a href="sets/{to_html(name)}/index.html">{to_html(name)}</a>'
    return str(shown.to_html(index=False, escape=False, border=0))


def _failures(failed: Mapping[str, str]) -> str:
    if not failed:
        return ""
    rows = "".join(f"<li>{to_html(name)}: {to_html(why)}</li>" for name, why in failed.items())
    return f'<div class="failure" role="alert"><strong>Failed, {len(failed)}:</strong><ul>{rows}</ul></div>'


def _entry(each: Chosen, failed: Mapping[str, str]) -> dict[str, Any]:
    bad = any(key.partition("/")[0] == each.name for key in failed)
    made = not each.error
    status = "failed" if bad else "ok"
    return {"href": f"sets/{each.name}/index.html" if made else "#main", "name": each.name, "title": each.name,
            "status": status, "stale": "", "seconds": None}  # fmt: skip
