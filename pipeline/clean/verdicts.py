"""The decisions of the dedups and the join about one batch, collected before a pass opens the batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(slots=True)
class Verdicts:
    """The decisions about one batch. Those of dedups are by the tag of the dedup."""

    rows: dict[int, dict[int, str]] = field(default_factory=dict)
    """The rows to drop: the detail of each, by tag and row number."""
    lines: dict[int, list[np.ndarray]] = field(default_factory=dict)
    """The hashes of the lines to remove, by tag."""
    signals: dict[int, dict[int, float]] = field(default_factory=dict)
    """Measurements of rows, by tag and row number."""
    members: dict[int, dict[int, int]] = field(default_factory=dict)
    """The numbers of documents that were dropped for a kept row, by tag and row number."""
    attributes: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    """The columns that a join found, by row number."""
