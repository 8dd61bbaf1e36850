"""Runs the global shuffle. A document occurs once per epoch. The shuffle sends each occurrence to a place in the
shards, and a hash determines the place.

A stage is one mixture in a series of mixtures that continue each other.
"""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.pvalue import AsDict, AsSingleton, TaggedOutput

from mixtures.part_rows import Rows, rows_by_part
from mixtures.parts import source_of
from mixtures.shards import ShardMetadata, shard_name, shard_schema, write_shard
from mixtures.subset import ORDER, Cut, histogram, order_hashes, shard_bounds, shards_of, tokens_kept
from pipeline.engine.group_bytes import GroupBytes
from pipeline.files.checked import write_checked
from pipeline.files.files import join, written_whole
from pipeline.mix.job import MixJob
from pipeline.mix.last_epoch import AddArrays, FindCuts, lengths, tagged, token_batches
from pipeline.progress import ticks as progress

_HEAD = struct.Struct(">QBBI")  # place in the shuffle, index of the source, epoch, bytes of the id
_ROWS_TOKENS = 1 << 20  # tokens per written Arrow batch


class MixShards(beam.PTransform):
    """Shuffles the documents into shards. Takes (source, token file). Writes and counts the shards, and then writes one
    result file about all shards.
    """

    def __init__(self, job: MixJob) -> None:
        super().__init__()
        self._job = job

    def expand(self, parts: Any) -> Any:
        job = self._job
        wanted = {s: share.remainder_tokens for s, share in job.shares.items() if share.remainder_tokens}
        cuts = parts | "cuts" >> FindCuts(wanted, _SubsetHashes(job), _Trained(job), job.rules)
        bounds = (
            parts
            | "places" >> beam.ParDo(_Places(job), AsDict(cuts))
            | "add_places" >> beam.CombineGlobally(AddArrays()).with_defaults()
            | "bounds" >> beam.Map(_bounds, job.num_shards)
        )  # Output: the first place of each shard
        occurrences = beam.ParDo(_Occurrences(job), AsDict(cuts), AsSingleton(bounds))
        out = parts | "occurrences" >> occurrences.with_outputs("sent", main="documents")
        written = (
            out.documents
            | "shuffle" >> GroupBytes(job.num_shards + sum(job.num_validation_shards.values()), job.shuffle)
            | "write" >> beam.ParDo(_WriteShard(job))
        )
        return (
            (
                written | "tag_shards" >> beam.Map(tagged, "shard"),
                cuts | "tag_cuts" >> beam.Map(tagged, "cut"),
                out.sent | "tag_sent" >> beam.Map(tagged, "sent"),
            )
            | "flatten" >> beam.Flatten()
            | "gather" >> beam.GroupByKey()
            | "finish" >> beam.ParDo(_FinishMix(job))
        )


def _bounds(tokens_by_place: bytes, num_shards: int) -> bytes:
    empty = histogram(np.empty(0, np.uint64), np.empty(0, np.int64))
    return shard_bounds(np.frombuffer(tokens_by_place, np.int64) if tokens_by_place else empty, num_shards).tobytes()


@dataclass(frozen=True, slots=True)
class _SubsetHashes:
    """Returns one hash per document. The last, partial epoch takes the documents with the smallest hashes.

    Each epoch has different hashes. A document has the same hash whether or not its source is divided into parts. So if
    an earlier stage did not divide the source, the parts continue where that stage stopped.
    """

    job: MixJob

    def __call__(self, name: str, doc_ids: pa.Array) -> np.ndarray:
        return order_hashes(self.job.seed, source_of(name), doc_ids, self.job.shares[name].whole_epochs)


@dataclass(frozen=True, slots=True)
class _Trained:
    """Returns a mask of the documents that the last, partial epoch may use.

    It may not use documents that are held out, or that an earlier stage took in this epoch.
    """

    job: MixJob

    def __call__(self, name: str, doc_ids: pa.Array, num_tokens: np.ndarray) -> np.ndarray:
        share, source = self.job.shares[name], source_of(name)
        left = share.left(source, share.whole_epochs, self.job.seed, doc_ids)
        chosen: np.ndarray = left & ~share.held_out.mask(source, doc_ids, num_tokens)
        return chosen


def validation_keys(job: MixJob) -> dict[str, int]:
    """Returns a mapping from each source to the number of its first validation shard.

    All shards are numbered together: first the training shards, then the validation shards.
    """
    keys, first = {}, job.num_shards
    for source, number in sorted(job.num_validation_shards.items()):
        keys[source] = first
        first += number
    return keys


def _rows(job: MixJob, source: str, batch: pa.RecordBatch) -> Iterator[Rows]:
    """Divides a batch into parts. Yields the documents of each part that is in the mixture."""
    for rows in rows_by_part(job.rules.get(source), source, batch, lengths(batch)):
        if rows.name in job.shares:
            yield rows


def _epochs(job: MixJob, rows: Rows, cuts: dict[str, Cut]) -> Iterator[tuple[int, np.ndarray]]:
    """Yields (epoch, token counts) for each epoch in which this mixture uses a part.

    ``rows`` are documents of the part. Their token counts say how many tokens of each document go into the epoch. The
    count is 0 if the document is held out, or if an earlier stage took it.
    """
    share, source = job.shares[rows.name], source_of(rows.name)
    ids, num_tokens = rows.ids, rows.num_tokens
    kept = np.where(share.held_out.mask(source, ids, num_tokens), 0, num_tokens)
    for epoch in range(share.first_epoch, share.whole_epochs):
        yield epoch, np.where(share.left(source, epoch, job.seed, ids), kept, 0)
    if rows.name in cuts:
        last = np.where(share.left(source, share.whole_epochs, job.seed, ids), kept, 0)
        hashes = _SubsetHashes(job)(rows.name, ids)
        yield share.whole_epochs, np.minimum(tokens_kept(hashes, ids.to_pylist(), num_tokens, cuts[rows.name]), last)


class _Places(beam.DoFn):
    """Yields a histogram of places in the shuffled order, weighted by the tokens of the documents at these places.

    The histogram shows where to divide the shuffled order, so that all shards have almost equal size.
    """

    def __init__(self, job: MixJob) -> None:
        self._job = job

    def process(self, part: tuple[str, str], cuts: dict[str, Cut]) -> Iterator[bytes]:
        source, path = part
        total = histogram(np.empty(0, np.uint64), np.empty(0, np.int64))
        if self._job.num_shards > 1:
            for batch in token_batches(path):
                for rows in _rows(self._job, source, batch):
                    for epoch, kept in _epochs(self._job, rows, cuts):
                        places = order_hashes(self._job.seed, source, rows.ids, epoch, purpose=ORDER)
                        total += histogram(places, kept)
        yield total.tobytes()


class _Occurrences(beam.DoFn):
    """Yields (shard, payload) for each occurrence of a document. A document occurs once per epoch.

    The payload begins with the place of the occurrence in the shuffled order. Then it has the id and the tokens.
    """

    def __init__(self, job: MixJob) -> None:
        self._job = job
        self._validation_keys = validation_keys(job)

    def process(self, part: tuple[str, str], cuts: dict[str, Cut], bounds: bytes) -> Iterator[Any]:
        source, path = part
        first_places = np.frombuffer(bounds, np.uint64)
        sent: Counter[str] = Counter()
        for batch in token_batches(path, with_tokens=True):
            for rows in _rows(self._job, source, batch):
                for epoch, kept in _epochs(self._job, rows, cuts):
                    places = order_hashes(self._job.seed, source, rows.ids, epoch, purpose=ORDER)
                    shards = shards_of(places, first_places)
                    for row, payload in self._payloads(batch, rows, epoch, places, kept):
                        yield int(shards[row]), payload
                    sent.update(tokens=int(kept.sum()), documents=int((kept > 0).sum()))
                held_out = self._job.shares[rows.name].held_out.mask(source, rows.ids, rows.num_tokens)
                if held_out.any():
                    yield from self._held(batch, rows, np.where(held_out, rows.num_tokens, 0))
                sent.update(held_out=int(held_out.sum()))
            progress.tick(self._job.progress_dir, "mix: shuffle", documents=batch.num_rows, num_bytes=batch.nbytes)
        progress.tick(self._job.progress_dir, "mix: shuffle", units=1)
        yield TaggedOutput("sent", dict(sent))

    def _held(self, batch: pa.RecordBatch, rows: Rows, kept: np.ndarray) -> Iterator[tuple[int, bytes]]:
        source = source_of(rows.name)
        places = order_hashes(self._job.seed, source, rows.ids, 0, purpose=ORDER)
        first, number = self._validation_keys[source], self._job.num_validation_shards[source]
        for row, payload in self._payloads(batch, rows, 0, places, kept):
            yield first + ((int(places[row]) * number) >> 64), payload

    def _payloads(
        self, batch: pa.RecordBatch, rows: Rows, epoch: int, places: np.ndarray, kept: np.ndarray
    ) -> Iterator[tuple[int, bytes]]:
        column = batch.column("input_ids")
        starts, tokens = column.offsets.to_numpy()[rows.places], column.values.to_numpy()
        index = self._job.source_names.index(rows.name)
        ids = rows.ids.to_pylist()
        for row in np.flatnonzero(kept).tolist():
            name, place = ids[row].encode(), int(places[row])
            data = tokens[starts[row] : starts[row] + kept[row]].tobytes()
            yield row, _HEAD.pack(place, index, epoch, len(name)) + name + data


class _WriteShard(beam.DoFn):
    """Writes a shard. The payloads arrive sorted, so the documents are written in the shuffled order."""

    def __init__(self, job: MixJob) -> None:
        self._job = job

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[dict[str, Any]]:
        key, payloads = group
        path = self._path(key)
        documents: Counter[str] = Counter()
        with written_whole(join(self._job.output, path)) as sink:
            info = write_shard(
                sink,
                self._batches(payloads, documents),
                path=path,
                sources=self._job.source_names,
                metadata=ShardMetadata(**self._job.metadata),  # type: ignore[arg-type]
            )
        progress.tick(self._job.progress_dir, "mix: shards", units=1, documents=info.rows, num_bytes=info.bytes)
        yield {"key": key, "info": asdict(info), "documents": dict(documents)}

    def _path(self, key: int) -> str:
        if key < self._job.num_shards:
            return "shards/" + shard_name("train", key, self._job.num_shards)
        for source, first in validation_keys(self._job).items():
            number = self._job.num_validation_shards[source]
            if first <= key < first + number:
                return "validation/" + shard_name(source, key - first, number)
        raise AssertionError(key)

    def _batches(self, payloads: Iterable[bytes], documents: Counter[str]) -> Iterator[pa.RecordBatch]:
        rows: list[tuple[int, int, str, np.ndarray]] = []
        held = 0
        for payload in payloads:
            _, source, epoch, name_bytes = _HEAD.unpack_from(payload)
            at = _HEAD.size + name_bytes
            tokens = np.frombuffer(payload, self._dtype(), offset=at)
            rows.append((source, epoch, payload[_HEAD.size : at].decode(), tokens))
            documents[self._job.source_names[source]] += 1
            held += len(tokens)
            if held >= _ROWS_TOKENS:
                yield self._batch(rows)
                rows, held = [], 0
        if rows:
            yield self._batch(rows)

    def _dtype(self) -> np.dtype[Any]:
        return np.dtype(np.uint16 if self._job.vocab_size <= 1 << 16 else np.uint32)

    def _batch(self, rows: list[tuple[int, int, str, np.ndarray]]) -> pa.RecordBatch:
        schema = shard_schema(self._job.vocab_size)
        offsets = np.concatenate([[0], np.cumsum([len(r[3]) for r in rows])]).astype(np.int32)
        names = pa.array(self._job.source_names, pa.string())
        columns = {
            "input_ids": pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.concatenate([r[3] for r in rows]))),
            "source": pa.DictionaryArray.from_arrays(pa.array([r[0] for r in rows], pa.int8()), names),
            "doc_id": pa.array([r[2] for r in rows], pa.string()),
            "epoch": pa.array([r[1] for r in rows], pa.uint8()),
        }
        return pa.record_batch([columns[n].cast(schema.field(n).type) for n in schema.names], schema=schema)


class _FinishMix(beam.DoFn):
    """Checks that the shards contain all documents and tokens that were sent to them. Then writes the result file."""

    def __init__(self, job: MixJob) -> None:
        self._job = job

    def process(self, group: tuple[int, Iterable[tuple[str, Any]]]) -> Iterator[str]:
        sent: Counter[str] = Counter()
        shards, cuts = [], {}
        for kind, value in group[1]:
            if kind == "sent":
                sent.update(value)
            elif kind == "cut":
                cuts[value[0]] = asdict(value[1]) | {"is_cut": value[1].is_cut}
            else:
                shards.append(value)
        train = [s for s in shards if s["key"] < self._job.num_shards]
        held = [s for s in shards if s["key"] >= self._job.num_shards]
        for what, written in (
            ("tokens", sum(s["info"]["tokens"] for s in train)),
            ("documents", sum(s["info"]["rows"] for s in train)),
            ("held_out", sum(s["info"]["rows"] for s in held)),
        ):
            assert sent[what] == written, f"mix: {sent[what]} {what} were sent to the shards, {written} stand in them"
        # Sorted, because the order of a group differs from run to run.
        result = {"shards": sorted(shards, key=lambda s: s["key"]), "cuts": dict(sorted(cuts.items()))}
        write_checked(self._job.result_path, json.dumps(result).encode())
        yield self._job.result_path
