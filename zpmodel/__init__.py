"""What a PMD-sized zero page is worth: exact block-layer structure, costs calibrated from fio, and reports.

Nothing heavy is imported until a name is used; ``import zpmodel`` is quick.
"""

import importlib
from typing import Any

_HOMES = {
    "ZeroPage": "zpmodel.queue.zeropage",
    "QueueLimits": "zpmodel.queue.limits",
    "InputError": "zpmodel.base.errors",
    "RefusedError": "zpmodel.base.errors",
    "ZpmodelError": "zpmodel.base.errors",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'zpmodel' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
