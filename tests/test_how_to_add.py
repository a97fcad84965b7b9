"""Every example of docs/how-to-add.md, applied to a copy of the package as the page says; each works."""

import os
import shutil
import subprocess
import sys
from itertools import groupby

import pytest
from blocks import ROOT, blocks, commands

EXAMPLES = {
    section: list(group) for section, group in groupby(blocks(ROOT / "docs" / "how-to-add.md"), lambda b: b.section)
}


def patched(text: str, hunk: str) -> str:
    """A file's text with the ``+`` lines of a block below the lines that it quotes, which stand there once."""
    lines, at = text.split("\n"), -1
    for line in hunk.splitlines():
        if line.startswith("+"):
            at += 1
            lines.insert(at, line[1:])
        else:
            assert lines.count(line[1:]) == 1, f"to add something below: {line[1:]}"
            at = lines.index(line[1:])
    return "\n".join(lines)


def test_there_are_five_examples():
    assert len(EXAMPLES) == 5


@pytest.mark.parametrize("section", EXAMPLES)
def test_an_example_works_as_the_page_says(section, tmp_path):
    if section == "A page of the report" and not (ROOT / "zpmodel" / "report" / "pages.toml").exists():
        pytest.skip("pages are not listed in a file yet")
    for folder in ("zpmodel", "notebooks"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "data").symlink_to(ROOT / "data")
    # Every kernel would be compiled anew for the new source, to be asked once or twice.
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "NUMBA_DISABLE_JIT": "1"}
    ran = files = 0
    for block in EXAMPLES[section]:
        first, _, rest = block.text.partition("\n")
        if block.language == "diff":
            path = tmp_path / first
            path.write_text(patched(path.read_text(), rest))
        elif first.startswith("# ") and first.endswith(".py"):
            path = tmp_path / first.removeprefix("# ")
            assert not path.exists()
            path.write_text(rest)
            files += 1
        else:
            runs = commands(block) if block.language == "console" else [[sys.executable, "-c", block.text]]
            for command in runs:
                done = subprocess.run(
                    command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
                )
                assert done.returncode == 0, done.stderr + done.stdout
                ran += 1
    assert (files, ran >= 1) == (1, True)


def test_the_device_of_the_example_is_calibrated(tmp_path):
    (block,) = [each for each in EXAMPLES["A kind of device"] if each.text.startswith("# zpmodel/devices/nbd.py")]
    (tmp_path / "nbd_example.py").write_text(block.text)
    program = """if True:
        from dataclasses import replace
        import nbd_example, synthetic
        from zpmodel import calibrate
        machine = calibrate(replace(synthetic.data_set(1, ring=None), device=nbd_example.Nbd()), resamples=20)
        fitted = machine.device.best.parameters
        assert 0.5 < fitted.mebibyte / synthetic.DEVICE.mebibyte < 2, fitted
    """
    path = os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]])
    environment = {**os.environ, "PYTHONPATH": path}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
