"""The ceilings on what a dedup may remove: of the source, of each language and of each host.

A dedup that removes more than its ceiling most likely compares boilerplate or a template, so the run stops before
anything is written as complete. Each batch sends how many documents each of its languages and hosts has, and each
removed document sends its own. They are summed by name, a bucket at a time.
"""

from __future__ import annotations

import itertools
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import xxhash

from pipeline.clean import counts as c
from pipeline.clean.job import SourceJob
from pipeline.engine.group_bytes import GroupBytes

_NUMBERS = struct.Struct(">II")  # documents, removed documents
SOURCE, LANGUAGE, HOST = "source", "language", "host"


def group_payloads(
    languages: Sequence[str], hosts: Sequence[str], num_buckets: int, *, is_removed: bool = False
) -> Iterator[tuple[int, bytes]]:
    """Yields (bucket, payload) for each language and host of some documents, and for all of them.

    >>> len(list(group_payloads(["en", "de", "en"], ["a", "a", ""], 4)))
    4
    """
    counted = Counter([(SOURCE, "")] * len(languages))
    counted.update((LANGUAGE, one) for one in languages)
    counted.update((HOST, one) for one in hosts if one)
    for (kind, name), number in counted.items():
        key = f"{kind}\t{name}".encode()
        numbers = (0, number) if is_removed else (number, 0)
        yield xxhash.xxh3_64_intdigest(key) % num_buckets, key + b"\0" + _NUMBERS.pack(*numbers)


class CheckRemoved(beam.PTransform):
    """Takes payloads of :func:`group_payloads`. Outputs counts: a row for the source, and one for each broken ceiling."""

    def __init__(self, job: SourceJob, step: str) -> None:
        super().__init__()
        self._job, self._step = job, step

    def expand(self, payloads: tuple[Any, ...]) -> Any:
        return (
            payloads
            | "group" >> GroupBytes(self._job.sizes.scale.num_key_buckets, self._job.places.shuffle_dir)
            | "check" >> beam.ParDo(_Check(self._job, self._step))
        )


class _Check(beam.DoFn):
    def __init__(self, job: SourceJob, step: str) -> None:
        self._job, self._step = job, step

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[dict[c.CountKey, int]]:
        ceilings, found = self._job.ceilings, {}
        for key, payloads in itertools.groupby(group[1], key=lambda p: p[: -_NUMBERS.size - 1]):
            num_docs = num_removed = 0
            for payload in payloads:
                docs, removed = _NUMBERS.unpack_from(payload, len(key) + 1)
                num_docs, num_removed = num_docs + docs, num_removed + removed
            kind, _, name = key.decode().partition("\t")
            if ceilings.is_broken(kind, num_docs, num_removed):
                row = f"{self._step}\t{kind}\t{name}\t{num_docs}"
                found[self._job.source.name, c.CEILING_STAGE, row] = num_removed
        if found:
            yield found
