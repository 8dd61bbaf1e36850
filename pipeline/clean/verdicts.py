"""Holds what dedups and a join have decided about the documents of one batch. The next pass applies these decisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(slots=True)
class Verdicts:
    """Holds the decisions about one batch. Decisions of dedups are grouped by tag (the number of the dedup)."""

    rows: dict[int, dict[int, str]] = field(default_factory=dict)
    """The rows to drop, by tag and row number. The value is the detail of the drop."""
    lines: dict[int, list[np.ndarray]] = field(default_factory=dict)
    """The hashes of the lines to remove, by tag."""
    signals: dict[int, dict[int, float]] = field(default_factory=dict)
    """Measurements of rows, by tag and row number."""
    members: dict[int, dict[int, int]] = field(default_factory=dict)
    """The number of duplicates that were dropped in favour of a kept row, by tag and row number."""
    attributes: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    """The values that a join found for a row, by row number and then by column."""
