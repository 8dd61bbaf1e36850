"""Reads the beginning of a unit (a piece of the input), runs the filters on its documents, and counts the documents
that the filters keep. If the source is divided into parts, the documents of each part are counted, too.
"""

from __future__ import annotations

import io
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow as pa

from mixtures.part_rows import part_numbers
from mixtures.parts import PartRule, part_name
from pipeline.clean.batches import batches, text_bytes
from pipeline.clean.ledger import Ledger
from pipeline.clean.prepared_source import PreparedSource
from pipeline.clean.segments import Segment, is_local
from pipeline.clean.step_runner import StepRunner
from pipeline.clean.verdicts import Verdicts
from pipeline.files.files import open_file
from pipeline.models.load import loaded_models
from pipeline.sources.source import Chunk, Rejected, TableRow, Unit
from pipeline.tokenize.part_column import part_values

TokenCount = Callable[[pa.Array], float]
"""The type of a function that returns the number of tokens of some texts."""
SAMPLE_DOCS = 500
"""The largest number of documents to read from a unit. There are two exceptions. If the reader has already read half of
the bytes of the unit, it reads the rest. If it has unpacked a chunk of the unit, it reads the whole chunk. A
reader reads ahead, and all bytes that it has read are counted. So the documents in these bytes must be counted too."""
_BYTES_PER_TOKEN = 4.0
"""The number of bytes per token that is assumed if tokens are not counted (our choice). English text has about this
many bytes per token with a vocabulary of 32,000 pieces.
"""
_PART_OF_ANOTHER = "part-of-another/"


@dataclass(frozen=True, slots=True)
class Sampled:
    """Holds counts of the documents that were read from one unit."""

    read_bytes: int
    num_docs: int
    given_bytes: int
    """The number of bytes of text before the filters."""
    text_bytes: int
    num_tokens: float
    seconds: float
    part_docs: Mapping[str, int]
    part_tokens: Mapping[str, float]

    @property
    def per_byte(self) -> tuple[float, float, float, float, float]:
        """Returns five numbers, each per stored byte that was read from the unit: documents, bytes of text, tokens,
        bytes of text before the filters, and seconds.
        """
        read = max(self.read_bytes, 1)
        counted = (self.num_docs, self.text_bytes, self.num_tokens, self.given_bytes, self.seconds)
        return tuple(one / read for one in counted)  # type: ignore[return-value]


class _CountingFile(io.RawIOBase):
    """Wraps a file, and counts the bytes that are read from the file."""

    def __init__(self, file: BinaryIO, counts: list[int]) -> None:
        self._file, self._counts = file, counts
        self._counts.append(0)
        self._index = len(counts) - 1

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        self._counts[self._index] += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()


def assumed_tokens(texts: pa.Array) -> float:
    """Returns the number of tokens of some texts, assuming four bytes per token."""
    return text_bytes(texts) / _BYTES_PER_TOKEN


@dataclass(frozen=True, slots=True)
class Sampler:
    """Counts the documents at the beginning of a unit."""

    made: PreparedSource
    runner: StepRunner
    count: TokenCount
    rule: PartRule | None
    """The rule that divides the source; None if parts are not counted."""

    def sample(self, unit: Unit, deadline: float) -> Sampled:
        """Runs the filters on the documents at the beginning of a unit, and returns the counts. Stops at ``deadline``,
        a time of ``time.monotonic()`` in seconds.
        """
        counts: list[int] = []
        started = time.process_time()
        source = self.made.source
        ledger = Ledger(source.name, 0)
        num_docs = num_given = num_bytes = 0
        num_tokens = 0.0
        part_docs: Counter[str] = Counter()
        part_tokens: Counter[str] = Counter()
        documents = _documents(self.made, unit, counts, deadline)
        for batch in batches(documents, source=source.name, columns=source.reader.COLUMNS):
            if batch is None:
                continue
            num_given += text_bytes(batch.column("text"))
            batch = self.runner.run(batch, Verdicts(), ledger)
            num_docs += _num_docs(batch)
            num_bytes += text_bytes(batch.column("text"))
            num_tokens += self.count(batch.column("text"))
            for name, rows in self._by_part(batch):
                part_docs[name] += _num_docs(rows)
                part_tokens[name] += self.count(rows.column("text"))  # type: ignore[assignment]
        # A reader that is stopped has read ahead. These bytes are counted too, up to the size of the unit.
        read = min(sum(counts), unit.num_bytes)
        seconds = time.process_time() - started
        return Sampled(read, num_docs, num_given, num_bytes, num_tokens, seconds, part_docs, part_tokens)

    def _by_part(self, batch: pa.RecordBatch) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Yields the documents of each part that occurs in a batch."""
        if self.rule is None or not batch.num_rows:  # without rows, the column may not have been made
            return
        numbers = part_numbers(self.rule, part_values(batch, self.rule.by))
        for number, value in enumerate(self.rule.weights):
            rows = batch.filter(pa.array(numbers == number))
            if rows.num_rows:
                yield part_name(self.made.source.name, value), rows


def _num_docs(batch: pa.RecordBatch) -> int:
    return sum(not one.startswith(_PART_OF_ANOTHER) for one in batch.column("id").to_pylist())


def runner_of(made: PreparedSource, *, with_steps: bool) -> StepRunner:
    """Returns an object that runs the filters of a source: the steps that look at one document at a time.

    If ``with_steps`` is False, the object keeps all documents and runs no filters.
    """
    local = tuple(s for s in made.source.steps if is_local(s)) if with_steps else ()
    segment = Segment(0, (), local, ())  # type: ignore[arg-type]
    return StepRunner(made.source, segment, loaded_models(segment.local, made.model_paths))


def _documents(made: PreparedSource, unit: Unit, counts: list[int], deadline: float) -> Iterator[dict[str, Any]]:
    reader = made.source.reader

    def opened(path: str) -> BinaryIO:
        return io.BufferedReader(_CountingFile(open_file(path), counts), 1 << 16)  # type: ignore[return-value]

    is_chunk = unit.kind in reader.CONTAINERS
    if is_chunk:
        chunk = next((c for c in reader.unpack(unit, opened) if isinstance(c, Chunk)), None)
        if chunk is None:
            return
        data = chunk.data
        part = Unit(path="chunk", num_bytes=len(data), kind=chunk.kind, start=0, end=len(data), origin=chunk.origin)
        records = reader.read(part, lambda _: io.BytesIO(data))
    else:
        records = reader.read(unit, opened)
    number = 0
    for record in records:
        if isinstance(record, Rejected):
            if time.monotonic() > deadline:
                return
            continue
        number += 1
        if isinstance(record, TableRow):
            row = record.row
            if row.get("text"):  # the text of an answer is counted, but only its question is a document
                shared = {name: row[name] for name in (made.source.join.KEY_COLUMNS if made.source.join else ())}
                name = f"{'' if row.get('is_question', True) else _PART_OF_ANOTHER}{number}"
                yield {"id": name, "text": row["text"], **shared}
        else:
            yield record
        is_enough = number >= SAMPLE_DOCS and not is_chunk and sum(counts) < unit.num_bytes / 2
        if is_enough or time.monotonic() > deadline:
            return
