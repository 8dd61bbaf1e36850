"""Defines the steps that need all documents of a source: exact, line and near dedup.

A step here only holds settings, as a filter does, and does not use Beam. The code that runs the steps is in
``pipeline/clean/dedup``, with one file per kind of dedup. The table ``KINDS`` there maps each class below to this code.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self

import pyarrow as pa
import pyarrow.compute as pc

from filters.books.overlap import KEEP_ONE_IN
from filters.ccnet.line_hashes import LINE_HASHES, LineHashes
from filters.rules import Rule


class DedupStep:
    """The base class of the dedups (steps that drop duplicates). A dedup is a frozen dataclass whose fields are its
    settings.
    """

    __slots__ = ()

    NAME: str
    """The name of the stage in configuration files, ``dropped/`` and ``stats/``."""
    DATA_VERSION: int
    FIXED: ClassVar[frozenset[str]] = frozenset({"NAME", "DATA_VERSION", "reason", "rule", "cite"})
    """Fields that a configuration file cannot set."""
    rule: str
    """One or two sentences about what the step does, for the table in ``docs/recipe.md``. ``rule`` and ``cite`` are not
    settings, so they do not affect comparisons or the fingerprint.
    """
    cite: str
    """The origin of the rule, such as a paper. It is shown in the same table."""

    @property
    def reasons(self) -> tuple[str, ...]:
        """The reasons for which the step drops documents."""
        raise NotImplementedError

    def chains_with(self, following: object) -> bool:
        """True if this step and the following one can share a pass over the documents. That pass computes the keys
        (hashes that are compared) of both steps.
        """
        return False

    parts: ClassVar[str] = ""
    """The parts of texts that the step removes from documents that it keeps: ``lines`` or ``passages``. Empty if it
    changes no text."""

    @property
    def edits_text(self) -> bool:
        """True if the step changes the texts of documents that it keeps."""
        return bool(self.parts)

    @property
    def compares_lines(self) -> bool:
        """True if the step compares the lines (or other parts) of different documents. Then a worker holds a bucket (a
        part of all hashes) in memory, and the estimate of a run's memory includes it.
        """
        return False

    def key_bytes(self, num_docs: float, text_bytes: float) -> float:
        """Estimates how many bytes of keys (hashes of n-grams or of windows) the documents send to the step. Hashes of
        lines and of single columns are not included.
        """
        return 0.0

    @property
    def leaves_keys(self) -> bool:
        """True if the step writes the keys (hashes) of each dump into files. A dump is one crawl of CommonCrawl. When a
        newer dump is added later, it is compared with the keys in these files.
        """
        return False

    @property
    def travels(self) -> str:
        """A few words about the data that the step sends between machines. Texts are never sent. ``--explain`` prints
        these words.
        """
        raise NotImplementedError

    @property
    def names_kept(self) -> bool:
        """True if the step notes the id of the kept document in the column ``detail`` of a dropped document."""
        return False

    @property
    def needs_earlier_dumps_only(self) -> bool:
        """True if the decisions about the documents of a dump (one crawl) depend only on this dump and on earlier ones.
        Then a newer dump can be added later without changing these decisions.
        """
        return False

    @property
    def columns(self) -> Mapping[str, pa.DataType]:
        """The columns that the step adds to the documents that it keeps."""
        return {}

    COUNTED_SETTINGS: ClassVar[frozenset[str]] = frozenset()
    """Settings whose effect can be computed without a new run. A run stores signals (measurements). They show which
    documents would be affected if one of these settings changes.
    """

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The limits on signals (measured numbers). If a document's signal exceeds the limit, the step drops the
        document. If the step measures nothing, the result is empty.
        """
        return ()

    def may_fall_above(self, before: Self) -> float | None:
        """Returns a limit that shows which kept documents this step might drop after a change of its settings.
        ``before`` is the step with the old settings.

        A document that the run kept might now be dropped if its signal is above the limit. Not all such documents would
        be dropped. Of two similar documents a dedup drops only one, and a run does not store which. Returns None if no
        kept document would be dropped.
        """
        return None

    def check(self, columns: Collection[str]) -> None:
        """Checks the settings of this step. Raises ValueError if a setting names a column that the source does not
        have.
        """


def check_columns(step: str, columns: Collection[str], **settings: str | None) -> None:
    """Checks the given settings. Raises ValueError if one of them names a column that the source does not have."""
    known = {"id", "text", "language", *columns}
    for setting, column in settings.items():
        if column is not None and column not in known:
            raise ValueError(f"{step}: {setting} must be one of {', '.join(sorted(known))}, not {column!r}")


def check_scope(step: str, scope: str, words: Collection[str], columns: Collection[str]) -> None:
    """Checks the setting ``scope``, which says which documents are compared. Raises ValueError if it is neither one of
    the given words nor a column of the source.
    """
    scopes = {*words, *columns, *(name.removeprefix("_") for name in columns)}
    if scope not in scopes:
        raise ValueError(f"{step}: scope must be one of {', '.join(sorted(scopes))}, not {scope!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactDedup(DedupStep):
    """Keeps one document per value of the ``key`` column. All documents with a null key are kept.

    If ``newest`` names a column, the document with the greatest value in this column is kept. If ``earliest`` names a
    column, the document with the smallest value is kept. Documents with a null in this column come last. If two values
    are equal, the document whose id has the smaller hash is kept. The order of reading never matters.
    """

    NAME: str
    reason: str
    key: str
    newest: str | None = None
    earliest: str | None = None
    DATA_VERSION: int = 1
    rule: str = field(default="", compare=False)
    cite: str = field(default="ours", compare=False)

    def __post_init__(self) -> None:
        if self.newest and self.earliest:
            raise ValueError(f"{self.NAME}: set newest or earliest, not both")

    def check(self, columns: Collection[str]) -> None:
        check_columns(self.NAME, columns, key=self.key, newest=self.newest, earliest=self.earliest)

    @property
    def reasons(self) -> tuple[str, ...]:
        return (self.reason,)

    @property
    def leaves_keys(self) -> bool:
        return True

    @property
    def travels(self) -> str:
        return f"per document: a hash of {self.key} (16 bytes), the id and the address"

    @property
    def names_kept(self) -> bool:
        return True

    @property
    def needs_earlier_dumps_only(self) -> bool:
        return self.newest is None

    def chains_with(self, following: object) -> bool:
        return isinstance(following, ExactDedup)

    @property
    def is_ordered(self) -> bool:
        """True if ``newest`` or ``earliest`` decides which document is kept. Otherwise only the hashes of the ids
        decide.
        """
        return bool(self.newest or self.earliest)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineDedup(DedupStep):
    """Removes lines that several documents share. If a line is repeated inside one document, the first copy is kept.

    - ``keep``: if two of the compared documents contain a line, ``ccnet`` removes it from every document. ``first``
      keeps it in one document: the one whose ``rank`` column has the smallest MD5 (C4's rule, where ``rank`` is the
      url).
    - ``lines``: the function in ``filters.ccnet.line_hashes`` that computes the hashes of lines.
    - ``scope``: which documents are compared. ``all`` compares all documents. ``document`` only removes repeated lines
      inside a document. The name of a column compares only documents with the same value in this column. The ``_`` at
      the beginning of a column's name can be left out (``group`` for ``_group``).
    """

    parts: ClassVar[str] = "lines"

    NAME: str = "line_dedup"
    lines: str = "ccnet"
    keep: str = "ccnet"
    scope: str = "all"
    rank: str = "id"
    DATA_VERSION: int = 1
    rule: str = field(default="", compare=False)
    cite: str = field(default="ours", compare=False)

    def __post_init__(self) -> None:
        if self.keep not in ("ccnet", "first"):
            raise ValueError(f"{self.NAME}: keep must be ccnet or first, not {self.keep!r}")
        if self.lines not in LINE_HASHES:
            raise ValueError(f"{self.NAME}: lines must be one of {', '.join(LINE_HASHES)}, not {self.lines!r}")

    def hashed(self, texts: pa.Array) -> LineHashes:
        """Returns the hashes of all lines of texts."""
        return LINE_HASHES[self.lines](texts)

    def num_hashes(self, texts: pa.Array) -> pa.Array:
        """Returns the number of lines of each text."""
        return pc.add(pc.count_substring(texts, "\n"), 1)

    @property
    def reasons(self) -> tuple[str, ...]:
        return ("no_lines_left",)

    @property
    def travels(self) -> str:
        return "per line: a hash (8 bytes)"

    @property
    def compares_lines(self) -> bool:
        return self.scope != "document"

    @property
    def needs_earlier_dumps_only(self) -> bool:
        return self.scope in ("dump", "group", "document")

    def check(self, columns: Collection[str]) -> None:
        check_scope(self.NAME, self.scope, {"all", "document"}, columns)
        check_columns(self.NAME, columns, rank=self.rank)


@dataclass(frozen=True, slots=True, kw_only=True)
class NearDedup(DedupStep):
    """Keeps one of two documents whose word n-grams overlap by more than ``max_overlap``.

    The overlap is the number of shared n-grams divided by the number of n-grams of the smaller document.
    """

    REASON: ClassVar[str] = "near_duplicate"
    SIGNAL: ClassVar[str] = "overlap"
    """The name of the signal. The signal of a dropped document is its overlap with the document that was kept instead.
    The signal of a kept document is its largest overlap with any other kept document.
    """
    REPORTED: ClassVar[float] = 0.5
    """Overlaps of at least this value are stored as a signal. Ours: the value is below ``max_overlap``, but above
    overlaps that occur by chance.
    """

    NAME: str = "near_dedup"
    max_overlap: float = 0.9
    ngram_words: int = 5
    DATA_VERSION: int = 1
    rule: str = field(default="", compare=False)
    cite: str = field(default="ours", compare=False)

    COUNTED_SETTINGS: ClassVar[frozenset[str]] = frozenset({"max_overlap"})

    @property
    def rules(self) -> tuple[Rule, ...]:
        cite = "LLaMA, section 2.1: over 90% of content"
        return (Rule(self.REASON, self.SIGNAL, ">", self.max_overlap, cite),)

    def may_fall_above(self, before: Self) -> float | None:
        if self.max_overlap < self.REPORTED:
            return -math.inf  # smaller overlaps are not stored
        return self.max_overlap if self.max_overlap < before.max_overlap else None

    @property
    def reasons(self) -> tuple[str, ...]:
        return (self.REASON,)

    @property
    def travels(self) -> str:
        return f"per document: hashes (8 bytes each) of one in {KEEP_ONE_IN} of its word {self.ngram_words}-grams"

    @property
    def names_kept(self) -> bool:
        return True
