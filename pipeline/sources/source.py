"""Defines what a source is. A source is a value without Beam, so it can be used in a test or at the prompt.

A source defines three things: how its files are split into units; how a unit is read into documents; and which steps
the documents pass, in order. A unit is the smallest piece of input that one worker reads on its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, ClassVar, Protocol

import pyarrow as pa

from filters.step import Step
from pipeline.sources.dedup_steps import DedupStep

UNKNOWN_FORM = "unknown_form"
"""The kind of a unit for a file in an unsupported format, and the reason with which the file is rejected."""

Document = dict[str, Any]
"""A document as a reader yields it. A document has ``id``, ``text``, optionally ``language``, and the columns of the
reader. The id is made from the record itself, never from the place where the record was read.
"""


@dataclass(frozen=True, slots=True)
class InputFile:
    """Describes an input file of a source. ``num_bytes`` is its stored (compressed) size."""

    path: str
    num_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """Describes the smallest piece of input that one worker reads on its own: a file, or a byte range of a file."""

    path: str
    num_bytes: int
    kind: str = ""
    """The format or role of the file (``wet``, ``warc``, ``contents``, ...). Each reader defines its own kinds."""
    start: int = 0
    end: int | None = None
    """The end of a byte range from ``start``; None for the end of the file. Each reader defines what is in a range."""
    origin: str = ""
    """The container from which the bytes were unpacked; empty if they are from ``path`` itself."""
    group: int = 0
    """The number of the group of files that the unit belongs to, if the reader makes groups."""

    @property
    def location(self) -> str:
        """The location of the unit for messages: the container from which the unit was unpacked, or the unit's file."""
        return self.origin or self.path


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """Describes a record that did not become a document. The record is counted as one of the ``records``, and written
    to ``dropped/``.
    """

    location: str
    """The location of the record: ``FILE#MEMBER``, ``FILE@BYTE_OFFSET`` or ``FILE:LINE``."""
    reason: str
    """The drop reason in snake_case: ``truncated_gzip``, ``not_json``, ``pdf``, ``redirect``, ..."""
    detail: str = ""
    is_bad: bool = True
    """True if the input is broken. Broken records count towards the limit on bad records. A PDF or a redirect is not
    broken.
    """
    is_whole_file: bool = False
    """True if the rest of a file, or the whole file, could not be read. Such a file counts towards the limit on
    unreadable files.
    """


@dataclass(frozen=True, slots=True)
class TableRow:
    """Holds a record from which a join makes a part of a document. The record is for example a file or a licence
    (GitHub), or a post (Stack Exchange).
    """

    table: str
    row: dict[str, Any]


class Opener(Protocol):
    """Opens a local or remote file for reading. The file is seekable, and its bytes are not decompressed."""

    def __call__(self, path: str) -> BinaryIO: ...


@dataclass(frozen=True, slots=True)
class Chunk:
    """Holds consecutive complete records that were unpacked from a container."""

    kind: str
    origin: str
    data: bytes


class Reader(ABC):
    """The base class of the readers. A reader is a frozen dataclass whose fields are settings of the source.

    A subclass defines only what differs from the defaults below.
    """

    __slots__ = ()

    DATA_VERSION: ClassVar[int] = 1
    """Version of the reader's output. Increase it when the same input and settings would give different documents.
    Explain the change in CHANGELOG.
    """
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {}
    """The source's own columns that ``read`` fills. Columns that begin with ``_`` are not written to ``clean/``."""
    RULE: ClassVar[str] = ""
    """Text about what the reader does to documents, for the table in ``docs/recipe.md``. If it is empty, the table
    shows the first paragraph of the docstring."""
    CITE: ClassVar[str] = "ours"
    """The origin of this rule, for the same table."""
    BROKEN: ClassVar[tuple[str, ...]] = ()
    """The reasons for rejecting broken records. These count towards the limits at which a run stops."""
    NOT_BROKEN: ClassVar[tuple[str, ...]] = ()
    """The reasons for rejecting records that are intact but are not documents, such as a redirect or a PDF."""
    CONTAINERS: ClassVar[frozenset[str]] = frozenset()
    """The ``kind`` of units that only one task can unpack (a .7z). ``unpack`` splits them into chunks. The pipeline
    spills the chunks to files, and gives them to ``read`` as units that are read in parallel. The ``path`` of such a
    unit is the spill file. Its ``origin`` and ``kind`` are those of the chunk.
    """
    HAS_DUMPS: ClassVar[bool] = False
    """True if the files are published in dumps over time. Then a newer dump is cleaned without reading older dumps."""

    @abstractmethod
    def knows(self, path: str) -> bool:
        """True if the source reads files whose names look like this path."""

    @abstractmethod
    def units(self, files: Sequence[InputFile], open_file: Opener) -> list[Unit]:
        """Splits files into units. All given files have names that the source :meth:`knows`.

        Raises:
            ValueError: the files cannot be read together.
        """

    @abstractmethod
    def read(self, unit: Unit, open_file: Opener) -> Iterator[Document | TableRow | Rejected]:
        """Yields the records of a unit. A broken record becomes a ``Rejected``, and reading continues after it."""

    def unpack(self, unit: Unit, open_file: Opener) -> Iterator[Chunk | Rejected]:
        """Yields the content of a container in chunks of about 8 MB. The content is split only between records."""
        raise NotImplementedError(f"{type(self).__name__} names no containers")

    def dump_of(self, path: str) -> str:
        """Returns the dump that the path of a file names; empty if it names none.

        Names of dumps sort by date.
        """
        return ""

    def is_side_table(self, path: str) -> bool:
        """True if the file is a table that documents are joined with.

        A run with ``--fraction`` also reads such tables completely.
        """
        return False

    def expand(self, given: str, open_file: Opener) -> list[str] | None:
        """Returns the paths in a list of files (``wet.paths``); None if ``given`` is not such a list."""
        return None


class Join:
    """The base class of joins. A join is a frozen dataclass with settings as fields. The dataclass contains the rules
    of the join.

    ``pipeline/clean/joins`` runs the joins. This folder has one file per join, and one table, ``JOINS``, that maps each
    class to its file.
    """

    __slots__ = ()

    STAGES: ClassVar[tuple[str, ...]] = ()
    """The names of the join's own stages. Documents pass them before the first step."""
    OPENS_BATCHES: ClassVar[bool] = False
    """True if the join spills documents before their first step, so that the first segment opens batches."""
    FIRST_PASS: ClassVar[str] = "read"
    """The name of the pass over joined documents in the graph. A pass that opens batches does not use it."""
    EXPLAINED: ClassVar[tuple[str, ...]] = ()
    """Lines that describe what the join does. ``--explain`` prints them."""
    SIDE_TABLES: ClassVar[frozenset[str]] = frozenset()
    """The ``kind`` of units that have rows but no documents. An estimate does not read them."""
    KEY_COLUMNS: ClassVar[tuple[str, ...]] = ()
    """The columns that a record shares with its document. Empty if records that have a text are documents already."""


AnyStep = Step | DedupStep


@dataclass(frozen=True, slots=True)
class DataLicence:
    """Describes the terms under which the text of a source may be used. This is not legal advice."""

    name: str
    asks: str
    """The licence's requirements for anyone who distributes the text."""
    link: str


UNKNOWN_LICENCE = DataLicence("not known here", "look at where it came from", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Defines one source of documents: how its files are read, and which steps its documents pass, in order.

    Dedups may be anywhere among the steps.
    """

    name: str
    reader: Reader
    steps: tuple[AnyStep, ...]
    cite: str
    """One line with the paper's statement about this source."""
    licence: DataLicence = UNKNOWN_LICENCE
    join: Join | None = None
    """The join that makes documents from records; None if the reader yields documents."""
    split_hash: Callable[[str], int] | None = None
    """Maps a document's id to a uniform 64-bit number. Documents with the smallest numbers are held out for validation.
    The default is the hash of the id that all sources share."""
    declared: Mapping[str, Any] | None = field(default=None, compare=False)
    """The part of the configuration file that defines this source. For a declared corpus it is the declaration. For a
    source defined in code it is the list of ``steps``. None if the file has neither.
    """

    def __post_init__(self) -> None:
        columns = {*self.reader.COLUMNS}
        for step in self.steps:
            if isinstance(step, Step):
                lacking = [name for name in step.NEEDS if name not in columns]
                if lacking:
                    raise ValueError(f"{self.name}: the step {step.NAME} reads the column {lacking[0]}, which neither "
                                     "the input nor a step before it gives")  # fmt: skip
                columns |= set(step.COLUMNS)
        for step in self.steps:
            if isinstance(step, DedupStep):
                step.check(columns)
