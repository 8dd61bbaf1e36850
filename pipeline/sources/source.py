"""Defines what a source is. A source does not use Beam, so it can also be used in a test or at the Python prompt.

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
"""If a file is in an unsupported format, this is the kind of its unit, and the reason for rejecting it."""

Document = dict[str, Any]
"""A document as a reader yields it. The keys are ``id``, ``text``, optionally ``language``, and the reader's own
columns. The id is made from the content of the record, never from its place in the input.
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
    """The end of a range that begins at ``start``; None for the end of the file. Each reader defines which records
    belong to a range.
    """
    origin: str = ""
    """The container from which the bytes were unpacked; empty if they were not unpacked from a container."""
    group: int = 0
    """The number of the unit's group of files. Some readers put files into groups; otherwise the number is 0."""

    @property
    def location(self) -> str:
        """The file that messages about this unit name: the container from which the unit was unpacked, or the unit's
        file.
        """
        return self.origin or self.path


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """Describes a record that did not become a document. The run counts it among its ``records``, and writes a row
    about it to the folder ``dropped/``.
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
    """Holds a record that is only a part of a document. A join makes documents from such records. A record is for
    example a file or a licence (GitHub), or a post (Stack Exchange).
    """

    table: str
    row: dict[str, Any]


class Opener(Protocol):
    """A function that opens a local or remote file for reading. The file is seekable, and its bytes are not
    decompressed.
    """

    def __call__(self, path: str) -> BinaryIO: ...


@dataclass(frozen=True, slots=True)
class Chunk:
    """Holds consecutive complete records that were unpacked from a container (such as a .7z)."""

    kind: str
    origin: str
    data: bytes


class Reader(ABC):
    """The base class of the readers. A reader splits a source's files into units (input that one worker reads), and
    reads the units into documents. A reader is a frozen dataclass whose fields are settings of the source.

    A subclass defines only what differs from the defaults below.
    """

    __slots__ = ()

    DATA_VERSION: ClassVar[int] = 1
    """Version of the reader's output. Increase it if a change of the code gives different documents for the same input
    and settings. Explain the change in CHANGELOG.
    """
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {}
    """The columns that ``read`` adds to documents, with their types. If a name begins with ``_``, the column is not
    written to ``clean/``.
    """
    RULE: ClassVar[str] = ""
    """Text about what the reader does to documents, for the table in ``docs/recipe.md``. If it is empty, the table
    shows the first paragraph of the docstring."""
    CITE: ClassVar[str] = "ours"
    """The origin of the rule in ``RULE``, for the same table."""
    BROKEN: ClassVar[tuple[str, ...]] = ()
    """The reasons for rejecting broken records. These count towards the limits at which a run stops."""
    NOT_BROKEN: ClassVar[tuple[str, ...]] = ()
    """The reasons for rejecting records that are intact but are not documents, such as a redirect or a PDF."""
    CONTAINERS: ClassVar[frozenset[str]] = frozenset()
    """The kinds of units that a single task must unpack (such as a .7z). ``unpack`` splits such a unit into chunks. The
    pipeline writes the chunks to spill files. Each chunk becomes a new unit, and ``read`` reads it. Many tasks read
    these units in parallel. The ``path`` of such a unit is a spill file. Its ``origin`` and ``kind`` are those of the
    chunk.
    """
    HAS_DUMPS: ClassVar[bool] = False
    """True if the files are published in dumps over time. Then a newer dump is cleaned without reading older dumps."""

    @abstractmethod
    def knows(self, path: str) -> bool:
        """True if the source reads files with names like this path."""

    @abstractmethod
    def units(self, files: Sequence[InputFile], open_file: Opener) -> list[Unit]:
        """Splits files into units (input that one worker reads). All given files have names that :meth:`knows` accepts.

        Raises:
            ValueError: a file is not supported, or a file that belongs to the given files is missing.
        """

    @abstractmethod
    def read(self, unit: Unit, open_file: Opener) -> Iterator[Document | TableRow | Rejected]:
        """Yields the records of a unit (input that one worker reads). A broken record becomes a ``Rejected``, and
        reading continues after it.
        """

    def unpack(self, unit: Unit, open_file: Opener) -> Iterator[Chunk | Rejected]:
        """Yields the content of a container (such as a .7z) in chunks of about 8 MB. A record is never split between
        two chunks.
        """
        raise NotImplementedError(f"{type(self).__name__} names no containers")

    def dump_of(self, path: str) -> str:
        """Returns the name of the dump (one dated release of the source) that a path contains; empty if it contains
        none.

        The names must sort by date: the name of a newer dump must be later in the alphabet.
        """
        return ""

    def is_side_table(self, path: str) -> bool:
        """True if the file is a table that a join needs completely, such as the licences of GitHub's repositories.

        A run with ``--fraction`` reads only a share of the input, but it reads such a table completely.
        """
        return False

    def expand(self, given: str, open_file: Opener) -> list[str] | None:
        """Returns the paths that a list of files (such as ``wet.paths``) contains; None if ``given`` is not such a
        list.
        """
        return None


class Join:
    """The base class of joins. A join makes one document from several records, such as a question and its answers.

    A join is a frozen dataclass that contains the rules. Its fields are settings. The code that runs the joins is in
    ``pipeline/clean/joins``. That folder has one file per join, and a table, ``JOINS``, that maps each class to its
    file.
    """

    __slots__ = ()

    STAGES: ClassVar[tuple[str, ...]] = ()
    """The names of the join's own stages. Documents pass these stages before the first step."""
    OPENS_BATCHES: ClassVar[bool] = False
    """True if the join writes documents to spill files. The first steps then read batches of documents from these
    files.
    """
    FIRST_PASS: ClassVar[str] = "read"
    """The name of the first pass over the joined documents, as ``--explain`` prints it. Not used if ``OPENS_BATCHES``
    is True.
    """
    EXPLAINED: ClassVar[tuple[str, ...]] = ()
    """Lines that describe what the join does. ``--explain`` prints them."""
    SIDE_TABLES: ClassVar[frozenset[str]] = frozenset()
    """The kinds of units that have rows but no documents. An estimate of a run does not read such units."""
    KEY_COLUMNS: ClassVar[tuple[str, ...]] = ()
    """The columns in which a record and its document have equal values. Empty if records are documents."""


AnyStep = Step | DedupStep


@dataclass(frozen=True, slots=True)
class DataLicence:
    """Describes the licence of a source's text. This is not legal advice."""

    name: str
    asks: str
    """The duties that the licence gives to anyone who distributes the text."""
    link: str


UNKNOWN_LICENCE = DataLicence("not known here", "look at where it came from", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Defines one source of documents: how its files are read, and which steps its documents pass, in order.

    Some steps are dedups (they remove duplicates). These may be at any place among the steps.
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
    """Maps a document's id to a 64-bit number. The numbers must be uniformly distributed. Documents with the smallest
    numbers are held out for validation. None means a hash of the id, the same function for all sources.
    """
    declared: Mapping[str, Any] | None = field(default=None, compare=False)
    """The part of the configuration file that defines this source. If the source is a declared corpus, this is its
    declaration. If the source is defined in code, this is the list ``steps`` that replaces its steps. None if the file
    has neither.
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
