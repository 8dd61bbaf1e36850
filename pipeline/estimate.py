"""Estimates a run from a small part of each input: documents, tokens, the resulting mixture, CPU hours and memory."""

from __future__ import annotations

import dataclasses
import io
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from rich.console import Console
from rich.table import Table

from mixtures.plan.deal import format_table, plan
from mixtures.plan.shares import PlanError, SourceTokens
from pipeline.clean.batches import batches, text_bytes
from pipeline.clean.ledger import Ledger
from pipeline.clean.prepared_source import PreparedSource
from pipeline.clean.segments import Segment, is_local
from pipeline.clean.sizing import scale_of
from pipeline.clean.step_runner import StepRunner
from pipeline.clean.verdicts import Verdicts
from pipeline.files.files import open_file
from pipeline.models.load import loaded_models
from pipeline.settings.settings import Settings
from pipeline.sources.source import UNKNOWN_FORM, Chunk, Rejected, TableRow, Unit

SAMPLE_SECONDS = 5.0
SAMPLE_DOCS = 500
BYTES_PER_TOKEN = 4.0
"""Bytes of text per token, with a vocabulary of 32,000 pieces. English web text has 4.0 to 4.4, code and formulas about
3."""
_UNITS = 4
_PART_OF_ANOTHER = "part-of-another/"


@dataclass(frozen=True, slots=True)
class SourceEstimate:
    """Holds the estimate for a source. The numbers are scaled up from a part of the source's input."""

    source: str
    num_files: int
    num_units: int
    input_bytes: int
    num_parts: int
    """The number of files of clean documents."""
    read_bytes: int
    num_docs: float
    text_bytes: float
    cpu_hours: float
    is_unknown: bool
    """True if no document was found in the part that was read."""
    is_unfiltered: bool
    """True if filters follow a join. A join cannot run on a part of the input, so the numbers do not include the effect
    of these filters."""

    @property
    def num_tokens(self) -> int:
        return int(self.text_bytes / BYTES_PER_TOKEN)


class _CountingFile(io.RawIOBase):
    """Wraps a file, and counts the bytes that are read from it."""

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


def estimate_source(made: PreparedSource) -> SourceEstimate:
    """Reads a few units for a few seconds, runs the filters on their documents, and scales the numbers up to all bytes.

    The dedups are not run, so the numbers include documents that a dedup would remove.
    """
    skipped = made.source.join.SIDE_TABLES if made.source.join else frozenset()
    units = [u for u in made.units if u.kind.partition(".")[0] not in (*skipped, UNKNOWN_FORM)] or list(made.units)
    chosen = units[:: max(1, len(units) // _UNITS)][:_UNITS]
    is_unfiltered = bool(skipped) and len(units) < len(made.units)
    runner = _runner(made, with_steps=not is_unfiltered)
    sample_bytes = docs = kept_bytes = 0
    started = time.process_time()
    for unit in chosen:
        read, n, kept = _sample_unit(made, unit, runner)
        sample_bytes, docs, kept_bytes = sample_bytes + read, docs + n, kept_bytes + kept
    seconds = time.process_time() - started
    total = sum(u.num_bytes for u in units)
    factor = max(total / max(sample_bytes, 1), 1.0)
    return SourceEstimate(
        source=made.source.name,
        num_files=len(made.listing.files),
        num_units=len(made.units),
        input_bytes=made.listing.num_bytes,
        num_parts=sum(d.num_parts for d in made.dumps) or scale_of(made.listing.num_bytes).num_parts,
        read_bytes=sample_bytes,
        num_docs=docs * factor,
        text_bytes=kept_bytes * factor,
        cpu_hours=seconds * factor / 3600,
        is_unknown=docs == 0,
        is_unfiltered=is_unfiltered,
    )


def _sample_unit(made: PreparedSource, unit: Unit, runner: StepRunner) -> tuple[int, int, int]:
    """Reads the first part of a unit. Returns (stored bytes read, kept documents, bytes of the kept documents'
    text).
    """
    counts: list[int] = []
    ledger = Ledger(made.source.name, 0)
    num_docs = num_bytes = 0
    deadline = time.monotonic() + SAMPLE_SECONDS
    documents = _documents(made, unit, counts, deadline)
    for batch in batches(documents, source=made.source.name, columns=made.source.reader.COLUMNS):
        if batch is None:
            continue
        batch = runner.run(batch, Verdicts(), ledger)
        num_docs += sum(not i.startswith(_PART_OF_ANOTHER) for i in batch.column("id").to_pylist())
        num_bytes += text_bytes(batch.column("text"))
    # A reader that is stopped has read ahead. These bytes are counted too, up to the size of the unit.
    return min(sum(counts), unit.num_bytes), num_docs, num_bytes


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


def print_estimate(settings: Settings, plans: Sequence[PreparedSource]) -> None:
    """Prints one line per source, the resulting mixture, and the resources that the run would need."""
    console = Console(width=None if Console().is_terminal else 140)
    table = Table(title="estimate, from the first part of a few inputs; dedups not foreseen", title_justify="left")
    for index, name in enumerate(
        ("source", "files", "units", "input MB", "read MB", "documents", "text MB", "tokens", "CPU hours")
    ):
        table.add_column(name, justify="left" if index == 0 else "right", no_wrap=True)
    estimates = [estimate_source(p) for p in plans]
    for e in estimates:
        documents = "unknown" if e.is_unknown else f"{'at most ' if e.is_unfiltered else ''}{e.num_docs:,.0f}"
        stored, read, text = (f"{n / 1e6:,.1f}" for n in (e.input_bytes, e.read_bytes, e.text_bytes))
        counted = (f"{n:,}" for n in (e.num_files, e.num_units))
        table.add_row(e.source, *counted, stored, read, documents, text, f"{e.num_tokens:,}", f"{e.cpu_hours:,.3f}")
    console.print(table)
    available = {
        e.source: SourceTokens(e.num_tokens, int(e.num_docs)) for e in estimates if e.source in settings.recipe.weights
    }
    try:
        whole = dataclasses.replace(settings.recipe, parts={})  # what each part has is known after the clean phase
        console.print(format_table(whole, plan(whole, available, settings.num_tokens)), highlight=False)
    except PlanError as error:
        console.print(f"the mixture could not be made of this: {error}", highlight=False)
    console.print(_needs(estimates), highlight=False)


def _needs(estimates: Sequence[SourceEstimate]) -> str:
    """Returns a description of the memory and the shuffled bytes that a run would need."""
    num_docs = sum(e.num_docs for e in estimates)
    text = sum(e.text_bytes for e in estimates)
    keys_gb, lines_gb = num_docs * 150 / 1e9, text / 45 * 9 / 1e9
    tokens_gb = text / BYTES_PER_TOKEN * 2 / 1e9
    return (
        f"shuffle: about {keys_gb:,.2f} GB of keys (150 bytes a document), "
        f"{lines_gb:,.2f} GB of line hashes (9 bytes a line, where lines are deduped), "
        f"{tokens_gb:,.2f} GB of tokens an epoch; parts: {sum(e.num_parts for e in estimates):,}; "
        f"memory: about 1 GB a worker process; spilled text: {text / 2e9:,.2f} GB a pass"
    )
