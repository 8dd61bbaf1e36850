"""Writes and reads the keys of the documents that a dump (one crawl of CommonCrawl) keeps.

If a document of a newer dump and a kept document of an earlier dump have the same key, the newer document is a
duplicate. So each dump writes small files with the keys of the documents that an exact dedup kept, one file per bucket
of keys. A newer dump reads these files. It does not matter whether the earlier dumps were cleaned in this run or a year
ago.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.io.filesystems import FileSystems
from apache_beam.pvalue import TaggedOutput

from pipeline.clean.dedup.exact_keys import KEY_BYTES, bucket_of_key, earlier_payload
from pipeline.clean.job import KeyFiles, SourceJob
from pipeline.clean.ledger import Ledger
from pipeline.clean.tags import COUNTS
from pipeline.files.checked import CheckedBatches, checked_batches
from pipeline.files.files import written_whole
from pipeline.sources.dedup_steps import ExactDedup

_SCHEMA = pa.schema({"key": pa.binary(KEY_BYTES), "id": pa.string()})
_BATCH_KEYS = 1 << 16


class KeyFileWriter:
    """Writes a file of keys. Each row has a key (16 bytes), and the id of the document that is kept for this key.

    A file gets its final name only when it is complete.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._keys: list[bytes] = []
        self._ids: list[str] = []

    def __enter__(self) -> KeyFileWriter:
        self._file = written_whole(self._path)
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        self._writer = CheckedBatches(self._file.__enter__(), _SCHEMA, options)
        return self

    def write(self, key: bytes, document_id: str) -> None:
        self._keys.append(key)
        self._ids.append(document_id)
        if len(self._keys) >= _BATCH_KEYS:
            self._flush()

    def _flush(self) -> None:
        columns = [pa.array(self._keys, _SCHEMA.field("key").type), pa.array(self._ids, pa.string())]
        self._writer.write(pa.record_batch(columns, schema=_SCHEMA))
        self._keys, self._ids = [], []

    def __exit__(self, *error: Any) -> None:
        if error[0] is None:
            self._flush()
            self._writer.close()
        self._file.__exit__(*error)


class EarlierKeys(beam.PTransform):
    """Reads the key files of earlier dumps. Outputs one payload per key, and counts.

    These payloads are compared with the payloads of new documents by one exact dedup: the one with the number ``index``
    in ``steps``.

    The input of this transform is a tuple of PCollections. The first PCollection has the :class:`KeyFiles` of dumps
    that were complete before this run. Each further PCollection has the paths of the key files that one earlier dump
    writes in this run.
    """

    def __init__(self, job: SourceJob, steps: Sequence[ExactDedup], index: int) -> None:
        super().__init__()
        self._read = _ReadKeys(job, steps, index)

    def expand(self, inputs: tuple[Any, ...]) -> Any:
        whole, *paths = inputs
        return (
            (whole | "paths" >> beam.FlatMap(_paths), *paths)
            | "flatten" >> beam.Flatten()
            | "spread" >> beam.Reshuffle()
            | "read" >> beam.ParDo(self._read).with_outputs(COUNTS, main="rows")
        )


def _paths(files: KeyFiles) -> Iterator[str]:
    (found,) = FileSystems.match([files.glob])
    yield from (entry.path for entry in found.metadata_list)


def earlier_name(step: ExactDedup) -> str:
    """Returns the name under which the keys of earlier dumps are counted.

    They are counted when the files are read, and again when the keys are compared. The two counts must be equal.
    """
    return f"{step.NAME} earlier keys"


class _ReadKeys(beam.DoFn):
    def __init__(self, job: SourceJob, steps: Sequence[ExactDedup], index: int) -> None:
        self._job, self._steps, self._index = job, list(steps), index

    def process(self, path: str) -> Iterator[Any]:
        ledger = Ledger(self._job.source.name, 0)
        num_buckets = self._job.sizes.scale.num_key_buckets
        for batch in checked_batches(path, remedy="delete it and run again: its dump is cleaned again"):
            ledger.send(earlier_name(self._steps[self._index]), batch.num_rows)
            for key, document_id in zip(batch.column("key").to_pylist(), batch.column("id").to_pylist(), strict=True):
                payload = earlier_payload(key, document_id, self._steps, self._index)
                yield bucket_of_key(payload, num_buckets), payload
        yield TaggedOutput(COUNTS, dict(ledger.counts))
