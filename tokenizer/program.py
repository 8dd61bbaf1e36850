"""Stores the name under which a command was called: ``python -m mixtures.plan``, or ``llama-mixture plan``."""

from __future__ import annotations

from importlib import metadata

_called_as: dict[str, str] = {}

DISTRIBUTION = "llama-mixture"


def name_of(module: str) -> str:
    """Returns the name under which a command was called, for its ``--help``.

    >>> name_of("my.module")
    'python -m my.module'
    """
    return _called_as.get(module, f"python -m {module}")


def set_name(module: str, name: str) -> None:
    """Stores the name under which a command was called. A command that is called as ``python -m MODULE`` needs no
    stored name.
    """
    _called_as[module] = name


def version() -> str:
    """Returns the name and the version of the installed package."""
    try:
        return f"{DISTRIBUTION} {metadata.version(DISTRIBUTION)}"
    except metadata.PackageNotFoundError:
        return f"{DISTRIBUTION} (a checkout that is not installed)"
