"""Exact dedup over all documents of a source: of equal keys one wins, by a rule that no file order touches."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from pipeline.ledger import Ledger
from pipeline.plan import GlobalStep, SourceJob, part_of
from pipeline.sources.base import ExactDedup
from pipeline.transforms.group import GroupBytes
from pipeline.transforms.keys import KEY_BYTES, ROW, bucket_of_key, next_contest, parse_key_row
from pipeline.transforms.segment import COUNTS, key_tag


class DedupExact(beam.PTransform):
    """Rows of keys (a PCollection a contest of the chain) -> (verdicts, counts), each a list of PCollections.

    A verdict is (part, batch id + tag + row + id of the document kept). A document that loses a contest does not
    take part in the next: two pages that a third one equals by url and by digest are not both lost for it.
    """

    def __init__(self, job: SourceJob, chain: tuple[GlobalStep, ...]) -> None:
        super().__init__()
        self._job, self._chain = job, chain

    def expand(self, keys: tuple[Any, ...]) -> tuple[list[Any], list[Any]]:
        scale = self._job.scale
        waiting = [[rows] for rows in keys]
        verdicts, counts = [], []
        for index, global_step in enumerate(self._chain):
            later = [key_tag(i) for i in range(index + 1, len(self._chain))]
            outcome = (
                tuple(waiting[index])
                | f"group_{global_step.step.NAME}" >> GroupBytes(scale.num_key_buckets, self._job.shuffle_dir)
                | f"judge_{global_step.step.NAME}"
                >> beam.ParDo(_Contest(self._job, self._chain, index)).with_outputs(COUNTS, *later, main="verdicts")
            )
            for i in range(index + 1, len(self._chain)):
                waiting[i].append(outcome[key_tag(i)])
            verdicts.append(outcome.verdicts)
            counts.append(outcome[COUNTS])
        return verdicts, counts


class _Contest(beam.DoFn):
    """The rows of a bucket come sorted by key and rank: of each key the first wins."""

    def __init__(self, job: SourceJob, chain: tuple[GlobalStep, ...], index: int) -> None:
        self._job, self._chain, self._index = job, chain, index
        self._steps = [g.step for g in chain if isinstance(g.step, ExactDedup)]

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[Any]:
        ledger = Ledger(self._job.source.name, 0)
        name, tag = self._steps[self._index].NAME, bytes([self._chain[self._index].tag])
        scale = self._job.scale
        for _, payloads in itertools.groupby(group[1], key=lambda p: p[:KEY_BYTES]):
            rows = (parse_key_row(p, self._steps, self._index) for p in payloads)
            winner = next(rows)
            num_rows = 1
            for num_rows, loser in enumerate(rows, start=2):  # noqa: B007 - the last number is the size
                body = ROW.pack(loser.row) + winner.document_id.encode()
                yield part_of(loser.batch_id, scale.num_parts), loser.batch_id + tag + body
            ledger.receive(f"{name} keys", num_rows)
            ledger.send(f"{name} verdicts", num_rows - 1)
            following = next_contest(winner, self._steps, self._index)
            if following is not None:
                index, payload = following
                ledger.send(f"{self._steps[index].NAME} keys", 1)
                yield TaggedOutput(key_tag(index), (bucket_of_key(payload, scale.num_key_buckets), payload))
        yield TaggedOutput(COUNTS, dict(ledger.counts))
