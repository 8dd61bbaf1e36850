"""Keeps the ledger of a worker: exact counts, and a row for each document or record that is dropped."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from filters.text_column import count_lines
from pipeline.clean import counts as c
from pipeline.clean.batches import DROPPED_SCHEMA, signals_list, text_bytes
from pipeline.clean.origin import origin_of
from pipeline.sources.source import Rejected

MAX_SAMPLE_CHARS = 20_000
"""Sampled dropped texts are truncated to this many characters. This is enough to judge a text, even one of 5 MB."""

_SAMPLED_COLUMNS = ("url", "title", "date", "text")
"""The columns that only sampled rows keep. These columns are for people who look at documents."""

_FLUSH_ROWS = 20_000
_FLUSH_BYTES = 16 << 20
_REJECTED_BYTES = 41
"""The number of bytes that the row of a rejected record takes in Arrow. The bytes of its location, reason, detail and
source are added to this number."""


@dataclass(slots=True)
class Ledger:
    """Collects counts, and rows about dropped documents, while a worker processes one element of a Beam PCollection. A
    ledger belongs to one source.
    """

    source: str
    sample_docs: int
    """The largest number of dropped documents whose text is stored, per stage and reason."""
    rows_share: float = 1.0
    """All dropped documents in the sample get a row. This is the share of the other dropped documents that get a row,
    from 0 to 1. The counts include all dropped documents.
    """
    counts: Counter[c.CountKey] = field(default_factory=Counter)
    _rows: list[pa.RecordBatch] = field(default_factory=list)
    _rejected: list[Rejected] = field(default_factory=list)
    """The records that were rejected after the last batch was added to ``_rows``. The rows of these records are made
    together."""
    _num_rows: int = 0
    _num_bytes: int = 0
    _evidence: list[pa.RecordBatch] = field(default_factory=list)

    def leave(self, evidence: pa.RecordBatch) -> None:
        """Stores evidence that a step has found in one batch, for example passages of evaluation sets.

        After each batch, the worker calls :meth:`take_evidence`.
        """
        self._evidence.append(evidence)

    def take_evidence(self) -> list[pa.RecordBatch]:
        """Returns the stored evidence, and removes it from the ledger."""
        taken, self._evidence = self._evidence, []
        return taken

    def count(self, stage: str, what: str, number: int) -> None:
        if number:
            self.counts[self.source, stage, what] += number

    def note(self, stage: str, what: str, number: int) -> None:
        """Stores a number that a stage reports in addition to its kept and dropped documents, for example
        ``may_hide_duplicates``.

        Other counts are left out if they are 0, but a note of 0 is stored.
        """
        self.counts[self.source, stage, c.NOTED + what] += number

    def send(self, name: str, number: int) -> None:
        """Counts records that one stage of the Beam graph sends to another. The receiving stage counts the same records
        with :meth:`receive`, under the same name. If the two numbers differ, records were lost."""
        self.count(c.GRAPH, c.SENT + name, number)

    def receive(self, name: str, number: int) -> None:
        """Counts records that a stage of the Beam graph receives. The sending stage has counted the same records with
        :meth:`send`, under the same name."""
        self.count(c.GRAPH, c.RECEIVED + name, number)

    def read(self, batch: pa.RecordBatch) -> None:
        """Counts the documents, bytes and lines of a batch as it was read, before any step has run."""
        self.count(c.READ_STAGE, c.DOCS_KEPT, batch.num_rows)
        self.count(c.READ_STAGE, c.BYTES_KEPT, text_bytes(batch.column("text")))
        self.count(c.READ_STAGE, c.LINES_KEPT, count_lines(batch.column("text")))

    def write(self, batch: pa.RecordBatch) -> None:
        """Counts the lines of a batch that has passed all steps and is written."""
        self.count(c.WRITE_STAGE, c.LINES_KEPT, count_lines(batch.column("text")))

    def split(self, stage: str, before: pa.RecordBatch, after: pa.RecordBatch, verdict: pa.Array,
              detail: pa.Array | None) -> tuple[pa.RecordBatch, pa.Array]:  # fmt: skip
        """Counts the documents that a stage keeps and drops. Adds a row for each dropped document.

        Args:
            before: the documents that the stage took in.
            after: the same documents after the stage, which may have changed some columns.
            verdict: the drop reason of each row; null for a row that is kept.
            detail: a detail for each row, or None if the stage has no details.

        Returns:
            The kept documents, and a mask of the rows that were kept.
        """
        kept_rows = pc.is_null(verdict)
        num_kept = pc.sum(kept_rows).as_py() or 0
        kept = after if num_kept == after.num_rows else after.filter(kept_rows)
        self.count(stage, c.DOCS_IN, before.num_rows)
        self.count(stage, c.DOCS_KEPT, num_kept)
        self.count(stage, c.BYTES_IN, text_bytes(before.column("text")))
        self.count(stage, c.BYTES_KEPT, text_bytes(kept.column("text")))
        if num_kept < before.num_rows:
            gone = pc.invert(kept_rows)
            reasons = verdict.filter(gone)
            for entry in pc.value_counts(reasons).to_pylist():
                self.count(stage, c.DROPPED + entry["values"], entry["counts"])
            details = pa.nulls(len(reasons), pa.string()) if detail is None else detail.filter(gone)
            self._write(stage, before.filter(gone), after.filter(gone), reasons, details)
        return kept, kept_rows

    def _write(self, stage: str, before: pa.RecordBatch, after: pa.RecordBatch, reasons: pa.Array,
               details: pa.Array) -> None:  # fmt: skip
        num_rows = before.num_rows
        text = pc.utf8_slice_codeunits(before.column("text"), 0, MAX_SAMPLE_CHARS)
        source, stages = pa.array([self.source] * num_rows), pa.array([stage] * num_rows)
        language = after.column("language")  # a step that detects a language may also drop the document for it
        columns = [before.column("id"), source, language, stages, reasons, details, signals_list(after)]
        self._append([*columns, *origin_of(before), text])

    def reject(self, rejected: Rejected) -> None:
        """Counts a record that did not become a document, and adds a row to the dropped rows."""
        self.count("records", rejected.reason, 1)
        if rejected.is_bad:
            self.count("records", c.BAD_RECORDS, 1)
        if rejected.is_whole_file:
            self.count("records", c.UNREADABLE_FILES, 1)
        self._rejected.append(rejected)
        self._num_rows += 1
        words = (rejected.location, rejected.reason, rejected.detail, self.source)
        self._num_bytes += _REJECTED_BYTES + sum(len(word.encode()) for word in words)

    def _pack_rejected(self) -> None:
        """Makes a batch of rows about the rejected records. Adds nothing to the counts, because :meth:`reject` has
        counted them.
        """
        rejected, self._rejected = self._rejected, []
        if not rejected:
            return
        num_rows = len(rejected)
        values = {
            "id": [r.location for r in rejected],
            "source": [self.source] * num_rows,
            "stage": ["records"] * num_rows,
            "reason": [r.reason for r in rejected],
            "detail": [r.detail for r in rejected],
            "signals": [[]] * num_rows,
        }
        columns = [pa.array(values.get(f.name, [None] * num_rows), f.type) for f in DROPPED_SCHEMA]
        self._rows.append(pa.record_batch(columns, schema=DROPPED_SCHEMA))

    def _append(self, columns: list[pa.Array]) -> None:
        self._pack_rejected()
        arrays = [a.cast(t) for a, t in zip(columns, DROPPED_SCHEMA.types, strict=True)]
        rows = pa.record_batch(arrays, schema=DROPPED_SCHEMA)
        self._rows.append(rows)
        self._num_rows += rows.num_rows
        self._num_bytes += rows.nbytes

    @property
    def is_full(self) -> bool:
        """True if so many dropped rows are in memory that the caller must call :meth:`take_dropped`."""
        return self._num_rows >= _FLUSH_ROWS or self._num_bytes >= _FLUSH_BYTES

    def take_dropped(self) -> Iterator[pa.RecordBatch]:
        """Empties the ledger's rows about dropped documents, and yields them as one batch. Yields nothing if there are
        no rows.

        A sample of the rows keeps the text of the document (:func:`sample_hash`). If ``rows_share`` is below 1, the
        batch has all rows of the sample, and about this share of the other rows.
        """
        self._pack_rejected()
        if not self._rows:
            return
        rows = pa.Table.from_batches(self._rows).combine_chunks().to_batches()[0]
        self._rows, self._num_rows, self._num_bytes = [], 0, 0
        chosen = _in_sample(rows, self.sample_docs)
        rows = _with_text(rows, chosen)
        if self.rows_share < 1.0:
            rows = rows.filter(pc.or_(chosen, in_share(rows, self.rows_share)))
            self.count(c.ROWS_STAGE, c.ROWS, rows.num_rows)
        yield rows


def sample_hash(document_id: str) -> int:
    """Returns the hash that decides which dropped documents are in the sample. A document in the sample keeps its text.

    The documents with the smallest hashes are chosen, so every run chooses the same documents.
    """
    return xxhash.xxh3_64_intdigest(document_id.encode(), seed=0x5A)


def sample_hashes(rows: pa.RecordBatch) -> dict[tuple[str, str], list[int]]:
    """Returns the :func:`sample_hash` of each row that has a text. The hashes are grouped by the stage and reason of
    the drop.
    """
    found: dict[tuple[str, str], list[int]] = defaultdict(list)
    with_text = rows.filter(pc.is_valid(rows.column("text"))).to_pydict()
    for stage, reason, document_id in zip(with_text["stage"], with_text["reason"], with_text["id"], strict=True):
        found[stage, reason].append(sample_hash(document_id))
    return dict(found)


def without_text_above(rows: pa.RecordBatch, limits: Mapping[tuple[str, str], int]) -> pa.RecordBatch:
    """Removes the text of each row whose :func:`sample_hash` is above a limit. ``limits`` has a limit for each stage
    and reason.
    """
    pairs = zip(rows.column("stage").to_pylist(), rows.column("reason").to_pylist(), strict=True)
    hashes = map(sample_hash, rows.column("id").to_pylist())
    return _with_text(rows, pa.array([h <= limits.get(p, -1) for p, h in zip(pairs, hashes, strict=True)], pa.bool_()))


def in_share(rows: pa.RecordBatch, share: float) -> pa.Array:
    """Returns a mask of the dropped documents that get a row in ``dropped/``. It selects about ``share`` of the
    documents: those with the smallest hashes.
    """
    limit = int(share * 2**64)
    return pa.array([sample_hash(i) < limit for i in rows.column("id").to_pylist()], pa.bool_())


def _with_text(rows: pa.RecordBatch, keep: pa.Array) -> pa.RecordBatch:
    for name in _SAMPLED_COLUMNS:
        values = pc.if_else(keep, rows.column(name), pa.nulls(rows.num_rows, pa.string()))
        rows = rows.set_column(rows.schema.get_field_index(name), DROPPED_SCHEMA.field(name), values)
    return rows


def _in_sample(rows: pa.RecordBatch, sample_docs: int) -> pa.Array:
    hashes = [sample_hash(i) for i in rows.column("id").to_pylist()]
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    pairs = zip(rows.column("stage").to_pylist(), rows.column("reason").to_pylist(), strict=True)
    for index, pair in enumerate(pairs):
        groups[pair].append(index)
    chosen = [i for members in groups.values() for i in sorted(members, key=hashes.__getitem__)[:sample_docs]]
    keep = [False] * rows.num_rows
    for index in chosen:
        keep[index] = True
    return pa.array(keep, pa.bool_())
