"""The evidence of decontamination: a file per part from the workers, and from the driver one table and its summary.

Workers write the hits of a part beside its clean documents. After the clean phase the driver copies all of them into
``decontamination/hits-*.parquet``, a batch at a time, and counts them by item.
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
from pipeline.files.files import delete_tree, exists, join, open_file, read_bytes, write_bytes, written_whole
from pipeline.models.stored_files import local_path
from pipeline.output.paths import Layout
from pipeline.sources.source import Source

HITS_NAME, ITEMS_NAME, SUMMARY_NAME = "hits-00000-of-00001.parquet", "items.parquet", "summary.json"
_FORM = {"compression": "zstd", "write_page_checksum": True}


@contextlib.contextmanager
def evidence_file(job: SourceJob, part: int) -> Iterator[pq.ParquetWriter | None]:
    """Opens the evidence file of a part; None if no step of the source leaves evidence."""
    schema = evidence_schema(job.source.steps)
    if job.places.evidence_dir is None or schema is None:
        yield None
        return
    path = job.part_path(job.places.evidence_dir, part)
    with written_whole(path) as sink, pq.ParquetWriter(sink, schema, **_FORM) as writer:
        yield writer


def write_evidence(writer: pq.ParquetWriter | None, rows: Sequence[pa.RecordBatch]) -> None:
    """Writes what the steps of a batch left."""
    if rows:
        assert writer is not None, "a step left evidence before the last pass, which is the one that writes it"
        writer.write_table(pa.Table.from_batches(rows))


def leaves_evidence(source: Source) -> bool:
    """True if a step of the source leaves evidence."""
    return evidence_schema(source.steps) is not None


def gather_hits(layout: Layout, table: str | None, sources: Iterable[Source]) -> None:
    """Writes ``decontamination/``: the hits of all sources, every item of the sets, and a summary for the manifest.

    Args:
        table: the index that the sources were searched with; None if this run searches nothing. Then what an earlier
            run found is deleted, because its documents are cleaned again.
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
        with open_file(path) as file:
            yield from pq.ParquetFile(file).iter_batches()


def _write_items(path: str, summary: Summary) -> None:
    with written_whole(path) as sink, pq.ParquetWriter(sink, ITEMS_SCHEMA, **_FORM) as writer:
        for batch in summary.item_batches():
            writer.write_batch(batch)


def read_summary(layout: Layout) -> dict[str, Any] | None:
    """Returns what was found of evaluation sets in the clean documents; None if nothing was searched."""
    path = join(layout.decontamination, SUMMARY_NAME)
    if not exists(path):
        return None
    found: dict[str, Any] = json.loads(read_bytes(path))
    return found
