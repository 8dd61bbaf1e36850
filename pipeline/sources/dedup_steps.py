"""Defines the dedups (steps that remove duplicates): exact, line and near dedup. A dedup compares the documents of a
source with each other.

The classes here only hold settings, and do not use Beam. The code that runs the steps is in ``pipeline/clean/dedup``,
with one file per kind of dedup. The table ``KINDS`` there maps each class below to this code.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self

import pyarrow as pa

from filters.books.overlap import KEEP_ONE_IN
from filters.ccnet.line_hashes import LINE_HASHES, LineHashes
from filters.rules import Rule
from filters.text_column import num_line_ends


class DedupStep:
    """The base class of the dedups (steps that drop duplicates). A dedup is a frozen dataclass whose fields are its
    settings.
    """

    __slots__ = ()

    NAME: str
    """The name of the step in configuration files, and in the output folders ``dropped/`` and ``stats/``."""
    DATA_VERSION: int
    FIXED: ClassVar[frozenset[str]] = frozenset({"NAME", "DATA_VERSION", "reason", "rule", "cite"})
    """Fields that a configuration file cannot set."""
    rule: str
    """One or two sentences about what the step does, for the table in ``docs/recipe.md``. ``rule`` and ``cite`` are not
    settings. They do not affect whether two steps are equal, or the fingerprint of a run.
    """
    cite: str
    """The origin of the rule, such as a paper, for the table in ``docs/recipe.md``."""

    @property
    def reasons(self) -> tuple[str, ...]:
        """The names of the reasons for which the step drops documents, such as ``near_duplicate``."""
        raise NotImplementedError

    def chains_with(self, following: object) -> bool:
        """True if the keys (hashes that are compared) of this step and of the step ``following`` can be computed in one
        pass over the documents.
        """
        return False

    parts: ClassVar[str] = ""
    """Names the parts that the step removes from texts of kept documents: ``lines`` or ``passages``. Empty if the step
    changes no text.
    """

    @property
    def edits_text(self) -> bool:
        """True if the step changes the texts of documents that it keeps."""
        return bool(self.parts)

    @property
    def compares_lines(self) -> bool:
        """True if the step compares lines or passages of different documents. Then a worker holds a bucket (a part of
        all hashes) in memory. The estimate of a run's memory includes this bucket.
        """
        return False

    def key_bytes(self, num_docs: float, text_bytes: float) -> float:
        """Estimates how many bytes of keys are sent between workers. Keys are hashes of n-grams or of passages. Hashes
        of lines and of whole columns are not included.
        """
        return 0.0

    @property
    def leaves_keys(self) -> bool:
        """True if the step writes the keys (hashes that are compared) of each dump to files. A dump is, for example,
        one crawl of CommonCrawl. When a newer dump is added later, its keys are compared with the keys in these files.
        """
        return False

    @property
    def travels(self) -> str:
        """Text that says what data the step sends between machines. The texts of documents are never sent.
        ``--explain`` prints this text.
        """
        raise NotImplementedError

    @property
    def names_kept(self) -> bool:
        """True if the step stores the id of the kept document in the column ``detail`` of each dropped document."""
        return False

    @property
    def needs_earlier_dumps_only(self) -> bool:
        """True if the decisions about the documents of a dump depend only on this dump and on earlier dumps. Then a
        newer dump can be added later, and the earlier decisions stay the same.
        """
        return False

    @property
    def columns(self) -> Mapping[str, pa.DataType]:
        """The columns that the step adds to the documents that it keeps."""
        return {}

    COUNTED_SETTINGS: ClassVar[frozenset[str]] = frozenset()
    """The names of settings whose new values can be tried without a new run. The effect of a new value is computed from
    the signals (measured numbers) that a run stores for its documents.
    """

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The limits on signals (numbers that the step measures for each document). A document is dropped if its signal
        is above the limit. Empty if the step measures nothing.
        """
        return ()

    def may_fall_above(self, before: Self) -> float | None:
        """Estimates what new settings would change. A run with the step ``before`` kept some documents. This step has
        the new settings, and may drop some of these documents.

        Returns a limit: this step may drop a document if the document's signal (a number that the run stored) is above
        the limit. With the limit ``-inf``, it may drop any document that the run kept. Returns None if it drops none of
        them.

        A document above the limit is not dropped for certain: of two similar documents, a dedup drops only one, and the
        run did not store which one.
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
    """Checks the setting ``scope``, which says which documents are compared. Raises ValueError if its value is not in
    ``words`` and is not the name of a column of the source.
    """
    scopes = {*words, *columns, *(name.removeprefix("_") for name in columns)}
    if scope not in scopes:
        raise ValueError(f"{step}: scope must be one of {', '.join(sorted(scopes))}, not {scope!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactDedup(DedupStep):
    """Keeps one document per value of the column that ``key`` names. Documents with a null in this column are all kept.

    If ``newest`` names a column, the document with the greatest value in this column is kept. If ``earliest`` names a
    column, the document with the smallest value is kept. A document with a null in the named column is kept only if all
    its duplicates have a null there too. If two values are equal, or if no column is named, the document whose id has
    the smallest hash is kept. The order in which documents are read never matters.
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
        """True if ``newest`` or ``earliest`` names the column that decides which document is kept. False if only the
        hashes of the ids decide.
        """
        return bool(self.newest or self.earliest)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineDedup(DedupStep):
    """Removes lines that several documents share. If a line is repeated inside only one document, the first copy in
    this document is kept.

    - ``keep``: what happens if two or more of the compared documents contain the same line. With ``ccnet``, the line is
      removed from all of them. With ``first``, one document keeps the line (see ``rank``).
    - ``rank``: the name of a column. With ``keep: first``, the document whose value in this column has the smallest MD5
      keeps the line. (This is C4's rule, where ``rank`` is the url.)
    - ``lines``: the function in ``filters.ccnet.line_hashes`` that computes the hashes of lines.
    - ``scope``: which documents are compared. With ``all``, these are all documents. With ``document``, each document
      is compared only with itself. With the name of a column, these are documents with the same value in this column. A
      ``_`` at the beginning of the name can be left out (``group`` for ``_group``).
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
        """Returns the hashes of all lines of each text."""
        return LINE_HASHES[self.lines](texts)

    def num_hashes(self, texts: pa.Array) -> pa.Array:
        """Returns the number of lines of each text."""
        return pa.array(num_line_ends(texts) + 1)

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
    """Compares documents by their word n-grams (sequences of ``ngram_words`` words). If two documents overlap by more
    than ``max_overlap``, one of them is dropped.

    The overlap is the number of shared n-grams divided by the number of n-grams of the smaller document.
    """

    REASON: ClassVar[str] = "near_duplicate"
    SIGNAL: ClassVar[str] = "overlap"
    """The name of a signal (a number that is stored for a document). For a dropped document, it is the overlap with the
    document that was kept instead. For a kept document, it is the largest overlap with a different kept document.
    """
    REPORTED: ClassVar[float] = 0.5
    """The smallest overlap that is stored as a signal. Our choice: unrelated documents have smaller overlaps by
    chance."""

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
