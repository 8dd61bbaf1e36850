"""What pytest passes over where an extra is not installed."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

collect_ignore = [] if find_spec("torch") else ["mixtures/torch_dataset.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Doctests have no marks of their own."""
    for item in items:
        if item.path.name == "torch_dataset.py":
            item.add_marker("train")
