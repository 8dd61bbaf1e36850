"""The one shape of everything that judges or edits documents: a step.

A step looks at one record batch and answers with an :class:`Outcome`: new columns (an edited text, a
language), a verdict (the reason to drop, or null) and signals (what was measured). It never counts and
never removes rows: that is the pipeline's work, so that nothing can be lost without a count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, runtime_checkable

import pyarrow as pa

Models = Mapping[str, Any]
"""Loaded models by their key (``language``, ``perplexity``, ``reference``, ``bad_words``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a step says of one batch of ``n`` documents; every array has ``n`` rows, in the batch's order."""

    verdict: pa.Array
    """string; the reason to drop the document, null where it is kept."""
    columns: Mapping[str, pa.Array] = field(default_factory=dict)
    """Columns replaced (``text``, ``language``) or added (those the step names in ``COLUMNS``)."""
    detail: pa.Array | None = None
    """string; the number or name that decided, null where the document is kept."""
    signals: Mapping[str, pa.Array] = field(default_factory=dict)
    """double; what was measured, by name; null where it was not measured."""


@runtime_checkable
class Step(Protocol):
    """A frozen dataclass whose fields are its settings (each with unit in its name and a default).

    ``DATA_VERSION`` is raised when what the step puts out changes; CHANGELOG tells why.
    """

    NAME: ClassVar[str]
    DATA_VERSION: ClassVar[int]
    MODELS: ClassVar[tuple[str, ...]]
    COLUMNS: ClassVar[Mapping[str, pa.DataType]]
    REASONS: ClassVar[tuple[str, ...]]

    def apply(self, batch: pa.RecordBatch, models: Models) -> Outcome:
        """Judges (and may edit) every document of the batch, each as if it stood alone."""
        ...
