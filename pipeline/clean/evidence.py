"""Writes the evidence of decontamination (the search for evaluation texts in documents): the hits of each part, then
one table of all hits, and a summary of the table. A hit is a passage of an evaluation set that was found in a document.

Workers write one file of hits per part (output file). After the clean phase the driver copies all hits, one batch at a
time, into ``decontamination/hits-*.parquet``. It also counts the hits by item of the evaluation sets, for example by
question.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems

from filters.decontaminate.step import HITS_SCHEMA, Decontaminate
from mixtures.decontaminate.summary import ITEMS_SCHEMA, Summary, about
from mixtures.decontaminate.table import checksums_in, open_table
from pipeline.clean.job import SourceJob
from pipeline.clean.step_runner import evidence_schema
from pipeline.files.files import delete_tree, exists, join, read_bytes, write_bytes, written_whole
from pipeline.files.parquet_files import parquet_batches
from pipeline.models.stored_files import local_path
from pipeline.output.paths import Layout
from pipeline.sources.source import Source

HITS_NAME, ITEMS_NAME, SUMMARY_NAME = "hits-00000-of-00001.parquet", "items.parquet", "summary.json"
_FORM = {"compression": "zstd", "write_page_checksum": True}


@contextlib.contextmanager
def evidence_file(job: SourceJob, part: int) -> Iterator[pq.ParquetWriter | None]:
    """Opens the evidence file of a part (output file) and yields the file's writer. Yields None if no step of the
    source produces evidence.
    """
    schema = evidence_schema(job.source.steps)
    if job.places.evidence_dir is None or schema is None:
        yield None
        return
    path = job.part_path(job.places.evidence_dir, part)
    with written_whole(path) as sink, pq.ParquetWriter(sink, schema, **_FORM) as writer:
        yield writer


def write_evidence(writer: pq.ParquetWriter | None, rows: Sequence[pa.RecordBatch]) -> None:
    """Writes the evidence (hits of evaluation sets) that steps found in one batch. If there is none, ``rows`` is empty,
    and ``writer`` may be None.
    """
    if rows:
        assert writer is not None, "a step left evidence before the last pass, which is the one that writes it"
        writer.write_table(pa.Table.from_batches(rows))


def leaves_evidence(source: Source) -> bool:
    """Returns True if a step of the source produces evidence (hits of evaluation sets)."""
    return evidence_schema(source.steps) is not None


def gather_hits(layout: Layout, table: str | None, sources: Iterable[Source]) -> None:
    """Writes three files to ``decontamination/``: the hits of all sources, a table of the items of the evaluation sets
    (for example questions), and a summary for the manifest.

    Args:
        layout: the paths of the run's output.
        table: the path of the index of the evaluation sets; None if this run does not search for them. If it is None,
            the folder is deleted, because the hits of an earlier run do not describe the newly cleaned documents.
        sources: the sources of the run.
    """
    delete_tree(join(layout.decontamination, SUMMARY_NAME))
    if table is None:
        delete_tree(layout.decontamination)
        return
    path = local_path(table)
    summary = Summary(open_table(path))
    names = sorted(source.name for source in sources if any(isinstance(step, Decontaminate) for step in source.steps))
    with written_whole(join(layout.decontamination, HITS_NAME)) as sink, \
            pq.ParquetWriter(sink, HITS_SCHEMA, **_FORM) as writer:  # fmt: skip
        for batch in (batch for name in names for batch in _batches(layout.hits(name))):
            writer.write_batch(batch)
            summary.add(batch.to_pylist())
    _write_items(join(layout.decontamination, ITEMS_NAME), summary)
    said = about(open_table(path), summary.sets(checksums_in(path)), names)
    write_bytes(
        join(layout.decontamination, SUMMARY_NAME), (json.dumps(said, indent=1, ensure_ascii=False) + "\n").encode()
    )


def _batches(folder: str) -> Iterator[pa.RecordBatch]:
    (found,) = FileSystems.match([join(folder, "part-*.parquet")])
    for path in sorted(entry.path for entry in found.metadata_list):
        yield from parquet_batches(path)


def _write_items(path: str, summary: Summary) -> None:
    with written_whole(path) as sink, pq.ParquetWriter(sink, ITEMS_SCHEMA, **_FORM) as writer:
        for batch in summary.item_batches():
            writer.write_batch(batch)


def read_summary(layout: Layout) -> dict[str, Any] | None:
    """Returns the summary of the search for evaluation sets, or None if the run did not search."""
    path = join(layout.decontamination, SUMMARY_NAME)
    if not exists(path):
        return None
    found: dict[str, Any] = json.loads(read_bytes(path))
    return found
