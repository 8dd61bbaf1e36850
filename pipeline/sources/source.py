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
"""The ``kind`` of a unit for a file in an unsupported format. It is also the reason for which this file is rejected."""

Document = dict[str, Any]
"""A document as a reader yields it. The keys are ``id``, ``text``, optionally ``language``, and the columns in
``Reader.COLUMNS``. The id depends only on the record, never on where the record is in the input.
"""


@dataclass(frozen=True, slots=True)
class InputFile:
    """Describes an input file of a source. ``num_bytes`` is its stored (compressed) size."""

    path: str
    num_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """Describes the smallest piece of input that one worker reads on its own: a file, or a part of a file."""

    path: str
    num_bytes: int
    kind: str = ""
    """The format or role of the file (``wet``, ``warc``, ``contents``, ...). Each reader defines its own kinds."""
    start: int = 0
    end: int | None = None
    """The end of the part of the file that begins at ``start``; None if the part reaches to the end of the file. Each
    reader defines the meaning of these numbers, such as byte offsets.
    """
    origin: str = ""
    """The container from which the bytes were unpacked; empty if they were not unpacked from a container."""
    group: int = 0
    """The number of the group of files that the unit belongs to. It is 0 if the reader does not put files into groups.
    """

    @property
    def location(self) -> str:
        """The file that is named in messages about this unit. If the unit was unpacked from a container, this is the
        container. Otherwise it is the file at ``path``.
        """
        return self.origin or self.path


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """Describes a record that did not become a document (a rejection). The run includes rejections in its count
    ``records``, and writes one row per rejection to the folder ``dropped/``.
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
    """Holds a record that is only a part of a document, such as a licence (GitHub) or a post (Stack Exchange). A
    :class:`Join` makes documents from these records.
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
    """Holds some consecutive records that were unpacked from a container (such as a .7z). All of them are complete."""

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
    """Version of the reader's output. Increase it if the changed code gives different documents for the same input and
    settings. Explain the change in ``CHANGELOG.md``.
    """
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {}
    """The columns that ``read`` adds to documents, with their types. If a name begins with ``_``, the column is not
    written to ``clean/``.
    """
    RULE: ClassVar[str] = ""
    """Text about what the reader does to documents, for the table in ``docs/recipe.md``. If it is empty, the table
    shows the first paragraph of the class's docstring."""
    CITE: ClassVar[str] = "ours"
    """The origin of what ``RULE`` says, such as a paper, for the table in ``docs/recipe.md``."""
    BROKEN: ClassVar[tuple[str, ...]] = ()
    """The reasons for rejecting broken records. Broken records count towards the limits at which a run stops."""
    NOT_BROKEN: ClassVar[tuple[str, ...]] = ()
    """The reasons for rejecting records that are intact but are not documents, such as a redirect or a PDF."""
    CONTAINERS: ClassVar[frozenset[str]] = frozenset()
    """The kinds of units that are containers (such as a .7z), which a single task must unpack. ``unpack`` splits a
    container into chunks, and the pipeline writes the chunks to temporary files (spill files). Each chunk becomes a new
    unit: its ``path`` is the spill file, and its ``origin`` and ``kind`` are those of the chunk. Many tasks read these
    new units in parallel, with ``read``.
    """
    HAS_DUMPS: ClassVar[bool] = False
    """True if the files are published in dumps (dated releases). Then a newer dump is cleaned without reading older
    dumps again.
    """

    @abstractmethod
    def knows(self, path: str) -> bool:
        """True if this source reads files with such a name. Only the path is examined."""

    @abstractmethod
    def units(self, files: Sequence[InputFile], open_file: Opener) -> list[Unit]:
        """Splits files into units (input that one worker reads). All given files have names that :meth:`knows` accepts.

        Raises:
            ValueError: a file is not supported, or a needed file is missing.
        """

    @abstractmethod
    def read(self, unit: Unit, open_file: Opener) -> Iterator[Document | TableRow | Rejected]:
        """Yields the records of a unit (input that one worker reads). A broken record becomes a ``Rejected``, and
        reading continues after it.
        """

    def unpack(self, unit: Unit, open_file: Opener) -> Iterator[Chunk | Rejected]:
        """Unpacks a container (such as a .7z). Yields its content in chunks of about 8 MB. Each chunk has only complete
        records.
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
    """The names of stages that belong to the join. Documents pass these stages before the first step."""
    OPENS_BATCHES: ClassVar[bool] = False
    """True if the join writes documents to temporary files (spill files). Then the first steps read batches of
    documents from these files.
    """
    FIRST_PASS: ClassVar[str] = "read"
    """The name that ``--explain`` prints for the first pass over the joined documents. It is not printed if
    ``OPENS_BATCHES`` is True.
    """
    EXPLAINED: ClassVar[tuple[str, ...]] = ()
    """Lines that describe what the join does. ``--explain`` prints them."""
    SIDE_TABLES: ClassVar[frozenset[str]] = frozenset()
    """The kinds of units that have rows but no documents. An estimate of a run does not read such units."""
    KEY_COLUMNS: ClassVar[tuple[str, ...]] = ()
    """Names of columns. All records from which a document is made have the same value in such a column, and the
    document has this value too. Empty if each record is a document.
    """


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

    Some steps are dedups (they remove duplicates). A dedup can come before or after any other step.
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
    """The part of the configuration file that defines this source; None if the file has no such part. For a declared
    corpus, it is the declaration. For a source defined in code, it is the mapping with the key ``steps``, whose list
    replaces the source's steps.
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
