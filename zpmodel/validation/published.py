"""Middles of published series, predicted from their ends."""

from collections.abc import Iterator

from zpmodel.datasets.schema import DataSet
from zpmodel.validation.score import Score
from zpmodel.validation.series import predict_published

TITLE = "Published series, fitted on their ends"


def scores(data: DataSet) -> Iterator[Score]:
    """Middles of published series."""
    for row in predict_published().astype(object).to_dict("records"):
        values = {name: None if row[name] is None or row[name] != row[name] else row[name] for name in row}
        bar, truth = values["bar"], f"{values['series']}: {values['truth']}"
        asked = "interval" if bar is None else f"{bar:.0%}" if bar >= 0.01 else "all but the last"
        measured, predicted, low, high = (values[name] for name in ("measured", "predicted", "low", "high"))
        unit, error, source, inside = str(row["unit"]), values["error"], str(row["source"]), bool(row["inside"])
        yield Score("published", truth, measured, predicted, low, high, unit, error, asked, inside, source)
