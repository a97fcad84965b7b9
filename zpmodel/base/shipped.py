"""Where the files that the project ships are: data and notebooks, in a checkout or in an installed wheel."""

from pathlib import Path

from zpmodel.base.errors import InputError

DEFAULT_DATA_SET = "kvm-zen5-virtio"
"""The data set that reports are made from where none is named."""

_PACKAGE = Path(__file__).resolve().parent.parent


def _folder(checkout_name: str) -> Path:
    installed = _PACKAGE / f"_{checkout_name}"
    return installed if installed.is_dir() else _PACKAGE.parent / checkout_name


def data(*parts: str) -> Path:
    """Path of a shipped data file or folder, such as ``data("fio")``.

    :raises InputError: where there is none of that name.
    """
    path = _folder("data").joinpath(*parts)
    if not path.exists():
        raise InputError("shipped data", "name", "/".join(parts), f"a name under {path.parent}")
    return path


def notebooks() -> Path:
    """Path of the folder of shipped notebooks."""
    return _folder("notebooks")
