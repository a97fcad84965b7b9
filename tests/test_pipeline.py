"""Laws of zeroing on any machine, over random inputs: what must hold whatever the costs are."""

from dataclasses import replace

import known_model
import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from zpmodel.base import shipped
from zpmodel.base.estimate import Estimate
from zpmodel.base.units import GIB, KIB, MIB
from zpmodel.calibration.machine_file import (
    CpuPart,
    DevicePart,
    DriverPart,
    MachineFile,
    compose,
    load_machine,
    read_machine_file,
    shipped_names,
)
from zpmodel.devices.data_sheet import DataSheet
from zpmodel.queue.limits import QueueLimits
from zpmodel.queue.presets import nvme
from zpmodel.study.compare import compare
from zpmodel.study.scenario import Scenario, predict
from zpmodel.timing.machine import Driver
from zpmodel.timing.pipeline import Kinds, Submission, call_seconds

KERNEL = "7.3"
IOMMUS = ("none", "passthrough", "lazy", "strict")
SLOWEST_S = 0.2e-9 * 1.3
"""What an instruction takes here: the measured Zen 3, and what a real kernel adds [s]."""

LAWS = settings(max_examples=20)


def composed(mdts=5, iommu="none", gb=2.0, *, sgl=False, overlap=(0.0, 1.0), write_zeroes=False):
    """A machine file as if written by hand; its CPU is one that was measured."""
    return compose(
        MachineFile(
            cpu=CpuPart("test", KERNEL, "zen"),
            driver=DriverPart("test", mdts=mdts, sgl=sgl, iommu=iommu, write_zeroes=write_zeroes),
            device=DevicePart("test", f"{gb:.6f} GB/s", "30 us", "1 us", list(overlap)),
        ),
        "test",
    )


def fitted(**costs):
    """A machine of known costs whose draws scatter."""
    rng = np.random.default_rng(4)
    cpu = {"operation": 3e-6, "wait": 2e-5, "vector": 6e-8, "request": 4e-6, "MiB": 3e-6, "cold vector": 2e-8}
    device = {"latency": 3e-5, "stream": 2e-5, "request": 5e-6, "segment": 1.5e-7, "mebibyte": 2e-4, "cold": 5e-5}
    machine = known_model.known(cpu=cpu, device={**device, "cache": 1.0, "rounds": 0.5, **costs}, sigma=0.1)
    scatter = np.exp(rng.normal(0, 0.1, (known_model.ROWS, 1)))
    return replace(
        machine,
        cpu=replace(machine.cpu, total_draws=machine.cpu.total_draws * scatter),
    )


@st.composite
def machines(draw):
    """Any machine that the package can make."""
    if draw(st.integers(0, 3)) == 0:
        return fitted(rounds=draw(st.floats(0, 1)), stream=draw(st.sampled_from([0.0, 2e-5, 2e-3])))
    low, high = sorted((draw(st.floats(0, 1)), draw(st.floats(0, 1))))
    return composed(
        draw(st.integers(0, 9)),
        draw(st.sampled_from(IOMMUS)),
        draw(st.floats(0.1, 14)),
        sgl=draw(st.booleans()),
        overlap=(low, high),
        write_zeroes=draw(st.integers(0, 5)) == 0,
    )


lengths = st.one_of(st.integers(1, 4096), st.integers(1, 2**21)).map(lambda blocks: blocks * 512)
policies = st.sampled_from(["page", "static"])


@LAWS
@given(machines(), lengths, policies)
def test_bounds_hold_their_value_and_everything_is_finite(machine, length, page):
    found = predict(Scenario(machine, length, page))
    for estimate in (found.cpu_s, found.elapsed_s):
        assert 0 < estimate.low <= estimate.value <= estimate.high < np.inf
    assert found.elapsed_draws.shape == found.cpu_draws.shape == (machine.draws,)
    assert sum(term.seconds.value for term in found.terms) == pytest.approx(found.cpu_s.value)


@LAWS
@given(machines(), lengths, st.sampled_from([512, 4 * KIB, 64 * KIB, MIB, 3 * MIB + 512]), policies)
@example(composed(), 4 * MIB, 4 * KIB, "page")
@example(composed(), 4 * MIB, 4 * KIB, "static")
@example(composed(2, "lazy", 14.0, overlap=(1, 1)), 63 * 512, 512, "page")  # two requests that become alike
@example(fitted(), 4 * MIB, 4 * KIB, "page")
@example(fitted(stream=2e-3), 4 * MIB, 4 * KIB, "static")
def test_more_bytes_never_take_less(machine, length, more, page):
    shorter, longer = (predict(Scenario(machine, size, page)) for size in (length, length + more))
    assert longer.elapsed_s.value >= shorter.elapsed_s.value * (1 - 1e-12)
    # One segment above 8 KiB goes by an SGL, which was counted to take 4 instructions less than two PRPs.
    assert longer.cpu_s.value >= shorter.cpu_s.value - 4 * SLOWEST_S
    # A draw doubts each kind of work by itself: a worker's share of the last plug may fall by more than a request adds.
    # Of elapsed time, a draw whose completions come one by one errs where few requests of two sizes are in flight.
    assert (longer.elapsed_draws >= shorter.elapsed_draws * (1 - 3e-2)).all()
    assert (longer.cpu_draws >= shorter.cpu_draws * (1 - 1e-2)).all()


@LAWS
@given(machines(), lengths)
def test_identical_io_gives_exactly_one(machine, length):
    page, _, static = compare(Scenario(machine, length))
    a, b = page.prediction.structure, static.prediction.structure
    if a.operation == "write" and (a.vectors, a.request_histogram()) != (b.vectors, b.request_histogram()):
        return
    assert static.speedup == Estimate.exactly(1.0)
    assert static.cpu_saved_s == Estimate.exactly(0.0)
    assert static.prediction.elapsed_s.value == pytest.approx(page.prediction.elapsed_s.value, rel=1e-12)


@pytest.mark.parametrize("machine", [composed(), fitted()], ids=["composed", "fitted"])
def test_one_vector_is_the_same_io_from_either_page(machine):
    _, _, static = compare(Scenario(machine, 4 * KIB))
    assert static.speedup == Estimate.exactly(1.0)
    assert static.verdict == "no gain"


@LAWS
@given(st.integers(1, 9), st.sampled_from(IOMMUS), lengths, policies)
def test_the_same_limits_from_anywhere_give_the_same_answer(mdts, iommu, length, page):
    machine = composed(mdts, iommu)
    values = machine.limits.to_sysfs()
    values.pop("source")
    copied = QueueLimits.from_mapping(values, source="a copy of /sys/block/x/queue")
    given_preset = nvme(mdts, (7, 3), translating_iommu=iommu in ("lazy", "strict"))
    own = predict(Scenario(machine, length, page))
    for limits in (copied, given_preset):
        found = predict(Scenario(machine, length, page, limits=limits))
        assert (found.elapsed_s, found.cpu_s, found.beyond) == (own.elapsed_s, own.cpu_s, own.beyond)


@LAWS
@given(st.integers(1, 9), st.sampled_from(IOMMUS), st.booleans(), st.integers(1, 2**15), policies)
def test_more_commands_never_cost_less_cpu(mdts, iommu, sgl, blocks, page):
    """The same bytes in smaller requests."""
    machine, length = composed(mdts, iommu, sgl=sgl), blocks * 4096
    whole = machine.limits.max_sectors
    many, few = (
        predict(Scenario(machine, length, page, limits=replace(machine.limits, max_sectors=sectors)))
        for sectors in (max(8, whole // 2), whole)
    )
    assume(many.structure.requests > few.structure.requests)
    assert many.cpu_s.value >= few.cpu_s.value
    assert (many.cpu_draws >= few.cpu_draws).all()


@LAWS
@given(st.integers(0, 9), st.booleans(), st.sampled_from(["lazy", "strict"]), st.integers(2, 2**10))
def test_a_translating_iommu_raises_the_saving(mdts, sgl, iommu, mebibytes):
    def saved(mode):
        return compare(Scenario(composed(mdts, mode, sgl=sgl), mebibytes * MIB))[2].cpu_saved_s

    direct, translated = saved("none"), saved(iommu)
    assert translated.value > direct.value
    assert translated.low > direct.low
    assert translated.high > direct.high


@pytest.mark.parametrize("page", ["page", "static"])
def test_write_zeroes_is_not_charged_for_data(page):
    for length in (64 * KIB, 64 * MIB):
        slow, fast = (predict(Scenario(composed(gb=gb, write_zeroes=True), length, page)) for gb in (0.1, 10))
        assert slow.elapsed_s == fast.elapsed_s
        assert slow.cpu_s == fast.cpu_s
    limits = replace(known_model.LIMITS, write_zeroes_max_bytes=MIB)
    costly, free = fitted(mebibyte=1e-2, cold=1e-2, stream=1e-2), fitted(mebibyte=1e-9, cold=1e-9, stream=1e-9)
    charged, not_charged = (predict(Scenario(m, 64 * MIB, page, limits=limits)) for m in (costly, free))
    assert charged.elapsed_s == not_charged.elapsed_s
    moved = {term.name: term.number for term in charged.terms}
    assert moved["MiB"] == moved["cold vector"] == moved["vector"] == 0


def gain(**inputs):
    return compare(Scenario(composed(**inputs)))[2].speedup.value


def test_gain_falls_to_one_as_submission_hides_behind_the_device():
    shown = [gain(gb=2.0, overlap=(share, share)) for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert shown == sorted(shown, reverse=True)
    assert shown[0] > 1.02
    assert gain(gb=0.2, overlap=(1.0, 1.0)) == pytest.approx(1, abs=1e-4)
    assert compare(Scenario(composed(gb=0.2, overlap=(1.0, 1.0))))[2].speedup.high < 1.001


@LAWS
@given(
    st.integers(1, 9),
    st.sampled_from(IOMMUS),
    st.booleans(),
    st.floats(0.1, 14),
    st.floats(1.05, 4),
    st.floats(0, 1),
)
def test_gain_rises_with_bandwidth(mdts, iommu, sgl, gb, times, overlap):
    same = {"mdts": mdts, "iommu": iommu, "sgl": sgl, "overlap": (overlap, overlap)}
    assert gain(gb=gb * times, **same) >= gain(gb=gb, **same) * (1 - 1e-9)


@pytest.mark.parametrize("overlap", [(0.0, 0.0), (0.0, 1.0)])
@pytest.mark.parametrize("gb", [1.0, 3.5, 7.0])
def test_gain_rises_with_mdts_up_to_the_segment_limit(gb, overlap):
    # 256 segments of 4 KiB: 1 MiB, MDTS 8. Beyond, pages of 4 KiB make no larger requests.
    shown = [gain(mdts=mdts, gb=gb, overlap=overlap) for mdts in range(3, 9)]
    assert shown == sorted(shown)


@pytest.mark.parametrize("gb", [1.0, 7.0])
def test_gain_rises_with_mapping_cost(gb):
    none, passthrough, lazy, strict = (gain(gb=gb, iommu=mode) for mode in IOMMUS)
    assert none == pytest.approx(passthrough, rel=1e-9)
    assert none < lazy
    assert none < strict


@pytest.mark.parametrize("page", ["page", "static"])
def test_outside_the_measured_range_an_interval_is_wider(page):
    machine = fitted()

    def width(found):
        return found.high / found.low

    inside = predict(Scenario(machine, GIB, page))
    assert inside.stretch == 1
    assert inside.beyond == ""
    for limits in (
        replace(machine.limits, max_sectors=8192),
        replace(machine.limits, max_sectors=256),
        replace(machine.limits, max_segments=512, max_sectors=4096),
        nvme(5),
    ):
        outside = predict(Scenario(machine, GIB, page, limits=limits))
        assert outside.stretch > 1
        assert outside.beyond
        assert width(outside.elapsed_s) > width(inside.elapsed_s)
        assert width(outside.cpu_s) > width(inside.cpu_s)
    near, far = (
        predict(Scenario(machine, GIB, page, limits=replace(machine.limits, max_sectors=sectors)))
        for sectors in (2 * machine.limits.max_sectors, 8 * machine.limits.max_sectors)
    )
    if page == "static":  # 4 KiB pages are cut by their segments
        assert far.stretch > near.stretch


def test_a_ratio_is_wider_outside_too():
    machine = fitted()
    inside, outside = (
        compare(Scenario(machine, limits=limits))[2].speedup
        for limits in (None, replace(machine.limits, nr_requests=255))
    )
    assert outside.high / outside.low > inside.high / inside.low


def test_draws_are_the_same_costs_for_every_range():
    """What one prediction errs by, another shares: else differences would not cancel."""
    machine = composed()
    found = [{t.name: t for t in predict(Scenario(machine, n, "page")).terms} for n in (4 * KIB, 128 * KIB, GIB)]
    for name in set(found[0]) & set(found[1]) & set(found[2]):
        relative = [terms[name].each_draws / terms[name].each_s for terms in found]
        assert relative[0] == pytest.approx(relative[1])
        assert relative[1] == pytest.approx(relative[2])


def test_falling_back_half_the_time_is_half_of_both():
    for name in shipped_names():
        page, half, static = compare(Scenario(load_machine(name), fallback_share=0.5))
        mean = (page.prediction.cpu_s.value + static.prediction.cpu_s.value) / 2
        assert half.prediction.cpu_s.value == pytest.approx(mean)
        assert sum(term.seconds.value for term in half.prediction.terms) == pytest.approx(mean)


def test_overlap_is_what_its_words_say():
    """One command on a drive of 1 GB/s: all in turn; many: the slower server alone, or the sum, by hand."""
    sheet = DataSheet(Estimate.exactly(MIB * 1000), Estimate.exactly(1e-5), Estimate.exactly(1e-9), (1.0, 1.0))
    path = sheet.device().path()
    path = type(path)(*(float(value) for value in path))._replace(rounds=1.0)
    spent = Submission(0.0, 2e-5, 0.0, 0.0)

    def seconds(number, overlap):
        kinds = Kinds(np.array([0.125]), np.array([1.0]), np.array([float(number)]))
        return call_seconds(path._replace(overlap=overlap), spent, kinds, 0.0, 0.0, 1023.0)

    each = 0.125e-3 + 1e-9
    assert seconds(1, 1.0) == pytest.approx(2e-5 + each + 1e-5)
    assert seconds(1, 0.0) == pytest.approx(2e-5 + each + 1e-5)
    assert seconds(1023, 1.0) == pytest.approx(2e-5 + 1023 * each + 1e-5)
    assert seconds(1023, 0.0) == pytest.approx(1023 * (2e-5 + each) + 1e-5)


def test_read_and_composed_machines_are_the_same():
    path = shipped.data("composed", "nvme-mailing-list.toml")
    one, other = compose(read_machine_file(path), "x"), load_machine(path)
    assert isinstance(one.driver, Driver)
    assert predict(Scenario(one)).elapsed_s.value == predict(Scenario(other)).elapsed_s.value
