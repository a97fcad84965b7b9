"""A report for each of many data sets, pages of all of them beside each other, then the overview."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from zpmodel.base.errors import InputError
from zpmodel.base.estimate import RESAMPLES
from zpmodel.report import pages
from zpmodel.report.batch import overview, summary
from zpmodel.report.batch.sets import Chosen, find_sets
from zpmodel.report.fingerprint import package_digest
from zpmodel.report.folder import claimed
from zpmodel.report.run import Order, run_all
from zpmodel.report.site import Plan, Report, checked, default_workers

_FOLDERS = ("sets", "charts", "data", "assets")
_SUMMARY = "summary"
_LENGTH = "1GiB"


def page_names() -> list[str]:
    """The pages that are made of a data set; the others are the same for all, and no part of a batch by default."""
    return [page.name for page in pages.load().page if "data_set" in page.needs]


def make_batch(
    given: Sequence[Path],
    out: Path,
    parameters: Mapping[str, Any],
    names: Sequence[str] | None = None,
    tell: Callable[[str], None] = lambda text: None,
    workers: int | None = None,
    timeout_s: float | None = None,
) -> Report:
    """Make a report of each data set and one overview; only pages whose inputs changed are run.

    A data set that is none, and a page that fails, is kept with its error, and the others go on.

    :param given: as :func:`zpmodel.report.batch.sets.find_sets` takes them.
    :param out: folder of the batch: new, empty, or a batch's.
    :param parameters: values for the notebooks of all data sets; a table's own count before these.
    :param names: which pages; those that are made of a data set by default.
    :param workers: pages at the same time, of whichever data set; by default as many as CPUs, up to 4.
    :raises InputError: on an unknown notebook or parameter, where nothing is a data set, on a folder that is no batch.
    :raises RefusedError: while another report is made into one of the folders.
    """
    chosen_names = list(names or page_names())
    for name in chosen_names:
        if "data_set" not in pages.find(name).parameters:
            raise InputError("batch", "notebook", name, f"one that is made of a data set: {', '.join(page_names())}")
    known = {name for page in chosen_names for name in pages.find(page).parameters} - {"data_set"}
    sets, out = find_sets(given, known), out.absolute()
    checked(chosen_names, parameters)
    with ExitStack() as held:
        held.enter_context(claimed(out, _FOLDERS))
        plans: dict[str, Plan] = {}
        orders: list[Order] = []
        for each in (each for each in sets if not each.error):
            folder = out / "sets" / each.name
            held.enter_context(claimed(folder))
            plan, summing = _plan(each, folder, chosen_names, parameters, tell, timeout_s)
            plans[each.name] = plan
            orders += [*plan.orders, *summing]
        errors = _run(plans, orders, workers or default_workers(), tell)
        reports = {name: plan.finish() for name, plan in plans.items()}
        failed = {each.name: each.error for each in sets if each.error}
        failed |= {f"{name}/{page}": why for name, made in reports.items() for page, why in made.failed.items()}
        failed |= {f"{name}/{_SUMMARY}": why for name, why in errors.items()}
        index = overview.write(out, sets, failed)
    ran = [f"{Path(order.document['out']).name}/{order.name}" for order in orders]
    return Report(index, failed, ran)


def _plan(
    each: Chosen,
    folder: Path,
    names: Sequence[str],
    parameters: Mapping[str, Any],
    tell: Callable[[str], None],
    timeout_s: float | None,
) -> tuple[Plan, list[Order]]:
    """One set's report, and the order of its summary where that is due."""
    pages_of_set, own = checked(names, {**parameters, **each.parameters, "data_set": str(each.path)})
    plan = Plan.of(folder, pages_of_set, own, lambda text: tell(f"{each.name}/{text}"), timeout_s)
    document = {
        "data_set": str(each.path),
        "length": own.get("length", _LENGTH),
        "resamples": own.get("resamples", RESAMPLES),
        "digest": plan.digest,
        "package": package_digest(),
    }
    text = json.dumps(document, sort_keys=True).encode()
    document |= {"out": str(folder), "fingerprint": hashlib.sha256(text).hexdigest()}
    if (overview.read(folder) or {}).get("fingerprint") == document["fingerprint"]:
        return plan, []
    (folder / summary.FILE).unlink(missing_ok=True)
    limit = timeout_s or pages.load().timeout_s
    return plan, [Order(_SUMMARY, document, limit, module="zpmodel.report.batch.summary")]


def _run(
    plans: Mapping[str, Plan], orders: Sequence[Order], workers: int, tell: Callable[[str], None]
) -> dict[str, str]:
    """Run all orders; returns what kept a set from being summarised, by its name."""
    errors: dict[str, str] = {}

    def done(order: Order, error: str, seconds: float) -> None:
        name = Path(order.document["out"]).name
        if order.name != _SUMMARY:
            plans[name].done(order, error, seconds)
            return
        if error:
            errors[name] = error
        tell(f"{name}/{_SUMMARY}: {'FAILED, ' + error if error else 'done'}, {seconds:.0f} s")

    run_all(orders, workers, done)
    return errors
