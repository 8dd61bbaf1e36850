"""Estimates documents, tokens and CPU time of a source from a small part of its input."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow as pa

from pipeline.clean.batches import batches, text_bytes
from pipeline.clean.ledger import Ledger
from pipeline.clean.prepared_source import PreparedSource
from pipeline.clean.segments import Segment, is_local
from pipeline.clean.sizing import scale_of
from pipeline.clean.step_runner import StepRunner
from pipeline.clean.verdicts import Verdicts
from pipeline.files.files import open_file
from pipeline.models.load import loaded_models
from pipeline.scale.costs import ELEMENT_SECONDS
from pipeline.scale.rates import clean_mb_per_s, mix_mb_per_s
from pipeline.sources.dedup_steps import DedupStep
from pipeline.sources.source import UNKNOWN_FORM, Chunk, Rejected, TableRow, Unit

TokenCount = Callable[[pa.Array], float]
"""The type of a function that returns the number of tokens of some texts."""
SAMPLE_SECONDS = 20.0
"""Documents of a source are read for this many seconds (our choice)."""
SAMPLE_DOCS = 500
"""The largest number of documents that are read from one unit."""
_UNITS = 16
"""The largest number of units that are read from a source. A unit is a piece of the input. The units are spread over
the input, because files differ."""
_BYTES_PER_TOKEN = 4.0
"""The number of bytes per token that is assumed if tokens are not counted (our choice). With a tokenizer of 32,000
pieces, English text has about this number."""
_PART_OF_ANOTHER = "part-of-another/"


@dataclass(frozen=True, slots=True)
class SourceEstimate:
    """Holds the estimate of a source, scaled up from a part of the input."""

    source: str
    num_files: int
    num_units: float
    input_bytes: float
    num_parts: int
    """The number of files of clean documents."""
    read_bytes: int
    num_docs: float
    text_bytes: float
    num_tokens: int
    cpu_hours: float
    """The CPU hours to clean the source, and to tokenize and mix one epoch of it. The hours are computed from the
    measured speeds of whole runs (``pipeline/scale/rates.json``). If the source was not measured, the time to clean it
    is computed from the filters' time in this estimate."""
    error: float | None
    """The standard error of ``text_bytes``, divided by ``text_bytes``. The error is computed from the differences
    between the units that were read. 0 if the whole input was read; None if fewer than two units were read."""
    dedups: tuple[str, ...]
    """The dedups of the source. An estimate cannot foresee what they drop, so the numbers of documents and of bytes are
    upper bounds.
    """
    ngram_key_bytes: float
    """The bytes of the keys that documents send to near dedups."""
    left_out: tuple[str, ...]
    """Steps that were not run, because their models are missing."""
    is_unknown: bool
    """True if no document was found in the part that was read."""
    is_unfiltered: bool
    """True if the source has filters after a join. A join cannot run on a part of the input, so these filters are not
    run. The numbers are upper bounds."""

    @property
    def is_bound(self) -> bool:
        """True if the numbers of documents and of bytes are upper bounds."""
        return self.is_unfiltered or bool(self.dedups or self.left_out)


@dataclass(frozen=True, slots=True)
class _Sampled:
    """Holds counts of the documents that were read from one unit."""

    read_bytes: int
    num_docs: int
    given_bytes: int
    """The number of bytes of text before the filters."""
    text_bytes: int
    num_tokens: float
    seconds: float

    @property
    def per_byte(self) -> tuple[float, float, float, float, float]:
        """Returns five numbers, each divided by the number of stored bytes: documents, bytes of text, tokens, bytes of
        text before the filters, and seconds.
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


def estimate_source(made: PreparedSource, *, times: float = 1.0, count: TokenCount | None = None) -> SourceEstimate:
    """Reads a few units for a few seconds, runs the filters on their documents, and scales the numbers up by bytes.

    The dedups are not run, so documents and text are upper bounds.

    Args:
        times: the factor by which the numbers of the whole input are multiplied.
        count: a function that counts the tokens of texts. The default assumes four bytes per token.
    """
    skipped = made.source.join.SIDE_TABLES if made.source.join else frozenset()
    units = [u for u in made.units if u.kind.partition(".")[0] not in (*skipped, UNKNOWN_FORM)] or list(made.units)
    is_unfiltered = bool(skipped) and len(units) < len(made.units)
    runner = _runner(made, with_steps=not is_unfiltered)
    chosen = _spread(units)
    deadline = time.monotonic() + SAMPLE_SECONDS
    sampled: list[tuple[_Sampled, float]] = []
    for number, (unit, weight) in enumerate(chosen):
        left = deadline - time.monotonic()
        if left <= 0 and sampled:
            break
        until = time.monotonic() + left / (len(chosen) - number)
        sampled.append((_sample_unit(made, unit, runner, until, count), weight))
    total, read = sum(u.num_bytes for u in units), sum(one.read_bytes for one, _ in sampled)
    factor = times * total / max(sum(weight for _, weight in sampled), 1e-9)
    num_docs, text, num_tokens, given, seconds = (
        factor * sum(weight * one.per_byte[kind] for one, weight in sampled) for kind in range(5)
    )
    dedups = tuple(step for step in made.source.steps if not is_local(step))
    rate = None if made.source.declared else clean_mb_per_s(made.source.name)
    clean = given / 1e6 / rate if rate else seconds + num_docs * len(dedups) * ELEMENT_SECONDS
    size = int(made.listing.num_bytes * times)
    return SourceEstimate(
        source=made.source.name,
        num_files=len(made.listing.files),
        num_units=len(made.units) * times,
        input_bytes=made.listing.num_bytes * times,
        num_parts=sum(d.num_parts for d in made.dumps) if made.dumps and times == 1 else scale_of(size).num_parts,
        read_bytes=read,
        num_docs=num_docs,
        text_bytes=text,
        num_tokens=round(num_tokens),
        cpu_hours=(clean + text / 1e6 / mix_mb_per_s()) / 3600,
        error=relative_error([(weight, one.per_byte[1]) for one, weight in sampled], read / max(total, 1)),
        dedups=tuple(step.NAME for step in dedups),
        ngram_key_bytes=sum(step.key_bytes(num_docs, text) for step in dedups if isinstance(step, DedupStep)),
        left_out=made.left_out,
        is_unknown=not any(one.num_docs for one, _ in sampled),
        is_unfiltered=is_unfiltered,
    )


def relative_error(sampled: Sequence[tuple[float, float]], share_read: float) -> float | None:
    """Returns the standard error of an estimate, divided by the estimate; None if the error cannot be computed.

    The formula assumes that larger units are chosen more often, in proportion to their bytes (Hansen and Hurwitz;
    Cochran, Sampling Techniques, 3rd ed., section 9A.3). It is corrected for a finite population: if the whole input
    was read, the error is 0.

    Args:
        sampled: (weight, text per byte) of each unit.
        share_read: the share of the input that was read, in bytes.

    >>> relative_error([(10, 0.5), (10, 0.5), (10, 0.5)], 0.2), relative_error([(10, 0.5), (10, 0.9)], 1.0)
    (0.0, 0.0)
    >>> round(relative_error([(10, 0.5), (10, 0.9)], 0.0), 2)
    0.29
    """
    if share_read >= 1.0:
        return 0.0
    n, total = len(sampled), sum(weight for weight, _ in sampled)
    mean = sum(weight * density for weight, density in sampled) / total if total else 0.0
    if n < 2 or not mean:
        return None
    variance = sum(weight * (density - mean) ** 2 for weight, density in sampled) / total / (n - 1)
    return math.sqrt(variance * (1 - share_read)) / mean


def _spread(units: Sequence[Unit]) -> list[tuple[Unit, float]]:
    """Returns the units to read, each with a weight. If there are at most `_UNITS` units, all are returned. Then the
    weight of a unit is its number of bytes.

    If there are more units, the input is divided into `_UNITS` stretches of equal size in bytes. A unit is returned if
    it contains the middle of a stretch, so large units are more likely to be returned. Then the weight of a unit is the
    number of middles that it contains.
    """
    if len(units) <= _UNITS:
        return [(unit, float(unit.num_bytes)) for unit in units]
    total, done, found = sum(u.num_bytes for u in units), 0, []
    for unit in units:
        before, done = done, done + unit.num_bytes
        hits = int(_UNITS * done / total + 0.5) - int(_UNITS * before / total + 0.5)
        if hits:
            found.append((unit, float(hits)))
    return found


def _sample_unit(
    made: PreparedSource, unit: Unit, runner: StepRunner, deadline: float, count: TokenCount | None
) -> _Sampled:
    """Runs the filters on the documents in the first part of a unit."""
    counts: list[int] = []
    started = time.process_time()
    ledger = Ledger(made.source.name, 0)
    num_docs = num_given = num_bytes = 0
    num_tokens = 0.0
    documents = _documents(made, unit, counts, deadline)
    for batch in batches(documents, source=made.source.name, columns=made.source.reader.COLUMNS):
        if batch is None:
            continue
        num_given += text_bytes(batch.column("text"))
        batch = runner.run(batch, Verdicts(), ledger)
        num_docs += sum(not i.startswith(_PART_OF_ANOTHER) for i in batch.column("id").to_pylist())
        num_bytes += text_bytes(batch.column("text"))
        num_tokens += count(batch.column("text")) if count else text_bytes(batch.column("text")) / _BYTES_PER_TOKEN
    # A reader that is stopped has read ahead. These bytes are counted too, up to the size of the unit.
    read = min(sum(counts), unit.num_bytes)
    return _Sampled(read, num_docs, num_given, num_bytes, num_tokens, time.process_time() - started)


def _runner(made: PreparedSource, *, with_steps: bool) -> StepRunner:
    local = tuple(s for s in made.source.steps if is_local(s)) if with_steps else ()
    segment = Segment(0, (), local, ())  # type: ignore[arg-type]
    return StepRunner(made.source, segment, loaded_models(segment.local, made.model_paths))


def _documents(made: PreparedSource, unit: Unit, counts: list[int], deadline: float) -> Iterator[dict[str, Any]]:
    reader = made.source.reader

    def opened(path: str) -> BinaryIO:
        return io.BufferedReader(_CountingFile(open_file(path), counts), 1 << 16)  # type: ignore[return-value]

    if unit.kind in reader.CONTAINERS:
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
            continue
        number += 1
        if isinstance(record, TableRow):
            row = record.row
            if row.get("text"):  # the text of an answer is counted, but only its question is a document
                yield {"id": f"{'' if row.get('is_question', True) else _PART_OF_ANOTHER}{number}", "text": row["text"]}
        else:
            yield record
        if number >= SAMPLE_DOCS or time.monotonic() > deadline:
            return
