"""A what-if with controls that ask the model itself, where a notebook has a kernel; elsewhere a sentence in its place.

Precomputed sliders know a few settings; here every length, folio, largest transfer, kernel and CPU can be asked.
"""

import base64
import os
from dataclasses import dataclass
from typing import Any

import pandas as pd
from IPython.display import Markdown

from zpmodel.base.errors import InputError
from zpmodel.base.units import GIB, format_size
from zpmodel.calibration.machine_file import load_machine, shipped_names
from zpmodel.kernel_cpu.nvme import nvme_limits
from zpmodel.kernel_cpu.time_per_instruction import known_times
from zpmodel.report import tables
from zpmodel.report.charts import compare as charts
from zpmodel.report.charts.theme import table_html, themed
from zpmodel.report.describe import describe
from zpmodel.report.escape import from_markdown, to_html
from zpmodel.report.words import headline
from zpmodel.study.compare import compare
from zpmodel.study.scenario import Scenario

KERNELS = ("5.10", "5.15", "6.1", "6.6", "6.12", "6.18", "7.2", "7.3")
IOMMUS = ("none", "lazy", "strict")
LENGTHS = tuple(1 << power for power in range(12, 41))  # 4 KiB to 1 TiB
FOLIOS = tuple(1 << power for power in range(13, 30))  # 8 KiB to 512 MiB
_SESSION = "JPY_SESSION_NAME"  # what a Jupyter server tells the kernels of its notebooks; papermill has none


@dataclass(frozen=True)
class Choice:
    """What the controls say.

    :ivar bandwidth_gb_s: what the device writes [GB/s].
    :ivar length: what a call zeroes [byte]. :ivar folio: the larger zero page [byte].
    :ivar mdts: the drive's largest transfer, as the power of two of 4 KiB.
    :ivar iommu, kernel, cpu: as ``zpmodel compare`` takes them.
    """

    machine: str
    bandwidth_gb_s: float = 3.5
    length: int = GIB
    folio: int = 2 << 20
    mdts: int = 5
    iommu: str = "none"
    kernel: str = "7.3"
    cpu: str = "any"

    def scenario(self) -> Scenario:
        """The question.

        :raises InputError: on a part that can't be.
        """
        parts = {"device": f"{self.bandwidth_gb_s:.4g} GB/s", "iommu": self.iommu, "kernel": self.kernel}
        machine = load_machine(self.machine, **parts, cpu=None if self.cpu == "any" else self.cpu)
        limits = nvme_limits(self.kernel, self.mdts, self.iommu)  # type: ignore[arg-type]
        return Scenario(machine, self.length, limits=limits)


def answer(choice: Choice) -> str:
    """The answer as harmless HTML: in words, as a chart and as a table; one line where a part can't be."""
    try:
        scenario = choice.scenario()
        larger = "static" if choice.folio == 2 << 20 else format_size(choice.folio).replace(" ", "")
        page, _, larger_page = found = compare(scenario, ("page", "on-demand", larger))
    except InputError as error:
        return f"<p>{to_html(error)}</p>"
    import vl_convert

    size, by_name = format_size(choice.length), f"{choice.machine}, {choice.bandwidth_gb_s:.3g} GB/s"
    with themed():
        chart = charts.predicted(pd.DataFrame([item.row() for item in found]), f"Zeroing {size}, predicted", by_name)
        spec = chart.to_dict()
    picture = base64.b64encode(vl_convert.vegalite_to_svg(spec).encode()).decode()
    image = f'<img alt="{to_html(describe(spec))}" src="data:image/svg+xml;base64,{picture}">'
    words = from_markdown(headline(scenario.machine, larger_page, page))
    return f"{words}{image}{table_html(tables.policies({size: found}))}"


def what_if(machine: str) -> Any:
    """Controls and their answer for a notebook that a person opened; a sentence where there is nobody, or no widgets.

    :param machine: the composed machine that is chosen at first.
    """
    if _SESSION not in os.environ:
        return Markdown(  # type: ignore[no-untyped-call]
            "*Opened in JupyterLab (`make lab`), this notebook has controls here that ask the model itself: any "
            "length, folio, largest transfer, IOMMU, kernel and CPU.*"
        )
    try:
        import ipywidgets
    except ImportError:
        text = "*`pip install 'zpmodel[lab]'` puts controls here that ask the model itself.*"
        return Markdown(text)  # type: ignore[no-untyped-call]
    return _controls(ipywidgets, machine)


def _controls(widgets: Any, machine: str) -> Any:
    wide = {"style": {"description_width": "11em"}, "layout": {"width": "34em"}, "continuous_update": False}
    names = {"style": wide["style"], "layout": wide["layout"]}
    first = Choice(machine)
    controls = {
        "machine": widgets.Dropdown(options=shipped_names(), value=machine, description="Machine", **names),
        "bandwidth_gb_s": widgets.FloatLogSlider(
            value=first.bandwidth_gb_s, min=-1, max=1.5, step=0.05, readout_format=".2f",
            description="Device writes [GB/s]", **wide,
        ),
        "length": _sizes(widgets, LENGTHS, first.length, "A call zeroes", wide),
        "folio": _sizes(widgets, FOLIOS, first.folio, "Larger zero page", wide),
        "mdts": widgets.SelectionSlider(
            options=[(format_size(4096 << mdts), mdts) for mdts in range(1, 12)], value=first.mdts,
            description="Largest transfer (MDTS)", **wide,
        ),
        "iommu": widgets.ToggleButtons(options=IOMMUS, value=first.iommu, description="IOMMU", style=names["style"]),
        "kernel": widgets.Dropdown(options=KERNELS, value=first.kernel, description="Linux", **names),
        "cpu": widgets.Dropdown(options=["any", *known_times()], value=first.cpu, description="CPU", **names),
    }  # fmt: skip
    shown = widgets.HTML(answer(first))

    def changed(_: Any) -> None:
        shown.value = answer(Choice(**{name: control.value for name, control in controls.items()}))

    for control in controls.values():
        control.observe(changed, names="value")
    return widgets.VBox([*controls.values(), shown])


def _sizes(widgets: Any, sizes: tuple[int, ...], value: int, name: str, look: dict[str, Any]) -> Any:
    return widgets.SelectionSlider(
        options=[(format_size(size), size) for size in sizes], value=value, description=name, **look
    )
