"""One page in a process of its own: the notebook through papermill, then its fragment, charts and data.

Run as ``python -m zpmodel.report.run_page PARENT`` with one JSON document on standard input; the folder of the run is
the current one, so that everything a kernel needs (connection file, sockets, history) lies there and goes with it.
"""

import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

from zpmodel.host.parent import die_with_parent
from zpmodel.report.kernel import manager, spare_imports


def main() -> None:
    """Read the order, run the page, write its files."""
    die_with_parent(int(sys.argv[1]))
    spare_imports()
    order = json.load(sys.stdin)
    here = Path.cwd()
    os.environ |= {
        "IPYTHONDIR": str(here / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(here),
        "JUPYTER_PLATFORM_DIRS": "1",
        "JUPYTER_CONFIG_DIR": str(here / "config"),
        "JUPYTER_DATA_DIR": str(here / "share"),
        "PYTHONWARNINGS": "ignore",
    }
    from zpmodel.report import fragment

    started = time.monotonic()
    notebook = execute(Path(order["notebook"]), order["parameters"])
    fragment.write(
        notebook,
        out=Path(order["out"]),
        name=order["name"],
        about={**order["about"], "seconds": round(time.monotonic() - started, 1)},
    )


def execute(source: Path, parameters: dict[str, Any]) -> Any:
    """Run a notebook up to its end or its first error; either way the notebook comes back with its outputs."""
    # papermill has pyarrow for notebooks in HDFS alone, and it takes as long to import as all the rest.
    spared = "pyarrow" not in sys.modules
    if spared:
        sys.modules["pyarrow"] = None  # type: ignore[assignment]
    from papermill.engines import papermill_engines
    from papermill.execute import prepare_notebook_metadata
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook

    if spared:
        del sys.modules["pyarrow"]
    logging.getLogger("papermill").setLevel(logging.CRITICAL)
    notebook = load_notebook_node(str(source))
    if parameters:
        notebook = parameterize_notebook(notebook, parameters, kernel_name="python3", language="python")
    notebook = prepare_notebook_metadata(notebook, str(source), None, False)
    # ipc: sockets in the run's own folder instead of TCP ports, which two kernels might pick at the same time.
    options = {"kernel_manager_class": manager(), "config": _config(), "output_path": None, "progress_bar": False}
    return papermill_engines.execute_notebook_with_engine(
        "nbclient", notebook, kernel_name="python3", input_path=str(source), **options
    )


def _config() -> Any:
    from traitlets.config import Config

    return Config(
        {"KernelManager": {"transport": "ipc", "ip": "kernel", "connection_file": str(Path.cwd() / "kernel.json")}}
    )


if __name__ == "__main__":
    main()
