"""Defines the base class of all filters: a step judges documents, and can edit them.

A step takes one record batch and returns an :class:`Outcome`: new columns (an edited text, a language), a verdict (the
reason to drop a document, or null) and signals (measurements). A step never counts rows and never removes rows. The
pipeline does both, so no document can be lost without a count.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pyarrow as pa

Models = Mapping[str, Any]
"""Loaded models and lists by their key, such as ``language``, ``perplexity`` or ``bad_words``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Holds the result of a step for one batch of ``n`` documents. Every array has ``n`` rows, in the batch's order."""

    verdict: pa.Array
    """string; the reason to drop the document, null if the document is kept."""
    columns: Mapping[str, pa.Array] = field(default_factory=dict)
    """Columns by name. A column of the batch (``text``, ``language``) is replaced. The columns of ``COLUMNS`` are
    added."""
    detail: pa.Array | None = None
    """string; the number or name that led to the verdict, null if the document is kept."""
    signals: Mapping[str, pa.Array] = field(default_factory=dict)
    """double; measurements by name, null if not measured."""
    evidence: pa.RecordBatch | None = None
    """Rows with the columns of ``EVIDENCE``, for example one per evaluation item found; None if there are none."""


class Step(ABC):
    """Serves as the base class of every filter. A filter is a frozen dataclass whose fields are the filter's settings.

    Each field has a default. The name of a field contains its unit, such as ``chars``. A subclass sets only the class
    variables that differ from the defaults below.
    """

    __slots__ = ()

    NAME: ClassVar[str]
    """The name of the stage in configuration files, ``dropped/`` and ``stats/``."""
    DATA_VERSION: ClassVar[int] = 1
    """The version of the step's output. Increase it when the same input and settings would give different output, and
    explain the change in CHANGELOG."""
    MODELS: ClassVar[tuple[str, ...]] = ()
    """The keys of the models that ``apply`` needs."""
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {}
    """The columns that ``apply`` adds, with their types."""
    NEEDS: ClassVar[tuple[str, ...]] = ()
    """The columns that ``apply`` needs, besides the columns that every source has."""
    REASONS: ClassVar[tuple[str, ...]] = ()
    """The reasons for which ``apply`` can drop documents."""
    CITE: ClassVar[str] = "ours"
    """The citation of the rule in the table of ``docs/recipe.md``."""
    EVIDENCE: ClassVar[pa.Schema | None] = None
    """The columns of :attr:`Outcome.evidence`; None if ``apply`` never returns evidence."""
    IS_BLIND_TO_CUTS: ClassVar[bool] = False
    """True if the step never keeps a text from which lines were removed although it drops the whole text. This holds
    for steps that drop only short texts, and for steps that look at no text. An estimate does not remove lines that
    other documents repeat. It gives an upper bound only if all later steps are of this kind."""
    HAS_KERNELS: ClassVar[bool] = False
    """True if ``apply`` runs compiled loops (:mod:`filters.compiled`). Compiling them takes memory in each process."""

    @abstractmethod
    def apply(self, batch: pa.RecordBatch, models: Models) -> Outcome:
        """Judges every document of the batch, and can edit it. A document must not influence the result of another
        document."""
