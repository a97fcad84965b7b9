"""The what-if that asks the model itself: its answers are compare's, and it is there only where it can be."""

import re
import sys

import pytest
from IPython.display import Markdown

from zpmodel.calibration.machine_file import load_machine
from zpmodel.queue.presets import nvme
from zpmodel.report import live
from zpmodel.study.compare import compare
from zpmodel.study.scenario import Scenario

NVME = "nvme-mailing-list"


def test_it_says_what_compare_says():
    choice = live.Choice(NVME, bandwidth_gb_s=1.0, length=32 << 20, folio=64 << 10, mdts=7, iommu="lazy", kernel="6.12")
    machine = load_machine(NVME, device="1 GB/s", iommu="lazy", kernel="6.12")
    limits = nvme(7, (6, 12), translating_iommu=True)
    found = compare(Scenario(machine, 32 << 20, limits=limits), ("page", "on-demand", "64KiB"))
    told = live.answer(choice)
    assert f"{found[-1].speedup.as_ratio()} times as fast" in told
    for item in found:
        assert f"<td>{item.prediction.cpu_s}</td>" in told
    assert re.search(r'<img alt="Zeroing 32 MiB, predicted [^"]+" src="data:image/svg\+xml;base64,', told)


def test_what_cannot_be_is_one_line():
    told = live.answer(live.Choice(NVME, kernel="<9.1>"))
    assert told.startswith("<p>kernel: cpu.kernel: &lt;9.1&gt; is not accepted; expected a version from 5.0")


@pytest.mark.parametrize("kernel", live.KERNELS)
@pytest.mark.parametrize("iommu", live.IOMMUS)
def test_every_kernel_that_is_offered_answers(kernel, iommu):
    for folio in (live.FOLIOS[0], live.FOLIOS[-1]):
        assert "<table" in live.answer(
            live.Choice(NVME, length=live.LENGTHS[0], folio=folio, kernel=kernel, iommu=iommu)
        )


def test_a_report_has_a_sentence_in_its_place(monkeypatch):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    shown = live.what_if(NVME)
    assert isinstance(shown, Markdown)
    assert "JupyterLab" in shown.data


def test_without_widgets_it_says_what_brings_them(monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "sweep.ipynb")
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    assert "zpmodel[lab]" in live.what_if(NVME).data


def test_moving_a_control_asks_again(monkeypatch):
    widgets = pytest.importorskip("ipywidgets")
    monkeypatch.setenv("JPY_SESSION_NAME", "sweep.ipynb")
    box = live.what_if(NVME)
    *controls, shown = box.children
    assert len(controls) == 8
    assert "Zeroing 1 GiB" in shown.value
    controls[2].value = 32 << 20
    assert "Zeroing 32 MiB" in shown.value
    controls[5].value = "lazy"
    assert live.answer(live.Choice(NVME, length=32 << 20, iommu="lazy")) == shown.value
    widgets.Widget.close_all()
