"""A page's Jupyter kernel: this Python, whatever kernelspecs a user has, and one that ends with what started it."""

import os
import sys
from typing import Any

from zpmodel.host.parent import die_with_parent

_GRAMMAR = "rfc3987_syntax"


def spare_imports() -> None:
    """Do without what takes a second to import and is never asked for here, in a process that is ours alone.

    jsonschema, which nbformat and altair bring, checks IRIs by a grammar that is built at import; no notebook or chart
    has any, and jsonschema does without where the module is missing.
    """
    sys.modules.setdefault(_GRAMMAR, None)  # type: ignore[arg-type]


def import_jsonschema() -> None:
    """Import jsonschema without that grammar in a process of somebody's own, who may still import it."""
    missing = _GRAMMAR not in sys.modules
    spare_imports()
    import jsonschema  # type: ignore[import-untyped]  # noqa: F401

    if missing:
        del sys.modules[_GRAMMAR]


def manager() -> Any:
    """The class of kernel managers that start this module; jupyter_client is imported only where it is needed."""
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager

    # Under -I nothing in the current folder or the user's own site-packages shadows a module; the path is ours.
    code = f"import sys; sys.path[:] = {sys.path!r}; from zpmodel.report.kernel import main; main({os.getpid()})"
    spec = KernelSpec(
        argv=[sys.executable, "-I", "-c", code, "-f", "{connection_file}"], display_name="Python 3", language="python"
    )

    class OwnKernel(AsyncKernelManager):
        @property
        def kernel_spec(self) -> KernelSpec:
            return spec

    return OwnKernel


def main(parent: int) -> None:
    """Become a kernel whose connection file ``-f`` names."""
    die_with_parent(parent)
    spare_imports()
    from ipykernel.kernelapp import launch_new_instance

    launch_new_instance()
