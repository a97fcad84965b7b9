"""``zpmodel validate``: every truth that the project ships, predicted and scored."""

from pathlib import Path

import click

from zpmodel.commands.output import emit_json, emit_table, json_option, say


@click.command("validate")
@click.argument("data_set", required=False, type=click.Path(path_type=Path))
@json_option
def command(data_set: Path | None, as_json: bool) -> None:
    """Score every truth that the project ships, failures included.

    DATA_SET is a folder that zpmodel measure made; its points are left out and predicted. The shipped one by default.

    \b
    zpmodel validate
    zpmodel validate my-machine --json

    A bad prediction is a result: the exit status is 0.
    """
    from zpmodel.base import shipped
    from zpmodel.datasets import read_data_set
    from zpmodel.validation.validate import summary, titles, validate

    scores = validate(read_data_set(data_set or shipped.data("fio", shipped.DEFAULT_DATA_SET)))
    rows = scores.astype(object).where(scores.notna(), None).to_dict("records")
    if as_json:
        emit_json({"within": int(scores["inside"].sum()), "of": len(scores), "truths": rows})
        return
    for family, title in titles().items():
        shown = [row for row in rows if row["family"] == family]
        if not shown:
            continue
        say(f"\n{title}: {summary(scores[scores['family'] == family])}")
        emit_table(
            [
                {
                    "verdict": "within" if row["inside"] else "OUTSIDE",
                    "truth": row["truth"],
                    **{name: row[name] for name in ("measured", "predicted", "low", "high", "unit")},
                    "error": None if row["error"] is None else f"{row['error']:+.1%}",
                    "bar": row["bar"],
                }
                for row in sorted(shown, key=lambda row: row["inside"])
            ]
        )
    say(f"\n{summary(scores)}")
