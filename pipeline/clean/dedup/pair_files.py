"""Writes the files in ``dedup/``, which show what a near dedup did. Each removed document has one row, with the
document that was kept instead.

Separate files have a sample of the rejected pairs (pairs whose overlap is too small).
"""

from __future__ import annotations

import heapq
import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
from apache_beam.pvalue import TaggedOutput

from filters.near.resolve import RANK_BYTES
from pipeline.clean import counts as c
from pipeline.clean.batch_address import BATCH_ID, part_of
from pipeline.clean.dedup.ceilings import group_payloads
from pipeline.clean.dedup.min_hash_keys import Card, Overlap
from pipeline.clean.job import SourceJob
from pipeline.clean.ledger import Ledger
from pipeline.clean.near_stats import LARGEST, overlap_bin
from pipeline.clean.tags import COUNTS, GROUPS, MEMBERS, MEMBERS_MARK, signal_bytes
from pipeline.files.files import written_whole
from pipeline.sources.across_step import AcrossDedup
from pipeline.sources.dedup_steps import DedupStep
from pipeline.sources.min_hash_step import MinHashDedup

_FORM = {"compression": "zstd", "write_page_checksum": True}
PAIRS_SCHEMA = pa.schema(
    {
        "removed_id": pa.string(),
        "removed_source": pa.string(),
        "kept_id": pa.string(),
        "kept_source": pa.string(),
        "overlap": pa.float64(),
        "jaccard": pa.float64(),
        "step": pa.string(),
        "rule_version": pa.int64(),
        "num_shared": pa.int64(),
        "removed_language": pa.string(),
        "removed_host": pa.string(),
        "kept_host": pa.string(),
        "kept_output": pa.string(),
    }
)
"""The columns of the files in ``dedup/``. In files of rejected pairs, "removed" is the document that would have been
removed if the overlap had been large enough."""
_COLUMN = {name: number for number, name in enumerate(PAIRS_SCHEMA.names)}

REJECTED = "rejected"
REJECTED_SAMPLE = 200
"""The largest number of rejected pairs that are written per job (source or dump) and step. The pairs whose ids have the
smallest hashes are chosen."""
NUM_MEMBERS_SHOWN = 3
"""For each of the largest groups of duplicates, the statistics list the ids of at most this many removed documents."""
_ROWS = 10_000

Row = tuple[Any, ...]


def row_of(overlap: Overlap, job: SourceJob, step: DedupStep) -> Row:
    """Returns the row of a pair, which has one value per column of ``PAIRS_SCHEMA``."""
    source = job.source.name
    # in a dedup across sources, the address of a kept document begins with its index's position in `job.kept`
    kept = job.kept[overlap.kept.address[0]] if isinstance(step, AcrossDedup) else None
    return (
        overlap.removed.document_id,
        source,
        overlap.kept.document_id,
        source if kept is None else kept.source,
        overlap.containment,
        overlap.jaccard,
        step.NAME,
        step.DATA_VERSION,
        overlap.num_shared,
        overlap.removed.language,
        overlap.removed.host,
        overlap.kept.host,
        "" if kept is None else kept.output,
    )


def _table(rows: list[Row]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [()] * len(PAIRS_SCHEMA)
    arrays = [pa.array(values, kind) for values, kind in zip(columns, PAIRS_SCHEMA.types, strict=True)]
    return pa.Table.from_arrays(arrays, schema=PAIRS_SCHEMA)


class RejectedSample:
    """Collects a sample of the rejected pairs (pairs whose overlap is too small).

    It keeps the pairs with the smallest hashes of their ids. So the sample is the same for any number of workers.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, bytes]] = []  # hashes are negated, so that the largest hash is first in the heap

    def add(self, removed_id: bytes, kept_id: bytes, to_bytes: Callable[[], bytes]) -> None:
        """Adds a pair of documents to the sample if the hash of its ids is small enough. ``to_bytes`` returns the pair
        as bytes. It is called only if the pair is added."""
        negative = -xxhash.xxh3_64_intdigest(removed_id + b"\0" + kept_id)
        if len(self._heap) < REJECTED_SAMPLE:
            heapq.heappush(self._heap, (negative, to_bytes()))
        elif negative > self._heap[0][0]:
            heapq.heapreplace(self._heap, (negative, to_bytes()))

    @property
    def rows(self) -> list[tuple[int, bytes]]:
        return sorted(((-negative, body) for negative, body in self._heap))


class _SmallestPairs(beam.CombineFn):
    """Combines samples of rejected pairs into one sample. The result has the pairs with the smallest hashes of their
    ids.
    """

    def create_accumulator(self) -> list[tuple[int, bytes]]:
        return []

    def add_input(self, accumulator: list[Any], element: list[Any]) -> list[Any]:
        return heapq.nsmallest(REJECTED_SAMPLE, accumulator + element)

    def merge_accumulators(self, accumulators: Iterable[list[Any]]) -> list[Any]:
        return heapq.nsmallest(REJECTED_SAMPLE, [one for each in accumulators for one in each])

    def extract_output(self, accumulator: list[Any]) -> list[Any]:
        return accumulator


class WriteRejected(beam.PTransform):
    """Writes a sample of the rejected pairs of all workers. Outputs counts after it has written the file."""

    def __init__(self, job: SourceJob, step: DedupStep) -> None:
        super().__init__()
        self._job, self._step = job, step

    def expand(self, samples: Any) -> Any:
        return (
            samples
            | "smallest" >> beam.CombineGlobally(_SmallestPairs())
            | "write" >> beam.ParDo(_WriteRejected(self._job, self._step))
        )


class _WriteRejected(beam.DoFn):
    def __init__(self, job: SourceJob, step: DedupStep) -> None:
        self._job, self._step = job, step

    def process(self, sample: list[tuple[int, bytes]]) -> Iterator[dict[c.CountKey, int]]:
        rows = [row_of(Overlap.of(body), self._job, self._step) for _, body in sample]
        with written_whole(self._job.pairs_path(self._step.NAME, "rejected", 0, 1)) as sink:
            pq.write_table(_table(rows), sink, **_FORM)
        yield {(self._job.source.name, c.PAIR_FILES_STAGE, "rejected files"): 1}


class WritePairs(beam.DoFn):
    """Writes the pairs of removed and kept documents to ``dedup/``. Sends verdicts to both documents of a pair.

    Takes the pairs of one bucket. A pair's bucket is chosen by its kept document. A removed document gets two verdicts:
    the id of the kept document, and the overlap. A kept document gets the number of documents that were removed as its
    duplicates.
    """

    _SUFFIX = ""
    """A suffix for the name of the pseudo-stage that counts the removed documents by overlap. A pseudo-stage is a name
    for counts that belong to no step (:mod:`pipeline.clean.counts`)."""

    def __init__(self, job: SourceJob, step: DedupStep, tag: int) -> None:
        self._job, self._step, self._tag = job, step, tag

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[Any]:
        bucket, payloads = group
        step = self._step
        ledger = Ledger(self._job.source.name, 0)
        path = self._job.pairs_path(step.NAME, "pairs", bucket, self._job.sizes.scale.num_key_buckets)
        largest: list[tuple[int, str]] = []
        with written_whole(path) as sink, pq.ParquetWriter(sink, PAIRS_SCHEMA, **_FORM) as writer:
            held: list[Row] = []
            for _, of_kept in itertools.groupby(payloads, key=lambda p: p[:RANK_BYTES]):
                size, kept = 1, None
                members: list[str] = []
                for payload in of_kept:
                    overlap, detail = self._parsed(payload[2 * RANK_BYTES :])
                    kept = overlap.kept
                    size += 1
                    members += [overlap.removed.document_id] if len(members) < NUM_MEMBERS_SHOWN else []
                    held.append(row_of(overlap, self._job, step))
                    yield from self._removed(overlap, detail, ledger)
                    if len(held) >= _ROWS:
                        writer.write_table(_table(held))
                        yield from self._groups(held)
                        held = []
                assert kept is not None
                yield from self._kept(kept, size - 1, ledger)
                entry = (size, json.dumps({"kept": self._name_of(kept), "removed": members}, ensure_ascii=False))
                largest = heapq.nlargest(LARGEST, [*largest, entry])
            writer.write_table(_table(held))
            yield from self._groups(held)
        yield TaggedOutput(c.LARGEST_STAGE, largest)
        yield TaggedOutput(COUNTS, dict(ledger.counts))

    def _parsed(self, payload: bytes) -> tuple[Overlap, str]:
        """Returns the pair in a payload, and the detail of the verdict for the removed document."""
        overlap = Overlap.of(payload)
        return overlap, self._name_of(overlap.kept)

    def _name_of(self, kept: Card) -> str:
        """Returns the name by which details of dropped documents, and statistics, call a kept document."""
        return kept.document_id

    def _kept(self, kept: Card, num_removed: int, ledger: Ledger) -> Iterator[Any]:
        """Yields the verdict for a kept document, which has the number of its removed duplicates."""
        ledger.send(f"{self._step.NAME} groups", 1)
        yield self._verdict(kept, MEMBERS.pack(MEMBERS_MARK, num_removed))

    def _overlap(self, overlap: Overlap) -> float:
        assert isinstance(self._step, MinHashDedup)
        return self._step.overlap(overlap.containment, overlap.jaccard)

    def _removed(self, overlap: Overlap, detail: str, ledger: Ledger) -> Iterator[Any]:
        step = self._step
        ledger.receive(f"{step.NAME} decisions", 1)
        ledger.send(f"{step.NAME} verdicts", 1)
        ledger.send(f"{step.NAME} signals", 1)
        yield self._verdict(overlap.removed, detail.encode())
        found = self._overlap(overlap)
        ledger.count(c.OVERLAPS_STAGE + self._SUFFIX, overlap_bin(found), 1)
        yield self._verdict(overlap.removed, signal_bytes(found))

    def _groups(self, rows: list[Row]) -> Iterator[Any]:
        """Counts the removed documents of these rows by language and by host. Yields the counts."""
        languages, hosts = ([row[_COLUMN[name]] for row in rows] for name in ("removed_language", "removed_host"))
        for payload in group_payloads(languages, hosts, self._job.sizes.scale.num_key_buckets, is_removed=True):
            yield TaggedOutput(GROUPS, payload)

    def _verdict(self, card: Card, body: bytes) -> tuple[int, bytes]:
        batch_id, row = card.address[: BATCH_ID.size], card.address[BATCH_ID.size :]
        part = part_of(batch_id, self._job.sizes.scale.num_parts)
        return part, batch_id + bytes([self._tag]) + row + body


class LargestGroups(beam.PTransform):
    """Finds the largest groups of duplicates of the whole source. Takes the largest groups that each worker found.
    Outputs counts.

    A group is a kept document and the documents that were removed as its duplicates.
    """

    def __init__(self, source: str, suffix: str = "") -> None:
        super().__init__()
        self._source, self._suffix = source, suffix

    def expand(self, found: Any) -> Any:
        return (
            found
            | "each" >> beam.FlatMap(iter)
            | "largest" >> beam.combiners.Top.Largest(LARGEST)
            | "count" >> beam.Map(_as_counts, self._source, self._suffix)
        )


def _as_counts(groups: list[tuple[int, str]], source: str, suffix: str) -> dict[c.CountKey, int]:
    return {(source, c.LARGEST_STAGE + suffix, members): size for size, members in groups}
