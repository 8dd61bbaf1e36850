"""Checks how many documents a near dedup removed from a source, from each language and from each host.

The largest share that it may remove is called a ceiling. A dedup that removes a larger share has most likely compared
boilerplate or a template. If a ceiling is exceeded, the source does not become complete, and the run stops.

Each batch sends its number of documents per language and per host. Each removed document sends its language and host.
These numbers are added up for each language and each host.
"""

from __future__ import annotations

import heapq
import itertools
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import xxhash
from apache_beam.pvalue import TaggedOutput

from pipeline.clean import counts as c
from pipeline.clean.job import SourceJob
from pipeline.clean.near_stats import LARGEST
from pipeline.engine.group_bytes import GroupBytes

_NUMBERS = struct.Struct(">II")  # number of documents, number of removed documents
SOURCE, LANGUAGE, HOST = "source", "language", "host"
_MOST = "most"
"""The tag of the output with the languages and hosts that lost the most documents."""

Removed = tuple[int, str, int]
"""A tuple: the number of removed documents, the name of the language or host, and the number of all documents in this
language or from this host."""


def group_payloads(
    languages: Sequence[str], hosts: Sequence[str], num_buckets: int, *, is_removed: bool = False
) -> Iterator[tuple[int, bytes]]:
    """Counts documents by language and by host, and counts all documents. Yields each count as (bucket, payload).

    ``is_removed`` says whether these documents were removed by the near dedup. A document without a host ("") is not
    counted by host. In this example, there are counts for two languages, for one host, and for all documents:

    >>> len(list(group_payloads(["en", "de", "en"], ["a", "a", ""], 4)))
    4
    """
    counted = Counter([(SOURCE, "")] * len(languages))
    counted.update((LANGUAGE, one) for one in languages)
    counted.update((HOST, one) for one in hosts if one)
    for (kind, name), number in counted.items():
        key = f"{kind}\t{name}".encode("utf-8", "replace")
        numbers = (0, number) if is_removed else (number, 0)
        yield xxhash.xxh3_64_intdigest(key) % num_buckets, key + b"\0" + _NUMBERS.pack(*numbers)


class CheckRemoved(beam.PTransform):
    """Compares the numbers of removed documents with the ceilings (largest allowed shares). Takes payloads of
    :func:`group_payloads`.

    Outputs a list of two PCollections of counts. The first has one count per exceeded ceiling. The second has one count
    for each of the languages and hosts that lost the most documents.
    """

    def __init__(self, job: SourceJob, step: str, suffix: str = "") -> None:
        super().__init__()
        self._job, self._step, self._suffix = job, step, suffix

    def expand(self, payloads: tuple[Any, ...]) -> Any:
        checked = (
            payloads
            | "group" >> GroupBytes(self._job.sizes.scale.num_key_buckets, self._job.places.shuffle)
            | "check" >> beam.ParDo(_Check(self._job, self._step)).with_outputs(_MOST, main="broken")
        )
        most = (
            checked[_MOST]
            | "most" >> beam.CombinePerKey(_MostRemoved())
            | "count" >> beam.Map(_as_counts, source=self._job.source.name, dump=self._job.dump, suffix=self._suffix)
        )
        return [checked.broken, most]


class _MostRemoved(beam.CombineFn):
    """Finds the languages or hosts that lost the most documents. Combines several lists into one list.

    An entry of a list is (removed, name, documents): the number of removed documents, the language or host, and the
    number of all its documents.
    """

    def create_accumulator(self) -> list[Removed]:
        return []

    def add_input(self, accumulator: list[Removed], element: list[Removed]) -> list[Removed]:
        return most_removed(accumulator + element)

    def merge_accumulators(self, accumulators: Iterable[list[Removed]]) -> list[Removed]:
        return most_removed([one for each in accumulators for one in each])

    def extract_output(self, accumulator: list[Removed]) -> list[Removed]:
        return accumulator


def most_removed(found: Iterable[Removed]) -> list[Removed]:
    """Returns the entries of the languages or hosts that lost the most documents, at most ``LARGEST`` entries. The one
    that lost the most comes first. If two lost equally many, they are sorted by name.

    An entry has the number of removed documents, the language or host, and the number of all its documents:

    >>> most_removed([(2, "b", 9), (2, "a", 5), (7, "c", 8)])
    [(7, 'c', 8), (2, 'a', 5), (2, 'b', 9)]
    """
    return heapq.nsmallest(LARGEST, found, key=lambda one: (-one[0], one[1]))


def _as_counts(most: tuple[str, Sequence[Removed]], source: str, dump: str, suffix: str) -> Mapping[c.CountKey, int]:
    kind, found = most
    rows = ((f"{kind}\t{num_docs}\t{dump}\t{name}", removed) for removed, name, num_docs in found)
    return {(source, c.REMOVED_STAGE + suffix, row): removed for row, removed in rows}


class _Check(beam.DoFn):
    def __init__(self, job: SourceJob, step: str) -> None:
        self._job, self._step = job, step

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[Any]:
        ceilings, broken = self._job.ceilings, {}
        most: dict[str, list[Removed]] = {LANGUAGE: [], HOST: []}
        for key, payloads in itertools.groupby(group[1], key=lambda p: p[: -_NUMBERS.size - 1]):
            num_docs = num_removed = 0
            for payload in payloads:
                docs, removed = _NUMBERS.unpack_from(payload, len(key) + 1)
                num_docs, num_removed = num_docs + docs, num_removed + removed
            kind, _, name = key.decode().partition("\t")
            if ceilings.is_broken(kind, num_docs, num_removed):
                row = f"{self._step}\t{kind}\t{num_docs}\t{self._job.dump}\t{name}"
                broken[self._job.source.name, c.CEILING_STAGE, row] = num_removed
            if kind in most and num_removed:
                most[kind].append((num_removed, name, num_docs))
                if len(most[kind]) >= 2 * LARGEST:
                    most[kind] = most_removed(most[kind])
        for kind, found in most.items():
            if found:
                yield TaggedOutput(_MOST, (kind, found))
        if broken:
            yield broken
