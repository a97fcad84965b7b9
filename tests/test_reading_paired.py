"""The same work from three sources, interleaved: what was measured, what is predicted, and which are bad."""

import pandas as pd
import pytest

from zpmodel.base import shipped
from zpmodel.base.errors import InputError
from zpmodel.memory.reading import paired

FILES = sorted(shipped.data("memory", "epyc-milan").glob("reading-paired-*.csv"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_ratios_of_every_run_are_inside_but_for_two_that_are_known(path) -> None:
    scored = paired.score(pd.read_csv(path), "epyc-milan").set_index(["work", "source"])
    outside = {*scored.index[scored["verdict"] == "OUTSIDE"]}
    assert outside == {("copy to 4 KiB", "virtual"), ("crc by instruction", "static")}
    # No source of 2 MiB gains; a hot copy loses most from it.
    assert (scored["measured"] < 1.01).all()
    assert scored["measured"].idxmin() == ("copy to 4 KiB", "static")
    assert scored["predicted"].idxmin() == ("copy to 4 KiB", "static")


def test_other_cpus_alone_hold_what_this_one_measured() -> None:
    for path in FILES:
        scored = paired.score(pd.read_csv(path), "epyc-milan", ("epyc-milan",))
        assert (scored["verdict"] == "within").all()


def test_three_runs_were_made_and_none_is_cut() -> None:
    assert len(FILES) == 3
    for path in FILES:
        table = pd.read_csv(path)
        assert (table.groupby(["work", "source"]).size() == paired.ROUNDS).all()
        assert table[["work", "source"]].drop_duplicates().shape[0] == 15


def test_a_wrong_prediction_is_told() -> None:
    table = pd.read_csv(FILES[0])
    slow = table["source"] == "static"
    table.loc[slow, "bandwidth_bytes_per_s"] /= 3
    scored = paired.score(table, "epyc-milan")
    assert (scored[scored["source"] == "static"]["verdict"] == "OUTSIDE").all()
    with pytest.raises(InputError, match="columns"):
        paired.score(table.drop(columns="round"), "epyc-milan")
