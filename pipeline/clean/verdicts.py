"""What the dedups and the join decided about one batch, collected before a pass opens it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(slots=True)
class Verdicts:
    """The decisions about one batch, by the tag of the dedup that made them."""

    rows: dict[int, dict[int, str]] = field(default_factory=dict)
    """Rows to drop, each with its detail."""
    lines: dict[int, list[np.ndarray]] = field(default_factory=dict)
    """Hashes of lines to remove."""
    signals: dict[int, dict[int, float]] = field(default_factory=dict)
    """Measurements of rows that stay."""
    members: dict[int, dict[int, int]] = field(default_factory=dict)
    """For rows that stay, the number of documents that were dropped for them."""
    attributes: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    """Columns that a join found, by row."""
