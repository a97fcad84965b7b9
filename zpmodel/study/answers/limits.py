"""Questions 7, 8, 10 and 11: when there is no gain, a virtual page, the IOMMU, and Write Zeroes."""

import math
from dataclasses import replace

import pandas as pd

from zpmodel.base import shipped
from zpmodel.base.estimate import Estimate
from zpmodel.base.units import GIB, KIB, MIB
from zpmodel.calibration.machine_file import load_machine
from zpmodel.callers.table import CPU_READERS
from zpmodel.memory.machines import read_machine
from zpmodel.memory.reading.cpus import known_readers, read_zeroes
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.structure.count import count
from zpmodel.study.answers.base import Answer, Asked, Figure, more
from zpmodel.study.answers.gain import rests, static_gain, throughput
from zpmodel.study.compare import compare, prior_in_words
from zpmodel.study.scenario import Scenario
from zpmodel.study.write_zeroes import kinds, offload, published_speeds
from zpmodel.timing.machine import Machine

SPEEDS = ("1 GB/s", "2 GB/s", "3.5 GB/s", "7 GB/s")
IOMMUS = ("none", "lazy", "strict")
_COMPOSED = "nvme-mailing-list"


def varied(asked: Asked, **parts: str) -> Machine:
    """The machine with other parts; of a calibration, which is one piece, the composed NVMe drive instead."""
    return load_machine(_COMPOSED, **parts) if asked.vary is None else asked.vary(**parts)


def _options(asked: Asked, **parts: str) -> str:
    """The options of :func:`varied`'s machine."""
    named = replace(asked, option=f"--machine {_COMPOSED}", parts={}) if asked.vary is None else asked
    return named.options(**parts)


def _instead(asked: Asked) -> str:
    """Whose answer it is, where it is not the asked machine's."""
    return f"on {_COMPOSED}, as {asked.machine.name} can't be varied, " if asked.vary is None else ""


def no_gain(asked: Asked) -> Answer:
    """Question 7."""
    by_speed = {speed: static_gain(varied(asked, device=speed))[1] for speed in SPEEDS}
    reads = _copies("static")
    slow, fast = by_speed[SPEEDS[0]], by_speed[SPEEDS[-1]]
    hides = ""
    if slow.open_overlap:
        prior = prior_in_words(varied(asked, device=SPEEDS[0]).device)
        hides = f", and none if the device hides all of submission (how much it does, nobody measured: {prior})"
    figures = [Figure("copying from 2 MiB over from a hot 4 KiB, bandwidth", reads, "1")]
    figures += [
        Figure(f"throughput over 4 KiB, device of {speed}", item.speedup, "1") for speed, item in by_speed.items()
    ]
    return Answer(
        7,
        f"In throughput it is the smaller, the slower a device that is the bottleneck: {_instead(asked)}"
        f"{throughput(slow)} at {SPEEDS[0]}, {throughput(fast)} at {SPEEDS[-1]}{hides}; CPU time is saved all the "
        f"same. It is a loss where a CPU reads the zeroes: copying from 2 MiB goes at {reads} times the bandwidth of a "
        f"hot 4 KiB page ({', '.join(CPU_READERS)}).",
        tuple(figures),
        f"{rests(varied(asked))}; reading measured on {', '.join(known_readers())}",
        f"zpmodel compare {_options(asked, device=SPEEDS[0])}",
        "submission and device do not overlap (queue depth 1), or 2 MiB stay in L2 (a CPU with 4 MiB of it or more)",
        "copies inside the kernel: those measured are memcpy in user space",
    )


def virtual_page(asked: Asked) -> Answer:
    """Question 8."""
    limits = asked.machine.limits
    # 512 mappings of one page: no two of them are next to each other in memory, so no two vectors merge.
    page, static = (count(ZeroPage.named(name), limits, 0, 2 * MIB).vectors for name in ("page", "static"))
    virtual, physical = _copies("virtual"), _copies("static")
    each = [_against(name) for name in known_readers()]
    ratio = _hull(each)
    both = ", and both lose to a hot 4 KiB page" if max(virtual.high, physical.high) < 1 else ""
    figures = (
        Figure("copying from a virtual page over from a physical 2 MiB, bandwidth", ratio, "1"),
        Figure("virtual over 4 KiB", virtual, "1"),
        Figure("physical 2 MiB over 4 KiB", physical, "1"),
        Figure("vectors of 2 MiB from a virtual page", Estimate.exactly(float(page)), "1"),
        Figure("vectors of 2 MiB from a physical page", Estimate.exactly(float(static)), "1"),
    )
    return Answer(
        8,
        f"No device gains: DMA sees physical pages, so 2 MiB are still {page} vectors from a virtual page and {static} "
        f"from a physical one. A CPU that copies reads a virtual page at {ratio} times the bandwidth of a physical one "
        f"(its 4 KiB stay in L1, but 512 TLB entries are needed): {_which(ratio)}{both}.",
        figures,
        f"exact counts; reading measured on {', '.join(known_readers())}",
        f"zpmodel answers 8 {asked.options()}",
        "a CPU's L1 is virtually tagged, or its second TLB holds fewer than 512 entries",
        "other CPUs than those measured",
    )


def iommu(asked: Asked) -> Answer:
    """Question 10."""
    saved, ratios = {}, {}
    for mode in IOMMUS:
        found = static_gain(varied(asked, iommu=mode))[1]
        saved[mode], ratios[mode] = found.cpu_saved_s.scaled(1e3), found.speedup
    told, source = _strict_per_vector()
    fewer = count(ZeroPage.named("page"), asked.machine.limits, 0, GIB).vectors
    published = Estimate.exactly(told * fewer * 1e3)
    figures = [Figure("CPU time saved for each GiB, lazy", saved["lazy"], "ms")]
    figures += [Figure(f"CPU time saved for each GiB, {mode}", saved[mode], "ms") for mode in ("none", "strict")]
    figures += [Figure(f"throughput over 4 KiB, {mode}", ratios[mode], "1") for mode in IOMMUS]
    figures.append(Figure("the same by a published latency a vector, strict", published, "ms"))
    times = saved["lazy"].value / saved["none"].value
    return Answer(
        10,
        f"Translation multiplies the gain by {times:.1f} (lazy): {_instead(asked)}{saved['none']} ms of CPU time saved "
        f"for each GiB without it, {saved['lazy']} ms with lazy; {more(ratios['none'])} without, "
        f"{more(ratios['lazy'])} with. Strict counts the same here, as its flushes are not counted; a published "
        f"latency says {told * 1e9:.0f} ns a 4 KiB vector, {published.value:.0f} ms for each GiB.",
        tuple(figures),
        f"the NVMe driver's counted instructions by IOMMU mode; published: {source}",
        f"zpmodel compare {_options(asked, iommu='lazy')}",
        "the driver uses SGLs and the kernel maps a whole request at once (7.x, no 4 KiB boundaries)",
        "strict's invalidations on a real IOMMU: time per unmap against the number of segments",
    )


def _strict_per_vector() -> tuple[float, str]:
    """Published submission latency of one more 4 KiB vector under a strict IOMMU [s], and who says so."""
    table = pd.read_csv(shipped.data("published", "figures.csv"))
    rows = table[table["case"] == "iommu-strict-slat"]
    sizes, times = rows["input_value"].astype(float), rows["value"].astype(float)
    vectors = (sizes.max() - sizes.min()) / (4 * KIB)
    return float((times.max() - times.min()) / vectors * 1e-9), str(rows["source"].iloc[0])


def write_zeroes(asked: Asked) -> Answer:
    """Question 11."""
    # The question is of writing pages, so the device's own Write Zeroes is looked away from.
    static = compare(Scenario(asked.machine, GIB), ("page", "static"))[1].prediction
    speeds = published_speeds()
    if static.structure.operation != "write":
        static = static_gain(load_machine(_COMPOSED))[1].prediction
    found = offload(static)
    even = found.break_even_bytes_per_s.scaled(1e-9)
    cpu = "In CPU time nothing is known, as none was measured"
    if found.pages_cpu_s.known:
        wins = "wins" if found.cpu_s.high < found.pages_cpu_s.low else "need not win"
        cpu = (
            f"In CPU time offload {wins}: {found.cpu_s.scaled(1e3)} against {found.pages_cpu_s.scaled(1e3)} ms for "
            "each GiB"
        )
    writes = sum(kind.writes_pages == "yes" for kind in kinds().values())
    figures = (
        Figure("Write Zeroes is slower below", even, "GB/s"),
        Figure("published speeds of Write Zeroes", speeds.scaled(1e-9), "GB/s"),
        Figure("CPU time of Write Zeroes for each GiB", found.cpu_s.scaled(1e3), "ms"),
        Figure("CPU time of writing 2 MiB pages for each GiB", found.pages_cpu_s.scaled(1e3), "ms"),
        Figure("elapsed time of Write Zeroes for each GiB", found.elapsed_s, "s"),
        Figure("elapsed time of writing 2 MiB pages for each GiB", found.pages_elapsed_s, "s"),
    )
    return Answer(
        11,
        f"It is slower on a drive whose Write Zeroes does less than {even} GB/s; published ones do from "
        f"{speeds.low / 1e9:.2g} to {speeds.high / 1e9:.2g} GB/s, so {_OFFLOAD[found.verdict]}. {cpu}. Of "
        f"{len(kinds())} kinds of devices {writes} write pages.",
        figures,
        f"{rests(asked.machine)}; {speeds.source}",
        f"zpmodel answers 11 {asked.options()}",
        "the drive deallocates instead of writing (its time is then not one of bytes)",
        "the drive's own Write Zeroes by size: blkdiscard --zeroout on it, timed",
    )


_OFFLOAD = {
    "offload loses": "it loses on all of them",
    "offload wins": "it wins on all of them",
    "depends on the drive": "it depends on the drive",
}


def _which(ratio: Estimate) -> str:
    if ratio.low > 1 or ratio.high < 1:
        return f"the {'virtual' if ratio.low > 1 else 'physical'} one is better"
    return "which is better depends on the CPU"


def _copies(source: str) -> Estimate:
    """Bandwidth of copying from a source over that from a hot 4 KiB page, of the CPUs that were measured [1]."""
    return _hull([read_zeroes(read_machine(n), "copy", source).against_page for n in known_readers()])  # type: ignore[arg-type]


def _against(name: str) -> Estimate:
    """Bandwidth of copying from a virtual 2 MiB over that from a physical one on a CPU [1]."""
    cpu = read_machine(name)
    a, b = (read_zeroes(cpu, "copy", source).against_page for source in ("virtual", "static"))
    spread = math.hypot(math.log(a.high / a.value), math.log(b.high / b.value))
    ratio = a.value / b.value
    return Estimate(ratio, ratio * math.exp(-spread), ratio * math.exp(spread))


def _hull(each: list[Estimate]) -> Estimate:
    """The middle of several CPUs by ratio, from the lowest bound of any to the highest."""
    middle = math.exp(sum(math.log(one.value) for one in each) / len(each))
    return Estimate(middle, min(one.low for one in each), max(one.high for one in each))
