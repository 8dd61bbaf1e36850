"""Reads documents from shards and decodes them, for ``python -m mixtures.inspect``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mixtures.part_rows import rows_of_source
from mixtures.shards import ShardMetadata, read_batches, shard_schema
from mixtures.stream import one_line
from tokenizer.encode import Encoder


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Selects the documents to show. A field whose value is None does not restrict the selection."""

    source: str | None = None
    doc_id: str | None = None
    grep: str | None = None
    """Text that the document must contain. It is not a regular expression."""
    epoch: int | None = None
    stage: str | None = None
    """The stage that dropped the document. Only documents of ``dropped/`` have one."""
    reason: str | None = None
    """The reason for which the document was dropped."""
    is_case_ignored: bool = False
    """True if ``grep`` matches small and capital letters alike."""

    @property
    def is_dropped(self) -> bool:
        """True if only dropped documents can match."""
        return self.stage is not None or self.reason is not None

    def is_in(self, text: str) -> bool:
        """Returns True if the text contains ``grep``.

        >>> Wanted(grep="Abc").is_in("xabcx"), Wanted(grep="Abc", is_case_ignored=True).is_in("xabcx")
        (False, True)
        """
        if self.grep is None:
            return True
        return self.grep.casefold() in text.casefold() if self.is_case_ignored else self.grep in text


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownDocument:
    """Describes a document from a shard, or from ``clean/`` or ``dropped/``."""

    shard: str
    """The file that contains the document."""
    row: int
    source: str
    doc_id: str
    text: str
    epoch: int | None = None
    """The document's epoch in the mixture. None for documents of ``clean/`` or ``dropped/``."""
    num_tokens: int = 0
    is_cut: bool = False
    """True if the source's last, partial epoch ends inside this document. The document has then lost its end and its
    eos."""
    note: str = ""
    """More text for the heading, such as the reason why the document was dropped."""
    dropped: Mapping[str, str | None] = field(default_factory=dict)
    """The ``stage``, ``reason`` and ``detail`` of a dropped document. Empty for other documents."""

    def as_values(self) -> dict[str, Any]:
        """Returns the document as a dict for JSON. The epoch, the number of tokens and ``is_cut`` are included only if
        the document is from a shard.
        """
        of_mixture = {"epoch": self.epoch, "tokens": self.num_tokens, "is_cut": self.is_cut}
        return {
            "source": self.source,
            "id": self.doc_id,
            **(of_mixture if self.epoch is not None else {}),
            **self.dropped,
            "file": self.shard,
            "row": self.row,
            "text": self.text,
        }


def documents(path: Path, encoder: Encoder, wanted: Wanted) -> Iterator[ShownDocument]:
    """Yields the wanted documents of a shard, decoded one at a time.

    Raises:
        ValueError: the file is not a shard, or another tokenizer made its ids.
    """
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} is not a readable shard: {one_line(error)}") from error
    try:
        metadata = ShardMetadata.of(reader.schema)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if not reader.schema.equals(shard_schema(metadata.vocab_size)):
        raise ValueError(f"{path}: its columns are not those of a shard: {one_line(reader.schema.remove_metadata())}")
    if metadata.tokenizer_sha256 != encoder.sha256:
        raise ValueError(
            f"{path} holds ids of the tokenizer {metadata.tokenizer_sha256[:12]} ({metadata.vocab_size:,} pieces), "
            f"this one is {encoder.sha256[:12]} ({encoder.vocab_size:,} pieces): give the run's with --tokenizer"
        )
    try:
        yield from _documents(path, reader, encoder, wanted)
    except (pa.ArrowException, OSError, UnicodeDecodeError, IndexError) as error:
        raise ValueError(f"{path} is damaged: {one_line(error)}") from error


def _documents(path: Path, reader: Any, encoder: Encoder, wanted: Wanted) -> Iterator[ShownDocument]:
    if wanted.is_dropped:
        return
    before, eos_id = 0, ShardMetadata.of(reader.schema).eos_id
    for batch in read_batches(reader):
        batch.validate(full=True)
        for row in _rows(batch, wanted):
            ids = batch.column("input_ids")[row].values
            text = encoder.decode(ids.to_numpy())
            if wanted.is_in(text):
                yield ShownDocument(
                    shard=str(path),
                    row=before + row,
                    source=batch.column("source")[row].as_py(),
                    doc_id=batch.column("doc_id")[row].as_py(),
                    epoch=batch.column("epoch")[row].as_py(),
                    num_tokens=len(ids),
                    is_cut=eos_id >= 0 and len(ids) > 0 and ids[-1].as_py() != eos_id,
                    text=text,
                )
        before += len(batch)


def _rows(batch: pa.RecordBatch, wanted: Wanted) -> list[int]:
    mask = None
    if wanted.source is not None:
        mask = rows_of_source(batch.column("source"), wanted.source)
    if wanted.doc_id is not None:
        is_id = pc.equal(batch.column("doc_id"), wanted.doc_id)
        mask = is_id if mask is None else pc.and_(mask, is_id)
    if wanted.epoch is not None:
        is_epoch = pc.equal(batch.column("epoch"), wanted.epoch)
        mask = is_epoch if mask is None else pc.and_(mask, is_epoch)
    return list(range(len(batch))) if mask is None else pc.indices_nonzero(mask).to_pylist()


def heading(one: ShownDocument) -> str:
    """Returns the line that is printed above a document."""
    size = f"{one.num_tokens:,} tokens" + (", cut before its end" if one.is_cut else "")
    about = [f"epoch {one.epoch}", size] if one.epoch is not None else []
    about += [one.note] if one.note else []
    return printable("  ".join([f"=== {one.source}", one.doc_id, *about, f"({one.shard} row {one.row})"]))


def printable(text: str) -> str:
    r"""Returns the text with escaped control characters, so that a terminal does not execute them.

    >>> printable("a\x1b[31m\tb")
    'a\\x1b[31m\tb'
    """
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text)
