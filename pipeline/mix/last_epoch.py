"""Finds the document and the token at which a subset of a source ends.

A subset consists of the first documents in the order of their hashes. Its number of tokens is given, for example the
number of tokens of the last epoch.

First, a histogram of all hashes shows in which bucket of hashes the subset ends. Then the documents of this bucket are
compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.pvalue import AsDict

from mixtures.part_rows import rows_by_part
from mixtures.parts import PartRule, names_of
from mixtures.subset import Cut, cut, find_bucket, histogram, in_bucket
from pipeline.files.checked import checked_batches

Hashing = Callable[[str, pa.Array], np.ndarray]
Counting = Callable[[str, pa.Array, np.ndarray], np.ndarray]
"""The type of a function that returns a mask of the documents that can be chosen."""


_REMEDY = "delete it and run the same command again: its source is tokenized again"


def token_batches(path: str, *, with_tokens: bool = False) -> Iterator[pa.RecordBatch]:
    """Yields the batches of a token file. Reads and checks the token ids only if ``with_tokens`` is True.

    Raises:
        DamagedFile: the file differs from what was written.
    """
    return checked_batches(path, unread="" if with_tokens else "input_ids.values", remedy=_REMEDY)


def lengths(batch: pa.RecordBatch) -> np.ndarray:
    """Returns one number per document of a batch: the number of its tokens."""
    found: np.ndarray = np.diff(batch.column("input_ids").offsets.to_numpy()).astype(np.int64)
    return found


def tagged(value: Any, kind: str) -> tuple[int, tuple[str, Any]]:
    """Returns (0, (kind, value)), where 0 is the key for a grouping.

    The last step of a job needs all its inputs in one group, so all inputs have the same key.
    """
    return 0, (kind, value)


class FindCuts(beam.PTransform):
    """Finds the cut of each source in ``wanted``: the place where a subset with the wanted number of tokens ends. Takes
    (source, token file). Outputs (source, Cut).

    If ``rules`` divides a source into parts, each part has its own cut. Then the name of the part takes the place of
    the source in ``wanted``, in the functions and in the output.

    Args:
        wanted: the number of tokens by source. Each number is at least 1, and at most the number of tokens in the
            documents that can be chosen.
        hashes: a function (source, ids) -> the hashes by which documents are ordered.
        takes_part: a function (source, ids, numbers of tokens) -> a mask of the documents that can be chosen.
        rules: the rules by which sources are divided into parts.
    """

    def __init__(
        self, wanted: Mapping[str, int], hashes: Hashing, takes_part: Counting,
        rules: Mapping[str, PartRule] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self._wanted, self._hashes, self._takes_part = dict(wanted), hashes, takes_part
        self._rules = dict(rules or {})

    def expand(self, parts: Any) -> Any:
        buckets = (
            parts
            | "histogram" >> beam.ParDo(_Histogram(self._wanted, self._hashes, self._takes_part, self._rules))
            | "add" >> beam.CombinePerKey(AddArrays())
            | "bucket" >> beam.ParDo(_Bucket(self._wanted))
        )
        return (
            parts
            | "last_documents"
            >> beam.ParDo(_LastDocuments(self._hashes, self._takes_part, self._rules), AsDict(buckets))
            | "gather" >> beam.GroupByKey()
            | "cut" >> beam.ParDo(_CutBucket(), AsDict(buckets))
        )


class _Histogram(beam.DoFn):
    def __init__(
        self, wanted: Mapping[str, int], hashes: Hashing, takes_part: Counting, rules: Mapping[str, PartRule]
    ) -> None:
        self._wanted, self._hashes, self._takes_part, self._rules = wanted, hashes, takes_part, rules

    def process(self, part: tuple[str, str]) -> Iterator[tuple[str, bytes]]:
        source, path = part
        empty = np.empty(0, np.uint64), np.empty(0, np.int64)
        totals = {name: histogram(*empty) for name in names_of(self._rules, source) if name in self._wanted}
        if not totals:
            return
        for batch in token_batches(path):
            for name, ids, num_tokens, _ in rows_by_part(self._rules.get(source), source, batch, lengths(batch)):
                if name in totals:
                    chosen = self._takes_part(name, ids, num_tokens)
                    totals[name] += histogram(self._hashes(name, ids)[chosen], num_tokens[chosen])
        for name, total in totals.items():
            yield name, total.tobytes()


class AddArrays(beam.CombineFn):
    """Adds up arrays of int64, element by element. The arrays are passed as bytes."""

    def create_accumulator(self) -> bytes:
        return b""

    def add_input(self, accumulator: bytes, element: bytes) -> bytes:
        if not accumulator:
            return element
        return (np.frombuffer(accumulator, np.int64) + np.frombuffer(element, np.int64)).tobytes()

    def merge_accumulators(self, accumulators: Iterable[bytes]) -> bytes:
        total = b""
        for accumulator in accumulators:
            total = self.add_input(total, accumulator) if accumulator else total
        return total

    def extract_output(self, accumulator: bytes) -> bytes:
        return accumulator


class _Bucket(beam.DoFn):
    def __init__(self, wanted: Mapping[str, int]) -> None:
        self._wanted = wanted

    def process(self, summed: tuple[str, bytes]) -> Iterator[tuple[str, tuple[int, int]]]:
        source, total = summed
        bucket, before = find_bucket(np.frombuffer(total, np.int64), self._wanted[source])
        yield source, (bucket, self._wanted[source] - before)


class _LastDocuments(beam.DoFn):
    """Yields the documents of one bucket of hashes per source: the bucket in which the source's subset ends.

    There are 65,536 buckets, so a bucket has about 1/65,536 of the documents.
    """

    def __init__(self, hashes: Hashing, takes_part: Counting, rules: Mapping[str, PartRule]) -> None:
        self._hashes, self._takes_part, self._rules = hashes, takes_part, rules

    def process(
        self, part: tuple[str, str], buckets: dict[str, tuple[int, int]]
    ) -> Iterator[tuple[str, tuple[int, str, int]]]:
        source, path = part
        if not any(name in buckets for name in names_of(self._rules, source)):
            return
        for batch in token_batches(path):
            for name, ids, num_tokens, _ in rows_by_part(self._rules.get(source), source, batch, lengths(batch)):
                if name not in buckets:
                    continue
                hashes = self._hashes(name, ids)
                chosen = in_bucket(hashes, buckets[name][0]) & self._takes_part(name, ids, num_tokens)
                for index in np.flatnonzero(chosen).tolist():
                    yield name, (int(hashes[index]), ids[index].as_py(), int(num_tokens[index]))


class _CutBucket(beam.DoFn):
    def process(
        self, group: tuple[str, Iterable[tuple[int, str, int]]], buckets: dict[str, tuple[int, int]]
    ) -> Iterator[tuple[str, Cut]]:
        source, documents = group
        hashes, ids, num_tokens = zip(*documents, strict=True)
        wanted = buckets[source][1]
        yield source, cut(np.array(hashes, np.uint64), list(ids), np.array(num_tokens, np.int64), wanted)
