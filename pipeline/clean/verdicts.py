"""Holds what dedups and a join have decided about the documents of one batch. The next pass applies these decisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(slots=True)
class Verdicts:
    """Holds what dedups and a join have decided about one batch.

    All fields except ``attributes`` are about dedups. Their first key is the tag: the number of the dedup that decided.
    """

    rows: dict[int, dict[int, str]] = field(default_factory=dict)
    """The rows to drop. The keys are the tag and then the row number. The value is the detail of the drop."""
    lines: dict[int, list[np.ndarray]] = field(default_factory=dict)
    """The hashes of the lines to remove. The key is the tag."""
    signals: dict[int, dict[int, float]] = field(default_factory=dict)
    """Measurements of documents. The keys are the tag and then the row number."""
    members: dict[int, dict[int, int]] = field(default_factory=dict)
    """The number of documents that were dropped as duplicates of a kept document. The keys are the tag and then the row
    number of the kept document."""
    attributes: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    """The values that a join found for a document. The keys are the row number and then the column."""
