"""What pytest passes over where an extra is not installed."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore = [] if find_spec("torch") else ["mixtures/torch_dataset.py"]
