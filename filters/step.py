"""The one shape of everything that judges or edits documents: a step.

A step looks at one record batch and answers with an :class:`Outcome`: new columns (an edited text, a
language), a verdict (the reason to drop, or null) and signals (what was measured). It never counts and
never removes rows: that is the pipeline's work, so that nothing can be lost without a count.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

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


class Step(ABC):
    """The base class of every filter: a frozen dataclass whose fields are the filter's settings.

    Each field has a default, and its unit in its name. A subclass states only what differs from the defaults below.
    """

    __slots__ = ()

    NAME: ClassVar[str]
    """The name of the stage in configuration files, ``dropped/`` and ``stats/``."""
    DATA_VERSION: ClassVar[int] = 1
    """Increase it when the same input and settings would give other output. CHANGELOG says why."""
    MODELS: ClassVar[tuple[str, ...]] = ()
    """The keys of the models that ``apply`` needs."""
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {}
    """The columns that ``apply`` adds, with their types."""
    REASONS: ClassVar[tuple[str, ...]] = ()
    """The reasons for which ``apply`` drops documents."""
    CITE: ClassVar[str] = "ours"
    """Where the rule comes from, for the table in ``docs/recipe.md``."""

    @abstractmethod
    def apply(self, batch: pa.RecordBatch, models: Models) -> Outcome:
        """Judges every document of the batch, and may edit it. No document may influence another one's outcome."""
