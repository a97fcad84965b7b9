"""Traces: what is read from files and lines of tracefs, how it is compared, and the running kernel's own answer."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from zpmodel.base.errors import InputError, RefusedError, ZpmodelError
from zpmodel.commands.trace import command
from zpmodel.host.running import running_zero_page
from zpmodel.queue.limits import QueueLimits
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.structure import count
from zpmodel.tracing import blkparse, btt, tracefs
from zpmodel.tracing.compare import agree, compare, format_exactly
from zpmodel.tracing.files import observe_files
from zpmodel.tracing.observed import Event, observe
from zpmodel.tracing.ranges import random_cases
from zpmodel.tracing.zero import _refuse_strangers

FIXTURES = Path(__file__).parent / "fixtures" / "trace"
BLKPARSE = FIXTURES / "blkparse.txt"
HISTOGRAMS = [FIXTURES / "btt_qhist.dat", FIXTURES / "btt_dhist.dat"]
# What the fixtures are traces of: 2 MiB + 64 KiB zeroed at 4 KiB with a 4 KiB zero page, under limits.json.
OFFSET, LENGTH = 4096, 2 * 1048576 + 65536


def modelled(page: str = "page") -> dict[str, object]:
    limits = QueueLimits.from_file(FIXTURES / "limits.json")
    return count(ZeroPage.named(page), limits, OFFSET, LENGTH).as_case()


def run(*arguments: object):
    return CliRunner().invoke(command, [str(a) for a in arguments])


def test_blkparse_text_has_the_counts_that_blkparse_itself_sums_up() -> None:
    seen = observe(blkparse.read(BLKPARSE))
    # "Writes Queued: 3", "Write Dispatches: 8", "Write Merges: 1", "IO unplugs: 3", "Timer unplugs: 1" at its end
    assert seen.operation == "write"
    assert sum(row["count"] for row in seen.bios or []) == 3
    assert sum(row["count"] for row in seen.requests or []) == 8
    assert (seen.back_merges, seen.front_merges, seen.splits, seen.plug_flushes) == (1, 0, 6, 4)
    assert agree(compare(seen, modelled()))


@pytest.mark.parametrize("page", ["64KiB", "static"])
def test_another_zero_page_disagrees(page: str) -> None:
    lines = compare(observe_files([BLKPARSE]), modelled(page))
    assert not agree(lines)
    assert any(line.what == "splits" and line.agrees is False for line in lines)


def test_btt_agrees_with_blkparse_as_far_as_it_goes() -> None:
    seen, whole = observe_files(HISTOGRAMS), observe_files([BLKPARSE])
    assert seen.requests == whole.requests
    assert seen.bios == [{"bytes": 65536, "count": 1}, {"bytes": 524288 + 512, "count": 2}]
    lines = compare(seen, modelled())
    assert agree(lines)
    assert {line.what for line in lines if line.agrees is None} == {
        "operation",
        "splits",
        "back merges",
        "front merges",
    }
    assert not agree(compare(seen, modelled("static")))


def test_one_histogram_is_enough() -> None:
    lines = compare(btt.read(HISTOGRAMS[:1]), modelled())
    assert agree(lines)
    assert next(line for line in lines if line.what == "requests").agrees is None


def test_a_histogram_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    whole = HISTOGRAMS[0].read_text()
    for end in (len(whole) // 2, whole.index("# Q bucket for"), len(whole) - 1):
        part = tmp_path / "part.dat"
        part.write_text(whole[:end])
        with pytest.raises(InputError, match=r"whole histogram|a number of sectors and a count"):
            btt.read([part])


def test_files_that_do_not_go_together(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="one histogram of queued"):
        observe_files([HISTOGRAMS[0], HISTOGRAMS[0], HISTOGRAMS[1]])
    with pytest.raises(InputError, match="one file of blkparse"):
        observe_files([HISTOGRAMS[0], BLKPARSE])
    (tmp_path / "other").write_text("hello\n")
    with pytest.raises(InputError, match="blkparse's default output"):
        observe_files([tmp_path / "other"])
    with pytest.raises(InputError, match="can be read"):
        observe_files([tmp_path / "absent"])


def test_text_of_several_devices_needs_one_named() -> None:
    lines = BLKPARSE.read_text().splitlines()
    both = [*lines, *(line.replace("  7,7091 ", "259,1    ") for line in lines)]
    with pytest.raises(InputError, match=r"259,1 7,7091"):
        blkparse.parse(both, "both")
    assert len(blkparse.parse(both, "both", "259,1")) == len(blkparse.parse(lines, "one"))


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_mangled_text_is_read_or_refused(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from([BLKPARSE, HISTOGRAMS[0]]))
    text = path.read_text()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 200)))
    mangled = text[:start] + data.draw(st.text(max_size=20)) + text[end:]
    try:
        if path is BLKPARSE:
            observe(blkparse.parse(mangled.splitlines(), "mangled"))
        else:
            btt.parse(mangled, "mangled")
    except ZpmodelError:
        pass


def test_lines_of_tracefs() -> None:
    text = """\
# tracer: nop
          a-b c-10380   [001] .....            3: block_bio_queue: 7,7001 W 8 + 2048 [a-b c]
          python-10380  [001] .N...            4: block_split: 7,7001 W 8 / 608 [python]
    kworker/1:1H-44     [001] .....           32: block_rq_issue: 7,7001 WFS 126976 () 1808 + 248 be,0,4 [kworker/1:1H]
    ksoftirqd/1-22      [001] ..s..           37: block_rq_complete: 7,7001 W () 1808 + 248 be,0,4 [0]
          python-10380  [001] .....           26: block_unplug: [python] 5
          python-10380  [001] .....           27: block_plug: [python]
"""
    assert [event for event in map(tracefs.parse_line, text.splitlines()) if event] == [
        Event("Q", "W", 8, 2048, 10380, "a-b c"),
        Event("X", "W", 8, 608, 10380, "python"),
        Event("D", "WFS", 1808, 248, 44, "kworker/1:1H"),
        Event("C", "W", 1808, 248, 22, "ksoftirqd/1"),
        Event("U", "", 0, 5, 10380, "python"),
    ]
    with pytest.raises(RefusedError, match="block_split"):
        tracefs.parse_line("  python-1 [001] ..... 4: block_split: changed")


def test_a_request_that_a_full_driver_hands_back_is_counted_once() -> None:
    issue, done = Event("D", "W", 8, 8), Event("C", "W", 8, 8)
    seen = observe([issue, Event("R", "W", 8, 8), issue, done, issue, done])
    assert seen.requests == [{"bytes": 4096, "count": 2}]
    assert seen.reissued == 1


def test_reads_and_flushes_are_not_counted() -> None:
    seen = observe([Event("Q", "RA", 8, 8), Event("Q", "FWS", 0, 0), Event("D", "R", 8, 8)])
    assert seen.bios == seen.requests == []
    assert seen.operation is None


def test_write_zeroes_has_no_letter_of_its_own() -> None:
    # As recorded on Linux 6.18, zeroing 8 MiB of a loop device over ext4.
    seen = observe([Event("Q", "NS", 0, 16384), Event("D", "NS", 0, 16384), Event("C", "NS", 0, 16384)])
    assert seen.operation == "write_zeroes"
    assert seen.requests == [{"bytes": 8 << 20, "count": 1}]


def test_a_stranger_on_the_device_is_not_counted_as_ours() -> None:
    # A bio of another task, as seen when two programs write at once.
    _refuse_strangers([Event("Q", "W", 0, 8, 10), Event("Q", "RA", 0, 8, 11), Event("C", "W", 0, 8, 22)], 10)
    for flags in ("W", "WS", "NS", "D"):
        with pytest.raises(RefusedError, match="other"):
            _refuse_strangers([Event("Q", "W", 0, 8, 10), Event("Q", flags, 64, 8, 11, "other")], 10)


def test_sizes_never_look_the_same() -> None:
    assert [format_exactly(n) for n in (512, 4096, 130560, 1 << 20, (1 << 20) + 512)] == [
        "0.5 KiB", "4 KiB", "127.5 KiB", "1 MiB", "1049088 B",
    ]  # fmt: skip


def test_the_zero_page_of_a_kernel(tmp_path: Path) -> None:
    pmd = tmp_path / "sys/kernel/mm/transparent_hugepage/hpage_pmd_size"
    pmd.parent.mkdir(parents=True)
    pmd.write_text("2097152\n")
    assert running_zero_page(root=tmp_path)[1].startswith("assumed")
    assert running_zero_page(1 << 20, root=tmp_path)[0].size_bytes == 4096
    assert running_zero_page(1 << 21, root=tmp_path)[0] == ZeroPage.named("static")
    config = tmp_path / "boot" / f"config-{os.uname().release}"
    config.parent.mkdir()
    config.write_text("CONFIG_PERSISTENT_HUGE_ZERO_FOLIO=y\n")
    assert running_zero_page(root=tmp_path)[0] == ZeroPage.named("static")
    config.write_text("# CONFIG_PERSISTENT_HUGE_ZERO_FOLIO is not set\n")
    assert running_zero_page(root=tmp_path)[0] == ZeroPage.named("page")


def test_random_cases_are_valid_and_repeatable() -> None:
    size = 16 << 20
    cases = random_cases(500, size, seed=5)
    assert cases == random_cases(500, size, seed=5) != random_cases(500, size, seed=6)
    for case in cases:
        assert case.offset % case.logical_block_bytes == case.length % case.logical_block_bytes == 0
        assert case.length > 0
        assert case.offset + case.length <= size
    assert {case.nomerges for case in cases} == {0, 1, 2}
    assert {case.logical_block_bytes for case in cases} == {512, 1024, 2048, 4096}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--watch", "1"],
        ["--scratch", "--device", "/dev/x", "--length", "4096"],
        ["--device", "/dev/x"],
        ["--ranges", "3", "--length", "4096"],
        ["--from", str(BLKPARSE), "--limits", "loop"],
        ["--limits", "loop"],
        ["--ranges", "3", "--from", str(BLKPARSE)],
    ],
)
def test_contradictions_are_refused(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


def test_a_file_is_not_a_device(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 8192)
    result = run("--device", tmp_path / "file", "--length", "4096", "--destroy-data")
    assert isinstance(result.exception, InputError)
    assert (tmp_path / "file").read_bytes() == b"x" * 8192


def test_from_files_on_the_command_line() -> None:
    arguments = ["--from", BLKPARSE, "--limits", FIXTURES / "limits.json", "--offset", OFFSET, "--length", LENGTH]
    assert run(*arguments, "--zero-page", "page").exit_code == 0
    assert run(*arguments, "--zero-page", "static").exit_code == 1
    shown = run("--from", *HISTOGRAMS[:1])
    assert shown.exit_code == 0
    assert "more than 512 KiB" in shown.output
