"""What a source is: a value. No Beam here: a source can be read in a test or at the prompt.

A source names how its files are cut into units (the smallest piece one worker reads on its own), how a
unit is read into documents, and which steps the documents pass, in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, ClassVar, Protocol, runtime_checkable

import pyarrow as pa

from filters.step import Step
from pipeline.sources.dedup_steps import ExactDedup, LineDedup, NearDedup

UNKNOWN_FORM = "unknown_form"
"""The kind of units, and the reason of records, that stand for files of a form the source does not read."""

Document = dict[str, Any]
"""One document as a reader gives it: ``id``, ``text``, optionally ``language``, and the reader's own columns.
``id`` comes from the record's own identity, never from where it was read."""


@dataclass(frozen=True, slots=True)
class InputFile:
    """One file of a source's input. ``num_bytes`` as stored (compressed)."""

    path: str
    num_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """The smallest piece of input that one worker reads on its own: a file, or a byte range of one."""

    path: str
    num_bytes: int
    kind: str = ""
    """Which of the source's forms this is (``wet``, ``warc``, ``contents``, ...); the reader's own word."""
    start: int = 0
    end: int | None = None
    """Byte range in the stored file; ``None`` is its end. What a range means is the reader's business."""
    origin: str = ""
    """Where the bytes came from if not from ``path`` itself: set on units that were unpacked from a container."""
    group: int = 0
    """Which group of the source's files it belongs to, where the reader makes groups."""

    @property
    def place(self) -> str:
        """What a person is told of where this unit is: the container it came from, or the file."""
        return self.origin or self.path


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A record that never became a document. Counted under ``records`` and written to ``dropped`` with its place."""

    place: str
    """Where it was: ``FILE#MEMBER`` or ``FILE@BYTE_OFFSET`` or ``FILE:LINE``."""
    reason: str
    """snake_case: ``truncated_gzip``, ``not_json``, ``pdf``, ``redirect``, ..."""
    detail: str = ""
    is_bad: bool = True
    """True where the input is broken: counts towards the ceiling of bad records. A PDF or a redirect is not broken."""
    is_whole_file: bool = False
    """True where nothing (more) of a file could be read: counts towards the ceiling of unreadable files."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """Part of a document only after a join: a file or licence row (GitHub), a post (Stack Exchange)."""

    table: str
    row: dict[str, Any]


class Opener(Protocol):
    """Opens a stored file for reading raw bytes (never decompressed), seekable; local or in a cloud's store."""

    def __call__(self, path: str) -> BinaryIO: ...


class Reader(Protocol):
    """A frozen dataclass whose fields are settings."""

    DATA_VERSION: ClassVar[int]
    COLUMNS: ClassVar[Mapping[str, pa.DataType]]
    """The source's own columns that ``read`` fills; those that begin with ``_`` are not written to ``clean``."""

    def knows(self, path: str) -> bool:
        """Whether a file of this name is of a form that this source reads."""
        ...

    def units(self, files: Sequence[InputFile], open_file: Opener) -> list[Unit]:
        """Cuts files, all of known names, into units. Raises ValueError on what cannot be read together."""
        ...

    def read(self, unit: Unit, open_file: Opener) -> Iterator[Document | TableRow | Rejected]:
        """Streams a unit; a broken record becomes a ``Rejected`` and reading goes on behind it."""
        ...


@runtime_checkable
class Unpacker(Protocol):
    """A reader some of whose units are containers that only one task can unpack (a .7z).

    Such a unit is unpacked into chunks, which the pipeline spills to files and hands to ``read`` as units of
    their own (``path`` the spill file, ``origin`` and ``kind`` as given here), so that they are read in parallel.
    """

    CONTAINERS: ClassVar[frozenset[str]]
    """The ``kind`` of units that ``unpack`` takes."""

    def unpack(self, unit: Unit, open_file: Opener) -> Iterator[Chunk | Rejected]:
        """Streams chunks of about 8 MB, each cut at a record's border."""
        ...


@runtime_checkable
class ByDump(Protocol):
    """A reader whose files come in dumps, one after another: a dump that is whole is not read again for a newer one."""

    def dump_of(self, path: str) -> str:
        """The dump that a file belongs to, by its path; dumps sort as they were published. Empty: not known."""
        ...


@dataclass(frozen=True, slots=True)
class Chunk:
    """A run of whole records out of a container."""

    kind: str
    origin: str
    data: bytes


AnyStep = Step | ExactDedup | LineDedup | NearDedup


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One of the seven. ``steps`` pass in order; steps over all documents (dedups) may stand between any two."""

    name: str
    reader: Reader
    steps: tuple[AnyStep, ...]
    cite: str
    """What the paper says of this source, in a line."""
    join: str | None = None
    """The join that makes documents of records, by its name in ``pipeline.transforms`` (``answers``, ``licences``)."""
    join_settings: Any = None
    """The settings of that join and its pure rules, a frozen dataclass of the source's own module."""
    split_hash: Callable[[str], int] | None = None
    """From a document's id to the number (64 bits, uniform) by which documents are held out for validation, smallest
    first; not given: the hash of the id that all sources share."""

    def __post_init__(self) -> None:
        columns = {*self.reader.COLUMNS, *(name for step in self.steps for name in getattr(step, "COLUMNS", {}))}
        scopes = {"all", "document", *columns, *(name.removeprefix("_") for name in columns)}
        for step in self.steps:
            if isinstance(step, LineDedup) and step.scope not in scopes:
                raise ValueError(f"{step.NAME}: scope must be one of {', '.join(sorted(scopes))}, not {step.scope!r}")
