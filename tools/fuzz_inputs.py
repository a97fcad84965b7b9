"""What tools/fuzz_doors.py hands to the command line: good input for every door, and how it is spoilt."""

import gzip
import os
import random
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import click
import fuzz_folders
import fuzz_tables
import fuzz_values

ROOT = Path(__file__).parent.parent
SET = ROOT / "data/fio/kvm-zen5-virtio"
FIXTURES = ROOT / "tests/fixtures"
POINTS = [
    f"write-bs{block}-qd{depth}-{memory}-r01"
    for block in (4096, 65536, 1048576)
    for depth in (1, 4)
    for memory in ("malloc", "mmaphuge")
]

TOKEN = re.compile(rb'"[^"\n]{0,200}"|[-+]?\d[\w.+-]*|[A-Za-z_]\w*|[^\s\w]')
NUMBER = re.compile(rb"(?<![\w.])-?\d[\d.e+-]*(?![\w.])")
NUMBERS = b"""
0 1 -1 2 3 7 255 511 512 4095 65535 65537 2147483648 4294967295 4294967296 9223372036854775807 9223372036854775808
-9223372036854775808 18446744073709551616 0.0 -0.0 0.5 -0.5 1e-9 1e9 1e18 1e308 1.8e308 5e-324 1e999
""".split()
NUMBERS += [b"9" * 400]
ODD = rb"""
0 -1 1 1e999 -1e999 1e308 5e-324 nan NaN inf -inf true null 0x10 0.5 2**63 9223372036854775808 1_0 "" "x" "-1" "\u0000"
"<script>alert(2)</script>" [] {} [0,4096] {"a":1} [1,[2,[3]]] , # = [[x]] ' " \
""".split()
ODD += [b"", b"9" * 20, b"9" * 400, b'"' + b"x" * 5000 + b'"', b'"\x1b[31m"', b"[" * 3000, b'{"a":' * 3000]
ODD += [b"\xff\xfe", b"\0", b"\n", b"\xef\xbb\xbf", b"\xe2\x80\xae"]
WORDS = re.findall(
    r"\S+",
    """
0 -1 1 nan inf -inf 1e999 1e308 5e-324 0x10 1_000 ٣ 4096 4095 1MiB -1MiB 1e9GiB 16EiB 9223372036854775807
9223372036854775808 0.5 page static on-demand 64KiB 3KiB loop nvme-mdts5 nvme-mdts5@6.12+iommu nvme-mdts99 sata
none lazy strict passthrough zen xeon any here 7.3 6.12 0.0 99.99 7 7.x nvme-mailing-list epyc-milan epyc-turin
nvme-b copy sum crc rep-stos clzero mm io fio_write iomap_dio_zero zero_pages nosuch ../.. / /dev/null /dev/zero
/etc/passwd { [ <b> %s ${HOME} --json length=[ length=1e9 users_per_s=1e9 hold_s=nan resamples=1e3
""",
)
WORDS += ["", " ", "9" * 25, "9" * 400, "1 TiB", "2 GB/s", "-2 GB/s", "nan GB/s", "1e400 GB/s", "0 B/s"]
WORDS += ["\x01", "\x1b[31m", "\udcff", "\u202e", "a\nb", "x" * 300, "x" * 5000]


class Door(NamedTuple):
    """One way in: ``make`` puts good input into a folder and returns the arguments of the command line.

    A first argument ``module:name`` is a function to call with the others, where no command leads there. ``files`` are
    what is spoilt; without any the arguments are odd already.
    """

    name: str
    share: float
    make: Callable[[Path, random.Random], list[str]]
    files: str = "**/*"


def spoil(path: Path, chance: random.Random) -> None:
    """Change a file's bytes; of a compressed one mostly those that are inside, which no checksum guards."""
    raw = path.read_bytes()
    if chance.random() < 0.5:
        packed = path.suffix == ".gz"
        suffix = Path(path.stem).suffix if packed else path.suffix
        new = fuzz_values.revalued(gzip.decompress(raw) if packed else raw, suffix, chance)
        if new is not None:
            path.write_bytes(gzip.compress(new, 1) if packed else new)
            return
    if path.suffix == ".gz" and chance.random() < 0.8:
        path.write_bytes(gzip.compress(spoiled(gzip.decompress(raw), chance), 1))
    else:
        path.write_bytes(spoiled(raw, chance))


def spoiled(raw: bytes, chance: random.Random) -> bytes:
    """The bytes with one to four changes."""
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        raw = _changed(raw, chance)
    return raw


def _changed(raw: bytes, chance: random.Random) -> bytes:
    kind = chance.random()
    if kind < 0.35:  # one number, so that what is spoilt is still well formed
        numbers = list(NUMBER.finditer(raw[:200_000]))
        if numbers:
            token = chance.choice(numbers)
            return raw[: token.start()] + chance.choice(NUMBERS) + raw[token.end() :]
    if kind < 0.7:  # one word, number or sign
        found = list(TOKEN.finditer(raw[:200_000]))
        if found:
            token = chance.choice(found)
            return raw[: token.start()] + chance.choice(ODD) + raw[token.end() :]
    start = chance.randrange(len(raw) + 1)
    end = min(len(raw), start + chance.choice((0, 1, 1, 8, 100, 1000)))
    if kind < 0.8:
        return raw[:start] + chance.choice(ODD) + raw[end:]
    if kind < 0.86:
        return raw[:start] + raw[end:]
    if kind < 0.92:
        return raw[:end] + raw[start:]
    if kind < 0.96:
        lines = raw.splitlines(keepends=True)
        return b"".join(chance.sample(lines, len(lines)))
    return raw[:start]


def replaced(path: Path, others: list[Path], chance: random.Random) -> None:
    """Put something in a file's place that is no such file, or another one of its folder's or the project's."""
    kind = chance.randrange(9)
    if kind == 6:
        path.chmod(0)  # root reads it all the same
        return
    if kind > 6:
        other = chance.choice(others if kind == 7 else _ANY)
        path.write_bytes(other.read_bytes())
        return
    path.unlink()
    if kind == 0:
        os.mkfifo(path)
    elif kind == 1:
        path.symlink_to("/dev/zero")
    elif kind == 2:
        path.mkdir()
    elif kind == 3:
        path.symlink_to(path)
    elif kind == 4:
        with path.open("wb") as file:
            file.truncate(chance.choice((1 << 20, 64 << 20, 1 << 32)))


_ANY = sorted(
    path
    for pattern in ("data/*/*.*", "data/fio/*/plan.json", "tests/fixtures/*/*.*", "tests/fixtures/fio/real/*", "docs/*")
    for path in ROOT.glob(pattern)
    if path.is_file() and path.stat().st_size < 500_000
)
"""Files of every kind that the project knows."""


def _one_of(pattern: str, *arguments: str) -> Callable[[Path, random.Random], list[str]]:
    """A door for one file: ``FILE`` stands for a copy of one that fits the pattern."""
    sources = sorted(path for path in ROOT.glob(pattern) if path.is_file() and path.stat().st_size < 200_000)

    def make(folder: Path, chance: random.Random) -> list[str]:
        path = Path(shutil.copy(chance.choice(sources), folder))
        return [str(path) if word == "FILE" else word for word in arguments]

    return make


def _lines_of(pattern: str, *arguments: str) -> Callable[[Path, random.Random], list[str]]:
    sources = sorted(ROOT.glob(pattern))

    def make(folder: Path, chance: random.Random) -> list[str]:
        lines = chance.choice(sources).read_bytes().splitlines(keepends=True)
        (folder / "cases.jsonl").write_bytes(b"".join(chance.sample(lines, min(len(lines), 3))))
        return [*arguments, "--cases", str(folder / "cases.jsonl")]

    return make


def _questions(folder: Path, chance: random.Random) -> list[str]:
    line = (
        '{"kernel": "7.3", "iommu": "lazy", "sgl": true, "mdts": 5, "zero_page_bytes": 4096, "length_bytes": 1048576}\n'
    )
    (folder / "cases.jsonl").write_text(line * 2)
    return ["instructions", "--cases", str(folder / "cases.jsonl")]


def measured(folder: Path) -> None:
    """A small measured set: some points of a shipped one."""
    for kind in ("points", "usage"):
        (folder / kind).mkdir(parents=True)
        for name in POINTS:
            shutil.copy(SET / kind / f"{name}.json", folder / kind)
    for name in ("plan.json", "machine.toml"):
        shutil.copy(SET / name, folder)


def _measured(folder: Path, chance: random.Random) -> list[str]:
    measured(folder)
    return ["calibrate", str(folder), "--resamples", "20", *chance.choice(([], ["--json"]))]


def _queue(folder: Path, chance: random.Random) -> list[str]:
    queue = {"max_sectors_kb": 300, "max_hw_sectors_kb": 1280, "max_segments": 128, "max_segment_size": 65536}
    queue |= {"virt_boundary_mask": 0, "chunk_sectors": 0, "logical_block_size": 512, "physical_block_size": 512}
    queue |= {"write_zeroes_max_bytes": 0, "dma_alignment": 511, "nomerges": 0, "nr_requests": 128}
    for name, value in queue.items():
        (folder / name).write_text(f"{value}\n")
    (folder / "scheduler").write_text("[none] mq-deadline\n")
    return ["structure", "--limits", str(folder), "--length", "1MiB"]


def _odd_chunk(folder: Path, chance: random.Random) -> list[str]:
    """A queue whose counting has kernels of its own, which compile for seconds when they are first called."""
    arguments = _queue(folder, chance)
    (folder / "chunk_sectors").write_text("7\n")
    return arguments


def _parameters(folder: Path, chance: random.Random) -> list[str]:
    from zpmodel.report import pages

    names = [*pages.load().parameters]
    pairs = [f"{chance.choice(names)}={chance.choice(WORDS)}" for _ in range(chance.choice((1, 1, 3)))]
    return ["report", "--out", str(folder / "out"), *(word for pair in pairs for word in ("-p", pair))]


def _options(folder: Path, chance: random.Random) -> list[str]:
    """Any command with odd words for any of its options and arguments."""
    from zpmodel.commands.main import COMMANDS, app

    name = chance.choice(list(COMMANDS))
    command = app.get_command(click.Context(app), name)
    assert command is not None
    if name == "validate":
        return [name, chance.choice(WORDS).lstrip("-") or "."]  # the shipped set takes minutes
    arguments = [name]
    for parameter in command.params:
        if parameter.name == "days" or chance.random() < (0.3 if parameter.required else 0.7):
            continue  # simulated days cost what they are asked to cost
        if isinstance(parameter, click.Argument):
            arguments += [chance.choice(WORDS)]
        elif getattr(parameter, "is_flag", False):
            arguments += [parameter.opts[0]]
        else:
            arguments += [parameter.opts[0], _word(parameter, chance)]
    # Never onto what is not ours, whatever was drawn.
    return [*arguments, *(["--out", str(folder / "out")] if name in ("report", "import", "zeroout", "measure") else [])]


def _word(parameter: click.Parameter, chance: random.Random) -> str:
    if parameter.name in ("out", "save"):
        return "/nowhere/x"
    if isinstance(parameter.type, click.Choice) and chance.random() < 0.7:
        return str(chance.choice(list(parameter.type.choices)))
    return chance.choice(WORDS)


def doors(made: Path) -> Iterator[Door]:
    """Every door.

    :param made: a folder with ``calibration.json``, ``imported/`` and what `fuzz_folders.prepare` writes.
    """

    def calibration(folder: Path, chance: random.Random) -> list[str]:
        asks = ("compare", "--calibration"), ("predict", "--machine"), ("callers", "--machine")
        return [*chance.choice(asks), str(shutil.copy(made / "calibration.json", folder))]

    def imported(folder: Path, chance: random.Random) -> list[str]:
        shutil.copytree(made / "imported", folder, dirs_exist_ok=True)
        return ["calibrate", str(folder), "--resamples", "20"]

    def life(folder: Path, chance: random.Random) -> list[str]:
        (folder / "vmstat").write_text(
            "nr_free_pages 100000\ncompact_fail 3\ncompact_success 9\nthp_zero_page_alloc 4\n"
        )
        (folder / "buddyinfo").write_text("Node 0, zone   Normal " + "  12" * 11 + "\n")
        return ["life", "--buddyinfo", str(folder / "buddyinfo"), "--vmstat", str(folder / "vmstat")]

    def import_fio(folder: Path, chance: random.Random) -> list[str]:
        arguments = _one_of("tests/fixtures/fio/real/sweep-*.json", "import", "FILE")(folder, chance)
        return [*arguments, "--driver", "nvme", "--limits", "nvme-mdts5", "--out", str(folder / "out")]

    trace = ("--limits", "nvme-mdts5", "--zero-page", "page", "--length", "2MiB")
    yield Door("fio files", 2, _one_of("tests/fixtures/fio/real/*.json", "fio", "FILE", "--json"))
    yield Door("calibrations", 2, calibration)
    yield Door("measured sets: points and usage", 1, _measured, "*/*")
    yield Door("measured sets: machine.toml and plan.json", 1, _measured, "*.*")
    yield Door("imported sets", 1, imported)
    yield Door("import", 1, import_fio)
    yield Door("structure --cases, ranges", 2, _lines_of("data/kernel/zeroout-7.2.jsonl", "structure"))
    yield Door("structure --cases, users", 1, _lines_of("data/kernel/users-7.3.jsonl", "structure"))
    yield Door("instructions --cases", 2, _questions)
    yield Door("machine files", 2, _one_of("data/composed/*.toml", "predict", "--machine", "FILE"))
    yield Door("CPU machine files", 1, _one_of("data/machines/*.toml", "clear", "2MiB", "--machine", "FILE"))
    yield Door("CPU machine files, reading", 1, _one_of("data/machines/*.toml", "read", "--machine", "FILE"))
    yield Door(
        "limits files",
        2,
        _one_of("tests/fixtures/trace/limits.json", "structure", "--limits", "FILE", "--length", "1MiB"),
    )
    yield Door("limits as TOML", 1, _one_of("data/devices/*.toml", "structure", "--limits", "FILE", "--length", "1MiB"))
    yield Door("limits folders", 2, _queue)
    yield Door("limits folders of odd chunks", 0.2, _odd_chunk)
    yield Door(
        "device curves", 0.4, _one_of("data/published/*-write.csv", "zpmodel.calibration.curve:named_device", "FILE")
    )
    yield Door(
        "devices of machine files", 1,
        _one_of("data/composed/*.toml", "compare", "--machine", "nvme-mailing-list", "--device", "FILE"),
    )  # fmt: skip
    yield Door("buddyinfo and vmstat", 1, life)
    yield Door("blkparse and btt", 1, _one_of("tests/fixtures/trace/*[xt].*t", "trace", "--from", "FILE", *trace))
    yield Door("notebook parameters", 2, _parameters, "")
    yield Door("options of every command", 3, _options, "")
    yield from (Door(*each) for more in (fuzz_folders, fuzz_tables) for each in more.doors(made))
