"""The answer in words: its verdict, its numbers, and that it says where they come from."""

from dataclasses import replace

import pandas as pd
import pytest
import synthetic

from zpmodel.base.estimate import Estimate
from zpmodel.base.units import GIB, MIB
from zpmodel.calibration.calibrate import calibrate
from zpmodel.calibration.machine_file import load_machine
from zpmodel.calibration.summary import contrast
from zpmodel.devices.base import PathCosts
from zpmodel.queue.limits import UINT_MAX, QueueLimits
from zpmodel.report.words import beside_measured, headline, measured_line
from zpmodel.study.answers.gain import beside, throughput
from zpmodel.study.compare import compare
from zpmodel.study.scenario import Scenario


def words(data, length):
    model = calibrate(data, resamples=60)
    page, _, static = compare(Scenario(model, length))
    return headline(model, static, page)


def test_a_gain_is_said_with_its_numbers():
    text = words(synthetic.data_set(1), GIB)
    assert text.startswith("**A gain.** Zeroing 1 GiB")
    assert "ms of CPU time per GiB" in text


def test_a_loss_is_said_plainly():
    device = PathCosts(20e-6, 1e-3, 1e-6, 1e-12, 50e-6, 1e-9, 4.0, 0.2)
    limits = QueueLimits(8192, 256, UINT_MAX, nr_requests=256)
    text = words(synthetic.data_set(2, device=device, limits=limits, ring=None), 4 * MIB)
    assert text.startswith("**A loss.**")
    assert "Mind the device" not in text


def test_no_gain_is_said_plainly():
    device = PathCosts(50e-6, 1e-7, 1e-9, 1e-12, 2e-3, 1e-9, 4.0, 0.5)
    text = words(synthetic.data_set(1, device=device, ring=None, noise=0.005), GIB)
    assert text.startswith("**No gain in elapsed time** of 5% or more:")
    assert "It saves" in text
    # Where runs scatter, nobody can say so.
    text = words(synthetic.data_set(1, device=device, ring=None, noise=0.03), GIB)
    assert text.startswith("**It can't be known from these data**")
    assert "It saves" in text


def of(ratio):
    """A comparison whose ratio of elapsed times is so much."""
    static = compare(Scenario(load_machine("nvme-mailing-list")), ("page", "static"))[1]
    return replace(static, speedup=ratio)


@pytest.mark.parametrize(
    ("ratio", "verdict", "printed"),
    [
        (Estimate(1.0017, 1.0006, 1.0042), "no gain", "1.002 [1.001, 1.004]"),
        (Estimate(1.0001, 1.00003, 1.0002), "no gain", "1 [1, 1]"),
        (Estimate(1.016, 1.0015, 1.041), "gain", "1.02 [1.002, 1.04]"),
        (Estimate(1.016, 1.0003, 1.041), "no gain", "1.02 [1, 1.04]"),
        (Estimate(1.7, 1.2, 2.4), "gain", "1.7 [1.2, 2.4]"),
        (Estimate(0.998, 0.997, 0.999), "no gain", "0.998 [0.997, 0.999]"),
        (Estimate(0.9, 0.8, 0.95), "loss", "0.9 [0.8, 0.95]"),
        (Estimate(1.0, 0.5, 2.0), "unknown", "1 [0.5, 2]"),
        (Estimate(1.16, 0.905, 1.49), "unknown", "1.16 [0.905, 1.49]"),
        (Estimate(1.003, 1.0015, 1.06), "unknown", "1.003 [1.002, 1.06]"),
        (Estimate(1.01, 0.96, 1.04), "no gain", "1.01 [0.96, 1.04]"),
        (Estimate(0.99, 0.6, 1.04), "no gain, perhaps a loss", "0.99 [0.6, 1.04]"),
        (Estimate.exactly(1.0), "no gain", "1"),
    ],
)
def test_the_verdict_the_ratio_and_the_words_agree(ratio, verdict, printed):
    found = of(ratio)
    assert (found.verdict, ratio.as_ratio()) == (verdict, printed)
    ends = [float(part) for part in printed.strip("]").replace("[", "").replace(",", "").split()]
    assert (verdict in ("gain", "loss")) <= (min(ends) > 1 or max(ends) < 1)
    text = headline(load_machine("nvme-mailing-list"), found, found)
    starts = {
        "gain": "**A gain.**",
        "loss": "**A loss.**",
        "no gain": "**No gain in elapsed time** of 5% or more:",
        "no gain, perhaps a loss": "**No gain in elapsed time** of 5% or more, perhaps a loss:",
        "unknown": "**It can't be known",
    }
    assert text.startswith(starts[verdict])
    assert "ms of CPU time per GiB" in text  # which is told apart from it
    assert throughput(found).startswith("no gain") == (verdict in ("no gain", "no gain, perhaps a loss"))
    # What is unknown says how far it is, and what to measure.
    for said in (text, throughput(found), found.unknown_in_words):
        assert ("time a zero-out from both pages on this very drive" in said) == (verdict == "unknown")
    assert ("can't be told from these data, [" in found.unknown_in_words) == (verdict == "unknown")


def test_a_gain_of_which_the_interval_says_nothing_is_in_bold_in_no_unit():
    # 1.04 is known to a few per cent; that it gains 4 % is known to a factor of forty.
    for ratio, loud in ((Estimate(1.04, 1.003, 1.12), False), (Estimate(1.04, 1.03, 1.12), True)):
        found = of(ratio)
        text = headline(load_machine("nvme-mailing-list"), found, found)
        assert (f"**{ratio.as_ratio()} times as fast**" in text) == loud
    for line in ("It saves **", "**A gain.**"):
        assert line in text


def test_where_the_device_zeroes_by_itself_no_page_is_written_and_none_is_said_to_gain():
    data = synthetic.data_set(1)
    plain = words(data, GIB)
    offloading = replace(data, limits=replace(data.limits, write_zeroes_max_bytes=1 << 30))
    text = words(offloading, GIB)
    said, _, without = text.partition("\n\n")
    assert said.startswith("**No zero page is written here:** the device has Write Zeroes")
    assert "times" not in said
    assert without == f"If Write Zeroes were switched off (0 in that file): {plain}"
    model = calibrate(offloading, resamples=20)
    static = compare(Scenario(model, GIB))[2]
    assert beside_measured(static, pd.DataFrame({"gib_per_s": [0.1]})) == ""
    assert beside(static).startswith("nothing (it has Write Zeroes")


def test_a_ring_that_explains_most_is_named():
    cpu = synthetic.CPU.copy()
    cpu[4] = 80e-6  # a stall
    text = words(synthetic.data_set(3, cpu=cpu), GIB)
    assert "Mind the device" in text
    assert "ring of 256 descriptors" in text


def test_what_was_measured_is_said_without_a_model():
    data = synthetic.data_set(4, noise=0.01, outliers=0)
    table = contrast(data)
    text = measured_line(table)
    assert f"{table['throughput'].max():.2f} [" in text
    assert f"{table['throughput'].min():.2f} [" in text
    row = table[(table["block_bytes"] == MIB) & (table["depth"] == 1)].iloc[0]
    # 255 vectors more cost their CPU, plus a request that 4 KiB pages need for the last two of 256 segments
    extra = 255 * synthetic.CPU[2] + synthetic.CPU[3] + synthetic.CPU[4]
    assert row["cpu_saved_ns_per_vector"] == pytest.approx(extra / 255 * 1e9, rel=0.15)
