"""Encodes clean documents to token ids. Writes one file of token ids for each clean file, and counts the tokens
exactly.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.exclude import naming_entries
from pipeline.files.checked import CheckedBatches
from pipeline.files.files import join, read_bytes, written_whole
from pipeline.files.parquet_files import parquet_batches
from pipeline.models.load import load
from pipeline.output.markers import state_of, write_marker
from pipeline.progress import ticks as progress
from pipeline.tokenize.held_out import HeldOut
from pipeline.tokenize.job import TokenJob
from pipeline.tokenize.part_column import part_values
from tokenizer.encode import Encoder
from tokenizer.encoder_settings import EncoderSettings

_BATCH_DOCS = 256
_BATCH_BYTES = 4 << 20


TOKEN_FILE = "part-{:05d}.arrow"
"""The name of a token file, made from its number."""


def token_file(job_dir: str, part: int) -> str:
    return join(job_dir, TOKEN_FILE.format(part))


@functools.lru_cache(maxsize=2)
def _encoder(path: str, settings: EncoderSettings, fingerprint: str) -> Encoder:
    """Loads the encoder from ``path``. Each process loads it once per job and then reuses it.

    ``fingerprint`` (a checksum of the job's inputs) makes a later job load it again, because the file at the same path
    may then have a different tokenizer.
    """
    return Encoder.load(read_bytes(path), settings=settings)


class TokenizeSource(beam.PTransform):
    """Tokenizes one source. Takes (number of the file, clean file). When all token files of the source are written,
    writes their marker (a file that records that they are complete), and outputs the name of the source.
    """

    def __init__(self, job: TokenJob) -> None:
        super().__init__()
        self._job = job

    def expand(self, parts: Any) -> Any:
        return (
            parts
            | "encode" >> beam.ParDo(_EncodePart(self._job))
            | "gather" >> beam.GroupByKey()
            | "finish" >> beam.ParDo(_FinishTokens(self._job))
        )


class _EncodePart(beam.DoFn):
    def __init__(self, job: TokenJob) -> None:
        self._job = job

    def process(self, part: tuple[int, str]) -> Iterator[tuple[int, dict[str, int]]]:
        number, path = part
        encoder = _encoder(self._job.tokenizer_path, self._job.encoder, self._job.fingerprint)
        excluded = load("exclude", self._job.exclude_path) if self._job.exclude_path else frozenset()
        kind = pa.uint16() if encoder.dtype == np.uint16 else pa.uint32()
        schema = pa.schema({"doc_id": pa.string(), "input_ids": pa.list_(kind)})
        if self._job.part_column:
            schema = schema.append(pa.field("part", pa.string()))
        counts: Counter[str] = Counter()
        held_out = HeldOut(share=self._job.validation_share)
        with written_whole(token_file(self._job.tokens_dir, number)) as sink:
            writer = CheckedBatches(sink, schema)
            for batch in _batches(path, self._job.part_column):
                counts["documents_in"] += batch.num_rows
                batch = batch.filter(pc.is_null(naming_entries(batch, excluded))) if excluded else batch
                if batch.num_rows:
                    ids = encoder.encode_batch(batch.column("text"))
                    values = [part_values(batch, self._job.part_column)] if self._job.part_column else []
                    writer.write(pa.record_batch([batch.column("id"), ids, *values], schema=schema))
                    num_tokens = np.diff(ids.offsets.to_numpy()).astype(np.int64)
                    held = held_out.mask(self._job.source, batch.column("id"), num_tokens)
                    counts.update(documents=batch.num_rows, tokens=int(num_tokens.sum()))
                    counts.update(held_documents=int(held.sum()), held_tokens=int(num_tokens[held].sum()))
                num_bytes = pc.sum(pc.binary_length(batch.column("text"))).as_py() or 0
                progress.tick(self._job.progress_dir, f"{self._job.source}: tokenize", documents=batch.num_rows,
                              num_bytes=num_bytes)  # fmt: skip
            writer.close()
        progress.tick(self._job.progress_dir, f"{self._job.source}: tokenize", units=1)
        yield 0, dict(counts)


def _batches(path: str, part_column: str | None) -> Iterator[pa.RecordBatch]:
    """Yields the batches of a clean file. A batch has at most 256 documents. It also has a limit of bytes, because 256
    books would be too large for one batch.
    """
    columns = dict.fromkeys(("id", "text", "url", *([part_column] if part_column else [])))
    for batch in parquet_batches(path, list(columns), batch_size=_BATCH_DOCS):
        sizes = np.cumsum(pc.binary_length(batch.column("text")).to_numpy())
        start = 0
        while start < batch.num_rows:
            done = sizes[start - 1] if start else 0
            end = max(start + 1, int(np.searchsorted(sizes, done + _BATCH_BYTES)))
            yield batch.slice(start, end - start)
            start = end


class _FinishTokens(beam.DoFn):
    def __init__(self, job: TokenJob) -> None:
        self._job = job

    def process(self, group: tuple[int, Iterable[dict[str, int]]]) -> Iterator[str]:
        counts: Counter[str] = Counter()
        num_parts = 0
        for part in group[1]:
            counts.update(part)
            num_parts += 1
        wanted = len(self._job.parts.numbers)
        assert num_parts == wanted, f"{self._job.label}: {num_parts} of {wanted} parts tokenized"
        marker = {
            "fingerprint": self._job.fingerprint,
            "documents": counts["documents"],
            "tokens": counts["tokens"],
            "excluded": counts["documents_in"] - counts["documents"],
            "documents_in": counts["documents_in"],
            "validation_share": None if self._job.validation_share is None else str(self._job.validation_share),
            "held_documents": counts["held_documents"],
            "held_tokens": counts["held_tokens"],
            "parts": {"tokens": state_of(self._job.tokens)},
        }
        write_marker(self._job.marker, marker)
        yield self._job.source
