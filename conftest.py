"""Tells pytest which files to skip if an extra (a group of optional dependencies) is not installed."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

collect_ignore = [] if find_spec("torch") else ["mixtures/torch_dataset.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives the doctests of ``torch_dataset.py`` the pytest mark ``train``. (A doctest cannot give itself a mark.)"""
    for item in items:
        if item.path.name == "torch_dataset.py":
            item.add_marker("train")
